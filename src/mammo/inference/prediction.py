"""The result for one file, and all that is needed to judge it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mammo.data.preprocessing import Breast, on_original
from mammo.io import Mammogram
from mammo.models.gradcam import heatmap

DISCLAIMER = "This is a demonstration, not a medical device. It is no diagnosis; ask a radiologist."


@dataclass(frozen=True)
class Prediction:
    """What `Classifier.predict` returns."""

    probability: float
    """Calibrated probability of malignant, in [0, 1]."""
    threshold: float
    """The operating point: what the probability is compared with; fixed on validation patients."""
    prediction_set: tuple[str, ...]
    """The classes that remain possible; both means "uncertain", as for an image out of distribution."""
    coverage: float
    """How often a prediction set holds the truth, for images like those that its limits were fixed on."""
    prevalence: float
    """Share of cancers among the images that are scored."""
    predictive_value: float
    """At that prevalence, the share of malignant ones among images at or above the threshold."""
    ood_scores: dict[str, float]
    """How far the image's texture and content are from the training distribution, in multiples of the limit that 99 of
    100 known images keep; empty where no out-of-distribution detector was fitted."""
    evidence: np.ndarray
    """What each cell of the network's last map adds to the log-odds of malignant, float32 (rows, columns)."""
    image_size: tuple[int, int]
    """(height, width) of the model's input."""
    breast: Breast
    mammogram: Mammogram
    warnings: tuple[str, ...]
    disclaimer: str = DISCLAIMER

    @cached_property
    def heatmap(self) -> np.ndarray:
        """float32 in [0, 1], of the size of `mammogram.image`: Grad-CAM; 0 beside the breast."""
        return on_original(heatmap(self.evidence, self.image_size), self.breast)

    @property
    def above_threshold(self) -> bool:
        return self.probability >= self.threshold

    @property
    def uncertain(self) -> bool:
        return len(self.prediction_set) > 1

    def __str__(self) -> str:
        side = "at or above" if self.above_threshold else "below"
        if self.uncertain:
            remains = "Uncertain: neither benign nor malignant can be ruled out."
        else:
            remains = (
                f"Prediction set: {self.prediction_set[0]} only; among images like those it was validated on, the set "
                f"holds the truth for {self.coverage:.0%} of each class."
            )
            if self.above_threshold != (self.prediction_set == ("malignant",)):
                remains += " The threshold, fixed by another rule, disagrees."
        lines = [
            f"{self.mammogram.file}: probability of malignant {self.probability:.3f}, "
            f"{side} the model's threshold of {self.threshold:.3f}.",
            remains,
            f"At a prevalence of {self.prevalence:.1%}, {self.predictive_value:.1%} of the images at or above the "
            "threshold would be cancers (PPV, from the test set's sensitivity and specificity).",
        ]
        return "\n".join([*lines, *(f"Warning: {warning}" for warning in self.warnings), self.disclaimer])
