"""The operating point: which probability counts as a positive result, and what a positive result is worth.

`fix_on_validation` fixes it on validation patients, with the calibration and the prediction sets; `mammo.evaluate` uses
it, and it is stored in the model card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mammo.core.errors import MammoError
from mammo.core.manifest import class_indices, rows_in_split
from mammo.evaluation.calibration import Calibration, check_scored, fit_calibration
from mammo.evaluation.prediction_sets import PredictionSetLimits, fit_prediction_sets

if TYPE_CHECKING:
    import pandas as pd

TARGET_SENSITIVITY = 0.9

# Of 1,000 screened women 5.1 had a cancer that was found and 0.8 one that was missed: Lehman et al., National
# performance benchmarks for modern screening digital mammography, Radiology 283, 2017.
SCREENING_PREVALENCE = 0.006


@dataclass(frozen=True)
class FixedOnValidation:
    """What turns a model's probability into a result."""

    threshold: float
    threshold_rule: str
    calibration: Calibration
    conformal: PredictionSetLimits


def fix_on_validation(scored: pd.DataFrame, target_sensitivity: float = TARGET_SENSITIVITY) -> FixedOnValidation:
    """Calibration, threshold and prediction sets, from the validation rows; raises MammoError as `evaluate` does."""
    rows = rows_in_split(scored, "validation")
    truth = class_indices(rows)
    raw = probabilities(rows, truth)
    calibration = fit_calibration(truth, raw)
    probability = calibration(raw)
    return FixedOnValidation(
        threshold=threshold_at_sensitivity(truth, probability, target_sensitivity),
        threshold_rule=f"highest with a sensitivity of at least {target_sensitivity:g} on validation patients",
        calibration=calibration,
        conformal=fit_prediction_sets(truth, probability, rows["patient_id"]),
    )


def threshold_at_sensitivity(truth, probability, target: float) -> float:
    """The highest threshold t at which `probability >= t` finds at least the share `target` of the malignant images.

    Parameters
    ----------
    truth : array_like of int (n,)
        1 for malignant, else 0.
    probability : array_like of float (n,)
    target : float
        Sensitivity, above 0 and at most 1.

    Raises
    ------
    MammoError
        For another target, without malignant images, and where a label or a probability is missing.
    """
    if not 0 < target <= 1:
        raise MammoError(f"A sensitivity of {target} cannot be reached: give one above 0 and at most 1, such as 0.9.")
    truth, probability = np.asarray(truth), np.asarray(probability, np.float64)
    check_scored(truth, probability)
    positive = np.sort(probability[truth == 1])
    if not len(positive):
        raise MammoError("There is no malignant image to fix the threshold on.")
    return float(positive[int(np.floor((1 - target) * len(positive) + 1e-9))])


def positive_predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """The share of cancers among positive results at a prevalence, by Bayes' rule; NaN where nothing is positive.

    Raises
    ------
    MammoError
        Where the prevalence is not between 0 and 1.
    """
    if not 0 <= prevalence <= 1:
        raise MammoError(f"A prevalence of {prevalence} is not a share: give one between 0 and 1, such as 0.006.")
    true_positive, false_positive = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    positive = true_positive + false_positive
    return true_positive / positive if positive > 0 else float("nan")


def probabilities(rows: pd.DataFrame, truth: np.ndarray) -> np.ndarray:
    """The column `probability`; raises MammoError where it is absent or none, or the rows are of one class only."""
    if "probability" not in rows:
        raise MammoError(
            "The manifest has no column probability. Score it first: mammo.predict_manifest(model, manifest)."
        )
    probability = rows["probability"].to_numpy(np.float64)
    if not np.isfinite(probability).all() or probability.min() < 0 or probability.max() > 1:
        raise MammoError("The column probability must lie between 0 and 1.")
    if truth.min() == truth.max():
        raise MammoError(
            f"The {rows['split'].iloc[0]} images are all of one class; both are needed to measure anything."
        )
    return probability
