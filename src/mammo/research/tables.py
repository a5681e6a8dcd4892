"""Rows of the benchmark's tables: metrics of each classifier, and differences between networks.

subgroups = subgroups_by("density", manifest, tested)
for row in metric_rows(cv_metrics, manifest, [scores], breasts=True, subgroups=subgroups):
    print(markdown({"size": "224 x 224", "features": "radiomics", "classifier": "linear"} | row, COLUMNS))
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import errors_of_writing, write_atomically
from mammo.core.manifest import class_indices
from mammo.evaluation.subgroups import PATIENTS
from mammo.research.cross_validation import CVScores, average_scores, by_breast
from mammo.research.cv_metrics import METRICS, auc_difference, cv_auc, cv_metrics

COLUMNS = ("size", "features", "classifier", "of", *METRICS)
DIFFERENCE_COLUMNS = ("size", "classifier", "of", "features", "minus", "difference")


@dataclass(frozen=True)
class Subgroups:
    """The rows of a manifest by the values of a column."""

    column: str
    groups: np.ndarray
    """int (rows,): equal where the column is equal, -1 where it is empty."""
    masks: dict[str, np.ndarray]
    """bool (rows,) for each value that has enough tested patients of both classes."""
    enriched: np.ndarray
    """bool (rows,): of the rows with this value a larger share is malignant than of all rows."""


def subgroups_by(column: str, table: pd.DataFrame, tested: np.ndarray) -> Subgroups:
    """Subgroups by a column of a manifest, of which the rows `tested` (indices) are in some fold's test set.

    A line is printed for each value with too few tested patients of a class. Raises MammoError where there is no such
    column.
    """
    if column not in table:
        raise MammoError(f"There is no column {column!r} to group by. There are {', '.join(table.columns)}.")
    masks, malignant = {}, table["label"] == "malignant"
    unknown = int(table.iloc[tested][column].isna().sum())
    if unknown:
        print(f"{unknown} of {len(tested)} rows have no {column} and are in none of its subgroups.")
    for value, rows in table.iloc[tested].groupby(column):
        fewest = rows.groupby(malignant)["patient_id"].nunique().reindex([False, True], fill_value=0).min()
        if fewest >= PATIENTS:
            masks[str(value)] = (table[column] == value).to_numpy()
        else:
            print(f"Without {column} {value}: {fewest} patients of a class are too few, {PATIENTS} are needed.")
    groups = pd.factorize(table[column])[0]
    enriched = malignant.groupby(groups).transform("mean") > malignant.mean()
    return Subgroups(column, groups, masks, enriched.to_numpy())


def metric_rows(
    measure: Callable, table: pd.DataFrame, scores: Sequence[CVScores], breasts: bool, subgroups: Subgroups | None
) -> Iterator[dict]:
    """What `measure(truth, *scores, patients)` finds for all images, by subgroup, and for breasts.

    `measure` is `cv_metrics` with one item in `scores`, or `auc_difference` with two. With subgroups there is a row
    whose AUC compares images of the same subgroup only, and a row for each of them.
    """
    truth, patients = class_indices(table), table["patient_id"].to_numpy()
    images = "lesions" if "patch_size" in table else "images"
    yield {"of": images} | measure(truth, *scores, patients)
    if subgroups is not None:
        within = {"of": f"{images}, within {subgroups.column}"}
        yield within | measure(truth, *scores, patients, within=subgroups.groups)
        for name, among in subgroups.masks.items():
            yield {"of": name} | measure(truth, *scores, patients, among=among)
    if breasts:
        tables, combined = zip(*(by_breast(table, each) for each in scores), strict=True)
        yield {"of": "breasts"} | measure(class_indices(tables[0]), *combined, tables[0]["patient_id"].to_numpy())


def recognition_row(table: pd.DataFrame, scores: CVScores, subgroups: Subgroups) -> dict | None:
    """Whether scores tell the values of a column that have more malignant images from those that have fewer.

    The AUC is over images that are not malignant, so whoever looks for the disease alone has 0.5, unless the patients
    differ too. None where one of both sides has too few tested patients.
    """
    benign = (class_indices(table) == 0) & (subgroups.groups >= 0)
    counted = benign & (scores.fold >= 0).any(axis=1)
    n_patients = table["patient_id"][counted].groupby(subgroups.enriched[counted]).nunique()
    if n_patients.reindex([False, True], fill_value=0).min() < PATIENTS:
        return None
    found = cv_auc(subgroups.enriched.astype(int), scores, table["patient_id"].to_numpy(), among=benign)
    return {"of": f"{subgroups.column}, from images that are not malignant"} | found | {"malignant": 0}


def difference_rows(scores: dict, table: pd.DataFrame, breasts: bool, subgroups: Subgroups | None) -> Iterator[dict]:
    """Differences of AUC between each two networks with the same classifier and size, and fine-tuned minus frozen.

    `scores` holds the CVScores by (size, classifier), then by features.
    """
    for (size, classifier), by_features in scores.items():
        pairs = list(combinations(by_features.items(), 2))
        if classifier.startswith("fine-tuned"):
            frozen = scores.get((size, classifier.replace("fine-tuned", "linear")), {})
            both = [name for name in by_features if name in frozen]
            pairs += [((name, by_features[name]), (f"{name}, frozen", frozen[name])) for name in both]
        for (first, one), (second, other) in pairs:
            for row in metric_rows(auc_difference, table, [one, other], breasts, subgroups):
                yield {"size": size, "classifier": classifier, "features": first, "minus": second} | row


def _with_ends(row: dict) -> dict:
    """The row with both ends of each interval in a column of its own, `<name>_low` and `<name>_high`."""
    columns = {}
    for name, value in row.items():
        if not name.endswith("_interval"):
            columns[name] = value
        elif value:
            measure = name.removesuffix("_interval")
            columns[f"{measure}_low"], columns[f"{measure}_high"] = value
    return columns


def markdown(row: dict, columns: Sequence[str]) -> str:
    """One line of a Markdown table; a number with its interval, and nothing where there is none."""
    cells = []
    for name in columns:
        interval = row.get(f"{name}_interval")
        cells.append(
            f"{row[name]:.3f} ({interval[0]:.3f} to {interval[1]:.3f})" if interval else str(row.get(name, ""))
        )
    return f"| {' | '.join(cells)} |"


def header(columns: Sequence[str]) -> str:
    """The first two lines of a Markdown table."""
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


class Results:
    """Tables whose rows are printed and written as they are added.

    Parameters
    ----------
    table : DataFrame
        Manifest of the scored rows.
    subgroups : Subgroups, optional
    breasts : bool
        Add rows for the views of a breast combined.
    out : Path
        The metrics, as CSV. The differences are written to the same name with `_pairs`.
    """

    def __init__(self, table: pd.DataFrame, subgroups: Subgroups | None, breasts: bool, out: Path):
        self.table, self.subgroups, self.breasts, self.out = table, subgroups, breasts, out
        self.rows: list[dict] = []
        self.scores: dict = defaultdict(dict)
        """CVScores by (size, classifier), then by features."""

    def add(self, scores: CVScores, size: str, features: str, classifier: str) -> None:
        """Add the metrics of one classifier."""
        if not self.rows:
            print(header(COLUMNS))
        self.scores[size, classifier][features] = scores
        rows = list(metric_rows(cv_metrics, self.table, [scores], self.breasts, self.subgroups))
        if self.subgroups is not None and (row := recognition_row(self.table, scores, self.subgroups)):
            rows.append(row)
        for row in rows:
            self.rows.append({"size": size, "features": features, "classifier": classifier} | row)
            print(markdown(self.rows[-1], COLUMNS), flush=True)
        self._write(self.rows, self.out)

    def add_averages(self, named: str = "") -> None:
        """Add the mean of each network's classifiers that have `named` in their name, where it has several."""
        by_network = defaultdict(list)
        for (_, classifier), by_features in self.scores.items():
            for features, scores in by_features.items():
                if features != "radiomics" and named in classifier:
                    by_network[features].append(scores)
        for features, several in by_network.items():
            if len(several) > 1:
                self.add(average_scores(several), "all", features, f"{len(several)} together")

    def add_differences(self) -> None:
        """Print and write the table of differences, where there are any."""
        rows = list(difference_rows(self.scores, self.table, self.breasts, self.subgroups))
        if rows:
            print("", header(DIFFERENCE_COLUMNS), *(markdown(row, DIFFERENCE_COLUMNS) for row in rows), sep="\n")
            self._write(rows, self.out.with_stem(f"{self.out.stem}_pairs"))

    def _write(self, rows: list[dict], path: Path) -> None:
        with errors_of_writing(path):
            write_atomically(path, partial(pd.DataFrame(map(_with_ends, rows)).to_csv, index=False))
