"""Synthetic mammograms in the folder and table in which CMMD is published.

    from mammo.synthetic import cmmd_folder
    root = cmmd_folder("demo_cmmd", patients=100)
    manifest = mammo.datasets.cmmd.manifest(root, partial=True)      # partial: of 1,775 patients there are 100

What reads this reads the real one: a folder for each patient, study and series, DICOM files whose header alone says
side and view, and the owner's table, one row a breast. Each patient has both views of the breast with the lesion.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pydicom.uid import generate_uid

from mammo.core.files import as_path, write_atomically
from mammo.synthetic._folders import Layout, claim, draw_rows
from mammo.synthetic._settings import replica_settings
from mammo.synthetic.breast import HEIGHT_MM
from mammo.synthetic.image_writers import write_image
from mammo.synthetic.lesions import CALCIFICATIONS
from mammo.synthetic.phantom import VIEWS, draw_patient, phantom

RECIPE = 3  # raised whenever the same settings would give other files
TABLE = "CMMD_clinicaldata_revision.csv"
COLUMNS = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype")
AGES = (25, 80)
FILES = re.compile(r"cmmd/D1-\d{4,}/[\d.]+/MG_[\d.]+/1-[12]\.dcm")
LAYOUT = Layout("synthetic.txt", ("cmmd",), (TABLE,), FILES)


def cmmd_folder(
    folder, patients: int = 100, seed: int = 0, difficulty: float = 0.3, image_size=(512, 384), processes: int = -1
) -> Path:
    """Write images and the table into `folder`; returns it.

    Parameters
    ----------
    folder : path
        One with the same settings is left as it is, one with other settings is made anew.
    patients : int
        Half have a malignant lesion, half a benign one. Age does not depend on it.
    seed : int
    difficulty : float
        From 0 to 1; takes the lesions' contrast away.
    image_size : (int, int)
        Height and width in pixels.
    processes : int
        So many draw at once; -1 for all cores.

    Raises
    ------
    MammoError
        Where a setting is impossible, or the folder holds anything else.
    """
    settings = replica_settings(patients, seed=seed, image_size=image_size, difficulty=difficulty, processes=processes)
    folder = as_path(folder)
    if claim(folder, LAYOUT, {"source": "CMMD", "recipe": RECIPE, **settings}) and (folder / TABLE).is_file():
        return folder
    patients = settings.pop("patients")
    draw = partial(_write_patient, folder / "cmmd", **settings)
    table = pd.DataFrame(draw_rows(draw, patients, processes, "synthetic CMMD"), columns=COLUMNS)
    write_atomically(folder / TABLE, lambda path: table.to_csv(path, index=False))
    return folder


def _write_patient(images: Path, number: int, seed: int, difficulty: float, image_size) -> list[tuple]:
    """Write both views of the breast with the lesion; returns its row of the table."""
    label = ("benign", "malignant")[number % 2]
    rng = np.random.default_rng([seed, number])
    patient = draw_patient(rng, label, difficulty, "digital")
    age, name = int(rng.integers(*AGES)), f"D1-{number + 1:04d}"
    study, series = (generate_uid(entropy_srcs=[what, str(seed), name]) for what in ("study", "series"))
    for index, view in enumerate(VIEWS):
        image, _ = phantom(patient, patient.side, view, image_size, np.random.default_rng([seed, number, 1 + index]))
        tags = {
            "PatientID": name,
            "PatientName": name,
            "PatientAge": f"{age:03d}Y",
            "ImageLaterality": patient.side,
            "ViewPosition": view,
            "PixelSpacing": [round(HEIGHT_MM / image.shape[0], 6)] * 2,
        }
        image = image if patient.side == "L" else image[:, ::-1]
        write_image(
            images / name / study / f"MG_{series}" / f"1-{index + 1}.dcm", image, "dicom12", tags, False, "cmmd"
        )
    abnormality = "calcification" if patient.lesion.kind in CALCIFICATIONS[label] else "mass"
    return [(name, patient.side, age, len(VIEWS), abnormality, label.capitalize(), None)]
