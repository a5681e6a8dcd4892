"""The operating point: which probability counts as a positive result, and what a positive result is worth.

`fix_on_validation` fixes it on validation patients, with the calibration and the prediction sets; `mammo.evaluate` uses
it, and it is stored in the model card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mammo.core.arguments import is_number
from mammo.core.errors import MammoError
from mammo.core.manifest import class_indices, rows_in_split
from mammo.evaluation.calibration import Calibration, check_probabilities, check_scored, fit_calibration
from mammo.evaluation.prediction_sets import ROUNDING, PredictionSetLimits, fit_prediction_sets, shifted
from mammo.evaluation.results import ResultRule

if TYPE_CHECKING:
    import pandas as pd

TARGET_SENSITIVITY = 0.9
CONFIDENCE = 0.95  # of the sensitivity that an operating point holds

# Of 1,000 screened women 5.1 had a cancer that was found and 0.8 one that was missed: Lehman et al., National
# performance benchmarks for modern screening digital mammography, Radiology 283, 2017.
SCREENING_PREVALENCE = 0.006


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with the sensitivity that it holds for new patients."""

    threshold: float
    """From this calibrated probability on, an image counts as malignant."""
    target_sensitivity: float
    held_sensitivity: float
    """What holds for new patients with `confidence`: the target, or less where there are too few patients for it."""
    confidence: float
    validation_sensitivity: float
    malignant_patients: int
    """Patients with malignant validation images."""

    def __str__(self) -> str:
        if self.held_sensitivity >= self.target_sensitivity:
            rule = f"the highest with which a sensitivity of {self.target_sensitivity:.0%} holds for new patients"
        else:
            rule = (
                f"the lowest probability of a malignant validation image: {self.malignant_patients} patients with such "
                f"images are too few to hold a sensitivity of {self.target_sensitivity:.0%}, "
                f"{self.held_sensitivity:.0%} holds for new patients"
            )
        return f"{rule} with {self.confidence:.0%} confidence"


@dataclass(frozen=True)
class FixedOnValidation:
    """What turns a model's probability into a result."""

    operating_point: OperatingPoint
    calibration: Calibration
    conformal: PredictionSetLimits

    @property
    def result_rule(self) -> ResultRule:
        """Negative, uncertain or positive."""
        return ResultRule(self.operating_point.threshold, self.conformal)


def fix_on_validation(scored: pd.DataFrame, target_sensitivity: float = TARGET_SENSITIVITY) -> FixedOnValidation:
    """Calibration, operating point and prediction sets, from the validation rows; raises MammoError as `evaluate`."""
    rows = rows_in_split(scored, "validation")
    truth = class_indices(rows)
    raw = probabilities(rows)
    calibration = fit_calibration(truth, raw)
    probability = calibration(raw)
    return FixedOnValidation(
        operating_point=fix_operating_point(truth, probability, rows["patient_id"], target_sensitivity),
        calibration=calibration,
        conformal=fit_prediction_sets(truth, probability, rows["patient_id"]),
    )


