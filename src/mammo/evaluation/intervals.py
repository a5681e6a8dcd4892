"""95 % intervals of shares, for patients with one image or several.

    low, high = share_interval(positive[malignant], patients[malignant])

The images of a patient are not independent, so they count as fewer: as many as would give the share the same variance
(effective sample size). Wilson's interval for that many stays within 0 and 1 and has a length where the share is 0 or
1. How often it holds the true share is in docs/evaluation.md; `benchmarks/coverage.py` makes the table.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

Z = float(norm.ppf(0.975))


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
    usable = np.isfinite(variance) and variance > 0 and 0 < share < 1
    effective = share * (1 - share) / variance if usable else patients
    middle = (share + Z**2 / (2 * effective)) / (1 + Z**2 / effective)
    half = Z / (1 + Z**2 / effective) * np.sqrt(share * (1 - share) / effective + Z**2 / (4 * effective**2))
    return [max(0.0, float(middle - half)), min(1.0, float(middle + half))]


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
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    count = int(patient.max()) + 1
    by_patient = np.zeros((count, *np.shape(terms)[1:]))
    np.add.at(by_patient, patient, np.asarray(terms, np.float64))
    return count / (count - 1) * (by_patient**2).sum(axis=0)
