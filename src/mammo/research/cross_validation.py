"""Cross-validation by patient: scores, thresholds, and metrics with intervals.

    folds = patient_folds(truth, patients)                       # five folds, five times
    scores = cross_validate(LinearClassifier(features, truth, patients), folds, len(truth))
    cv_metrics(truth, scores, patients)                          # AUC, sensitivity, specificity, with intervals
    auc_difference(truth, scores, other_scores, patients)        # of two classifiers, with its interval

No patient is in both the training and the test rows of a fold. A fold's threshold is fixed on its training rows, by
scores of classifiers that have not learned from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from mammo.core.errors import MammoError
from mammo.evaluation.combine_views import LEVELS, combine_views
from mammo.evaluation.intervals import Z, log_odds_interval, wilson
from mammo.evaluation.operating_point import TARGET_SENSITIVITY, threshold_at_sensitivity
from mammo.research.cv_variance import auc_terms, instability_of, mean_variance, ranks_in_folds, share_terms

FOLDS, REPEATS = 5, 5
STRENGTH = 0.01  # C of the logistic regression; not tuned
METRICS = ("auc", "sensitivity", "specificity")
Folds = Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]  # for each repeat, (train, test) rows of each fold


@dataclass(frozen=True)
class CVScores:
    """The scores of a cross-validation."""

    score: np.ndarray
    """float (rows, repeats): from the fold that tests the row; NaN where none does."""
    fold: np.ndarray
    """int (rows, repeats): the fold that tests the row; -1 where none does."""
    out_of_fold: np.ndarray
    """float (rows, repeats, folds): scores of a fold's training rows, which fix its threshold; NaN for all others."""


class CVClassifier:
    """A classifier that `cross_validate` can use. Subclasses add `fit` and `decision_function`.

    Parameters
    ----------
    truth : array_like of int (rows,)
        1 for malignant, else 0.
    patients : array_like (rows,)
        Whose image each row is.
    """

    def __init__(self, truth, patients):
        self.truth, self.patients = np.asarray(truth), np.asarray(patients)

    def fit(self, rows: np.ndarray, seed: int) -> CVClassifier:
        """Learn from the rows with these indices; returns self."""
        raise NotImplementedError

    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        """Scores of the rows with these indices, float (len(rows),); higher is more suspicious."""
        raise NotImplementedError

    def out_of_fold_scores(self, train: np.ndarray, seed: int) -> np.ndarray:
        """Scores of training rows from five inner folds; this classifier has been fitted to all of `train`.

        Returns
        -------
        ndarray, float (rows,)
            NaN for each row that is not in `train`.
        """
        scores, inner = np.full(len(self.truth), np.nan), copy(self)
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for learn, score in folds.split(train, self.truth[train], self.patients[train]):
            scores[train[score]] = inner.fit(train[learn], seed).decision_function(train[score])
        return scores


class LinearClassifier(CVClassifier):
    """Logistic regression on standardised features.

    Parameters
    ----------
    features : ndarray (rows, values)
    truth, patients : array_like (rows,)
    strength : float
        C of the regression: the lower, the stronger the regularisation.
    """

    def __init__(self, features: np.ndarray, truth, patients, strength: float = STRENGTH):
        super().__init__(truth, patients)
        self.features, self.strength = features, strength

    def fit(self, rows: np.ndarray, seed: int) -> LinearClassifier:
        regression = LogisticRegression(C=self.strength, solver="newton-cholesky", max_iter=3000)
        # All principal components are kept: the scores are the same, and the solver is faster.
        self.pipeline_ = make_pipeline(StandardScaler(), PCA(svd_solver="full"), regression)
        self.pipeline_.fit(self.features[rows], self.truth[rows])
        return self

    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        return self.pipeline_.decision_function(self.features[rows])


