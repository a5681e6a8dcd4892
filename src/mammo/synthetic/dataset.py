"""Folders of synthetic images with their manifest."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from PIL import Image, ImageDraw, ImageFont
from tqdm.auto import tqdm

from mammo.errors import MammoError
from mammo.manifest import CLASS_NAMES, PATH_COLUMNS, load_manifest, save_manifest, split_by_patient
from mammo.synthetic.breast import HEIGHT_MM
from mammo.synthetic.phantom import VIEWS, draw_patient, phantom

RECIPE = 1  # raised whenever the same seed would give other pixels: an old folder is then made anew
DIFFICULTY = 0.5
MIN_PATIENTS = 16  # fewer cannot be split three ways with both classes in each


def generate_dataset(
    folder,
    patients: int = 200,
    seed: int = 0,
    difficulty: float = DIFFICULTY,
    image_size=(512, 384),
    processes: int = -1,
) -> pd.DataFrame:
    """Write synthetic mammograms, their masks and `manifest.csv` into `folder`; returns the manifest.

    Each patient gives two 8-bit PNGs, CC and MLO. Half of the patients have a malignant mass, the others a
    benign one. `difficulty` in [0, 1) lowers the contrast of the masses; `image_size` is (height,
    width) in pixels; `processes` is how many work at once (-1: all cores) and changes nothing but the time.
    A folder that was made with the same settings is completed where it is not whole, and otherwise left
    as it is; one made with other settings is replaced; one that holds anything else raises MammoError.
    """
    height, width = image_size
    if patients < MIN_PATIENTS or not 0 <= difficulty < 1 or height < 128 or width < 0.6 * height:
        raise MammoError(
            f"At least {MIN_PATIENTS} patients, a difficulty from 0 to below 1, a height of 128 pixels and a width of "
            f"0.6 times that are needed, not {patients}, {difficulty} and {height} x {width}."
        )
    settings = {"seed": seed, "difficulty": difficulty, "image_size": list(image_size)}
    draw = partial(_write_patient, seed=seed, difficulty=difficulty, image_size=tuple(image_size))
    return _dataset(folder, "synthetic", patients, settings, draw, processes)


def noise_dataset(folder, images: int = 200, seed: int = 0, image_size=(224, 224), processes: int = -1) -> pd.DataFrame:
    """Uniform random pixels with random labels, each image a patient of its own; returns the manifest.

    There is nothing to learn in them, so an honest evaluation finds an AUC near 0.5, give or take chance.
    Folders are treated as by `generate_dataset`.
    """
    settings = {"seed": seed, "image_size": list(image_size)}
    draw = partial(_write_noise, seed=seed, image_size=tuple(image_size))
    return _dataset(folder, "noise", images, settings, draw, processes)


def _dataset(folder, source: str, patients: int, settings: dict, draw, processes: int) -> pd.DataFrame:
    folder = Path(folder)
    settings = {"source": source, "recipe": RECIPE, "patients": patients, **settings}
    _claim(folder, settings)
    if _is_whole(folder):
        return load_manifest(folder / "manifest.csv")
    rows = Parallel(n_jobs=processes, return_as="generator")(delayed(draw)(folder, n) for n in range(patients))
    rows = [row for part in tqdm(rows, total=patients, desc=f"{source} images", unit="patient") for row in part]
    manifest = split_by_patient(pd.DataFrame(rows).assign(source=source), seed=settings["seed"])
    save_manifest(manifest, folder / "manifest.csv")
    return load_manifest(folder / "manifest.csv")


def _is_whole(folder: Path) -> bool:
    if not (folder / "manifest.csv").is_file():
        return False
    table = pd.read_csv(folder / "manifest.csv")
    paths = [path for column in table.columns.intersection(PATH_COLUMNS) for path in table[column].dropna()]
    return all((folder / path).is_file() for path in paths)


def _claim(folder: Path, settings: dict) -> None:
    """Leave `folder` with a `dataset.json` that holds these settings, and no image of another data set."""
    card = folder / "dataset.json"
    if folder.exists() and any(folder.iterdir()):
        if not _is_ours(card):
            raise MammoError(f"{folder} holds other files and is not touched. Choose a new folder for the data set.")
        for stale in folder.rglob("*.partial"):
            stale.unlink()
        if card.read_text() == _settings_text(settings):
            return
        for name in ("manifest.csv", "dataset.json"):
            (folder / name).unlink(missing_ok=True)
        for name in ("images", "masks"):
            shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    _write_whole(card, lambda path: path.write_text(_settings_text(settings)))


def _is_ours(card: Path) -> bool:
    """Other programs use the name dataset.json too."""
    try:
        found = json.loads(card.read_text())
        return found["source"] in ("synthetic", "noise") and "recipe" in found
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _settings_text(settings: dict) -> str:
    return json.dumps(settings, indent=2) + "\n"


def _write_patient(folder: Path, number: int, seed: int, difficulty: float, image_size) -> list[dict]:
    rng = np.random.default_rng([seed, number])
    patient = draw_patient(rng, _label(number, seed), difficulty)
    rows = []
    for view in VIEWS:
        image, mask = phantom(patient, view, image_size, rng)
        if patient.laterality == "R":
            image, mask = image[:, ::-1], mask[:, ::-1]
        image = with_tag(image, f"{patient.laterality} {view}", left=patient.laterality == "R", rng=rng)
        name = f"S{number:05d}_{patient.laterality}_{view}"
        path, mask_path = folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png"
        _write_png(path, np.rint(image * 255).astype(np.uint8))
        _write_png(mask_path, mask.astype(np.uint8) * 255)
        y, x = (float(c) for c in np.argwhere(mask).mean(axis=0))
        rows.append(
            {
                "path": str(path),
                "label": patient.label,
                "patient_id": f"S{number:05d}",
                "laterality": patient.laterality,
                "view": view,
                "lesion_type": "round mass" if patient.label == "benign" else "spiculated mass",
                "density": patient.density,
                "mask_path": str(mask_path),
                "x": round(x, 1),
                "y": round(y, 1),
                "radius": round(float(np.sqrt(mask.sum() / np.pi)), 1),
                "lesion_mm": round(2 * float(np.sqrt(patient.lesion_area / np.pi)), 1),
                "pixel_mm": HEIGHT_MM / image_size[0],
            }
        )
    return rows


def _label(number: int, seed: int) -> str:
    """Of each two neighbours one is malignant, and a coin decides which: balanced, and not told by the number."""
    return CLASS_NAMES[(number + np.random.default_rng([seed, number // 2, 1]).integers(2)) % 2]


def with_tag(image: np.ndarray, text: str, left: bool, rng) -> np.ndarray:
    """The image with a burned-in label in the upper corner away from the breast, as on films."""
    height, width = image.shape
    picture = Image.fromarray(image.astype(np.float32))
    size = height / 24
    column = width * (rng.uniform(0.02, 0.08) if left else rng.uniform(0.80, 0.86))
    ImageDraw.Draw(picture).text(
        (column, height * rng.uniform(0.02, 0.08)), text, fill=0.9, font=ImageFont.load_default(size)
    )
    return np.asarray(picture)


def _write_noise(folder: Path, number: int, seed: int, image_size) -> list[dict]:
    rng = np.random.default_rng([seed, number])
    path = folder / "images" / f"N{number:05d}.png"
    _write_png(path, rng.integers(0, 256, image_size, dtype=np.uint8))
    return [
        {
            "path": str(path),
            "label": _label(number, seed),
            "patient_id": f"N{number:05d}",
            "laterality": None,
            "view": None,
        }
    ]


def _write_png(path: Path, pixels: np.ndarray) -> None:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, lambda partial_path: Image.fromarray(pixels).save(partial_path, format="PNG"))


def _write_whole(path: Path, write) -> None:
    """Write to a name of its own, then rename: the file appears whole or not at all."""
    partial_path = path.with_name(f"{path.name}.{os.getpid()}.partial")
    write(partial_path)
    os.replace(partial_path, path)
