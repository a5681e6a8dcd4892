"""The rows of a table of readers: what each has found of images, groups and breasts, and who is better than whom.

    for row in measured_rows(figures, manifest, [crossed], breasts=True, groups=groups_of(manifest, "density", tested)):
        print(markdown({"size": "224 x 224", "features": "radiomics", "reader": "linear"} | row, COLUMNS))

`mammo.folds` says how they were found; `mammo.benchmark` prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.manifest import class_indices
from mammo.evaluation.subgroups import PATIENTS
from mammo.research.cross_validation import MEASURES, by_breast, difference

COLUMNS = ("size", "features", "reader", "of", *MEASURES)
PAIRED = ("size", "reader", "of", "features", "minus", "difference")


def subgroup_masks(table: pd.DataFrame, by: str | None, tested: np.ndarray) -> dict[str, np.ndarray]:
    """Which rows have each value of the column `by`; one with too few tested patients of a class is named, not given.

    `tested` are the numbers of the rows that some fold tests.
    """
    if by is None:
        return {}
    if by not in table:
        raise MammoError(f"There is no column {by!r} to group by. There are {', '.join(table.columns)}.")
    groups, malignant = {}, table["label"] == "malignant"
    unknown = int(table.iloc[tested][by].isna().sum())
    if unknown:
        print(f"{unknown} of {len(tested)} rows have no {by} and are in none of its groups.")
    for value, rows in table.iloc[tested].groupby(by):
        fewest = min(rows.loc[malignant[rows.index] == ill, "patient_id"].nunique() for ill in (True, False))
        if fewest >= PATIENTS:
            groups[str(value)] = (table[by] == value).to_numpy()
        else:
            print(f"Without {by} {value}: {fewest} patients of a class are too few, {PATIENTS} are needed.")
    return groups


def measured_rows(measure: Callable, table: pd.DataFrame, crossed, breasts: bool, groups: dict) -> Iterator[dict]:
    """What `measure(truth, *crossed, patients)` finds of images, of groups of them, and of breasts."""
    truth, patients = class_indices(table), table["patient_id"].to_numpy()
    yield {"of": "lesions" if "square" in table else "images"} | measure(truth, *crossed, patients)
    for group, among in groups.items():
        yield {"of": group} | measure(truth, *crossed, patients, among=among)
    if breasts:
        combined = [by_breast(table, each) for each in crossed]
        breast, patients = combined[0][0], combined[0][0]["patient_id"].to_numpy()
        yield {"of": "breasts"} | measure(class_indices(breast), *(each for _, each in combined), patients)


def pairs_of(said: dict, table: pd.DataFrame, breasts: bool, groups: dict) -> Iterator[dict]:
    """How much better one network is than another under the same reader at the same size: AUC, on the same patients."""
    for (size, reader), each in said.items():
        for first, second in combinations(each, 2):
            for row in measured_rows(difference, table, [each[first], each[second]], breasts, groups):
                yield {"size": size, "reader": reader, "features": first, "minus": second} | row


def markdown(row: dict, columns: Sequence[str]) -> str:
    """One line of a table; a figure with its interval."""
    cells = []
    for name in columns:
        interval = row.get(f"{name}_interval")
        cells.append(f"{row[name]:.3f} ({interval[0]:.3f} to {interval[1]:.3f})" if interval else str(row[name]))
    return f"| {' | '.join(cells)} |"


def header(columns: Sequence[str]) -> str:
    """The head of a table."""
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
