"""Cross-validation by patient: folds, and the scores of classifiers in them.

    folds = patient_folds(truth, patients)                       # five folds, five times
    scores = cross_validate(LinearClassifier(features, truth, patients), folds, len(truth))

No patient is in both the training and the test rows of a fold. `cv_metrics` measures the scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from sklearn.utils import check_random_state
from tqdm.auto import tqdm

from mammo.core.errors import MammoError
from mammo.core.manifest import patient_ids
from mammo.evaluation.combine_views import LEVELS, combine_views
from mammo.evaluation.intervals import fewest_patients

FOLDS, REPEATS = 5, 5
STRENGTH = 0.01  # C of the logistic regression; not tuned
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
        for learn, score in shuffled_folds(self.truth[train], self.patients[train], FOLDS, seed):
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


class GroupShareClassifier(CVClassifier):
    """What a column alone tells: the share of malignant images among the training rows with the same value.

    Where it does well, a network can gain by recognising the value, such as the machine, instead of the disease.

    Parameters
    ----------
    values : Series (rows,)
        Of the column.
    truth, patients : array_like (rows,)
    """

    def __init__(self, values: pd.Series, truth, patients):
        super().__init__(truth, patients)
        self.values = values.astype(str).to_numpy(object)[:, None]

    def fit(self, rows: np.ndarray, seed: int) -> GroupShareClassifier:
        encoder = TargetEncoder(target_type="binary", smooth=1.0)  # rare values are near the share of all
        self.encoder_ = encoder.fit(self.values[rows], self.truth[rows])
        return self

    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        return self.encoder_.transform(self.values[rows])[:, 0]


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
    fewest = fewest_patients(truth, patients)
    if fewest < 2 * folds:
        raise MammoError(f"{fewest} patients of one class are too few for {folds} folds: {2 * folds} are needed.")
    return [list(shuffled_folds(truth, patients, folds, seed + repeat)) for repeat in range(repeats)]


def shuffled_folds(truth: np.ndarray, patients: np.ndarray, folds: int, seed: int) -> Iterator[tuple]:
    """(train, test) rows of stratified folds by patient.

    They are those of StratifiedGroupKFold with `shuffle`, which in scikit-learn 1.6 gives folds that are not
    stratified: it shuffles the patients' labels, but not the patients.
    """
    group = np.unique(patients, return_inverse=True)[1]
    order = check_random_state(seed).permutation(group.max() + 1)
    return StratifiedGroupKFold(folds).split(truth, truth, np.argsort(order)[group])


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


def by_breast(table: pd.DataFrame, scores: CVScores) -> tuple[pd.DataFrame, CVScores]:
    """The mean score of the views of each breast, as `mammo.combine_views` combines log-odds.

    `table` is the manifest of the rows. Raises MammoError where it does not say which breast an image shows.
    """
    breasts = combine_views(table.assign(probability=0.5), "breast")
    breast_of_row = (
        table.assign(patient_id=patient_ids(table)).groupby(LEVELS["breast"], sort=False).ngroup().to_numpy()
    )

    def combined(values, how="mean"):
        columns = pd.DataFrame(values.reshape(len(table), -1)).groupby(breast_of_row)
        return columns.agg(how).to_numpy().reshape(len(breasts), *values.shape[1:])

    return breasts, CVScores(combined(scores.score), combined(scores.fold, "first"), combined(scores.out_of_fold))
