"""RSNA Screening Mammography Breast Cancer Detection, 54,706 digital mammograms of 11,913 screened women.

    from mammo.datasets import rsna
    manifest = rsna.manifest("rsna-breast-cancer-detection")      # train.csv and train_images/<patient>/<image>.dcm

Read are the DICOM files as published, and the copies as PNG or JPEG that many people train on, at any size:
`<patient>_<image>.png` or `<patient>/<image>.png`. They are looked for in `train_images` or, where there is no such
folder, in all beside `train.csv` but `test_images`, which has no labels. There are no boxes and no masks, so there is
no table of lesions.

The label of a breast: `cancer` 1 is malignant, proven by biopsy; else `biopsy` 1 is benign; the rest is normal.

Licence: research and education, no passing on. Download, after agreeing to the rules of the competition, from
https://www.kaggle.com/competitions/rsna-breast-cancer-detection. Cite: C Carr et al., RSNA Screening Mammography Breast
Cancer Detection, Kaggle, 2022.

As published: 54,706 images of 11,913 patients, 1,158 images with cancer.

Traps:
- `cancer`, `biopsy`, `invasive` and `BIRADS` are of the breast. All its views have them, also where nothing is seen.
- The machine is a shortcut: some saw nearly only women without cancer, so a model gains by telling machines apart.
  Report by machine (`--by machine_id`, `mammo.subgroup_metrics`), and look at `site_id`, `implant` and `age` as well.
- Machines 29 and 210 stored their images inverted (MONOCHROME1). `mammo.read_mammogram` turns the DICOM files round. A
  copy as PNG does not say which it is: it may show white background, which `mammo.read_mammogram` warns of.
- One image in fifty has a cancer: accuracy says nothing here.
- `birads` is missing in half of the rows: 0 needs further images, 1 is negative, 2 benign. It is no biopsy. `density`
  is missing in half of them, too, in what this was run on for all images of site 2.
- Besides CC and MLO there are a few AT, LM, ML and LMO views. A breast may have several images of one view.
- Copies at a square size have squashed the aspect: everything that measures shape is measured wrongly on them.

Run on 1,690 images as JPEG, in the layout of the copies, and on a replica of the DICOM layout.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, errors_of_reading, list_files
from mammo.datasets._tables import (
    SIDES,
    as_manifest,
    check_counts,
    check_files,
    check_filled,
    read_table,
    translated,
    warn_of,
)

SOURCE = "RSNA"
PUBLISHED = {"images": 54_706, "patients": 11_913, "images with cancer": 1_158}
ENDINGS = (".dcm", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
NAME = re.compile(r"(\d+)_(\d+)")  # of a copy: patient, image
NO_YES = {"0": False, "1": True, "0.0": False, "1.0": True, "False": False, "True": True}
NEEDED = ("site_id", "patient_id", "image_id", "laterality", "view", "cancer", "biopsy", "machine_id")
TEXT = ("site_id", "machine_id", "density")
YES_OR_NO = ("biopsy", "invasive", "implant", "difficult_negative_case")


@errors_of_reading()
def manifest(root, partial: bool = False) -> pd.DataFrame:
    """One row an image, with what `train.csv` says: `machine_id`, `site_id`, `age`, `density`, `birads`, `implant`, ...

    Ids are text, `age` is in years; `biopsy`, `invasive`, `implant` and `difficult_negative_case` are True or False.
    There is no official split with labels: use `mammo.split_by_patient`.
    Raises MammoError that names missing and unknown images, and further files of one image; with `partial` it warns
    and goes on, with the DICOM file or the first one.
    """
    root = as_path(root)
    table = read_table(root / "train.csv", NEEDED)
    check_filled(table, NEEDED, "train.csv")
    there, twice = _files(root)
    known = table["patient_id"] + "/" + table["image_id"]
    if twice and not partial:
        raise MammoError(
            f"{len(twice)} images of {SOURCE} are there more than once, first {twice[0]}. Give the folder of one copy, "
            "or go on with the first file of each by partial=True."
        )
    warn_of(SOURCE, "files are further copies of an image, and are left out", twice)
    check_files(SOURCE, set(known) - set(there), set(there) - set(known), partial)
    table, known = (rows[known.isin(there)].reset_index(drop=True) for rows in (table, known))
    if table.empty:
        raise MammoError(f"{root} holds none of the images that train.csv names. Download the images too.")
    cancer, biopsy = (translated(table[column], NO_YES, "train.csv") for column in ("cancer", "biopsy"))
    counts = {"images": len(table), "patients": table["patient_id"].nunique(), "images with cancer": int(cancer.sum())}
    check_counts(SOURCE, counts, PUBLISHED, partial)
    label = cancer.map({True: "malignant", False: "normal"}).mask(~cancer.astype(bool) & biopsy.astype(bool), "benign")
    rows = {
        "path": [absolute(there[image]) for image in known],
        "label": label,
        "patient_id": table["patient_id"],
        "laterality": translated(table["laterality"], SIDES, "train.csv"),
        "view": table["view"],
        "image_id": table["image_id"],
    }
    rows |= {column: table[column] for column in TEXT if column in table}
    if "age" in table:
        rows["age"] = _numbers(table["age"])
    if "BIRADS" in table:
        rows["birads"] = table["BIRADS"].str.removesuffix(".0")
    rows |= {column: translated(table[column], NO_YES, "train.csv") for column in YES_OR_NO if column in table}
    return as_manifest(rows, SOURCE)


def _files(root: Path) -> tuple[dict[str, Path], list[str]]:
    """The file of each `patient/image`, the DICOM first, and the names of further files of the same images."""
    folder = root / "train_images"
    if folder.is_dir():
        files = list_files(folder, *ENDINGS)
    else:
        files = [path for path in list_files(root, *ENDINGS) if path.relative_to(root).parts[0] != "test_images"]
    there, twice = {}, []
    for path in sorted(files, key=lambda path: path.suffix.lower() != ".dcm"):
        named = NAME.fullmatch(path.stem)
        image = f"{named[1]}/{named[2]}" if named else f"{path.parent.name}/{path.stem}"
        if there.setdefault(image, path) != path:
            twice.append(path.relative_to(root).as_posix())
    return there, twice


def _numbers(column: pd.Series) -> pd.Series:
    try:
        return column.astype(float)
    except ValueError as error:
        raise MammoError(f"train.csv has an age that is no number ({error}). Download it again.") from None
