"""Prediction sets: which classes remain possible at a probability, by split conformal prediction.

`mammo.evaluate` fits the limits on validation patients; they are stored in the model card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mammo.evaluation.calibration import check_probabilities, check_scored, expit
from mammo.evaluation.conformal import conformal_limit

COVERAGE = 0.9
ROUNDING = 1e-3  # in the log-odds: runtimes differ by 2e-5, and many images may share the probability of a limit


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


def fit_prediction_sets(truth, probability, patients, coverage: float = COVERAGE) -> PredictionSetLimits:
    """Fit the limits so that each class is covered by itself, for images of new patients.

    The images of a patient are not drawn one by one, so each patient of a class has the same weight, spread over their
    images of the class; a new patient has it too, at the least typical end. An image of a new patient is then covered
    with at least the probability `coverage`; it is more for patients with several images, since images count as fewer.
    With too few patients a class always remains possible.

    A limit lies beyond the validation image that sets it, by ROUNDING. Images may have exactly the same probability, as
    those in which a network with ReLU sees nothing at all, and then no rounding may part them.

    `mammo.evaluate` fits on the validation patients that also chose the epoch and the calibration. The calibration
    keeps the order of images, so it costs nothing. The epoch cost less than 0.015 of the coverage in simulations,
    which stayed above the promise (docs/evaluation.md); so the validation patients are not divided.

    Parameters
    ----------
    truth : array_like of int (n,)
        1 for malignant, else 0.
    probability : array_like of float (n,)
        Calibrated, in [0, 1].
    patients : array_like (n,)
        Whose image each is.
    coverage : float
        Share of each class whose prediction set should hold the truth.

    References
    ----------
    V. Vovk, A. Gammerman and G. Shafer, Algorithmic Learning in a Random World, 2005, section 4.5.
    M. Sadinle, J. Lei and L. Wasserman, Least ambiguous set-valued classifiers with bounded error levels, JASA 114,
    2019.
    """
    truth, probability, patients = np.asarray(truth), np.asarray(probability, np.float64), np.asarray(patients)
    check_scored(truth, probability)
    check_probabilities(probability)
    benign, malignant = truth == 0, truth == 1
    highest, kept = conformal_limit(probability[benign], patients[benign], coverage)
    lowest, found = conformal_limit(-probability[malignant], patients[malignant], coverage)
    return PredictionSetLimits(
        coverage,
        shifted(highest, ROUNDING) if kept >= coverage else 1.0,
        shifted(-lowest, -ROUNDING) if found >= coverage else 0.0,
    )


def shifted(probability: float, by: float) -> float:
    """A probability whose log-odds are higher by `by`; 0 and 1 stay."""
    from scipy.special import logit  # a prediction does not need it

    return float(expit(logit(probability) + by))
