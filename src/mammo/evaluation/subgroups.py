"""Metrics by level (image, breast, patient) and by subgroup (density, view, lesion type, source).

mammo.subgroup_metrics(mammo.predict_manifest(model, manifest))
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from mammo.core.errors import MammoError
from mammo.core.manifest import rows_in_split
from mammo.evaluation.combine_views import combine_views
from mammo.evaluation.delong import auc_interval
from mammo.evaluation.operating_point import TARGET_SENSITIVITY, fix_on_validation
from mammo.evaluation.report import predictions_on_test

GROUPS = ("density", "view", "lesion_type", "source")
PATIENTS = 10  # of each class: with so few, intervals are wide, but hold an AUC in 97 % of simulated sets or more
METRICS = ("auc", "auc_low", "auc_high", "sensitivity", "specificity")
COLUMNS = ("of", "group", "cases", "malignant", "patients", *METRICS, "note")


def subgroup_metrics(scored: pd.DataFrame, by=None, target_sensitivity: float = TARGET_SENSITIVITY) -> pd.DataFrame:
    """Test metrics for images, breasts and patients, and for the images of each group of the columns `by`.

    Calibration and threshold come from validation rows: of the images for all groups, of breasts and patients for
    their own rows (`mammo.combine_views`). A type of lesion is compared with all images of the other class, as normal
    images have no type: malignant types with all that are not malignant, benign types with all malignant ones.

    Parameters
    ----------
    scored : DataFrame
        What `mammo.evaluate` takes.
    by : str or sequence of str, optional
        Columns. Without it, those of GROUPS that the manifest has.
    target_sensitivity : float
        Of the operating point, above 0 and below 1; as for `mammo.evaluate`.

    Returns
    -------
    DataFrame
        One row a level or group, with the columns COLUMNS: `cases` are its images (breasts, patients); the AUC's 95 %
        interval is the clustered one of `delong`. Where fewer than PATIENTS patients have a class, what depends on it
        is NaN and `note` gives the reason.

    Raises
    ------
    MammoError
        As `mammo.evaluate` does, and for a column in `by` that the manifest lacks.
    """
    predictions, test = _predictions(scored, target_sensitivity), rows_in_split(scored, "test")
    if by is None:
        by = [name for name in GROUPS if name in scored]
    by = (by,) if isinstance(by, str) or not isinstance(by, Iterable) else tuple(by)
    absent = [str(name) for name in by if name not in list(scored)]
    if absent:
        there = ", ".join(map(str, scored.columns))
        raise MammoError(f"The manifest has no column {', '.join(absent)} to form groups by; it has {there}.")
    rows = [{"of": "level", "group": "image"} | _metrics(predictions)]
    rows += [_level(scored, level, target_sensitivity) for level in ("breast", "patient")]
    for column in by:
        names = _names(test, column)
        for name in sorted(set(names)):
            here, note = names == name, ""
            if column == "lesion_type":
                malignant = predictions["truth"] == 1
                some = (here & malignant).any()
                here = here | (malignant != some)
                note = "against all not malignant" if some else "against all malignant"
            rows.append({"of": column, "group": name} | _metrics(predictions[here], note))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _level(scored: pd.DataFrame, level: str, target_sensitivity: float) -> dict:
    row = {"of": "level", "group": level}
    try:
        return row | _metrics(_predictions(combine_views(scored, level), target_sensitivity))
    except MammoError as reason:
        return row | {"note": str(reason)}


def _predictions(scored: pd.DataFrame, target_sensitivity: float) -> pd.DataFrame:
    """Truth, probability, patient, and whether the result is correct, of each test row."""
    fixed = fix_on_validation(scored, target_sensitivity)
    test = predictions_on_test(scored, fixed)
    correct = (test.probability >= fixed.operating_point.threshold) == (test.truth == 1)
    return pd.DataFrame(
        {"truth": test.truth, "probability": test.probability, "patient": test.patients, "correct": correct}
    )


def _names(test: pd.DataFrame, column: str) -> np.ndarray:
    unknown = np.where((test["label"] == "normal") & (column == "lesion_type"), "no lesion", "not recorded")
    return np.where(test[column].isna(), unknown, test[column].astype(str))


def _metrics(predictions: pd.DataFrame, note: str = "") -> dict:
    malignant = predictions["truth"] == 1
    with_malignant = predictions["patient"][malignant].nunique()
    without = predictions["patient"][~malignant].nunique()
    row = dict.fromkeys(METRICS, np.nan)
    if with_malignant >= PATIENTS:
        row["sensitivity"] = predictions["correct"][malignant].mean()
    if without >= PATIENTS:
        row["specificity"] = predictions["correct"][~malignant].mean()
    if min(with_malignant, without) < PATIENTS:
        few = f"{with_malignant} patients with malignant images, {without} with others; {PATIENTS} of each are needed"
        note = f"{note}; {few}" if note else few
    else:
        scored = predictions["truth"], predictions["probability"]
        row["auc"] = float(roc_auc_score(*scored))
        row["auc_low"], row["auc_high"] = auc_interval(*scored, predictions["patient"])
    counts = {
        "cases": len(predictions),
        "malignant": int(malignant.sum()),
        "patients": predictions["patient"].nunique(),
    }
    return counts | row | {"note": note}
