"""Several views of a patient: one probability for each breast, one for the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mammo.core.errors import MammoError
from mammo.core.manifest import GRAVITY, check_patients, check_table, patient_ids
from mammo.evaluation.calibration import expit, log_odds
from mammo.evaluation.operating_point import probabilities

if TYPE_CHECKING:
    import pandas as pd

LEVELS = {"breast": ["patient_id", "laterality"], "patient": ["patient_id"]}
OF_ONE_IMAGE = ["view", "result"]


def combine_views(scored: pd.DataFrame, level: str = "patient") -> pd.DataFrame:
    """One row for each breast or each patient, with its `probability`; the result fits into `mammo.evaluate`.

    A breast gets the mean of its views' log-odds: each view is one more observation of the same tissue. A patient gets
    the higher of the two breasts: cancer in one is enough. All other columns are those of the image with the gravest
    label, the first of several; `view` and `result`, and for a patient `laterality`, are left out.

    Parameters
    ----------
    scored : DataFrame
        With the columns `probability`, `patient_id` and `laterality` (L or R): a manifest, or the table of
        `score_folder` with patient ids. There need be no labels.
    level : "breast" or "patient"

    Raises
    ------
    MammoError
        Where there are no rows, where a row does not say which patient or breast it shows, for an unknown label, for a
        patient in two splits, and for an unknown level.
    """
    if level not in LEVELS:
        raise MammoError(f"There is no level {level!r}; choose {' or '.join(LEVELS)}.")
    check_table(scored)
    if "patient_id" not in scored:
        raise MammoError("Views can only be combined where a column patient_id says whose image each is. Add it.")
    if "laterality" not in scored or not scored["laterality"].isin(["L", "R"]).all():
        raise MammoError("Views can only be combined where the column laterality says L or R for every image.")
    check_patients(scored)
    table = scored.assign(patient_id=patient_ids(scored), probability=log_odds(probabilities(scored)))
    table = table.reset_index(drop=True).drop(columns=OF_ONE_IMAGE, errors="ignore")
    odds = table.groupby(LEVELS["breast"], observed=True)["probability"].transform("mean")
    if level == "patient":
        odds = odds.groupby(table["patient_id"]).transform("max")
        table = table.drop(columns="laterality")
    table["probability"] = expit(odds)
    group = table.groupby(LEVELS[level], sort=False, observed=True).ngroup()
    gravity = table["label"].astype(object).map(GRAVITY.index) if "label" in table else np.zeros(len(table))
    table = table.iloc[np.lexsort([-gravity, group])]  # the order of the groups stays
    return table.drop_duplicates(LEVELS[level]).reset_index(drop=True)
