"""How often do 95 % intervals hold the true value, and prediction sets the truth?

    python benchmarks/coverage.py                      # every table of docs/evaluation.md: 50 minutes on one core
    python benchmarks/coverage.py --runs 50 --only cross-validation

Features are Gaussian and the classifier is linear, so the true AUC, sensitivity and specificity of a trained classifier
on new patients are known exactly. The true value of a cross-validation is their mean over all classifiers trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from mammo.core.errors import MammoError
from mammo.core.manifest import CLASS_NAMES
from mammo.evaluation.compare_models import compare_models
from mammo.evaluation.delong import auc_interval
from mammo.evaluation.intervals import jackknife_interval, log_odds_interval, share_interval, sum_variance
from mammo.evaluation.metrics import average_precision, brier, calibration_intercept, calibration_slope, partial_auc
from mammo.evaluation.prediction_sets import fit_prediction_sets
from mammo.research.cross_validation import CVScores
from mammo.research.cv_metrics import METRICS, auc_difference, cv_metrics
from mammo.research.cv_variance import auc_terms

FOLDS = 5
ALIKE = 0.5  # share of the variance that the images of a patient have in common


@dataclass(frozen=True)
class Setting:
    """Simulated patients, and the ridge classifier that learns from them."""

    patients: int
    images: int = 1
    features: int = 55
    penalty: float = 400.0
    """Of the ridge; that of the benchmark's logistic regression (C = 0.01) has about the same effect."""
    informative: int = 1
    malignant: float = 0.43


NOISE = Setting(104)
"""The shape of mini-MIAS' lesions with radiomics."""
SETTINGS = (
    NOISE,
    Setting(60),
    Setting(60, images=3),
    Setting(250, malignant=0.25),
    Setting(500),
    Setting(104, features=1),
    Setting(104, features=5),
    Setting(104, features=500),
    Setting(150, images=2, penalty=4.0, informative=20),
)


@dataclass(frozen=True)
class Simulated:
    """A data set with its cross-validation, and the true metrics of its classifiers."""

    truth: np.ndarray
    patients: np.ndarray
    scores: CVScores
    true: dict[str, float]


def simulate(setting: Setting, distance: float, repeats: int, seed: int, thresholds=True, shared=None) -> Simulated:
    """One data set whose classes are `distance` apart, cross-validated.

    Without `thresholds` there are no out-of-fold scores of interest, and only the AUC can be measured. With `shared`,
    the first so many features are those of the same seed without it, and the others are new.
    """
    rng = np.random.default_rng([seed, 0])
    classes = (np.arange(setting.patients) < round(setting.malignant * setting.patients)).astype(int)
    patients = np.repeat(np.arange(setting.patients), setting.images)
    truth = classes[patients]
    shift = np.zeros(setting.features)
    shift[: setting.informative] = distance / np.sqrt(setting.informative)
    x = _noise(rng, setting, patients) + truth[:, None] * shift
    if shared is not None:  # the other columns anew
        x[:, shared:] = _noise(np.random.default_rng([seed, 1]), setting, patients)[:, shared:]
        x += truth[:, None] * np.where(np.arange(setting.features) < shared, 0, shift)
    rng = np.random.default_rng([seed, 2])
    score, fold = np.empty((len(truth), repeats)), np.empty((len(truth), repeats), int)
    out_of_fold = np.full((len(truth), repeats, FOLDS), np.nan)
    true = {name: [] for name in METRICS}
    for repeat in range(repeats):
        fold[:, repeat] = _folds(rng, classes)[patients]
        for number in range(FOLDS):
            train = fold[:, repeat] != number
            weights, offset = _ridge(x[train], truth[train], setting.penalty)
            score[~train, repeat] = x[~train] @ weights - offset
            width = np.linalg.norm(weights)
            true["auc"].append(norm.cdf(weights @ shift / width / np.sqrt(2)))
            if not thresholds:
                continue
            inner = np.where(train, _folds(rng, classes, fold[:, repeat][:: setting.images] != number)[patients], -1)
            for part in range(FOLDS):
                learn, held = train & (inner != part), inner == part
                inner_weights, inner_offset = _ridge(x[learn], truth[learn], setting.penalty)
                out_of_fold[held, repeat, number] = x[held] @ inner_weights - inner_offset
            found = np.sort(out_of_fold[train & (truth == 1), repeat, number])
            threshold = found[int(0.1 * len(found) + 1e-9)]
            true["sensitivity"].append(norm.sf((threshold + offset - weights @ shift) / width))
            true["specificity"].append(norm.cdf((threshold + offset) / width))
    if not thresholds:
        out_of_fold = np.where(np.isnan(out_of_fold) & (fold[..., None] != np.arange(FOLDS)), 0.0, np.nan)
    scores = CVScores(score, fold, out_of_fold)
    return Simulated(truth, patients, scores, {name: float(np.mean(v)) for name, v in true.items() if v})


