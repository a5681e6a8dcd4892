"""Scores from folds that have not known the patient, and thresholds that have not known the test.

    parts = patient_folds(truth, patients)                    # five folds, five times
    crossed = cross(linear_reader(features, truth, patients), parts, len(truth))
    figures(truth, crossed, patients)                         # AUC, sensitivity, specificity, with intervals
    difference(truth, crossed, other, patients)               # of two readers, AUC, with an interval

A reader is a function `read(train, test, seed)` of row numbers. It returns a score for each test row, and for training
rows scores from something that has not learned from them: by these the threshold is fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from mammo.core.errors import MammoError
from mammo.evaluation.bootstrap import bootstrap
from mammo.evaluation.combine_views import LEVELS, combine_views
from mammo.evaluation.metrics import weighted_mean
from mammo.evaluation.operating_point import threshold_at_sensitivity
from mammo.evaluation.report import TARGET_SENSITIVITY

FOLDS, REPEATS = 5, 5
STRENGTH = 0.01  # of the linear reader's regularisation (C); not tuned
MEASURES = ("auc", "sensitivity", "specificity")
Parts = Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class CVScores:
    """What all folds said, for rows x repeats, and for rows x repeats x folds."""

    score: np.ndarray
    """float (rows, repeats): from the fold that tests the row; NaN where none does."""
    fold: np.ndarray
    """int (rows, repeats): the fold that tests the row, -1 where none does."""
    inner: np.ndarray
    """float (rows, repeats, folds): the training rows' own scores, by which the fold's threshold is fixed."""


def patient_folds(truth, patients, folds: int = FOLDS, repeats: int = REPEATS, seed: int = 0) -> Parts:
    """For each repeat the (train, test) rows of its folds; no patient is on both sides, each fold has its share of ill.

    Raises MammoError where there are too few patients of a class.
    """
    truth, patients = np.asarray(truth), np.asarray(patients)
    fewest = min(len(set(patients[truth == label])) for label in (0, 1))
    if fewest < 2 * folds:
        raise MammoError(f"{fewest} patients of one class are too few for {folds} folds: {2 * folds} are needed.")
    shuffled = (StratifiedGroupKFold(folds, shuffle=True, random_state=seed + repeat) for repeat in range(repeats))
    return [list(each.split(truth, truth, patients)) for each in shuffled]


def cross_validate(read: Callable, parts: Parts, rows: int, title: str = "folds") -> CVScores:
    """Let the reader learn and answer in every fold; raises MammoError where its own scores are not its training's."""
    repeats, folds = len(parts), max(map(len, parts))
    score, fold = np.full((rows, repeats), np.nan), np.full((rows, repeats), -1)
    inner = np.full((rows, repeats, folds), np.nan)
    with tqdm(total=sum(map(len, parts)), desc=title, unit="fold") as bar:
        for repeat, number in ((r, f) for r in range(repeats) for f in range(len(parts[r]))):
            train, test = parts[repeat][number]
            score[test, repeat], own = read(train, test, 1000 * repeat + number)
            if np.isfinite(np.delete(own, train)).any() or not np.isfinite(own).any():
                raise MammoError("A reader must score training rows of its own, and no others, to fix its threshold.")
            fold[test, repeat], inner[:, repeat, number] = number, own
            bar.update()
    return CVScores(score, fold, inner)


def together(each: Sequence[CVScores]) -> CVScores:
    """The mean of several readers of the same folds, each in units of its own scores of the fold's training rows."""
    scaled = []
    for crossed in each:
        middle, spread = np.nanmean(crossed.inner, axis=0), np.nanstd(crossed.inner, axis=0)
        at = np.arange(crossed.fold.shape[1]), crossed.fold
        scaled.append(((crossed.score - middle[at]) / spread[at], (crossed.inner - middle) / spread))
    score, inner = (np.mean(parts, axis=0) for parts in zip(*scaled, strict=True))
    return CVScores(score, each[0].fold, inner)


def linear_reader(features: np.ndarray, truth, patients, strength: float = STRENGTH) -> Callable:
    """A logistic regression on standardised features (rows, values); its own scores come from five inner folds.

    All principal components are kept: turning the axes changes nothing in what it says, but much in how long it takes.
    """
    truth, patients = np.asarray(truth), np.asarray(patients)
    line = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=3000)
    regression = make_pipeline(StandardScaler(), PCA(svd_solver="full"), line)

    def read(train, test, seed):
        own, inner = np.full(len(truth), np.nan), StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        x, y, groups = features[train], truth[train], patients[train]
        own[train] = cross_val_predict(regression, x, y, groups=groups, cv=inner, method="decision_function")
        return regression.fit(x, y).decision_function(features[test]), own

    return read


