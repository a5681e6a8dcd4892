"""Metrics of a cross-validation, with intervals that include that other training patients give other classifiers.

    cv_metrics(truth, scores, patients)                          # AUC, sensitivity, specificity, with intervals
    auc_difference(truth, scores, other_scores, patients)        # of two classifiers, with its interval

A fold's threshold is fixed on its training rows, by scores of classifiers that have not learned from them.
"""

from __future__ import annotations

import numpy as np

from mammo.core.errors import MammoError
from mammo.evaluation.intervals import Z, fewest_patients, log_odds_interval, wilson
from mammo.evaluation.operating_point import TARGET_SENSITIVITY, threshold_at_sensitivity
from mammo.research.cross_validation import CVScores
from mammo.research.cv_variance import auc_terms, instability_of, mean_variance, ranks_in_folds, share_terms

METRICS = ("auc", "sensitivity", "specificity")


def predicted_positive(truth, scores: CVScores, target: float = TARGET_SENSITIVITY) -> np.ndarray:
    """bool (rows, repeats): at or above the threshold of the row's fold, fixed at the sensitivity `target`."""
    truth, positive = np.asarray(truth), np.zeros(scores.score.shape, bool)
    for repeat, number in np.ndindex(scores.out_of_fold.shape[1:]):
        inner, here = scores.out_of_fold[:, repeat, number], scores.fold[:, repeat] == number
        if here.any():
            threshold = threshold_at_sensitivity(truth[np.isfinite(inner)], inner[np.isfinite(inner)], target)
            positive[here, repeat] = scores.score[here, repeat] >= threshold
    return positive


def cv_metrics(truth, scores: CVScores, patients, among=None, within=None) -> dict:
    """AUC, sensitivity and specificity over all repeats, each with a 95 % interval.

    The intervals are for what classifiers trained in this way, on as many patients as a fold trains on, reach on
    average on new patients: that other training patients would give other classifiers is included (docs/evaluation.md).
    Two folds are two models, so the AUC compares images of the same fold only.

    Parameters
    ----------
    truth, patients : array_like (rows,)
    scores : CVScores
    among : ndarray of bool (rows,), optional
        Measure these rows only. The thresholds stay those of all.
    within : ndarray of int (rows,), optional
        The AUC compares images with the same number only, such as those of one machine.

    Returns
    -------
    dict
        `cases`, `malignant`, `patients`; the value of each of METRICS under its name, its interval under
        `<name>_interval`.

    References
    ----------
    A. Airola et al., An experimental comparison of cross-validation techniques for estimating the area under the ROC
    curve, Computational Statistics and Data Analysis 55, 2011.
    E. LeDell, M. Petersen and M. van der Laan, Computationally efficient confidence intervals for cross-validated area
    under the ROC curve estimates, Electronic Journal of Statistics 9, 2015.
    C. Nadeau and Y. Bengio, Inference for the generalization error, Machine Learning 52, 2003.
    K. Linnet, Comparison of quantitative diagnostic tests: type I error, power, and sample size, Statistics in
    Medicine 6, 1987: the variance of a specificity at an estimated threshold.
    """
    tested, instability = _tested(scores, among), _instability(scores, among)
    found = _auc(truth, scores, patients, tested, within, instability)
    every, truth, patients = np.asarray(truth), np.asarray(truth)[tested], np.asarray(patients)[tested]
    malignant = truth == 1
    positive = predicted_positive(every, scores)[tested]
    sensitivity, found_terms = share_terms(positive, malignant)
    specificity, cleared_terms = share_terms(~positive, ~malignant)
    # Malignant images that score high raise the threshold, and with it the specificity.
    cleared_terms = cleared_terms + _roc_slope(every, scores, tested) * found_terms
    cleared_variance = (1 + instability / 4) * mean_variance(cleared_terms, patients)  # a quarter: by simulation
    n_malignant, n_other = len(set(patients[malignant])), len(set(patients[~malignant]))
    return found | {
        "sensitivity": float(sensitivity),
        "sensitivity_interval": wilson(sensitivity, mean_variance(found_terms, patients), n_malignant),
        "specificity": float(specificity),
        "specificity_interval": wilson(specificity, cleared_variance, n_other),
    }


def cv_auc(truth, scores: CVScores, patients, among=None, within=None) -> dict:
    """The AUC alone, and the counts, as `cv_metrics` has them."""
    return _auc(truth, scores, patients, _tested(scores, among), within, _instability(scores, among))


def _auc(truth, scores: CVScores, patients, tested, within, instability: float) -> dict:
    truth, patients = np.asarray(truth)[tested], np.asarray(patients)[tested]
    auc, terms = auc_terms(truth, scores.score[tested], _comparable(scores.fold[tested], within, tested))
    fewest = fewest_patients(truth, patients)
    return {
        "cases": len(truth),
        "malignant": int(truth.sum()),
        "patients": len(set(patients)),
        "auc": float(auc),
        "auc_interval": log_odds_interval(auc, (1 + instability) * mean_variance(terms, patients), fewest),
    }


def auc_difference(truth, first: CVScores, second: CVScores, patients, among=None, within=None) -> dict:
    """The AUC of the first classifier minus that of the second, on the same folds, as in `cv_metrics`.

    What makes an image hard for both cancels, image by image.

    Returns
    -------
    dict
        `difference` and `difference_interval`.

    Raises
    ------
    MammoError
        Where the folds differ.
    """
    if not np.array_equal(first.fold, second.fold):
        raise MammoError("Only scores of the same folds can be compared. Give cross_validate the same folds for both.")
    tested = _tested(first, among)
    truth, patients, fold = np.asarray(truth)[tested], np.asarray(patients)[tested], first.fold[tested]
    pairs = _comparable(fold, within, tested)
    (one, terms), (other, other_terms) = (auc_terms(truth, s.score[tested], pairs) for s in (first, second))
    ranks = ranks_in_folds(first.score[tested], fold) - ranks_in_folds(second.score[tested], fold)
    variance = (1 + instability_of(ranks, first.fold)) * mean_variance(terms - other_terms, patients)
    half = Z * np.sqrt(variance)
    return {"difference": one - other, "difference_interval": [one - other - half, one - other + half]}


def _tested(scores: CVScores, among) -> np.ndarray:
    return (scores.fold >= 0).any(axis=1) & (True if among is None else among)


def _instability(scores: CVScores, among) -> float:
    tested = _tested(scores, among)
    return instability_of(ranks_in_folds(scores.score[tested], scores.fold[tested]), scores.fold)


def _comparable(fold, within, tested) -> np.ndarray:
    """int (rows, repeats): equal where two images may be compared, of one fold and one group; -1 where none."""
    if within is None:
        return fold
    group = np.asarray(within)[tested][:, None]
    return np.where((fold < 0) | (group < 0), -1, fold * (group.max() + 1) + group)


def _roc_slope(truth, scores: CVScores, tested) -> float:
    """How much specificity a threshold loses for each sensitivity it gains, around the target."""
    targets = TARGET_SENSITIVITY - 0.05, TARGET_SENSITIVITY + 0.05
    low, high = (predicted_positive(truth, scores, target)[tested].mean(axis=1) for target in targets)
    gained, malignant = high - low, truth[tested] == 1
    gain = gained[malignant].mean() if malignant.any() else 0.0
    return float(gained[~malignant].mean() / gain) if gain > 0 and not malignant.all() else 0.0
