"""Synthetic mammograms in the folder and tables in which CBIS-DDSM is published.

    from mammo.synthetic import cbis_ddsm_folder
    root = cbis_ddsm_folder("demo_cbis_ddsm", patients=100)
    manifest = mammo.datasets.cbis_ddsm.manifest(root, partial=True)      # partial: of 1,566 patients there are 100

What reads this reads the real one: four tables with the owner's columns, a folder a film, and a folder a lesion with
its crop and its mask, now one first, now the other. Films of the breast with the lesion only, CC and MLO, as there.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mammo.core.files import as_path, write_atomically
from mammo.synthetic._folders import Layout, claim, draw_rows
from mammo.synthetic._settings import replica_settings
from mammo.synthetic.acquisition import with_labels
from mammo.synthetic.breast import HEIGHT_MM
from mammo.synthetic.image_writers import write_image, write_mask
from mammo.synthetic.lesions import CALCIFICATIONS, DESCRIPTIONS
from mammo.synthetic.phantom import VIEWS, draw_patient, phantom

RECIPE = 4  # raised whenever the same settings would give other files
TEST_SHARE = 0.2  # as of the real one
SPLITS = {"train": "Training", "test": "Test"}
LEFT_RIGHT = {"L": "LEFT", "R": "RIGHT"}
FIRST = ("patient_id", "breast_density", "left or right breast", "image view", "abnormality id", "abnormality type")
LAST = ("assessment", "pathology", "subtlety", "image file path", "cropped image file path", "ROI mask file path")
OWN = {"mass": ("mass shape", "mass margins"), "calc": ("calc type", "calc distribution")}
FILES = re.compile(r"CBIS-DDSM/(Mass|Calc)-(Training|Test)_P_\d{5,}_(LEFT|RIGHT)_(CC|MLO)(_1)?/.+/.+/1-[12]\.dcm")
TABLES = {(kind, split): f"{kind}_case_description_{split}_set.csv" for kind in OWN for split in SPLITS}
LAYOUT = Layout("synthetic.txt", ("CBIS-DDSM",), tuple(TABLES.values()), FILES)
SERIES = ("07-20-2016-DDSM-NA-{0}", "1.000000-{1}-{0}")


def cbis_ddsm_folder(
    folder, patients: int = 100, seed: int = 0, difficulty: float = 0.3, image_size=(512, 384), processes: int = -1
) -> Path:
    """Write films, crops, masks and the four tables into `folder`; returns it.

    Half of the patients have a malignant lesion, half a benign one; a fifth of each are the test. `difficulty` takes
    the lesions' contrast away; at 1 nothing is left of them. A folder with the same settings is left as it is, one
    with other settings is made anew; one that holds anything else, and an impossible setting, raise MammoError.
    """
    settings = replica_settings(patients, seed=seed, image_size=image_size, difficulty=difficulty, processes=processes)
    folder = as_path(folder)
    claimed = claim(folder, LAYOUT, {"source": "CBIS-DDSM", "recipe": RECIPE, **settings})
    if claimed and all((folder / table).is_file() for table in TABLES.values()):
        return folder
    rows = list(draw_rows(partial(_write_patient, folder, **settings), patients, processes, "synthetic CBIS-DDSM"))
    for (kind, split), name in TABLES.items():
        table = pd.DataFrame([row for row in rows if (row["kind"], row["split"]) == (kind, split)])
        table = table.reindex(columns=[*FIRST, *OWN[kind], *LAST])
        columns = {"breast_density": "breast density"} if kind == "calc" else {}  # as in the owner's tables
        write_atomically(folder / name, partial(table.rename(columns=columns).to_csv, index=False))
    return folder


def _write_patient(folder: Path, number: int, patients: int, seed: int, difficulty: float, image_size) -> list[dict]:
    label = ("benign", "malignant")[number % 2]
    patient = draw_patient(np.random.default_rng([seed, number]), label, difficulty, "film")
    kind = "calc" if patient.lesion.kind in CALCIFICATIONS[label] else "mass"
    split = "test" if number // 2 < round(TEST_SHARE * patients / 2) else "train"
    rows = []
    for index, view in enumerate(VIEWS):
        rng = np.random.default_rng([seed, number, 1 + index])
        image, mask = phantom(patient, patient.side, view, image_size, rng)
        if patient.side == "R":
            image, mask = image[:, ::-1], mask[:, ::-1]
        image = with_labels(image, f"{patient.side} {view}", patient.side == "R", patient.unit, rng)
        row = {
            "kind": kind,
            "split": split,
            "patient_id": f"P_{number + 1:05d}",
            "breast_density": "abcd".index(patient.density) + 1,
            "left or right breast": LEFT_RIGHT[patient.side],
            "image view": view,
            "abnormality id": 1,
            "abnormality type": {"mass": "mass", "calc": "calcification"}[kind],
            "assessment": 4,
            "pathology": "MALIGNANT" if label == "malignant" else "BENIGN",
            "subtlety": int(np.clip(np.ceil(5 * (1 - difficulty)), 1, 5)),
        }
        row |= dict(zip(OWN[kind], _described(patient.lesion.kind), strict=True))
        rows.append(row | _write_files(folder, row, image, mask, first_is_mask=bool(number % 2)))
    return rows


def _described(kind: str) -> tuple[str, str]:
    """Two of the owner's columns from "irregular, spiculated"."""
    first, _, second = DESCRIPTIONS[kind].upper().replace(" ", "_").partition(",_")
    return first, second or "N/A"


def _write_files(folder: Path, row: dict, image, mask, first_is_mask: bool) -> dict:
    """The film, and crop and mask, where the owner's retriever puts them; the names are the tables' last columns."""
    kind, split = row["kind"].capitalize(), SPLITS[row["split"]]
    film = f"{kind}-{split}_{row['patient_id']}_{row['left or right breast']}_{row['image view']}"
    tags = {
        "PatientID": film,
        "PatientName": film,
        "ImageLaterality": row["left or right breast"][0],
        "ViewPosition": row["image view"],
        "PixelSpacing": [round(HEIGHT_MM / image.shape[0], 6)] * 2,
    }
    places = {"film": (film, "full_mammogram_images", "1-1.dcm")}
    for what, number in (("crop", 2 if first_is_mask else 1), ("mask", 1 if first_is_mask else 2)):
        places[what] = (f"{film}_1", "ROI_mask_images", f"1-{number}.dcm")
    paths = {
        what: Path("CBIS-DDSM", case, *(part.format(row["patient_id"][2:], series) for part in SERIES), name)
        for what, (case, series, name) in places.items()
    }
    lesion = np.argwhere(mask)
    (top, left), (bottom, right) = np.maximum(lesion.min(axis=0) - 8, 0), lesion.max(axis=0) + 9
    write_image(folder / paths["film"], image, "dicom12", tags, False, "film")
    write_image(folder / paths["crop"], image[top:bottom, left:right], "dicom12", tags, False, "crop")
    write_mask(folder / paths["mask"], mask, tags, "mask")
    return dict(zip(LAST[3:], (paths[what].as_posix() for what in ("film", "crop", "mask")), strict=True))
