"""The result for one file, and all that is needed to judge it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np

from mammo.core.manifest import CLASS_NAMES
from mammo.data.preprocessing import Breast, on_original
from mammo.evaluation.results import ResultRule
from mammo.io import Mammogram
from mammo.models.gradcam import heatmap

DISCLAIMER = "This is a demonstration, not a medical device. It is no diagnosis; ask a radiologist."
COLOURS = {"negative": "#3b6fb6", "uncertain": "#8a8a8a", "positive": "#c8502d"}


@dataclass(frozen=True, repr=False)
class Prediction:
    """What `Classifier.predict` returns.

    Everything that depends on the probability is computed from it, so that no two values contradict each other.
    """

    probability: float
    """Calibrated probability of malignant, in [0, 1]."""
    rule: ResultRule
    """Operating point and limits of the prediction sets, fixed on validation patients."""
    prevalence: float
    """Share of cancers among the images that are scored."""
    predictive_value: tuple[float, float]
    """At that prevalence, between which shares of positive results would be cancers; from the test set's intervals."""
    ood_scores: dict[str, float]
    """How far the image's texture and content are from the training distribution, in multiples of the detector's limit;
    empty where no out-of-distribution detector was fitted."""
    evidence: np.ndarray
    """What each cell of the network's last map adds to the log-odds of malignant, float32 (rows, columns)."""
    image_size: tuple[int, int]
    """(height, width) of the model's input."""
    breast: Breast
    mammogram: Mammogram
    doubts: tuple[str, ...]
    """Warnings that make the result uncertain: about the file, about the image, and that the model was trained on
    synthetic images only."""
    model_warnings: tuple[str, ...] = ()
    """Warnings about the model, whatever the image."""
    disclaimer: str = DISCLAIMER

    @property
    def result(self) -> str:
        """`"negative"`, `"uncertain"` or `"positive"`."""
        return self.rule.result(self.probability, self.doubts)

    @property
    def reason(self) -> str:
        """Why the result is what it is."""
        return self.rule.reason(self.probability, self.doubts)

    @property
    def probabilities(self) -> dict[str, float]:
        """The calibrated probability of each class."""
        return dict(zip(CLASS_NAMES, (1 - self.probability, self.probability), strict=True))

    @property
    def threshold(self) -> float:
        """The operating point."""
        return self.rule.threshold

    @property
    def prediction_set(self) -> tuple[str, ...]:
        """The classes that remain possible."""
        return self.rule.prediction_set(self.probability, self.doubts)

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings."""
        return tuple(dict.fromkeys(self.doubts + self.model_warnings))

    @cached_property
    def heatmap(self) -> np.ndarray:
        """float32 in [0, 1], of the size of `mammogram.image`: Grad-CAM; 0 outside the crop."""
        return on_original(heatmap(self.evidence, self.image_size), self.breast)

    def _sentences(self) -> dict[str, str]:
        benign, malignant = self.probabilities.values()
        least, most = self.predictive_value
        if np.isnan([least, most]).any():
            worth = "The test set does not tell what a positive result is worth."
        else:
            low, high = (_percent(share, int(share < 0.1)) for share in (least, most))
            worth = (
                f"At a prevalence of {_percent(self.prevalence, 1)}, {low} to {high} of positive results "
                "would be cancers (PPV, from the 95 % intervals on the test set)."
            )
        return {
            "result": f"{self.result} ({self.reason})",
            "probability": f"malignant {malignant:.3f}, benign {benign:.3f}; {self.rule.range_text()}",
            "worth": worth,
            "warnings": " ".join(self.warnings) or "none",
        }

    def __repr__(self) -> str:
        return f"<Prediction {self.mammogram.file}: {self.result}, probability of malignant {self.probability:.3f}>"

    def __str__(self) -> str:
        line = self._sentences()
        return "\n".join(
            [
                f"{self.mammogram.file}: {line['result']}.",
                f"Probability: {line['probability']}.",
                line["worth"],
                f"Warnings: {line['warnings']}",
                self.disclaimer,
            ]
        )

    def _repr_html_(self) -> str:
        """The result as a small card, for notebooks."""
        line = {name: escape(text) for name, text in self._sentences().items()}
        warnings = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings)
        return (
            f'<div style="border:1px solid #bbb;border-left:6px solid {COLOURS[self.result]};border-radius:4px;'
            'padding:0.6em 1em;max-width:44em;line-height:1.45">'
            f'<div style="font-size:1.3em"><b>Result: {self.result}</b></div>'
            f"<div>{escape(self.mammogram.file)}: {escape(self.reason)}.</div>"
            f"<div>Probability: {line['probability']}.</div>"
            f"<div>{line['worth']}</div>"
            + (f'<div>Warnings:</div><ul style="margin:0">{warnings}</ul>' if warnings else "")
            + f"<div><b>{escape(self.disclaimer)}</b></div></div>"
        )


def _percent(share: float, decimals: int) -> str:
    """With so many decimals, or as many as show the first digit."""
    first = -math.floor(math.log10(share)) - 2 if share > 0 else 0
    return f"{share:.{max(decimals, first)}%}"