def _noise(rng, setting: Setting, patients) -> np.ndarray:
    common = rng.normal(size=(setting.patients, setting.features))[patients]
    if setting.images == 1:
        return common
    return np.sqrt(ALIKE) * common + np.sqrt(1 - ALIKE) * rng.normal(size=common.shape)


def _folds(rng, classes, among=True) -> np.ndarray:
    """A fold for each patient, as many of each class in each."""
    fold = np.empty(len(classes), int)
    for label in (0, 1):
        patients = rng.permutation(np.flatnonzero((classes == label) & among))
        fold[patients] = (np.arange(len(patients)) + rng.integers(FOLDS)) % FOLDS
    return fold


def _ridge(x, truth, penalty: float) -> tuple[np.ndarray, float]:
    """Weights and offset of a ridge classifier on standardised features."""
    mean, std = x.mean(axis=0), x.std(axis=0)
    z, centred = (x - mean) / std, truth - truth.mean()
    if x.shape[1] <= len(x):
        weights = np.linalg.solve(z.T @ z + penalty * np.eye(x.shape[1]), z.T @ centred)
    else:
        weights = z.T @ np.linalg.solve(z @ z.T + penalty * np.eye(len(x)), centred)
    return weights / std, float(mean @ (weights / std))


def distance_for(setting: Setting, auc: float) -> float:
    """How far apart the classes must be for classifiers with this AUC on new patients; 0 for 0.5."""
    low, high = 0.0, 8.0
    for _ in range(10 if auc > 0.5 else 0):
        middle = (low + high) / 2
        reached = np.mean([simulate(setting, middle, 1, 10**6 + s, thresholds=False).true["auc"] for s in range(8)])
        low, high = (middle, high) if reached < auc else (low, middle)
    return low


def cv_coverage(setting: Setting, distance: float, repeats: int, runs: int, thresholds=True) -> dict[str, float]:
    """How often the intervals of `cv_metrics` hold the true value, by metric.

    `resampled` is the same for an interval of the AUC that takes the trained classifiers as given, as resampling tested
    patients does; `true` is the true AUC.
    """
    found = [simulate(setting, distance, repeats, seed, thresholds) for seed in range(runs)]
    true = {name: np.mean([each.true[name] for each in found]) for name in found[0].true}
    held = {name: [] for name in (*true, "resampled")}
    for each in found:
        measured = cv_metrics(each.truth, each.scores, each.patients)
        for name in true:
            low, high = measured[f"{name}_interval"]
            held[name].append(low <= true[name] <= high)
        auc, terms = auc_terms(each.truth, each.scores.score, each.scores.fold)
        low, high = log_odds_interval(auc, sum_variance(terms.mean(axis=1), each.patients), setting.patients)
        held["resampled"].append(low <= true["auc"] <= high)
    return {"true": float(true["auc"])} | {name: float(np.mean(inside)) for name, inside in held.items()}


def difference_coverage(setting: Setting, distance: float, shared: int, repeats: int, runs: int) -> float:
    """How often the interval of a difference holds 0 for two classifiers that are equally good.

    `shared` of their features are the same, the informative one among them where it is above 0.
    """
    held = []
    for seed in range(runs):
        one = simulate(setting, distance, repeats, seed, thresholds=False)
        other = simulate(setting, distance, repeats, seed, thresholds=False, shared=shared)
        low, high = auc_difference(one.truth, one.scores, other.scores, one.patients)["difference_interval"]
        held.append(low <= 0 <= high)
    return float(np.mean(held))


OTHERS = {  # name -> metric, and whether it lies between 0 and 1
    "partial AUC": (partial(partial_auc, up_to=0.1), True),
    "average precision": (average_precision, True),
    "Brier": (brier, True),
    "calibration slope": (calibration_slope, False),
    "calibration intercept": (calibration_intercept, False),
}


