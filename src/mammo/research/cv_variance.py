"""How sure the metrics of a cross-validation are: the variance of an AUC, of a share, and of a difference.

    auc, terms = auc_terms(truth, score, fold)                          # what each row adds in each repeat
    instability = instability_of(ranks_in_folds(score, fold), fold)     # 0 to 1
    variance = (1 + instability) * mean_variance(terms, patients)

The patients of one fold train the classifiers of the others, so the folds are not independent. Resampling tested
patients alone gives intervals that are too short: on noise they left out an AUC of 0.5 in 10 to 24 % of simulated
cross-validations (docs/evaluation.md). Where nothing can be learned, each two patients count twice: one trains the
classifier that tests the other, and the other way round, with the same outcome. That doubles the variance, whatever the
number of features, patients and folds. Where the classifiers hardly depend on who they learned from, nothing is added.
`instability_of` measures which of both is the case, from what repeats of the cross-validation give anyway.

References
----------
Y. Bengio and Y. Grandvalet, No unbiased estimator of the variance of k-fold cross-validation, Journal of Machine
Learning Research 5, 2004.
S. Bates, T. Hastie and R. Tibshirani, Cross-validation: what does it estimate and how well does it do it?, Journal of
the American Statistical Association 119, 2024.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from mammo.evaluation.intervals import sum_variance


def auc_terms(truth, score, fold) -> tuple[float, np.ndarray]:
    """The share of correctly ordered pairs of one fold, over all repeats; what each row adds, less its mean.

    float (rows, repeats): the sum of a column is 0, and its variance that of the AUC of the repeat.
    """
    malignant, other = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    terms, correct, pairs = np.zeros(score.shape), [], []
    for repeat in range(score.shape[1]):
        m, o = (np.ix_(rows, [repeat]) for rows in (malignant, other))
        same = (fold[m] == fold[o].T) & (fold[m] >= 0)
        right = ((score[m] > score[o].T) + 0.5 * (score[m] == score[o].T)) * same
        correct.append(right.sum())
        pairs.append(same.sum())
        if pairs[-1]:
            off = (right - right.sum() / same.sum() * same) / same.sum()
            terms[malignant, repeat], terms[other, repeat] = off.sum(axis=1), off.sum(axis=0)
    return (float(np.sum(correct) / np.sum(pairs)) if np.sum(pairs) else np.nan), terms


def share_terms(right, among) -> tuple[float, np.ndarray]:
    """The share over all repeats; what each row adds in each repeat, less its mean: float (rows, repeats)."""
    terms = np.zeros(right.shape)
    if not among.any():
        return np.nan, terms
    terms[among] = (right[among] - right[among].mean(axis=0)) / among.sum()
    return float(right[among].mean()), terms


def mean_variance(terms, patients) -> float:
    """The variance in one repeat, on average over the repeats: as if the classifiers of its folds were given.

    Not that of the mean over repeats: where the repeats contradict each other the mean moves little when patients are
    resampled, but it is no surer.
    """
    return float(np.mean(sum_variance(terms, patients))) if len(set(patients)) > 1 else np.nan


def instability_of(ranks, fold) -> float:
    """From 0, where the classifiers that test a row in different repeats agree, to 1, where nothing was learned.

    Their training rows have the share 1 - 1/folds in common. On noise, that is how far the ranks they give correlate.
    With one repeat nothing can be compared, and 1 is assumed; with a single fold, as in an official split, no patient
    trains and tests, and it is 0.

    Parameters
    ----------
    ranks : ndarray (rows, repeats)
        From `ranks_in_folds`; for two classifiers the difference of theirs.
    fold : ndarray of int (rows, repeats)
    """
    folds, repeats = fold.max() + 1, ranks.shape[1]
    if folds < 2:
        return 0.0
    if repeats < 2 or not ranks.std(axis=0).all():
        return 1.0
    agreement = np.corrcoef(ranks.T)[np.triu_indices(repeats, 1)].mean()
    return float(np.clip(folds * (1 - agreement), 0, 1))


def ranks_in_folds(score, fold) -> np.ndarray:
    """Mid-ranks within each fold, from -0.5 to 0.5: float (rows, repeats)."""
    ranks = np.zeros(score.shape)
    for repeat, number in np.ndindex(score.shape[1], int(fold.max()) + 1):
        here = fold[:, repeat] == number
        ranks[here, repeat] = (rankdata(score[here, repeat]) - 0.5) / max(here.sum(), 1) - 0.5
    return ranks
