"""How sure an AUC is, without resampling: DeLong's variance, for patients with one image or several.

    auc, variance = auc_variance(truth, probability, patients)
    low, high = auc_interval(truth, probability, patients)

Each image has a placement: the share of the other class that it is rightly above or below. Their mean is the AUC,
their spread its variance (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988), found by ranks in O(n log n) (Sun
and Xu, IEEE Signal Processing Letters 21, 2014) and summed over the images of a patient first, since these are not
independent (Obuchowski, Biometrics 53, 1997).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from mammo.evaluation.intervals import log_odds_interval


def placements(truth, score) -> np.ndarray:
    """float64 (images,): which share of the other class an image is on the right side of, ties counting half."""
    truth, score = np.asarray(truth) == 1, np.asarray(score, np.float64)
    placed = np.empty(len(truth))
    rank = rankdata(score)  # in mid-ranks
    placed[truth] = (rank[truth] - rankdata(score[truth])) / (~truth).sum()
    placed[~truth] = 1 - (rank[~truth] - rankdata(score[~truth])) / truth.sum()
    return placed


def clustered_variance(truth, placed, patients) -> float:
    """The variance of the mean placement of the malignant images; NaN for fewer than two patients of a class.

    `placed` are placements, or the differences of two models' placements of the same images. Where every patient has
    one image this is DeLong's variance.
    """
    truth, placed = np.asarray(truth) == 1, np.asarray(placed, np.float64)
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    with_class, off = [], []
    for part in (truth, ~truth):
        with_class.append(len(np.unique(patient[part])))
        off.append(np.bincount(patient[part], (placed - placed[truth].mean())[part], patient.max() + 1) / part.sum())
    if min(with_class) < 2:
        return float("nan")
    own = sum(count / (count - 1) * np.sum(part**2) for count, part in zip(with_class, off, strict=True))
    count = len(off[0])
    return float(own + 2 * count / (count - 1) * np.sum(off[0] * off[1]))


def auc_variance(truth, score, patients) -> tuple[float, float]:
    """The AUC and its variance, patients counted as one."""
    placed = placements(truth, score)
    return float(placed[np.asarray(truth) == 1].mean()), clustered_variance(truth, placed, patients)


def auc_interval(truth, score, patients) -> list[float] | None:
    """The 95 % interval of an AUC, within 0 and 1; None for fewer than two patients of a class.

    It is symmetric in the log-odds of the AUC, which are nearer to normal than the AUC, with Student's t for the class
    with fewer patients (Pepe, The statistical evaluation of medical tests for classification and prediction, 2003,
    5.2). At an AUC of 1 it is Wilson's for as many patients.
    """
    truth, patients = np.asarray(truth) == 1, np.asarray(patients)
    fewest = min(len(np.unique(patients[part])) for part in (truth, ~truth))
    return log_odds_interval(*auc_variance(truth, score, patients), fewest) if fewest > 1 else None
