"""The report on a model: calibrated and thresholded on validation patients, measured on test patients.

    report = mammo.evaluate(mammo.predict_manifest(model, manifest))
    report["auc"], report["auc_interval"]

Intervals count patients, not images: two views of one breast are not two independent cases. The AUC has DeLong's for
patients with several images (`delong`), shares have Wilson's and the rest the jackknife's (`intervals`). How often they
hold the true value in simulations is in docs/evaluation.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, roc_auc_score

from mammo.core.manifest import CLASS_NAMES, class_indices, image_kind, patient_ids, rows_in_split
from mammo.evaluation.delong import auc_interval
from mammo.evaluation.intervals import jackknife_interval, share_interval
from mammo.evaluation.metrics import (
    average_precision,
    brier,
    calibration_intercept,
    calibration_slope,
    expected_calibration_error,
    partial_auc,
)
from mammo.evaluation.operating_point import TARGET_SENSITIVITY, FixedOnValidation, fix_on_validation, probabilities
from mammo.evaluation.results import RESULTS

MAX_FALSE_POSITIVE_RATE = 0.1  # of the partial AUC: a specificity of 0.9 and above
METRICS = {
    "partial_auc": partial(partial_auc, up_to=MAX_FALSE_POSITIVE_RATE),
    "average_precision": average_precision,
    "brier": brier,
    "expected_calibration_error": expected_calibration_error,
    "calibration_slope": calibration_slope,
    "calibration_intercept": calibration_intercept,
}
UNBOUNDED = ("calibration_slope", "calibration_intercept")  # all others lie between 0 and 1
BIASED = ("expected_calibration_error",)  # without an interval: the value is too high by more than its error
INTERVAL_METHOD = "95 %, by patients: DeLong's for the AUC, Wilson's for shares, the jackknife for the rest"


@dataclass(frozen=True)
class TestPredictions:
    """Calibrated predictions for the test images, (images,) each."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    truth: np.ndarray
    """1 for malignant, else 0."""
    probability: np.ndarray
    patients: np.ndarray


def evaluate(scored: pd.DataFrame, target_sensitivity: float = TARGET_SENSITIVITY) -> dict:
    """Calibrate and fix the operating point on validation, then measure on test.

    Parameters
    ----------
    scored : DataFrame
        Manifest with a column `probability`, the model's own for malignant, in [0, 1].
    target_sensitivity : float
        The operating point holds this sensitivity for new patients, where there are enough of them
        (`operating_point.fix_operating_point`).

    Returns
    -------
    dict
        Fits into JSON. The AUC, METRICS and `report_shares`, each with its 95 % interval under `<name>_interval`; None
        where there is no value or no interval; the confusion matrix (rows truth, columns predicted, in the order of
        CLASS_NAMES); the operating point, calibration and limits of the prediction sets; the counts.

    Raises
    ------
    MammoError
        Where a split is missing, leaks, or has one class only.
    """
    fixed = fix_on_validation(scored, target_sensitivity)
    test = predictions_on_test(scored, fixed)
    truth, probability = test.truth, test.probability
    report = {
        "auc": float(roc_auc_score(truth, probability)),
        "auc_interval": auc_interval(truth, probability, test.patients),
    }
    for name, metric in METRICS.items():
        value, bounded = metric(truth, probability, np.ones((1, len(truth))))[0], name not in UNBOUNDED
        report[name] = float(value) if np.isfinite(value) else None
        report[f"{name}_interval"] = (
            None if name in BIASED else jackknife_interval(metric, truth, probability, test.patients, bounded)
        )
    for name, share in report_shares(test, fixed).items():
        right, patients = share.right[share.among], test.patients[share.among]
        report[name] = float(right.mean()) if len(right) else None
        report[f"{name}_interval"] = share_interval(right, patients)
    sources = scored["source"].astype(object).fillna("unknown").unique() if "source" in scored else ["unknown"]
    normal = (rows_in_split(scored, "test")["label"] == "normal").any()
    metadata = {
        "class_names": list(CLASS_NAMES),
        "image_kind": image_kind(scored),
        "sources": sorted(str(source) for source in sources),
        "confusion": confusion_matrix(truth, probability >= fixed.operating_point.threshold, labels=[0, 1]).tolist(),
        "interval_method": INTERVAL_METHOD,
        "normal_images": "counted as not malignant" if normal else "none",
        "counts": {
            split: {
                "images": len(rows),
                "patients": int(patient_ids(rows).nunique()),
                "malignant_images": int(class_indices(rows).sum()),
            }
            for split, rows in scored.groupby(scored["split"].to_numpy())
        },
    }
    return report | asdict(fixed) | metadata


def predictions_on_test(scored: pd.DataFrame, fixed: FixedOnValidation) -> TestPredictions:
    """The calibrated predictions of the test rows; raises MammoError as `evaluate` does."""
    rows = rows_in_split(scored, "test")
    truth = class_indices(rows)
    return TestPredictions(truth, fixed.calibration(probabilities(rows)), rows["patient_id"].to_numpy())


class ReliabilityBins(NamedTuple):
    """Calibration on the test images, in bins of equal count, (bins,) each; `plots.reliability` draws it."""

    predicted: np.ndarray
    """The mean probability."""
    observed: np.ndarray
    """The share of malignant images."""
    low: np.ndarray
    high: np.ndarray
    """The 95 % interval of that share."""
    images: np.ndarray


def reliability_bins(test: TestPredictions, bins: int = 8) -> ReliabilityBins:
    """Predicted probability against observed frequency."""
    rows = []
    for part in np.array_split(np.argsort(test.probability, kind="stable"), min(bins, len(test.truth))):
        malignant = test.truth[part] == 1
        ends = share_interval(malignant, test.patients[part])
        rows.append((test.probability[part].mean(), malignant.mean(), *ends, len(part)))
    *values, images = np.transpose(rows)
    return ReliabilityBins(*values, images.astype(int))


@dataclass(frozen=True)
class Share:
    """A share of test images: those that are `right` among those that are `among`, bool (images,) each."""

    right: np.ndarray
    among: np.ndarray


def report_shares(test: TestPredictions, fixed: FixedOnValidation) -> dict[str, Share]:
    """The shares that the report gives.

    `sensitivity` to `negative_predictive_value` are those at the operating point. The predictive values hold at the
    prevalence among these images; `operating_point.positive_predictive_value` is for another. `benign_covered` and
    `malignant_covered` are the shares of both classes that their prediction sets cover. For each result there is the
    share of images, and of the images of each class, that get it, such as `positive_of_malignant`;
    `negative_correct` and `positive_correct` are how often such a result is right.
    """
    malignant, result = test.truth == 1, fixed.result_rule.results(test.probability)
    above = test.probability >= fixed.operating_point.threshold
    covered = fixed.conformal.prediction_set(test.probability)
    every = np.ones(len(malignant), bool)
    shares = {
        "sensitivity": Share(above, malignant),
        "specificity": Share(~above, ~malignant),
        "positive_predictive_value": Share(malignant, above),
        "negative_predictive_value": Share(~malignant, ~above),
        "benign_covered": Share(covered[:, 0], ~malignant),
        "malignant_covered": Share(covered[:, 1], malignant),
    }
    shares |= {f"{name}_share": Share(result == name, every) for name in RESULTS}
    for name in RESULTS:
        shares |= {f"{name}_of_benign": Share(result == name, ~malignant)}
        shares |= {f"{name}_of_malignant": Share(result == name, malignant)}
    shares |= {"negative_correct": Share(~malignant, result == "negative")}
    return shares | {"positive_correct": Share(malignant, result == "positive")}