def alarms(truth, crossed: CVScores, target: float = TARGET_SENSITIVITY) -> np.ndarray:
    """bool (rows, repeats): at or above the threshold of the row's fold, which its training rows have fixed."""
    truth, said = np.asarray(truth), np.zeros(crossed.score.shape, bool)
    for repeat, number in np.ndindex(crossed.inner.shape[1:]):
        own, here = crossed.inner[:, repeat, number], crossed.fold[:, repeat] == number
        if here.any():
            threshold = threshold_at_sensitivity(truth[np.isfinite(own)], own[np.isfinite(own)], target)
            said[here, repeat] = crossed.score[here, repeat] >= threshold
    return said


def cv_metrics(truth, crossed: CVScores, patients, among=None, target: float = TARGET_SENSITIVITY) -> dict:
    """AUC, sensitivity and specificity over all repeats, each with its 95 % interval under `<name>_interval`.

    With `among`, bool (rows,), of these rows only; the thresholds stay those of all.
    The AUC compares images of the same fold only, as the scores of two folds come from two models (Airola et al., An
    experimental comparison of cross-validation techniques for estimating the area under the ROC curve, Computational
    Statistics and Data Analysis 55, 2011). The interval resamples patients; that other training patients would have
    given another model is not in it.
    """
    tested = (crossed.fold >= 0).any(axis=1) & (True if among is None else among)
    alarm = alarms(truth, crossed, target)[tested].mean(axis=1)
    truth, patients = np.asarray(truth)[tested], np.asarray(patients)[tested]
    right, pairs = _compared(truth, crossed.score[tested], crossed.fold[tested])

    def measure(y, p, w):
        ill, well = w[:, y == 1], w[:, y == 0]
        return np.stack(
            [_ordered(right, pairs, ill, well), weighted_mean(p[y == 1], ill), weighted_mean(1 - p[y == 0], well)],
            axis=1,
        )

    values = zip(MEASURES, *bootstrap(measure, truth, alarm, patients), strict=True)
    found = {"cases": len(truth), "malignant": int(truth.sum()), "patients": len(set(patients))}
    for name, value, low, high in values:
        found |= {name: float(value), f"{name}_interval": [float(low), float(high)]}
    return found


def difference(truth, first: CVScores, second: CVScores, patients, among=None) -> dict:
    """The mean AUC of the first reader minus that of the second, with its 95 % interval, on the same folds.

    The AUCs are those of `figures`. In each draw the same patients stand for both readers, so what makes an image hard
    for both cancels. Raises MammoError where the folds differ.
    """
    if not np.array_equal(first.fold, second.fold):
        raise MammoError("Only readers that have answered in the same folds can be compared. Cross both with one list.")
    tested = (first.fold >= 0).any(axis=1) & (True if among is None else among)
    truth, patients = np.asarray(truth)[tested], np.asarray(patients)[tested]
    (right, pairs), (other, _) = (_compared(truth, each.score[tested], each.fold[tested]) for each in (first, second))

    def measure(y, _, w):
        return _ordered(right - other, pairs, w[:, y == 1], w[:, y == 0])

    value, low, high = bootstrap(measure, truth, np.zeros(len(truth)), patients)
    return {"difference": float(value), "difference_interval": [float(low), float(high)]}


def _compared(truth, score, fold) -> tuple[np.ndarray, np.ndarray]:
    """For each malignant and each other row: in how many repeats rightly ordered, and in how many in one fold."""
    ill, well = np.flatnonzero(truth == 1)[:, None], np.flatnonzero(truth == 0)[None]
    same = (fold[ill] == fold[well]) & (fold[ill] >= 0)
    right = (score[ill] > score[well]) + 0.5 * (score[ill] == score[well])
    return (right * same).sum(axis=-1), same.sum(axis=-1)


def _ordered(right, pairs, ill, well) -> np.ndarray:
    """Of the compared pairs of each draw the share that is rightly ordered; NaN where none is compared."""
    with np.errstate(invalid="ignore"):
        return ((ill @ right) * well).sum(axis=1) / ((ill @ pairs) * well).sum(axis=1)


def by_breast(table: pd.DataFrame, crossed: CVScores) -> tuple[pd.DataFrame, CVScores]:
    """The views of a breast combined to the mean of their scores, in what each fold tests and in its own scores.

    `mammo.combine` does that with log-odds. `table` is the manifest of the rows. Raises MammoError where it does not
    say which breast an image shows.
    """

    breasts = combine_views(table.assign(probability=0.5), "breast")
    number = table.groupby(LEVELS["breast"], sort=False).ngroup().to_numpy()

    def combined(values, how="mean"):
        columns = pd.DataFrame(values.reshape(len(table), -1)).groupby(number)
        return columns.agg(how).to_numpy().reshape(len(breasts), *values.shape[1:])

    return breasts, CVScores(combined(crossed.score), combined(crossed.fold, "first"), combined(crossed.inner))