def scored(rng, patients: int, images: int, auc: float, malignant: float = 0.5) -> tuple:
    """Truth, calibrated probability and patient of images; their scores are normal and have the AUC."""
    distance = norm.ppf(auc) * np.sqrt(2)
    patient = np.repeat(np.arange(patients), images)
    truth = (np.arange(patients) < round(malignant * patients)).astype(int)[patient]
    score = np.sqrt(ALIKE) * rng.normal(size=patients)[patient] + np.sqrt(1 - ALIKE) * rng.normal(size=len(patient))
    score += distance * truth
    return truth, expit(distance * score - distance**2 / 2 + logit(malignant)), patient


def auc_coverage(patients: int, images: int, auc: float, malignant: float, runs: int) -> float:
    """How often `auc_interval` holds the true AUC."""
    held = []
    for seed in range(runs):
        low, high = auc_interval(*scored(np.random.default_rng(seed), patients, images, auc, malignant))
        held.append(low <= auc <= high)
    return float(np.mean(held))


def share_coverage(patients: int, images: int, share: float, runs: int) -> float:
    """How often `share_interval` holds a share."""
    held, patient = [], np.repeat(np.arange(patients), images)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        score = np.sqrt(ALIKE) * rng.normal(size=patients)[patient] + np.sqrt(1 - ALIKE) * rng.normal(size=len(patient))
        low, high = share_interval(score < norm.ppf(share), patient)
        held.append(low <= share <= high)
    return float(np.mean(held))


def other_coverage(patients: int, images: int, auc: float, runs: int) -> dict[str, float]:
    """How often `jackknife_interval` holds the true value of each of OTHERS, among sets where there is an interval."""
    everyone = scored(np.random.default_rng(0), 400_000, 1, auc)[:2]
    true = {name: metric(*everyone, np.ones((1, 400_000)))[0] for name, (metric, _) in OTHERS.items()}
    held = {name: [] for name in OTHERS}
    for seed in range(runs):
        data = scored(np.random.default_rng(seed), patients, images, auc)
        for name, (metric, bounded) in OTHERS.items():
            interval = jackknife_interval(metric, *data, bounded)
            if interval:
                held[name].append(interval[0] <= true[name] <= interval[1])
    return {name: float(np.mean(inside)) for name, inside in held.items()}


def comparison_coverage(patients: int, images: int, aucs: tuple[float, float], runs: int) -> dict[str, float]:
    """How often `compare_models` finds a difference (p below 0.05), and its interval holds the true one.

    The two models share what makes a patient easy or hard, half of the variance of their scores. Sets in which DeLong's
    method says nothing, since both models make no error, are left out.
    """
    true, found = aucs[0] - aucs[1], []
    patient = np.repeat(np.arange(patients), images)
    rows = pd.DataFrame({"path": np.arange(len(patient)).astype(str), "patient_id": patient.astype(str)})
    rows = rows.assign(split="test", label=np.array(CLASS_NAMES)[patient % 2])
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        shared = np.sqrt(ALIKE) * rng.normal(size=patients)[patient]
        scores = [
            shared + np.sqrt(1 - ALIKE) * rng.normal(size=len(patient)) + np.sqrt(2) * norm.ppf(auc) * (patient % 2)
            for auc in aucs
        ]
        result = compare_models(*(rows.assign(probability=expit(score)) for score in scores))
        if result["interval"]:
            low, high = result["interval"]
            found.append([result["p"] < 0.05, low <= true <= high])
    return dict(zip(("p", "interval"), np.mean(found, axis=0), strict=True))


def set_coverage(patients: int, images: int, runs: int) -> dict[str, float]:
    """The coverage of prediction sets for images of new patients, on average over both classes.

    A linear classifier learns by gradient descent; the epoch is that of the least loss on the validation patients, on
    which the limits are fitted too. `unused` is the same with limits from patients that chose nothing, and `by image`
    with limits that take images for patients.
    """
    held = {"same": [], "unused": [], "by image": []}
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        x, y, _ = _set_of(rng, 80, images)
        validation, unused, (x_new, y_new, _) = (_set_of(rng, *size) for size in [(patients, images)] * 2 + [(1000, 1)])
        weights = np.zeros((41, x.shape[1]))
        for epoch in range(40):
            weights[epoch + 1] = weights[epoch] - 0.3 * x.T @ (expit(x @ weights[epoch]) - y) / len(y)
        odds = validation[0] @ weights[1:].T
        best = weights[1 + np.argmin(np.mean(np.logaddexp(0, odds) - validation[1][:, None] * odds, axis=0))]
        images_apart = (*validation[:2], np.arange(len(validation[1])))
        for name, (features, labels, who) in {"same": validation, "unused": unused, "by image": images_apart}.items():
            sets = fit_prediction_sets(labels, expit(features @ best), who).prediction_set(expit(x_new @ best))
            held[name].append(np.mean([sets[y_new == label, label].mean() for label in (0, 1)]))
    return {name: float(np.mean(covered)) for name, covered in held.items()}


