"""How sure an AUC is, without resampling: DeLong's variance, for patients with one image or several.

    low, high = auc_interval(truth, probability, patients)

Each image has a placement: the share of the other class that it is rightly above or below. Their mean is the AUC,
their spread its variance (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988), found by ranks in O(n log n) (Sun
and Xu, IEEE Signal Processing Letters 21, 2014) and summed over the images of a patient first, since these are not
independent (Obuchowski, Biometrics 53, 1997).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from mammo.evaluation.intervals import fewest_patients, log_odds_interval, patient_sums, sum_variance


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
    if fewest_patients(truth, patients) < 2:
        return float("nan")
    truth, placed, patients = np.asarray(truth) == 1, np.asarray(placed, np.float64), np.asarray(patients)
    terms = (placed - placed[truth].mean()) / np.where(truth, truth.sum(), (~truth).sum())
    own = sum(sum_variance(terms[part], patients[part]) for part in (truth, ~truth))
    malignant, benign = (patient_sums(terms * part, patients) for part in (truth, ~truth))
    return float(own + 2 * len(benign) / (len(benign) - 1) * np.sum(malignant * benign))


def degrees_of_freedom(truth, placed, patients) -> float:
    """Student's t has as many for `clustered_variance`, whose own variance is estimated from the fourth moments.

    Near an AUC of 1 a few patients make up nearly all of the variance, so it is known less well than their number says.
    NaN where the variance is 0.

    References
    ----------
    F. Satterthwaite, An approximate distribution of estimates of variance components, Biometrics Bulletin 2, 1946.
    W. Pan and M. Wall, Small-sample adjustments in using the sandwich variance estimator in generalized estimating
    equations, Statistics in Medicine 21, 2002.
    """
    truth, placed, patients = np.asarray(truth) == 1, np.asarray(placed, np.float64), np.asarray(patients)
    off, variances, errors = placed - placed[truth].mean(), [], []
    for part in (truth, ~truth):
        squares = (patient_sums(off[part] / part.sum(), patients[part])) ** 2
        count, total = len(squares), squares.sum()
        variances.append(total)
        # That of the variance: by fourth moments, or where these are small as of a normal distribution.
        errors.append(max(np.sum(squares**2) - total**2 / count, 2 * total**2 / (count - 1)))
    return float(2 * np.sum(variances) ** 2 / np.sum(errors)) if np.sum(errors) > 0 else float("nan")


def auc_interval(truth, score, patients) -> list[float] | None:
    """The 95 % interval of an AUC, within 0 and 1; None for fewer than two patients of a class.

    It is symmetric in the log-odds of the AUC, which are nearer to normal than the AUC (Pepe, The statistical
    evaluation of medical tests for classification and prediction, 2003, 5.2), with Student's t of `degrees_of_freedom`.
    At an AUC of 1 it is Wilson's for as many patients as the class with fewer has.
    """
    fewest = fewest_patients(truth, patients)
    if fewest < 2:
        return None
    placed = placements(truth, score)
    variance, degrees = (measure(truth, placed, patients) for measure in (clustered_variance, degrees_of_freedom))
    auc = float(placed[np.asarray(truth) == 1].mean())
    return log_odds_interval(auc, variance, fewest, degrees)
