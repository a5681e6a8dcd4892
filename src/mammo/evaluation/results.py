"""The result: negative, uncertain or positive.

    rule = ResultRule(threshold, limits)     # operating point, PredictionSetLimits
    rule.result(0.83), rule.reason(0.83)

One rule gives the result of `predict`, of a row of `score_folder`, and of each test image in the report. Positive or
negative is given only where the operating point and the prediction set agree and there is no warning about the image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo.core.manifest import CLASS_NAMES
from mammo.evaluation.calibration import Calibration, expit, log_odds
from mammo.evaluation.prediction_sets import PredictionSetLimits

RESULTS = ("negative", "uncertain", "positive")
SAME = 0.01  # a probability that differs by no more counts as the same


@dataclass(frozen=True)
class ResultRule:
    """From a calibrated probability to a result."""

    threshold: float
    """The operating point: from this probability on, an image counts as malignant."""
    limits: PredictionSetLimits

    @property
    def uncertain_range(self) -> tuple[float, float]:
        """(low, high): the result is negative below `low` and positive from `high` on, both calibrated probabilities.

        `high` is above 1 where no probability gives a positive result, and `low` is 0 where none gives a negative one.
        """
        above_benign = float(np.nextafter(self.limits.benign_up_to, np.inf))
        points = above_benign, self.limits.malignant_from, self.threshold
        return min(points), max(points)

    def range_text(self, decimals: int = 3) -> str:
        """The uncertain range in words, such as "negative below 0.071, positive from 0.231"."""
        low, high = self.uncertain_range
        negative = f"negative below {low:.{decimals}f}" if low > 0 else "never negative"
        return f"{negative}, " + (f"positive from {high:.{decimals}f}" if high <= 1 else "never positive")

    def results(self, probability) -> np.ndarray:
        """The result at each probability, str, of images without a warning."""
        low, high = self.uncertain_range
        probability = np.asarray(probability, np.float64)
        return np.select([probability < low, probability >= high], [RESULTS[0], RESULTS[2]], RESULTS[1])

    def result(self, probability: float, doubts: Sequence[str] = ()) -> str:
        """One of RESULTS for one image; `doubts` are the warnings about it."""
        return RESULTS[1] if doubts else str(self.results(probability))

    def prediction_set(self, probability: float, doubts: Sequence[str] = ()) -> tuple[str, ...]:
        """The classes that remain possible: both, where there is a warning about the image."""
        possible = self.limits.prediction_set(probability) | bool(doubts)
        return tuple(name for name, remains in zip(CLASS_NAMES, possible, strict=True) if remains)

    def decisions(self, probability) -> np.ndarray:
        """bool (n, 3): at or above the operating point, and the prediction set, without a warning about the image."""
        probability = np.asarray(probability)
        return np.column_stack([probability >= self.threshold, self.limits.prediction_set(probability)])

    def is_stable(self, probability, error: float, calibration: Calibration) -> np.ndarray:
        """bool (n,): whether the result stays the same if the model's log-odds are wrong by up to `error`.

        The same is: every decision, and the calibrated probability to 0.01. `probability` is before calibration.
        """
        lowest, computed, highest = (calibration(expit(log_odds(probability) + shift)) for shift in (-error, 0, error))
        near = np.maximum(highest - computed, computed - lowest) <= SAME
        return near & (self.decisions(lowest) == self.decisions(highest)).all(axis=1)

    def reason(self, probability: float, doubts: Sequence[str] = ()) -> str:
        """Why the result is what it is, without a full stop; where there are warnings, what the first one says."""
        if doubts:
            return _main_clauses(doubts)
        above, possible = probability >= self.threshold, self.prediction_set(probability)
        if len(possible) == len(CLASS_NAMES):
            return "benign and malignant both remain possible at this probability"
        if above and possible == ("benign",):
            return "the probability is at or above the operating point but below the range of malignant images"
        if not above and possible == ("malignant",):
            return "the probability is below the operating point but above the range of benign images"
        side = "at or above" if above else "below"
        return f"the probability is {side} the operating point, and only {possible[0]} remains possible"


def _main_clauses(warnings: Sequence[str]) -> str:
    """What the first warning says, up to its first colon, semicolon or full stop, and how many there are besides."""
    first, others = re.split(r"[.:;](?:\s|$)", warnings[0], maxsplit=1)[0], len(warnings) - 1
    first = first[:1].lower() + first[1:]
    if not others:
        return first
    return f"{first}, and there {'is 1 more warning' if others == 1 else f'are {others} more warnings'}"