def _set_of(rng, patients: int, images: int) -> tuple:
    patient = np.repeat(np.arange(patients), images)
    truth = patient % 2
    x = np.sqrt(ALIKE) * rng.normal(size=(patients, 55))[patient] + np.sqrt(1 - ALIKE) * rng.normal(
        size=(len(patient), 55)
    )
    x[:, 0] += 1.5 * truth - 0.75
    return x, truth, patient


def tables(runs: int) -> dict[str, Iterator[tuple]]:
    """Name -> its rows, the header first."""
    return {
        "cross-validation": _cv_rows(runs),
        "differences": _difference_rows(runs),
        "report": _report_rows(5 * runs),
        "other metrics": _other_rows(runs),
        "comparison of two models": _comparison_rows(5 * runs),
        "prediction sets": _set_rows(runs),
    }


def _cv_rows(runs: int) -> Iterator[tuple]:
    yield "patients", "images", "features", "repeats", "true AUC", "AUC", "sensitivity", "specificity", "resampled"
    for setting in SETTINGS:
        for auc in (0.5, 0.65, 0.75, 0.9) if setting.features < 500 else (0.5, 0.65):
            distance = distance_for(setting, auc)
            for repeats in (1, 5):
                found = cv_coverage(setting, distance, repeats, runs)
                yield (
                    setting.patients,
                    setting.images,
                    setting.features,
                    repeats,
                    found["true"],
                    *(found[name] for name in (*METRICS, "resampled")),
                )


def _difference_rows(runs: int) -> Iterator[tuple]:
    yield "patients", "images", "AUC", "shared features", "one repeat", "five repeats"
    for setting in (NOISE, Setting(60, images=2), Setting(250)):
        for auc in (0.5, 0.65, 0.75):
            distance = distance_for(setting, auc)
            for shared in (0, 33):
                covered = [difference_coverage(setting, distance, shared, repeats, runs) for repeats in (1, 5)]
                yield setting.patients, setting.images, auc, shared, *covered


def _report_rows(runs: int) -> Iterator[tuple]:
    yield "patients", "images", "true value", "AUC, half malignant", "AUC, a quarter", "share"
    for patients, images in ((20, 1), (20, 2), (50, 1), (50, 2), (100, 2)):
        for value in (0.7, 0.9, 0.95, 0.97, 0.99):
            aucs = [auc_coverage(patients, images, value, malignant, runs) for malignant in (0.5, 0.25)]
            yield patients, images, value, *aucs, share_coverage(patients, images, value, runs)


def _other_rows(runs: int) -> Iterator[tuple]:
    yield "patients", "images", "AUC", *OTHERS
    for patients, images in ((20, 2), (50, 2), (100, 2)):
        for auc in (0.7, 0.9, 0.97):
            yield patients, images, auc, *other_coverage(patients, images, auc, runs).values()


def _comparison_rows(runs: int) -> Iterator[tuple]:
    yield "patients", "images", "AUCs", "p < 0.05", "interval holds"
    for patients, images in ((20, 2), (50, 1), (50, 2), (100, 2)):
        for aucs in ((0.8, 0.8), (0.86, 0.74), (0.95, 0.95)):
            covered = comparison_coverage(patients, images, aucs, runs).values()
            yield patients, images, f"{aucs[0]} and {aucs[1]}", *map(float, covered)


def _set_rows(runs: int) -> Iterator[tuple]:
    yield "validation patients", "images", "same patients", "unused patients", "images taken for patients"
    for patients in (20, 40, 80):
        for images in (1, 2, 4):
            yield patients, images, *set_coverage(patients, images, runs).values()


def main() -> None:
    """Print the tables, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300, help="simulated data sets a row (300)")
    parser.add_argument("--only", help="the name of one table")
    given = parser.parse_args()
    found = tables(given.runs)
    if given.only and given.only not in found:
        raise MammoError(f"There is no table {given.only!r}. There are {', '.join(found)}.")
    for name, rows in found.items():
        if given.only in (None, name):
            header = next(rows)
            print(f"\n{name}\n\n| {' | '.join(header)} |\n{'|---' * len(header)}|")
            for row in rows:
                cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
