"""Platt scaling: from the model's probability to a calibrated one.

`mammo.evaluate` fits it on validation patients; it is stored in the model card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
    class weights: the probability is right at the prevalence of these patients, and at no other.

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

    References
    ----------
    J. Platt, Probabilistic outputs for support vector machines, Advances in Large Margin Classifiers, 1999.
    """
    from scipy.optimize import minimize  # its import takes a quarter of a second, which a prediction need not wait for

    truth = np.asarray(truth)
    positive, negative = truth.sum(), (1 - truth).sum()
    target = np.where(truth == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    odds = log_odds(probability)

    def loss(parameters):
        z = np.exp(parameters[0]) * odds + parameters[1]
        return np.mean(np.logaddexp(0, z) - target * z)

    log_slope, intercept = minimize(loss, [0.0, 0.0], method="L-BFGS-B", bounds=[(-5, 3), (-20, 20)]).x
    return Calibration("Platt scaling", float(np.exp(log_slope)), float(intercept), float(truth.mean()))


def log_odds(probability):
    """The log-odds of a probability, which is kept away from 0 and 1 by 1e-7."""
    probability = np.clip(np.asarray(probability, np.float64), 1e-7, 1 - 1e-7)
    return np.log(probability / (1 - probability))


def expit(log_odds):
    """The probability of log-odds. (Importing scipy.special's takes a tenth of a second of a prediction's start.)"""
    return 1 / (1 + np.exp(-log_odds))
