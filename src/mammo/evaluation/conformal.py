"""Split conformal prediction with patients: a limit that scores of new patients keep as often as stated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ConformalLimit(NamedTuple):
    """A limit, and how often it is kept."""

    limit: float
    """The highest score that is inside."""
    level: float
    """The share of images of new patients that are inside, at least, on average over calibration sets."""


def conformal_limit(scores, patients, level: float) -> ConformalLimit:
    """The limit that an image of a new patient keeps with probability `level`, at any number of patients.

    Images of a patient resemble each other, so each patient counts as one: her images share a weight of one.

    Parameters
    ----------
    scores : array_like of float (images,)
        Of calibration images, which nothing was fitted on; higher is further away.
    patients : array_like (images,)
        Whose image each is.
    level : float
        In (0, 1). With n patients no level above n / (n + 1) can be kept; then this is the level, and the highest score
        the limit.

    References
    ----------
    Y. Lee, R. Barber and R. Willett, Distribution-free inference with hierarchical data, arXiv:2306.06342, 2023.
    """
    scores = np.asarray(scores, np.float64)
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    images = np.bincount(patient)
    level = min(level, len(images) / (len(images) + 1))
    order = np.argsort(scores, kind="stable")
    inside = np.cumsum(1 / images[patient[order]]) / (len(images) + 1)
    return ConformalLimit(float(scores[order][np.searchsorted(inside, level - 1e-9)]), level)
