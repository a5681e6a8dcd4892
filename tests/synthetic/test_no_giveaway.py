"""Nothing but the lesion's shape and margin tells the classes apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

import mammo
from mammo.core.manifest import class_indices
from mammo.data.image_loader import ImageLoader
from mammo.synthetic import dataset, draw_patient, phantom
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


def twins(number, difficulty):
    """A patient with a benign and one with a malignant lesion, from the same random numbers."""
    return [draw_patient(np.random.default_rng(number), label, difficulty) for label in mammo.CLASS_NAMES]


def test_the_label_decides_the_kind_of_the_lesion_and_nothing_else_of_a_patient():
    for number in range(200):
        benign, malignant = twins(number, 0.3)
        lesion = replace(malignant.lesion, kind=benign.lesion.kind)
        assert replace(malignant, label="benign", lesion=lesion) == benign


def test_without_contrast_the_label_changes_no_pixel_and_no_place():
    away = []
    for number in range(40):
        view = ("CC", "MLO")[number % 2]
        (benign, first), (malignant, second) = (
            phantom(patient, patient.side, view, SIZE, np.random.default_rng(number)) for patient in twins(number, 1.0)
        )
        np.testing.assert_array_equal(malignant, benign)
        away.append(np.hypot(*(np.argwhere(first).mean(axis=0) - np.argwhere(second).mean(axis=0))))
    assert np.median(away) < 1.5
    assert max(away) < 10, "specks are scattered around their middle"


def texture(square):
    """How sharp and how noisy a square is, as a whole and by rows and columns."""
    detail, edges = square - ndimage.gaussian_filter(square, 1), ndimage.laplace(square)
    across, down = (np.abs(np.diff(square, axis=axis)).mean() for axis in (1, 0))
    smooth = ndimage.gaussian_filter(square, 1).std() + 1e-6
    return [square.std(), edges.std(), detail.std(), np.median(np.abs(edges)), edges.std() / smooth, across, down]


def boosted_auc(features, truth, patients):
    """AUC of gradient boosting, from five folds by patient; the mean of three."""
    aucs = []
    for seed in range(3):
        trees = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=seed)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        score = cross_val_predict(trees, features, truth, groups=patients, cv=folds, method="predict_proba")
        aucs.append(roc_auc_score(truth, score[:, 1]))
    return np.mean(aucs)


@pytest.mark.parametrize(("patients", "margin"), [(200, 0.12), pytest.param(1500, 0.06, marks=pytest.mark.slow)])
def test_squares_around_invisible_lesions_give_nothing_away(tmp_path, monkeypatch, patients, margin):
    """Neither the place between pixels nor sharpness and noise, of all lesions and of masses alone."""
    monkeypatch.setattr(dataset, "phantom", only_the_lesion)
    settings = SETTINGS | {"difficulty": 1.0, "image_size": (384, 288), "formats": ("png8",)}
    rows = [row for number in range(patients) for row in dataset._write_patient(tmp_path, number, **settings)]
    table = pd.DataFrame([row for row in rows if row["label"] != "normal"])
    table["path"] = [str(tmp_path / path) for path in table["path"]]
    squares = mammo.lesion_patches(table, side=64)
    loader = ImageLoader(squares, (64, 64))
    pixels = (loader[[index]][0, ..., 0] for index in range(len(squares)))
    features = {"texture": np.array([texture(square) for square in pixels])}
    features["place between pixels"] = squares[["x", "y"]].to_numpy() % 1
    features["both"] = np.hstack(list(features.values()))
    among = {"all": np.full(len(squares), True), "masses": ~squares["lesion_type"].str.contains("calc").to_numpy()}
    truth, owners = class_indices(squares), squares["patient_id"].to_numpy()
    aucs = {
        f"{name}, {kinds}": boosted_auc(values[rows], truth[rows], owners[rows])
        for name, values in features.items()
        for kinds, rows in among.items()
    }
    print("\n".join(f"{name} {auc:.3f}" for name, auc in aucs.items()))
    assert max(aucs.values()) < 0.5 + margin, aucs
