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

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, errors_of_writing, find_files, normalized, why_missing, write_atomically

if TYPE_CHECKING:
    import pandas as pd

CLASS_NAMES = ("benign", "malignant")
LABELS = (*CLASS_NAMES, "normal")
GRAVITY = ("normal", "benign", "malignant")
SPLITS = ("train", "validation", "test")
IMAGE_KINDS = {"mammogram": 1, "micrograph": 3}  # channels of the model's input
NEEDED = ("path", "label", "patient_id")
PATH_COLUMNS = ("path", "mask_path")
PATCH = ("x", "y", "patch_size")
MARGIN, SMALLEST = 2.0, 32  # of a patch: its side in diameters of the lesion, and in pixels
WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+")  # what a spreadsheet makes of a number beside an empty cell


def load_manifest(path) -> pd.DataFrame:
    """Read a manifest and check it; raises MammoError that names the rows at fault.

    Patient ids come as text. A path is also found where its name has another Unicode form on disk.
    """
    import pandas as pd  # costs as much time and memory as an answer, which needs no table

    path = as_path(path)
    if not path.is_file():
        raise MammoError(f"{path}: there is no such manifest. Generate one, or build one with mammo.datasets.")
    try:
        manifest = pd.read_csv(path, dtype=dict.fromkeys(("patient_id", *PATH_COLUMNS), str))
        if "patient_id" in manifest:  # which may be NA, and is not empty then
            manifest["patient_id"] = pd.read_csv(path, usecols=["patient_id"], dtype=str, keep_default_na=False)
    except ValueError as error:  # what is damaged, and what is not text
        raise MammoError(f"{path.name} cannot be read as a CSV table ({error}).") from None
    except OSError as error:
        raise MammoError(f"{path} cannot be opened ({error.strerror or error}). Check its permissions.") from None
    if not isinstance(manifest.index, pd.RangeIndex):  # pandas takes the first cells for row names: all others move
        raise MammoError(f"{path.name} has rows with more cells than the table has columns. Mend these rows.")
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
    absent = [column for column in NEEDED if column not in manifest]
    if absent:
        raise MammoError(f"The manifest has no column {', '.join(absent)}; it needs {', '.join(NEEDED)}.")
    if manifest.columns.has_duplicates:
        raise MammoError(f"The manifest has the column {manifest.columns[manifest.columns.duplicated()][0]} twice.")
    check_images(manifest)
    for column in ("label", "patient_id"):
        _check_filled(manifest, column)
    _check_words(manifest["label"], LABELS, "labels")
    if "image_kind" in manifest:
        _check_words(manifest["image_kind"].dropna(), tuple(IMAGE_KINDS), "kinds of images")
    names = manifest.assign(path=manifest["path"].map(lambda path: normalized(str(path))))
    twice = manifest["path"][names.duplicated(["path", *(PATCH if "patch_size" in manifest else ())])]
    if len(twice):
        raise MammoError(f"{len(twice)} images are listed twice, first {twice.iloc[0]}.")
    if "split" not in manifest:
        return
    _check_words(manifest["split"].dropna(), SPLITS, "splits")
    splits = manifest.groupby(patient_ids(manifest))["split"].nunique(dropna=False)
    leaking = splits.index[splits > 1]
    if len(leaking):
        raise MammoError(
            f"{len(leaking)} patients are in more than one split, first {leaking[0]}: what is learned from one "
            "image would be tested on another of the same breast. Use mammo.split_by_patient."
        )


def check_images(table: pd.DataFrame) -> None:
    """Raise MammoError where a table does not say which images its rows are."""
    if "path" not in table:
        raise MammoError("The table has no column path, which names the images.")
    if table.empty:
        raise MammoError("The manifest has no rows.")
    _check_filled(table, "path")
    if not table["path"].map(lambda path: isinstance(path, str | Path)).all():
        raise MammoError("The manifest has a path that is no text. Write the names of the images as text.")
    if "patch_size" in table:
        try:
            places = table.reindex(columns=list(PATCH)).to_numpy(np.float64)
        except (TypeError, ValueError):  # words
            places = np.full((1, len(PATCH)), np.nan)
        if not np.isfinite(places).all() or (places[:, -1] <= 0).any():
            raise MammoError(
                f"Some rows have no {', '.join(PATCH)}. A table holds whole images, or patches as mammo.lesion_patches "
                "makes them, not both."
            )


def _check_filled(table: pd.DataFrame, column: str) -> None:
    empty = table.index[table[column].isna() | (table[column].astype(str).str.strip() == "")]
    if len(empty):
        raise MammoError(f"The manifest has no {column} in {len(empty)} rows, first row {empty[0]}.")


