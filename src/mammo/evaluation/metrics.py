"""Metrics of discrimination and calibration, for all draws of a bootstrap at once.

    auc(truth, probability, weight)          # weight (draws, images): how often a draw has an image; gives (draws,)

Those that scikit-learn has are equal to scikit-learn's with `sample_weight`, ties and all (tests). Intervals ask for
them once for each patient or draw, and scikit-learn's take ten times as long. `per_draw` makes of a function for one
draw one for many.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np
from scipy.optimize.elementwise import find_root
from scipy.special import expit

from mammo.evaluation.calibration import log_odds


def per_draw(measure: Callable) -> Callable:
    """`measure(truth, probability, weight)` for one draw, weight (images,) -> the same for weight (draws, images)."""

    @wraps(measure)
    def called(truth, probability, weight):
        return np.array([measure(truth, probability, row) for row in weight])

    return called


def weighted_mean(right, weight) -> np.ndarray:
    """The weighted share of what is right; NaN of nothing."""
    return _ratio(weight @ np.asarray(right, float), weight.sum(axis=1))


def auc(truth, probability, weight) -> np.ndarray:
    """The area under the ROC curve."""
    false_alarms, found = _roc(truth, probability, weight)
    return np.trapezoid(found, false_alarms, axis=1)


def partial_auc(truth, probability, weight, up_to: float) -> np.ndarray:
    """The area up to a share of false alarms, moved so that chance is 0.5 and perfection 1.

    McClish, Analyzing a portion of the ROC curve, Medical Decision Making 9, 1989.
    """
    false_alarms, found = _roc(truth, probability, weight)
    cut = np.minimum(false_alarms, up_to)
    width, whole = np.diff(cut), np.diff(false_alarms)
    part = np.divide(width, whole, out=np.zeros_like(width), where=whole > 0)
    area = (width * (found[:, :-1] + part * np.diff(found) / 2)).sum(axis=1)
    worst, best = up_to**2 / 2, up_to
    return (1 + (area - worst) / (best - worst)) / 2


def average_precision(truth, probability, weight) -> np.ndarray:
    """The mean of the precision at each alarm that is right."""
    wrong, right = _alarms(truth, probability, weight)
    precision = _ratio(right, right + wrong)
    return np.nansum(np.diff(right) * precision[:, 1:], axis=1) / right[:, -1]


def brier(truth, probability, weight) -> np.ndarray:
    """The mean squared distance of the probability from the truth."""
    return weighted_mean((probability - truth) ** 2, weight)


def expected_calibration_error(truth, probability, weight) -> np.ndarray:
    """How far the share of malignant images is from the probability, on average over tenths of the probability.

    Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    tenth = np.minimum((np.asarray(probability) * 10).astype(int), 9)
    apart = (weight * (np.asarray(truth) - probability)) @ np.eye(10)[tenth]
    return np.abs(apart).sum(axis=1) / weight.sum(axis=1)


def calibration_slope(truth, probability, weight) -> np.ndarray:
    """The slope of a logistic regression of the truth on the log-odds: 1 is right, below 1 is overconfident.

    Cox, Two further applications of a model for binary regression, Biometrika 45, 1958. NaN where no line is best, as
    where the classes are told apart perfectly.
    """
    odds = log_odds(probability)
    columns = np.stack([odds - odds.mean(), np.ones(len(odds))])
    line, slope = np.zeros((len(weight), 2)), np.full(len(weight), np.nan)
    going = np.arange(len(weight))
    for _ in range(30):  # Newton's method
        p, w = expit(line[going] @ columns), weight[going]
        curvature = ((w * p * (1 - p))[:, None] * columns) @ columns.T
        gradient = (w * (truth - p)) @ columns.T
        sound = np.linalg.cond(curvature) <= 1e10
        going, curvature, gradient = going[sound], curvature[sound], gradient[sound]
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        line[going] += step
        done = np.abs(step).max(axis=1) < 1e-8
        slope[going[done]] = line[going[done], 0]
        going = going[~done]
    return slope


def calibration_intercept(truth, probability, weight) -> np.ndarray:
    """The intercept that the log-odds lack at a slope of 1: 0 is right, below 0 overestimates the risk.

    The calibration in the large of Van Calster et al., Calibration: the Achilles heel of predictive analytics, BMC
    Medicine 17:230, 2019.
    """
    odds = log_odds(probability)

    def missing(more, draw):
        return (weight[draw] * (truth - expit(odds + more[..., None]))).sum(axis=-1)

    return find_root(missing, (-50.0, 50.0), args=(np.arange(len(weight)),)).x


def _roc(truth, probability, weight) -> tuple[np.ndarray, np.ndarray]:
    """Shares of false alarms and of malignant images found, (draws, distinct probabilities + 1) each, from 0 to 1."""
    return tuple(part / part[:, -1:] for part in _alarms(truth, probability, weight))


def _alarms(truth, probability, weight) -> tuple[np.ndarray, np.ndarray]:
    """Wrong and right alarms as the threshold falls past each distinct probability, from none to all."""
    _, place = np.unique(-np.asarray(probability), return_inverse=True)
    order = np.argsort(place, kind="stable")
    first = np.flatnonzero(np.diff(place[order], prepend=-1))
    alarms = []
    for label in (0, 1):
        each = np.add.reduceat((weight * (np.asarray(truth) == label))[:, order], first, axis=1)
        alarms.append(np.pad(each.cumsum(axis=1), ((0, 0), (1, 0))))
    return tuple(alarms)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