def fix_operating_point(truth, probability, patients, target: float = TARGET_SENSITIVITY) -> OperatingPoint:
    """The highest threshold whose sensitivity for new patients is at least `target`, with a confidence of 95 %.

    The confidence is over draws of the validation patients.

    The share of a patient's malignant images that a threshold misses is one observation. The exact binomial bound of
    the mean share must not exceed 1 - `target`. For patients with one image each this is exact. With several images
    it is conservative: in simulations the target held in 95 to 100 % of the cases.

    Parameters
    ----------
    truth : array_like of int (n,)
        1 for malignant, else 0.
    probability : array_like of float (n,)
        Calibrated.
    patients : array_like (n,)
        Whose image each is.
    target : float
        Sensitivity, above 0 and below 1.

    Returns
    -------
    OperatingPoint
        Where there are too few patients for the target, the threshold is the lowest malignant probability, and
        `held_sensitivity` is what holds instead. A target of 0.9 needs 29 patients at a confidence of 95 %. The
        threshold is lower by ROUNDING than the malignant image that sets it, so that this is found by every runtime.

    Raises
    ------
    MammoError
        For a target that is no sensitivity, or without a malignant image.

    References
    ----------
    C. Clopper and E. Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
    Biometrika 26, 1934.
    S. Bates et al., Distribution-free, risk-controlling prediction sets, Journal of the ACM 68, 2021.
    """
    if not (is_number(target) and 0 < target < 1):
        raise MammoError(f"A sensitivity of {target!r} cannot be held: give one above 0 and below 1, such as 0.9.")
    malignant = np.asarray(truth) == 1
    if not malignant.any():
        raise MammoError("There is no malignant image to fix the operating point on.")
    _, patient = np.unique(np.asarray(patients)[malignant], return_inverse=True)
    probability = np.asarray(probability, np.float64)[malignant]
    check_probabilities(probability)
    count = patient.max() + 1
    threshold = _highest_that_holds(probability, patient, target)
    enough = threshold is not None
    threshold = shifted(threshold if enough else probability.min(), -ROUNDING)
    return OperatingPoint(
        threshold=threshold,
        target_sensitivity=target,
        held_sensitivity=target if enough else float((1 - CONFIDENCE) ** (1 / count)),
        confidence=CONFIDENCE,
        validation_sensitivity=float((probability >= threshold).mean()),
        malignant_patients=int(count),
    )


def _highest_that_holds(probability: np.ndarray, patient: np.ndarray, target: float) -> float | None:
    """The highest probability of a malignant image that holds the target as a threshold; None where none does."""
    from scipy.stats import beta  # its import takes longer than a prediction, which needs none of this

    images, order = np.bincount(patient), np.argsort(probability, kind="stable")
    candidates, first = np.unique(probability[order], return_index=True)
    missed = np.append(0, np.cumsum(1 / images[patient[order]]))[first]  # in patients, below each candidate
    holds = beta.ppf(CONFIDENCE, missed + 1, len(images) - missed) <= 1 - target
    return float(candidates[holds].max()) if holds.any() else None


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
    if not (is_number(target) and 0 < target <= 1):
        raise MammoError(f"A sensitivity of {target!r} cannot be reached: give one above 0 and at most 1, such as 0.9.")
    truth, probability = np.asarray(truth), np.asarray(probability, np.float64)
    check_scored(truth, probability)
    positive = np.sort(probability[truth == 1])
    if not len(positive):
        raise MammoError("There is no malignant image to fix the threshold on.")
    return float(positive[int(np.floor((1 - target) * len(positive) + 1e-9))])


def positive_predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """The share of cancers among positive results at a prevalence, by Bayes' rule; NaN where nothing is positive.

    Parameters
    ----------
    sensitivity, specificity : float
        The shares of malignant images that get a positive result, and of other images that do not.
    prevalence : float
        Share of malignant images among all, from 0 to 1.

    Raises
    ------
    MammoError
        Where one of them is not between 0 and 1.
    """
    for name, share in {"prevalence": prevalence, "sensitivity": sensitivity, "specificity": specificity}.items():
        if not is_number(share) or not 0 <= share <= 1:
            raise MammoError(f"{name} is a share between 0 and 1, such as 0.006, not {share!r}.")
    true, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return true / (true + false) if true + false > 0 else float("nan")


def probabilities(rows: pd.DataFrame) -> np.ndarray:
    """The column `probability` of rows of `rows_in_split`; raises MammoError where it is absent or none."""
    if "probability" not in rows:
        raise MammoError(
            "The manifest has no column probability. Score it first: mammo.predict_manifest(model, manifest)."
        )
    import pandas as pd  # takes a third of a second, which an answer need not wait for

    probability = pd.to_numeric(rows["probability"].astype(object), errors="coerce").to_numpy(np.float64)
    wrong = ~((probability >= 0) & (probability <= 1))
    if wrong.any():
        at = np.flatnonzero(wrong)[0]
        raise MammoError(
            f"The column probability must lie between 0 and 1, and does not in {wrong.sum()} rows: the first, of index "
            f"{rows.index[at]}, has {rows['probability'].tolist()[at]!r}. Divide percentages by 100, and take out rows "
            "without a probability."
        )
    return probability