def _check_words(values: Iterable, known: tuple[str, ...], what: str) -> None:
    strange = sorted({repr(value) for value in values if not (isinstance(value, str) and value in known)})
    if strange:
        raise MammoError(f"Unknown {what} {', '.join(strange)}; use {', '.join(known)}.")


def image_kind(manifest: pd.DataFrame) -> str:
    """What all images of a manifest are, one of IMAGE_KINDS.

    Raises MammoError where they are of several kinds: a model takes images of one kind.
    """
    kinds = set(manifest["image_kind"].fillna("mammogram")) if "image_kind" in manifest else {"mammogram"}
    _check_words(kinds, tuple(IMAGE_KINDS), "kinds of images")
    if len(kinds) > 1:
        raise MammoError("The manifest has mammograms and micrographs. Use one table for each kind of image.")
    return kinds.pop()


def split_by_patient(manifest: pd.DataFrame, fractions=(0.6, 0.15, 0.25), seed: int = 0) -> pd.DataFrame:
    """The manifest with a new `split` column, all images of a patient in one split.

    `fractions` are the shares of patients in train, validation and test, and sum to 1. Patients are
    stratified by their gravest label: every split has its share of malignant, benign and normal ones. Where the
    patients of one label are too few for that, they are stratified by malignant or not.
    Raises MammoError where a split would lack one of the two classes.
    """
    check_manifest(manifest.drop(columns="split", errors="ignore"))
    if len(fractions) != 3 or min(fractions) <= 0 or not np.isclose(sum(fractions), 1):
        raise MammoError(f"The three fractions must be positive and sum to 1, not {tuple(fractions)}.")
    labels = _gravest_labels(manifest)
    try:
        train, rest = _halve(labels, fractions[1] + fractions[2], seed)
        validation, test = _halve(rest, fractions[2] / (fractions[1] + fractions[2]), seed)
    except ValueError:
        raise MammoError(
            f"{len(labels)} patients, {int((labels == CLASS_NAMES[1]).sum())} of them malignant, are too few for three "
            "splits with both classes in each."
        ) from None
    split_of = {patient: s for s, part in zip(SPLITS, (train, validation, test), strict=True) for patient in part.index}
    result = manifest.assign(split=patient_ids(manifest).map(split_of))
    check_manifest(result)
    return result


def add_validation_split(manifest: pd.DataFrame, fraction: float = 0.2, seed: int = 0) -> pd.DataFrame:
    """The manifest with a share of its training patients as validation; the owner's test stays as it is.

    Raises MammoError where there is no training part, or one of the two would lack a class.
    """
    if not 0 < fraction < 1:
        raise MammoError(f"fraction is the share of the training patients, between 0 and 1, not {fraction!r}.")
    labels = _gravest_labels(rows_in_split(manifest, "train"))
    try:
        _, validation = _halve(labels, fraction, seed)
    except ValueError:
        raise MammoError(f"{len(labels)} training patients are too few to take a validation from.") from None
    moved = (manifest["split"] == "train") & patient_ids(manifest).isin(validation.index)
    return manifest.assign(split=manifest["split"].astype(object).mask(moved, "validation"))


def _gravest_labels(manifest: pd.DataFrame) -> pd.Series:
    """The gravest label of each patient, by patient id in the order of the ids."""
    gravity = manifest["label"].astype(object).map(GRAVITY.index).groupby(patient_ids(manifest)).max().sort_index()
    return gravity.map(dict(enumerate(GRAVITY)))


def _halve(labels: pd.Series, fraction: float, seed: int) -> tuple[pd.Series, pd.Series]:
    from sklearn.model_selection import train_test_split  # costs a third of a second, which an answer need not wait for

    malignant = labels == CLASS_NAMES[1]
    try:
        first, second = train_test_split(labels, test_size=fraction, random_state=seed, stratify=labels)
    except ValueError:  # too few patients of one label
        first, second = train_test_split(labels, test_size=fraction, random_state=seed, stratify=malignant)
    if any(malignant[part.index].nunique() < 2 for part in (first, second)):
        raise ValueError("a class is missing")
    return first, second


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
    number is printed; raises MammoError where none is left. It goes wherever a manifest goes: training, prediction,
    evaluation.
    """
    absent = [column for column in ("path", "x", "y", "radius") if column not in lesions]
    if absent:
        raise MammoError(f"The lesions have no column {', '.join(absent)}: nobody has located them.")
    located = lesions.dropna(subset=lesions.columns.intersection(["path", "label", "x", "y", "radius"]))
    located = located.assign(patch_size=float(side) if side else np.maximum(2 * located["radius"] * margin, SMALLEST))
    located = located.drop_duplicates(["path", *PATCH]).reset_index(drop=True)
    if len(located) < len(lesions):
        gone = len(lesions) - len(located)
        print(f"{gone} of {len(lesions)} rows have no label, or no place of their own, and are left out.")
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
