"""95 % intervals of shares and of other metrics, for patients with one image or several.

    low, high = share_interval(positive[malignant], patients[malignant])
    low, high = jackknife_interval(brier, truth, probability, patients)

The images of a patient are not independent, so they count as fewer: as many as would give the share the same variance
(effective sample size). Wilson's interval for that many stays within 0 and 1 and has a length where the share is 0 or
1. How often the intervals hold the true value is in docs/evaluation.md; `benchmarks/coverage.py` makes the tables.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, t

Z = float(norm.ppf(0.975))
GROUPS = 1000  # of patients that the jackknife leaves out, at most
AT_ONCE = 2_000_000  # weights of images that a metric is given at a time
TINY = 1e-12


def share_interval(right, patients) -> list[float] | None:
    """The 95 % interval of a share of images.

    Parameters
    ----------
    right : array_like of bool (images,)
        Which images count.
    patients : array_like (images,)
        Whose image it is.

    Returns
    -------
    list of float
        Low and high, within 0 and 1; None where there is no image.

    References
    ----------
    E. Korn and B. Graubard, Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data, Survey Methodology 24, 1998: effective sample size.
    L. Brown, T. Cai and A. DasGupta, Interval estimation for a binomial proportion, Statistical Science 16, 2001.
    """
    right = np.asarray(right, np.float64)
    if not len(right):
        return None
    count = len(np.unique(np.asarray(patients)))
    variance = sum_variance((right - right.mean()) / len(right), patients) if count > 1 else np.nan
    return wilson(right.mean(), variance, count)


def wilson(share: float, variance: float, patients: int) -> list[float]:
    """Wilson's interval of a share with this variance; it counts as of `patients` where the variance says nothing."""
    effective = share * (1 - share) / variance if _tells(share, variance) else patients
    middle = (share + Z**2 / (2 * effective)) / (1 + Z**2 / effective)
    half = Z / (1 + Z**2 / effective) * np.sqrt(share * (1 - share) / effective + Z**2 / (4 * effective**2))
    return [max(0.0, min(share, float(middle - half))), min(1.0, max(share, float(middle + half)))]  # rounding


def _tells(value: float, variance: float) -> bool:
    """Whether the variance of a value between 0 and 1 is more than rounding: that of equal patients is 0 or 1e-34."""
    return bool(0 < value < 1 and np.isfinite(variance) and variance > TINY * value * (1 - value))


def sum_variance(terms, patients) -> np.ndarray:
    """The variance of the sum over images of independent patients' terms.

    Parameters
    ----------
    terms : array_like of float (images, ...)
        What each image adds, less its mean.
    patients : array_like (images,)

    Returns
    -------
    ndarray (...)
    """
    sums = patient_sums(terms, patients)
    return len(sums) / (len(sums) - 1) * (sums**2).sum(axis=0)


def patient_sums(terms, patients) -> np.ndarray:
    """The terms (images, ...) of each patient added up: float64 (patients, ...)."""
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    sums = np.zeros((len(names), *np.shape(terms)[1:]))
    np.add.at(sums, patient, np.asarray(terms, np.float64))
    return sums


def fewest_patients(truth, patients) -> int:
    """The number of patients with images of the class that has fewer; `truth` is 1 for malignant, else 0."""
    truth, patients = np.asarray(truth), np.asarray(patients)
    return min(len(np.unique(patients[truth == label])) for label in (0, 1))


def jackknife_interval(metric, truth, probability, patients, bounded: bool = True) -> list[float] | None:
    """The 95 % interval of a metric, from its values without each of the patients in turn.

    Parameters
    ----------
    metric : callable
        `metric(truth, probability, weight)` with a weight (draws, images); returns a value for each draw.
    truth, probability, patients : array_like (images,)
    bounded : bool
        The metric lies between 0 and 1; its interval is then symmetric in the log-odds, and Wilson's at 0 and 1.

    Returns
    -------
    list of float
        None where the metric has no value, or would have none without one of the patients.

    References
    ----------
    B. Efron and C. Stein, The jackknife estimate of variance, Annals of Statistics 9, 1981.
    """
    truth, probability = np.asarray(truth), np.asarray(probability)
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    fewest = fewest_patients(truth, patient)
    if fewest < 2:
        return None
    count = min(len(names), GROUPS)
    parts = np.array_split(np.arange(count), -(-count * len(truth) // AT_ONCE))
    weights = ((patient % count != left[:, None]).astype(float) for left in parts)
    without = np.concatenate([metric(truth, probability, weight) for weight in weights])
    value = metric(truth, probability, np.ones((1, len(truth))))[0]
    if not np.isfinite([value, *without]).all():
        return None
    variance = (count - 1) * np.var(without)
    if bounded:
        return log_odds_interval(float(value), variance, fewest)
    half = t.ppf(0.975, fewest - 1) * np.sqrt(variance)
    return [float(value - half), float(value + half)]


def log_odds_interval(value: float, variance: float, patients: int, degrees: float | None = None) -> list[float]:
    """The 95 % interval of a value between 0 and 1, symmetric in its log-odds.

    Student's t is that of `degrees` of freedom, else for `patients`, those of the class with fewer. Where the variance
    says nothing, as at a value of 1, it is Wilson's interval for as many patients.
    """
    if not _tells(value, variance):
        return wilson(value, variance, patients)
    half = t.ppf(0.975, degrees or patients - 1) * np.sqrt(variance) / (value * (1 - value))
    return [float(expit(logit(value) - half)), float(expit(logit(value) + half))]