def patient_folds(truth, patients, folds: int = FOLDS, repeats: int = REPEATS, seed: int = 0) -> Folds:
    """Stratified folds by patient, several times.

    Returns
    -------
    list of list of (train, test)
        For each repeat and fold the indices of its rows.

    Raises
    ------
    MammoError
        Where there are too few patients of a class.
    """
    truth, patients = np.asarray(truth), np.asarray(patients)
    fewest = min(len(set(patients[truth == label])) for label in (0, 1))
    if fewest < 2 * folds:
        raise MammoError(f"{fewest} patients of one class are too few for {folds} folds: {2 * folds} are needed.")
    splitters = (StratifiedGroupKFold(folds, shuffle=True, random_state=seed + repeat) for repeat in range(repeats))
    return [list(splitter.split(truth, truth, patients)) for splitter in splitters]


def cross_validate(classifier: CVClassifier, folds: Folds, n_rows: int, title: str = "folds") -> CVScores:
    """Fit a classifier in every fold, and score the fold's test rows and, out of fold, its training rows.

    Raises
    ------
    MammoError
        Where the out-of-fold scores are not those of training rows: the threshold would be fixed on test rows.
    """
    shape = n_rows, len(folds)
    score, fold = np.full(shape, np.nan), np.full(shape, -1)
    out_of_fold = np.full((*shape, max(map(len, folds))), np.nan)
    with tqdm(total=sum(map(len, folds)), desc=title, unit="fold") as bar:
        for repeat, number in ((r, f) for r in range(len(folds)) for f in range(len(folds[r]))):
            (train, test), seed = folds[repeat][number], 1000 * repeat + number
            score[test, repeat] = classifier.fit(train, seed).decision_function(test)
            inner = classifier.out_of_fold_scores(train, seed)
            if np.isfinite(np.delete(inner, train)).any() or not np.isfinite(inner).any():
                raise MammoError("Out-of-fold scores must be those of training rows, and of no others.")
            fold[test, repeat], out_of_fold[:, repeat, number] = number, inner
            bar.update()
    return CVScores(score, fold, out_of_fold)


def average_scores(several: Sequence[CVScores]) -> CVScores:
    """The mean of several classifiers of the same folds, each standardised by its out-of-fold scores of the fold."""
    scaled = []
    for scores in several:
        mean, std = np.nanmean(scores.out_of_fold, axis=0), np.nanstd(scores.out_of_fold, axis=0)
        at = np.arange(scores.fold.shape[1]), scores.fold
        scaled.append(((scores.score - mean[at]) / std[at], (scores.out_of_fold - mean) / std))
    score, out_of_fold = (np.mean(values, axis=0) for values in zip(*scaled, strict=True))
    return CVScores(score, several[0].fold, out_of_fold)


def predicted_positive(truth, scores: CVScores, target: float = TARGET_SENSITIVITY) -> np.ndarray:
    """bool (rows, repeats): at or above the threshold of the row's fold, fixed at the sensitivity `target`."""
    truth, positive = np.asarray(truth), np.zeros(scores.score.shape, bool)
    for repeat, number in np.ndindex(scores.out_of_fold.shape[1:]):
        inner, here = scores.out_of_fold[:, repeat, number], scores.fold[:, repeat] == number
        if here.any():
            threshold = threshold_at_sensitivity(truth[np.isfinite(inner)], inner[np.isfinite(inner)], target)
            positive[here, repeat] = scores.score[here, repeat] >= threshold
    return positive


