"""Platt scaling: from the model's probability to a calibrated one.

`mammo.evaluate` fits it on validation patients; it is stored in the model card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mammo.core.errors import MammoError

LEAST_SLOPE = 1e-3  # keeps the order of images; a calibrated probability then hardly moves
LEAST_SPREAD = 1e-6  # log-odds that differ by no more are those of one probability


@dataclass(frozen=True)
class Calibration:
    """A straight line through the log-odds, fitted on validation patients."""

    method: str
    slope: float
    intercept: float
    prevalence: float
    """Share of malignant images it was fitted at; the probability holds at that prevalence."""

    def __call__(self, probability):
        """The probability whose log-odds are `slope` times the model's plus `intercept`. Order and AUC stay.

        Parameters
        ----------
        probability : float or array_like in [0, 1]

        Returns
        -------
        float or ndarray of the same shape, in [0, 1]
        """
        return expit(self.slope * log_odds(probability) + self.intercept)


def fit_calibration(truth, probability) -> Calibration:
    """Fit Platt scaling.

    The smoothed targets keep the slope finite where a few patients are separated perfectly. The intercept makes up for
    class weights: the probability is right at the prevalence of these patients, and at no other. Probabilities in
    reverse order get the slope LEAST_SLOPE, so all are calibrated to nearly the prevalence.

    Parameters
    ----------
    truth : array_like of int (n,)
        1 for malignant, else 0.
    probability : array_like of float (n,)
        The model's probability of malignant, in [0, 1].

    Returns
    -------
    Calibration
        With a slope above 0.

    Raises
    ------
    MammoError
        Where a label is neither 0 nor 1, or a probability is no number.

    References
    ----------
    J. Platt, Probabilistic outputs for support vector machines, Advances in Large Margin Classifiers, 1999.
    """
    from sklearn.linear_model import LogisticRegression  # its import takes seconds that a prediction need not wait

    truth, probability = np.asarray(truth), np.asarray(probability, np.float64)
    check_scored(truth, probability)
    check_probabilities(probability)
    positive, negative = (truth == 1).sum(), (truth == 0).sum()
    target = np.where(truth == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    odds = log_odds(probability)
    middle, width = odds.mean(), odds.std() if np.ptp(odds) > LEAST_SPREAD else 0.0
    slope, at_middle = (LEAST_SLOPE if width else 1.0), log_odds(target.mean())
    if width:  # an image counts as malignant with the weight `target`, and as benign with the rest
        line = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8, max_iter=1000)
        columns, both = np.tile((odds - middle) / width, 2)[:, None], np.repeat([1, 0], len(odds))
        line.fit(columns, both, sample_weight=np.concatenate([target, 1 - target]))
        if line.coef_[0, 0] > width * LEAST_SLOPE:
            slope, at_middle = line.coef_[0, 0] / width, line.intercept_[0]
    intercept = at_middle - slope * middle
    return Calibration("Platt scaling", float(slope), float(intercept), float((truth == 1).mean()))


def check_scored(truth, probability) -> None:
    """Raise MammoError where a label is neither 0 nor 1, or a probability is no number."""
    if not np.isin(truth, [0, 1]).all():
        raise MammoError("The truth must be 0 (not malignant) or 1 (malignant) for every image; some is neither.")
    if not np.isfinite(probability).all():
        raise MammoError("Every image needs a probability that is a number; some has none (NaN or infinite).")


def check_probabilities(probability) -> None:
    """Raise MammoError where a value is no number from 0 to 1."""
    probability = np.asarray(probability, np.float64)
    wrong = probability[~((probability >= 0) & (probability <= 1))]
    if wrong.size:
        raise MammoError(f"A probability is {wrong.flat[0]:g}. It must lie between 0 and 1; divide per cent by 100.")


def log_odds(probability):
    """The log-odds of a probability, which is kept away from 0 and 1 by 1e-7."""
    probability = np.clip(np.asarray(probability, np.float64), 1e-7, 1 - 1e-7)
    return np.log(probability / (1 - probability))


def expit(log_odds):
    """The probability of log-odds. (Importing scipy.special's takes a tenth of a second of a prediction's start.)"""
    return np.exp(-np.logaddexp(0, -log_odds))
