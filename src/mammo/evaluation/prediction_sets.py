"""Prediction sets: which classes remain possible at a probability, by split conformal prediction.

`mammo.evaluate` fits the limits on validation patients; they are stored in the model card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mammo.evaluation.calibration import Calibration, expit, log_odds

COVERAGE = 0.9
SAME = 0.01  # a probability that differs by no more counts as the same


@dataclass(frozen=True)
class PredictionSetLimits:
    """Up to which probability benign remains possible, and from which malignant does."""

    coverage: float
    benign_up_to: float
    malignant_from: float

    def prediction_set(self, probability) -> np.ndarray:
        """bool (..., 2): whether benign and whether malignant remains possible. Both means "uncertain".

        A probability between two limits that do not meet is typical of neither class: then both are kept.
        """
        probability = np.asarray(probability, np.float64)
        both = np.stack([probability <= self.benign_up_to, probability >= self.malignant_from], axis=-1)
        return both | ~both.any(axis=-1, keepdims=True)


def fit_prediction_sets(truth, probability, coverage: float = COVERAGE) -> PredictionSetLimits:
    """Fit the limits so that each class is covered by itself.

    The coverage holds for images drawn like these; the views of one patient are not drawn one by one, which makes it
    less exact. With too few images a class always remains possible.

    Parameters
    ----------
    truth : array_like of int (n,)
        1 for malignant, else 0.
    probability : array_like of float (n,)
        Calibrated, in [0, 1].
    coverage : float
        Share of each class whose prediction set should hold the truth.

    References
    ----------
    V. Vovk, A. Gammerman and G. Shafer, Algorithmic Learning in a Random World, 2005, section 4.5.
    M. Sadinle, J. Lei and L. Wasserman, Least ambiguous set-valued classifiers with bounded error levels, JASA 114,
    2019.
    """
    truth, probability = np.asarray(truth), np.asarray(probability, np.float64)
    nonconformity = {"benign": np.sort(probability[truth == 0]), "malignant": np.sort(1 - probability[truth == 1])}
    limit = {}
    for name, scores in nonconformity.items():
        rank = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
        limit[name] = float(scores[rank - 1]) if rank <= len(scores) else 1.0
    return PredictionSetLimits(coverage, limit["benign"], 1 - limit["malignant"])


def decisions(probability, threshold: float, limits: PredictionSetLimits) -> np.ndarray:
    """bool (n, 3): at or above the threshold, and the prediction set, of calibrated probabilities."""
    probability = np.asarray(probability)
    return np.column_stack([probability >= threshold, limits.prediction_set(probability)])


def is_stable(
    probability, error: float, calibration: Calibration, threshold: float, limits: PredictionSetLimits
) -> np.ndarray:
    """bool (n,): whether the result stays the same if the model's log-odds are wrong by up to `error`.

    The same is: every decision, and the calibrated probability to 0.01. `probability` is before calibration.
    """
    lowest, computed, highest = (calibration(expit(log_odds(probability) + shift)) for shift in (-error, 0, error))
    near = np.maximum(highest - computed, computed - lowest) <= SAME
    return near & (decisions(lowest, threshold, limits) == decisions(highest, threshold, limits)).all(axis=1)