def cv_metrics(truth, scores: CVScores, patients, among=None, target: float = TARGET_SENSITIVITY) -> dict:
    """AUC, sensitivity and specificity over all repeats, each with a 95 % interval.

    The intervals are for what classifiers trained in this way, on as many patients as a fold trains on, reach on
    average on new patients: that other training patients would give other classifiers is included. How, and how often
    the intervals hold the true value in simulations, is in docs/evaluation.md.

    Two folds are two models, so the AUC compares images of the same fold only.

    Parameters
    ----------
    truth, patients : array_like (rows,)
    scores : CVScores
    among : ndarray of bool (rows,), optional
        Measure these rows only. The thresholds stay those of all.
    target : float
        Sensitivity at which thresholds are fixed.

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
    tested = _tested(scores, among)
    every, truth, patients = np.asarray(truth), np.asarray(truth)[tested], np.asarray(patients)[tested]
    score, fold, malignant = scores.score[tested], scores.fold[tested], truth == 1
    instability = instability_of(ranks_in_folds(score, fold), scores.fold)
    auc, order_terms = auc_terms(truth, score, fold)
    positive = predicted_positive(every, scores, target)[tested]
    sensitivity, found_terms = share_terms(positive, malignant)
    specificity, cleared_terms = share_terms(~positive, ~malignant)
    # Malignant images that score high raise the threshold, and with it the specificity.
    cleared_terms = cleared_terms + _roc_slope(every, scores, target, tested) * found_terms
    variances = {
        "auc": (1 + instability) * mean_variance(order_terms, patients),
        "sensitivity": mean_variance(found_terms, patients),
        "specificity": (1 + instability / 4) * mean_variance(cleared_terms, patients),  # by simulation
    }
    by_class = [len(set(patients[malignant])), len(set(patients[~malignant]))]
    ends = {
        "auc": log_odds_interval(auc, variances["auc"], min(by_class)),
        "sensitivity": wilson(sensitivity, variances["sensitivity"], by_class[0]),
        "specificity": wilson(specificity, variances["specificity"], by_class[1]),
    }
    found = {"cases": len(truth), "malignant": int(truth.sum()), "patients": len(set(patients))}
    for name, value in zip(METRICS, (auc, sensitivity, specificity), strict=True):
        found |= {name: float(value), f"{name}_interval": ends[name]}
    return found


def auc_difference(truth, first: CVScores, second: CVScores, patients, among=None) -> dict:
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
    (one, terms), (other, other_terms) = (auc_terms(truth, s.score[tested], fold) for s in (first, second))
    ranks = ranks_in_folds(first.score[tested], fold) - ranks_in_folds(second.score[tested], fold)
    variance = (1 + instability_of(ranks, first.fold)) * mean_variance(terms - other_terms, patients)
    half = Z * np.sqrt(variance)
    return {"difference": one - other, "difference_interval": [one - other - half, one - other + half]}


def _tested(scores: CVScores, among) -> np.ndarray:
    return (scores.fold >= 0).any(axis=1) & (True if among is None else among)


def _roc_slope(truth, scores: CVScores, target: float, tested) -> float:
    """How much specificity a threshold loses for each sensitivity it gains, around the target."""
    step = min(0.05, 1 - target, target / 2)
    low, high = (predicted_positive(truth, scores, target + by)[tested].mean(axis=1) for by in (-step, step))
    gained, malignant = high - low, truth[tested] == 1
    gain = gained[malignant].mean() if malignant.any() else 0.0
    return float(gained[~malignant].mean() / gain) if gain > 0 and not malignant.all() else 0.0


def by_breast(table: pd.DataFrame, scores: CVScores) -> tuple[pd.DataFrame, CVScores]:
    """The mean score of the views of each breast, as `mammo.combine_views` combines log-odds.

    `table` is the manifest of the rows. Raises MammoError where it does not say which breast an image shows.
    """
    breasts = combine_views(table.assign(probability=0.5), "breast")
    breast_of_row = table.groupby(LEVELS["breast"], sort=False).ngroup().to_numpy()

    def combined(values, how="mean"):
        columns = pd.DataFrame(values.reshape(len(table), -1)).groupby(breast_of_row)
        return columns.agg(how).to_numpy().reshape(len(breasts), *values.shape[1:])

    return breasts, CVScores(combined(scores.score), combined(scores.fold, "first"), combined(scores.out_of_fold))
