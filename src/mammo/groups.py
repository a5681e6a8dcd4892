"""The figures level by level and group by group: where is the model good, where is it not, and where is that unknown?

mammo.breakdown(mammo.predict_manifest(model, manifest))
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mammo.decision import combine
from mammo.delong import auc_variance, interval
from mammo.errors import MammoError
from mammo.evaluation import TARGET_SENSITIVITY, answers_on_test, fixed_on_validation
from mammo.manifest import rows_of

GROUPS = ("density", "view", "lesion_type", "source")
PATIENTS = 10  # of each class; with so few the interval of an AUC still holds it in 94 % of simulated sets
FIGURES = ("auc", "auc_low", "auc_high", "sensitivity", "specificity")
COLUMNS = ("of", "group", "cases", "malignant", "patients", *FIGURES, "note")


def breakdown(scored: pd.DataFrame, by=GROUPS, target_sensitivity: float = TARGET_SENSITIVITY) -> pd.DataFrame:
    """Test figures for images, breasts and patients, and for the images of each group of the columns `by`.

    `scored` is what `mammo.evaluate` takes. Calibration and threshold come from validation rows: of the images for all
    groups, of breasts and patients for their own rows (`mammo.combine`). One row a level or group, with the columns
    COLUMNS: `cases` are its images (breasts, patients), and the AUC's 95 % interval is the clustered one of
    `mammo.delong`. A type of lesion is held against all images of the other class, as normal images have no type: its
    malignant ones against all that are not malignant, or, where it has none, its images against all malignant ones.
    Where fewer than PATIENTS patients have a class, what depends on it is NaN and `note` gives the reason. Columns of
    `by` that the manifest lacks are left out. Raises MammoError as `mammo.evaluate` does.
    """
    rows = [_level(scored, level, target_sensitivity) for level in ("image", "breast", "patient")]
    test = rows_of(scored, "test")
    answers = _answers(scored, target_sensitivity)
    for column in (name for name in by if name in scored):
        names = _names(test, column)
        for name in sorted(set(names)):
            here, note = names == name, ""
            if column == "lesion_type":
                malignant = answers["truth"] == 1
                some = (here & malignant).any()
                here = here | (malignant != some)
                note = "against all not malignant" if some else "against all malignant"
            rows.append({"of": column, "group": name} | _figures(answers[here], note))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _level(scored: pd.DataFrame, level: str, target_sensitivity: float) -> dict:
    row = {"of": "level", "group": level}
    if level == "image":
        return row | _figures(_answers(scored, target_sensitivity))
    try:
        return row | _figures(_answers(combine(scored, level), target_sensitivity))
    except MammoError as reason:
        return row | {"note": str(reason)}


def _answers(scored: pd.DataFrame, target_sensitivity: float) -> pd.DataFrame:
    """Truth, probability, patient, and whether the answer is right, of each test row."""
    fixed = fixed_on_validation(scored, target_sensitivity)
    truth, probability, patients = answers_on_test(scored, fixed)
    right = (probability >= fixed["threshold"]) == (truth == 1)
    return pd.DataFrame({"truth": truth, "probability": probability, "patient": patients, "right": right})


def _names(test: pd.DataFrame, column: str) -> np.ndarray:
    unknown = np.where((test["label"] == "normal") & (column == "lesion_type"), "no lesion", "not recorded")
    return np.where(test[column].isna(), unknown, test[column].astype(str))


def _figures(answers: pd.DataFrame, note: str = "") -> dict:
    ill = answers["truth"] == 1
    with_ill, without = answers["patient"][ill].nunique(), answers["patient"][~ill].nunique()
    row = dict.fromkeys(FIGURES, np.nan)
    if with_ill >= PATIENTS:
        row["sensitivity"] = answers["right"][ill].mean()
    if without >= PATIENTS:
        row["specificity"] = answers["right"][~ill].mean()
    if min(with_ill, without) < PATIENTS:
        few = f"{with_ill} patients with malignant images, {without} with others; {PATIENTS} of each are needed"
        note = f"{note}; {few}" if note else few
    else:
        row["auc"], variance = auc_variance(answers["truth"], answers["probability"], answers["patient"])
        row["auc_low"], row["auc_high"] = interval(row["auc"], variance) or (np.nan, np.nan)
    counts = {"cases": len(answers), "malignant": int(ill.sum()), "patients": answers["patient"].nunique()}
    return counts | row | {"note": note}
