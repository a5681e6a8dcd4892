"""VinDr-Mammo, 20,000 digital mammograms of 5,000 examinations, judged by radiologists. There is no biopsy.

    from mammo.datasets import vindr_mammo
    manifest = vindr_mammo.manifest("vindr-mammo-1.0.0")
    lesions = vindr_mammo.lesions("vindr-mammo-1.0.0")      # one row a box around a finding

Expected are breast-level_annotations.csv, finding_annotations.csv and images/<study_id>/<image_id>.dicom.

Labels are what two radiologists, and a third where they disagreed, said of the breast in BI-RADS: 1 is normal, 2 and
3 benign, 4 and 5 malignant. None was proven. What is measured on them is agreement with radiologists, not with the
disease, and must not be reported beside measures on biopsies as if it were the same.

Licence: PhysioNet Restricted Health Data 1.5.0; no passing on. Ask for access at
https://physionet.org/content/vindr-mammo/1.0.0/ (an account and a signed agreement). Cite: H T Nguyen et al.,
VinDr-Mammo, Scientific Data 10:277, 2023, and the data, https://doi.org/10.13026/br2v-7517.

As published: 5,000 examinations of four views, 4,000 of them for training (16,000 images) and 1,000 for test (4,000).

Traps:
- There is no patient id. An examination counts as a patient here, as in the owner's split.
- BI-RADS and density are of the breast, so both views have them even where a finding is seen in one.
- Findings of BI-RADS 2 are not boxed: an image without a box is not a normal one.
- Boxes are in pixels of the image as published, whose height and width the table says. They are scaled to a smaller
  copy of the same aspect.
- Two breasts in three are BI-RADS 1, one in twenty 4 or 5. Accuracy says nothing here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, errors_of_reading, list_files
from mammo.datasets._geometry import circle_of_box, place_in_images, sizes_of
from mammo.datasets._tables import (
    as_manifest,
    check_counts,
    check_files,
    check_filled,
    in_order,
    is_there,
    read_table,
    translated,
)

SOURCE = "VinDr-Mammo"
PUBLISHED = {"images": 20_000, "examinations": 5_000, "training images": 16_000, "test images": 4_000}
LABELS = {
    "BI-RADS 1": "normal",
    "BI-RADS 2": "benign",
    "BI-RADS 3": "benign",
    "BI-RADS 4": "malignant",
    "BI-RADS 5": "malignant",
}
SPLITS = {"training": "train", "test": "test"}
NEEDED = ("study_id", "image_id", "laterality", "view_position", "breast_birads", "breast_density", "split")
BOX = ("xmin", "ymin", "xmax", "ymax")


@errors_of_reading()
def manifest(root, partial: bool = False) -> pd.DataFrame:
    """One row an image, with the official split; `lesions` is the number of boxes.

    Raises MammoError that names missing and unknown images; with `partial` it warns and goes on.
    """
    root = as_path(root)
    rows = _images(root, partial)
    counts = {"images": len(rows), "examinations": rows["patient_id"].nunique()}
    counts |= {f"{owners} images": int((rows["split"] == ours).sum()) for owners, ours in SPLITS.items()}
    check_counts(SOURCE, counts, PUBLISHED, partial)
    boxes = _boxes(root, rows["path"], partial)
    first = boxes.sort_values("birads", ascending=False, kind="stable").drop_duplicates("path").set_index("path")
    for column in ("lesion_type", "x", "y", "radius"):
        rows[column] = rows["path"].map(first[column])
    rows["lesions"] = rows["path"].map(boxes.groupby("path").size()).fillna(0).astype(int)
    return as_manifest(rows, SOURCE)


@errors_of_reading()
def lesions(root, partial: bool = False) -> pd.DataFrame:
    """One row a box: path, label (by the finding's own BI-RADS), kinds of finding, box, and its x, y, radius.

    Raises MammoError as `manifest` does for missing and unknown images; with `partial` the boxes of images that are
    there.
    """
    root = as_path(root)
    return in_order(_boxes(root, _images(root, partial)["path"], partial))


def _images(root: Path, partial: bool) -> pd.DataFrame:
    """One row an image that is there, after missing and unknown ones have been reported."""
    name = "breast-level_annotations.csv"
    table = read_table(root / name, NEEDED)
    check_filled(table, ("study_id", "image_id", "breast_birads", "split"), name)
    known = table["study_id"] + "/" + table["image_id"]
    folder = root / "images"
    files = list_files(folder, ".dicom") if folder.is_dir() else []
    there = {f"{path.parent.name}/{path.stem}": path for path in files}
    check_files(SOURCE, set(known) - set(there), set(there) - set(known), partial)
    rows = pd.DataFrame(
        {
            "path": [absolute(there[image]) if image in there else None for image in known],
            "label": translated(table["breast_birads"], LABELS, name),
            "patient_id": table["study_id"],
            "laterality": table["laterality"],
            "view": table["view_position"],
            "split": translated(table["split"], SPLITS, name),
            "density": table["breast_density"].str.removeprefix("DENSITY "),
            "birads": table["breast_birads"].str.removeprefix("BI-RADS "),
        }
    )
    return rows[rows["path"].notna()].copy()


def _boxes(root: Path, there: pd.Series, partial: bool) -> pd.DataFrame:
    """The boxes of images that are there, in pixels of these images."""
    name = "finding_annotations.csv"
    columns = ("study_id", "image_id", "laterality", "view_position", "finding_categories", "finding_birads")
    columns = (*columns, "height", "width", *BOX)
    path = root / name
    there_is = is_there(path, SOURCE, partial)
    table = read_table(path, columns) if there_is else pd.DataFrame(columns=columns, dtype=object)
    check_filled(table, ("study_id", "image_id"), name)
    images = [root / "images" / s / f"{i}.dicom" for s, i in zip(table["study_id"], table["image_id"], strict=True)]
    table["path"] = [absolute(path) for path in images]
    table = table[table["xmin"].notna() & table["path"].isin(there)].reset_index(drop=True)
    try:
        corners = table[list(BOX)].astype(float)
        drawn_on = list(table[["height", "width"]].astype(float).itertuples(index=False, name=None))
        kinds = [", ".join(ast.literal_eval(text)).lower() for text in table["finding_categories"]]
    except (ValueError, SyntaxError, TypeError):
        raise MammoError(f"{name} has a box or a finding that cannot be read. Download it again.") from None
    rows = pd.DataFrame(
        {
            "path": table["path"],
            "label": translated(table["finding_birads"], LABELS, name),
            "patient_id": table["study_id"],
            "laterality": table["laterality"],
            "view": table["view_position"],
            "source": SOURCE,
            "lesion_type": kinds,
            "birads": table["finding_birads"].str.removeprefix("BI-RADS "),
        }
    )
    circles = pd.DataFrame([circle_of_box(*box) for box in corners.to_numpy()], columns=["x", "y", "radius"])
    names = table["study_id"] + "/" + table["image_id"]
    sizes = sizes_of(table["path"])
    return rows.join(place_in_images(circles.join(corners), drawn_on, sizes, names, SOURCE, "boxes", BOX))
