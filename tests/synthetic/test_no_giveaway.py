"""Nothing but the lesion's shape and margin tells the classes apart."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import mammo
from mammo.synthetic import dataset, phantom
from mammo.synthetic.acquisition import LOOKS
from mammo.synthetic.image_writers import FORMATS
from mammo.synthetic.lesion_classifier import cross_validated_auc

SIZE = (160, 120)
SETTINGS = {"seed": 11, "difficulty": dataset.DIFFICULTY, "image_size": SIZE, "formats": FORMATS, "looks": LOOKS}


def only_the_lesion(patient, side, view, image_size, rng):
    """Draws the breast with the lesion as always, and leaves the other one, which nobody looks at, black."""
    if patient.lesion is not None and side == patient.side:
        return phantom(patient, side, view, image_size, rng)
    return np.zeros(image_size, np.float32), np.zeros(image_size, bool)


def cues(row):
    """What an image, its mask, its file and its header show besides the lesion's shape and margin."""
    mammogram = mammo.read_mammogram(row["path"])
    image, mask = mammogram.image, mammo.read_mammogram(row["mask_path"]).image > 0.5
    is_left = row["laterality"] == "L"
    tag = image[:20, -40:] if is_left else image[:20, :40]
    return {
        "mean intensity": image.mean(),
        "brightest": np.percentile(image, 99.5),
        "intensity in the lesion": image[mask].mean(),
        "brightest in the lesion": image[mask].max(),
        "breast area": (image > 0.12).mean(),
        "lesion area": mask.sum(),
        "tag": tag.mean(),
        "border": image[[0, 1, -1, -2]].mean(),
        "bit depth": mammogram.bits,
        "polarity": mammogram.inverted,
        "dicom": row["path"].endswith(".dcm"),
        "file size": Path(row["path"]).stat().st_size,
        "mask to nominal size": mask.sum() / round(np.pi * (row["lesion_mm"] / row["pixel_mm"] / 2) ** 2),
        "density": "abcd".index(row["density"]),
        "left": is_left,
        "film": row["look"] == "film",
        "x": row["x"] if is_left else SIZE[1] - row["x"],
        "y": row["y"],
        "compressed": row["compressed_mm"],
        "size": row["lesion_mm"],
        "contrast": row["contrast"],
        "calcium": "calc" in row["lesion_type"],
        "number": int(row["patient_id"].split("-")[1]),
    }


@pytest.mark.parametrize(("patients", "margin"), [(375, 0.12), pytest.param(1250, 0.05, marks=pytest.mark.slow)])
def test_no_giveaway(tmp_path, monkeypatch, patients, margin):
    """600 images with lesions, or 2,000: nothing alone and nothing together knows the label."""
    monkeypatch.setattr(dataset, "phantom", only_the_lesion)
    table = []
    for number in range(patients):
        rows = dataset._write_patient(tmp_path, number, **SETTINGS)
        table += [row for row in rows if row["label"] != "normal"]
    assert len(table) == 1.6 * patients
    truth = np.array([row["label"] == "malignant" for row in table])
    assert truth.mean() == 0.5
    found = pd.DataFrame(
        [cues(row | {name: str(tmp_path / row[name]) for name in ("path", "mask_path")}) for row in table], dtype=float
    )
    aucs = found.apply(lambda cue: roc_auc_score(truth, cue))
    together = cross_validated_auc(found.to_numpy(), truth, [row["patient_id"] for row in table])
    print(f"{aucs.round(3).to_string()}\nall together {together:.3f}")
    assert aucs.between(0.5 - margin, 0.5 + margin).all(), aucs
    assert abs(together - 0.5) < margin + 0.01, "all of them together"
