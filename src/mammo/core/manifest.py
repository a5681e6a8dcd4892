"""The table of images: one row an image, stored as CSV, split by patient.

    manifest = mammo.load_manifest("my_data/manifest.csv")
    manifest = mammo.split_by_patient(manifest, seed=0)

Columns: `path, label, patient_id, laterality, view, split, source` and, where known, `lesion_type, density,
mask_path, x, y, radius` (pixels of the file; x to the right, y down). `label` is `benign`, `malignant` or
`normal`. `image_kind` is `mammogram`, also where there is no such column, or `micrograph` (colour microscopy).
Paths are relative to the CSV's folder on disk and absolute in memory. Where there is a column `patch_size`, a
row is not a whole image but the square of that side (pixels) around x, y: `lesion_patches` makes such a table.

Patient ids are compared as text (`patient_ids`): 1, 1.0, "1" and "1.0" are one patient. "01" is another one, and so is
"p1" beside "P1".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mammo.core.arguments import is_number
from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, errors_of_writing, find_files, normalized, why_missing, write_atomically
from mammo.core.manifest_csv import PATH_COLUMNS, check_needed, read_csv

if TYPE_CHECKING:
    import pandas as pd

CLASS_NAMES = ("benign", "malignant")
LABELS = (*CLASS_NAMES, "normal")
GRAVITY = ("normal", "benign", "malignant")
SPLITS = ("train", "validation", "test")
IMAGE_KINDS = {"mammogram": 1, "micrograph": 3}  # channels of the model's input
ONE_LINE = ("patient_id", "laterality", "view", "source", "lesion_type", "density")
PATCH = ("x", "y", "patch_size")
# What kind of number each is; a point has radius 0.
PLACE = {"x": "finite", "y": "finite", "radius": "non-negative", "patch_size": "positive"}
MARGIN, SMALLEST = 2.0, 32  # of a patch: its side in diameters of the lesion, and in pixels
COMPRESSED = {".gz", ".bz2", ".xz", ".zip", ".zst", ".tar"}
WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+")  # what a spreadsheet makes of a number beside an empty cell


def load_manifest(path) -> pd.DataFrame:
    """Read a manifest and check it; raises MammoError that names the rows at fault.

    Patient ids come as text. A path is also found where its name has another Unicode form on disk.
    """
    path = as_path(path)
    manifest = read_csv(path)
    for column in manifest.columns.intersection(PATH_COLUMNS):
        known = manifest[column].notna()
        files = find_files(path.parent / p for p in manifest.loc[known, column])
        manifest[column] = manifest[column].astype(object)
        manifest.loc[known, column] = [absolute(file) for file in files]
    check_manifest(manifest)
    manifest["patient_id"] = patient_ids(manifest)
    missing = [p for p in manifest["path"] if not os.path.isfile(p)]
    if missing:
        raise MammoError(f"{path.name} names {len(missing)} images that {why_missing(missing[0])}, first {missing[0]}.")
    return manifest


def save_manifest(manifest: pd.DataFrame, path) -> Path:
    """Write a checked manifest as CSV, whole or not at all, with paths relative to its folder and ids as text."""
    check_manifest(manifest)
    path = as_path(path)
    if path.suffix.lower() in COMPRESSED:
        raise MammoError(f"{path.name}: a manifest is written uncompressed. Give it a name that ends in .csv.")
    table = manifest.assign(patient_id=patient_ids(manifest))
    for column in table.columns.intersection(PATH_COLUMNS):
        known = table[column].notna()
        folder = path.parent.resolve()
        table[column] = table[column].astype(object)
        table.loc[known, column] = [
            Path(os.path.relpath(absolute(p), folder)).as_posix() for p in table.loc[known, column]
        ]
    with errors_of_writing(path):
        write_atomically(path, lambda part: table.to_csv(part, index=False))
    return path


def patient_ids(table: pd.DataFrame) -> pd.Series:
    """The column `patient_id` as text, by which patients are compared; empty cells stay empty.

    Whole numbers have no decimals: 1, 1.0, "1" and "1.0" are one patient. Blanks around an id do not count, nor does
    the Unicode form of its letters; zeros in front and capitals do.
    """
    return table["patient_id"].map(_patient_id, na_action="ignore").astype(object)


def _patient_id(value) -> str:
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    text = normalized(str(value).strip())
    number = WHOLE_NUMBER.fullmatch(text)
    return number[1] if number else text


def check_manifest(manifest: pd.DataFrame) -> None:
    """Raise MammoError if a needed column is missing, a label or split unknown, or a patient in two splits."""
    check_table(manifest)
    check_needed(manifest.columns)
    check_images(manifest)
    check_patients(manifest)
    if "image_kind" in manifest:
        _check_words(manifest["image_kind"].dropna(), tuple(IMAGE_KINDS), "kinds of images")
    key = ["path", *(PATCH if "patch_size" in manifest else ())]
    twice = manifest["path"][manifest.assign(path=image_names(manifest)).duplicated(key)]
    if len(twice):
        raise MammoError(f"{len(twice)} images are listed twice, first {twice.iloc[0]}.")


def check_table(table) -> None:
    """Raise MammoError for what is no table, for two columns of one name, and where there are no rows."""
    import pandas as pd  # takes a third of a second, which an answer need not wait for

    if not isinstance(table, pd.DataFrame):
        raise MammoError(
            f"{type(table).__name__} is no table. Give one of pandas, such as mammo.load_manifest returns."
        )
    if table.columns.has_duplicates:
        raise MammoError(f"The manifest has the column {table.columns[table.columns.duplicated()][0]} twice.")
    if table.empty:
        raise MammoError("The manifest has no rows.")


def check_patients(table: pd.DataFrame) -> None:
    """Raise MammoError for a row without a patient, an unknown label or split (if any), and a patient in two splits."""
    for column in table.columns.intersection(["label", "patient_id"]):
        _check_filled(table, column)
    for column in table.columns.intersection(ONE_LINE):
        _check_one_line(table, column)
    if "label" in table:
        _check_words(table["label"], LABELS, "labels")
    if "split" not in table:
        return
    _check_words(table["split"].dropna(), SPLITS, "splits")
    without = table["split"].isna()
    if without.any() and not without.all():
        raise MammoError(
            f"{without.sum()} rows have no split, {_first(without)}, and others have one. Write {', '.join(SPLITS)} "
            "into each row, take these rows out, or split all anew with mammo.split_by_patient."
        )
    splits = table.groupby(patient_ids(table))["split"].nunique()
    leaking = splits.index[splits > 1]
    if len(leaking):
        raise MammoError(
            f"{len(leaking)} patients are in more than one split, first {leaking[0]}: what is learned from one "
            "image would be tested on another of the same breast. Use mammo.split_by_patient."
        )


def check_images(table: pd.DataFrame) -> None:
    """Raise MammoError where a table does not say which images its rows are."""
    check_table(table)
    if "path" not in table:
        raise MammoError("The table has no column path, which names the images.")
    _check_filled(table, "path")
    if not table["path"].map(lambda path: isinstance(path, str | Path)).all():
        raise MammoError("The manifest has a path that is no text. Write the names of the images as text.")
    for column in table.columns.intersection(list(PLACE)):
        _check_numbers(table, column)
    if "patch_size" in table and table.reindex(columns=list(PATCH)).isna().any(axis=None):
        raise MammoError(
            f"Some rows have no {', '.join(PATCH)}. A table holds whole images, or patches as mammo.lesion_patches "
            "makes them, not both."
        )


def image_names(table: pd.DataFrame) -> pd.Series:
    """The column `path` as text, by which images are compared, whatever the Unicode form of its letters."""
    return table["path"].map(lambda path: normalized(str(path)))


def _check_filled(table: pd.DataFrame, column: str) -> None:
    empty = table[column].isna() | (table[column].astype(str).str.strip() == "")
    if empty.any():
        raise MammoError(f"The manifest has no {column} in {empty.sum()} rows, {_first(empty)}.")


def _check_one_line(table: pd.DataFrame, column: str) -> None:
    broken = table[column].astype(str).str.strip().str.contains("[\r\n]")
    if broken.any():
        raise MammoError(
            f"The manifest has a line break in {column} in {broken.sum()} rows, {_first(broken)}. In a CSV file a "
            'quote that is not closed does this, and makes one row of several. Close or remove the quotes (").'
        )


def _check_numbers(table: pd.DataFrame, column: str) -> None:
    """Raise MammoError that names the cell where a filled one of a column of PLACE holds no such number."""
    import pandas as pd  # takes a third of a second, which an answer need not wait for

    kind, values = PLACE[column], pd.to_numeric(table[column].astype(object), errors="coerce").astype(float)
    fits = np.isfinite(values) & {"finite": True, "non-negative": values >= 0, "positive": values > 0}[kind]
    wrong = table[column].notna() & ~fits
    if wrong.any():
        cell = table[column][wrong].tolist()[0]
        raise MammoError(
            f"{column} is no {kind} number in {wrong.sum()} rows, {_first(wrong)}: {cell!r}. Write numbers with a "
            "decimal point, such as 12.5."
        )


def _first(marked: pd.Series) -> str:
    return f"first row {np.flatnonzero(marked)[0] + 1}, counted from 1 without the header"


def _check_words(values: Iterable, known: tuple[str, ...], what: str) -> None:
    strange = sorted({repr(value) for value in values if not (isinstance(value, str) and value in known)})
    if strange:
        raise MammoError(f"Unknown {what} {', '.join(strange)}; use {', '.join(known)}.")


def image_kind(manifest: pd.DataFrame) -> str:
    """What all images of a manifest are, one of IMAGE_KINDS.

    Raises MammoError where they are of several kinds: a model takes images of one kind.
    """
    given = manifest.reindex(columns=["image_kind"]).astype(object)  # a category takes no new word
    kinds = set(given["image_kind"].fillna("mammogram"))
    _check_words(kinds, tuple(IMAGE_KINDS), "kinds of images")
    if len(kinds) > 1:
        raise MammoError("The manifest has mammograms and micrographs. Use one table for each kind of image.")
    return kinds.pop()


def rows_in_split(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows of one split, with patient ids as text.

    Raises MammoError where there are none, where one of the two classes is missing, or where the manifest leaks.
    """
    check_manifest(manifest)
    rows = manifest[manifest["split"] == split] if "split" in manifest else manifest.iloc[:0]
    if rows.empty:
        raise MammoError(
            f"The manifest has no {split} images. Split it first: mammo.add_validation_split(manifest) where the owner "
            "has split it into train and test, else mammo.split_by_patient(manifest)."
        )
    classes = set(class_indices(rows))
    if len(classes) < len(CLASS_NAMES):
        found = "malignant" if 1 in classes else "not malignant"
        raise MammoError(
            f"All {len(rows)} images of the {split} split are {found}. Both classes are needed in each split: add "
            "images of the other one, or split again with mammo.split_by_patient(manifest)."
        )
    return rows.assign(patient_id=patient_ids(rows))


