"""95 % intervals from a bootstrap that resamples patients, each with all their images.

value, low, high = bootstrap(auc, truth, probability, patients)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_curve

from mammo.evaluation.metrics import per_draw

RESAMPLES = 1000
AT_ONCE = 1_000_000  # weights of a bootstrap in memory, draws times images


class Estimate(NamedTuple):
    """A value with the ends of its 95 % interval: floats, or arrays of one shape."""

    value: float
    low: float
    high: float


class RocBand(NamedTuple):
    """Points of a ROC curve with a 95 % band, (101,) each."""

    false_positive_rate: np.ndarray
    sensitivity: np.ndarray
    low: np.ndarray
    high: np.ndarray


def bootstrap(metric, truth, probability, patients, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """A metric with its 95 % percentile interval; patients are drawn with replacement, each with all their images.

    Draws without both classes are left out, since most metrics need both, and so are those in which the metric has no
    value (NaN). Near 0 and 1, and with few patients, a percentile interval is too short: for single metrics there are
    `delong` and `intervals`. This one is for curves and for differences.

    Parameters
    ----------
    metric : callable
        `metric(truth, probability, weight)` with a weight (draws, images), how often each draw has each image; returns
        a value, or an array, for each draw. `metrics.per_draw` makes it of a function for one draw.
    truth : array_like of int (images,)
        1 for malignant, else 0.
    probability : array_like of float (images, ...)
    patients : array_like (images,)
        Whose image it is.

    References
    ----------
    C. Field and A. Welsh, Bootstrapping clustered data, Journal of the Royal Statistical Society B 69, 2007.
    """
    truth, probability = np.asarray(truth), np.asarray(probability)
    values = resampled(metric, truth, probability, patients, resamples, seed)
    values = values[np.isfinite(values).reshape(len(values), -1).all(axis=1)]
    low, high = np.quantile(values, [0.025, 0.975], axis=0) if len(values) else (np.nan, np.nan)
    return Estimate(metric(truth, probability, np.ones((1, len(truth))))[0], low, high)


def resampled(metric, truth, probability, patients, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """The metric in each draw of the bootstrap that has both classes: (draws, ...)."""
    _, cluster = np.unique(np.asarray(patients), return_inverse=True)
    count, rng, values = int(cluster.max()) + 1, np.random.default_rng(seed), []
    at_once = max(1, AT_ONCE // len(cluster))
    for start in range(0, resamples, at_once):
        drawn = rng.integers(0, count, (min(at_once, resamples - start), count))
        weight = np.stack([np.bincount(draw, minlength=count) for draw in drawn])[:, cluster].astype(float)
        both = weight[:, truth == 1].any(axis=1) & weight[:, truth == 0].any(axis=1)
        values.append(metric(truth, probability, weight[both]))
    return np.concatenate(values)


def roc_band(truth, probability, patients) -> RocBand:
    """The ROC curve with a 95 % band that resamples patients."""
    grid = np.linspace(0, 1, 101)

    @per_draw
    def curve(y, p, w):
        fpr, tpr, _ = roc_curve(y, p, sample_weight=w)
        return np.interp(grid, fpr, tpr)

    return RocBand(grid, *bootstrap(curve, truth, probability, patients, resamples=300))
