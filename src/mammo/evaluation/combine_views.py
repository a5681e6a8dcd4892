"""Several views of a patient: one probability for each breast, one for the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mammo.core.errors import MammoError
from mammo.core.manifest import GRAVITY, patient_ids
from mammo.evaluation.calibration import expit, log_odds
from mammo.evaluation.operating_point import probabilities

if TYPE_CHECKING:
    import pandas as pd

LEVELS = {"breast": ["patient_id", "laterality"], "patient": ["patient_id"]}


def combine_views(scored: pd.DataFrame, level: str = "patient") -> pd.DataFrame:
    """One row for each breast or each patient, with its `probability`; the result fits into `mammo.evaluate`.

    A breast gets the mean of its views' log-odds: each view is one more observation of the same tissue. A patient gets
    the higher of the two breasts: cancer in one is enough. A label becomes the gravest of its rows.

    Parameters
    ----------
    scored : DataFrame
        Manifest with the columns `probability`, `patient_id` and `laterality` (L or R).
    level : "breast" or "patient"

    Raises
    ------
    MammoError
        Where there are no rows, where a row does not say which breast it shows, and for an unknown level.
    """
    if level not in LEVELS:
        raise MammoError(f"There is no level {level!r}; choose {' or '.join(LEVELS)}.")
    if scored.empty:
        raise MammoError("The table has no rows whose views could be combined. Score a manifest with images first.")
    if "laterality" not in scored or not scored["laterality"].isin(["L", "R"]).all():
        raise MammoError("Views can only be combined where the column laterality says L or R for every image.")
    table = scored.assign(patient_id=patient_ids(scored), probability=log_odds(probabilities(scored)))
    rules = {name: "first" for name in table.columns if name not in LEVELS["breast"]} | {"probability": "mean"}
    if "label" in table:
        table["label"] = table["label"].astype("category").cat.set_categories(list(GRAVITY), ordered=True)
        rules["label"] = "max"
    table = table.groupby(LEVELS["breast"], as_index=False, sort=False, observed=True).agg(rules)
    if level == "patient":
        rules |= {"probability": "max"}
        table = table.groupby(LEVELS["patient"], as_index=False, sort=False, observed=True).agg(rules)
    if "label" in table:
        table["label"] = table["label"].astype(str)
    return table.assign(probability=expit(table["probability"]))