def lesion_patches(lesions: pd.DataFrame, margin: float = MARGIN, side: float | None = None) -> pd.DataFrame:
    """Located lesions -> a manifest with one row a lesion, whose image is a square around it.

    `lesions` is what `mammo.datasets` gives, or a manifest with `x, y, radius`. The square's side is `margin` times the
    lesion's diameter, at least 32 pixels, or `side` for all. Rows without a place or a label are left out, and their
    number is printed. It goes wherever a manifest goes: training, prediction, evaluation.
    Raises MammoError where no row is left, for a place that is no number, a negative radius, and a margin or side that
    is not above 0.
    """
    check_table(lesions)
    absent = [column for column in ("path", "x", "y", "radius") if column not in lesions]
    if absent:
        masks = "; lesions(root, locate=True) does, from their masks" if "mask_path" in lesions else ""
        raise MammoError(f"The lesions have no column {', '.join(absent)}: nobody has located them{masks}.")
    check_needed(lesions.columns)
    _check_words(lesions["label"].dropna(), LABELS, "labels")
    for name, value in {"margin": margin, "side": side}.items():
        if not (is_number(value) and value > 0) and (name, value) != ("side", None):
            raise MammoError(f"{name} is a positive number, not {value!r}.")
    for column in ("x", "y", "radius"):
        _check_numbers(lesions, column)
    located = lesions.dropna(subset=lesions.columns.intersection(["path", "label", "x", "y", "radius"]))
    radius = located["radius"].astype(float)
    located = located.assign(patch_size=float(side) if side else np.maximum(2 * radius * margin, SMALLEST))
    by_label = located.sort_values("label", key=lambda label: label.map(GRAVITY.index), ascending=False, kind="stable")
    located = by_label.drop_duplicates(["path", *PATCH]).sort_index().reset_index(drop=True)
    if len(located) < len(lesions):
        gone = len(lesions) - len(located)
        print(f"{gone} of {len(lesions)} rows have no label, no position, or that of a row whose label is kept.")
    check_manifest(located)
    return located


def patches_of(manifest: pd.DataFrame) -> list[tuple[float, float, float] | None]:
    """(x, y, side) of every row, or None where a row is the whole image."""
    if "patch_size" not in manifest:
        return [None] * len(manifest)
    return [tuple(map(float, place)) for place in manifest[list(PATCH)].to_numpy()]


def class_indices(manifest: pd.DataFrame) -> np.ndarray:
    """int64 (rows,): 1 where malignant, else 0 (normal counts as not malignant)."""
    return (manifest["label"] == CLASS_NAMES[1]).to_numpy().astype(np.int64)
