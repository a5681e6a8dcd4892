"""Folders of synthetic images with their manifest."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mammo.core.arguments import check_whole
from mammo.core.errors import MammoError
from mammo.core.files import as_path, write_atomically
from mammo.core.manifest import PATH_COLUMNS, load_manifest, save_manifest
from mammo.core.splits import split_by_patient
from mammo.synthetic._folders import Layout, claim, draw_rows
from mammo.synthetic._settings import image_settings, mammogram_settings
from mammo.synthetic.acquisition import LOOKS, with_labels
from mammo.synthetic.breast import HEIGHT_MM
from mammo.synthetic.image_writers import FORMATS, extension, write_image, write_png
from mammo.synthetic.lesions import DESCRIPTIONS
from mammo.synthetic.phantom import SIDES, VIEWS, Patient, draw_patient, phantom

RECIPE = 5  # raised whenever the same seed would give other pixels: an old folder is then made anew
DIFFICULTY = 0.3
MIN_PATIENTS = 20
TOO_FEW = ": fewer cannot be split three ways with both classes in each"
LAYOUT = Layout(
    "dataset.json",
    ("images", "masks", "truth"),
    ("manifest.csv",),
    re.compile(
        r"images/(S\d+-\d{5,}_[LR]_(CC|MLO)|N\d+-\d{5,})\.(png|dcm)|masks/S\d+-\d{5,}_[LR]_(CC|MLO)\.png|truth/\d{5,}\.json"
    ),
)
OF_FIVE_PATIENTS = ("benign", "benign", "malignant", "malignant", "normal")


def generate_dataset(
    folder,
    patients: int = 200,
    seed: int = 0,
    difficulty: float = DIFFICULTY,
    image_size=(512, 384),
    formats=FORMATS,
    looks=LOOKS,
    processes: int = -1,
) -> pd.DataFrame:
    """Write synthetic mammograms, their masks and `manifest.csv` into `folder`; returns the manifest.

    Each patient gives four views, CC and MLO of both breasts. Of five patients two have a benign lesion, two a
    malignant one, in one breast; the images of the other breast, and of the fifth patient, are `normal`.
    `difficulty` from 0 to 1 takes the lesions' contrast away; `image_size` is (height, width) in pixels. Every
    patient's images have one of the `formats` ("png8", "png16", "dicom12", "dicom14") and one of the `looks`
    ("digital", "film"), drawn at random. `processes` is how many work at once (-1: all cores) and changes nothing
    but the time.

    A folder that was made with the same settings is completed where it is not whole, patient by patient, and
    otherwise left as it is; one made with other settings is replaced. Only files of the data set are removed: where its
    sub-folders hold others, nothing is.

    Beside the columns of every manifest there are `density`, `look`, `file_format`, `pixel_mm`, `compressed_mm` and,
    of an image with a lesion, `mask_path`, `lesion_type`, `description`, `x`, `y`, `radius` (pixels), `lesion_mm`
    and `contrast`.

    Raises MammoError for a folder that holds anything else, for fewer than 20 patients, for images that are too small
    or narrow, and for a difficulty, format or look that there is not.
    """
    check_whole("patients", patients, MIN_PATIENTS, TOO_FEW)
    settings = {"patients": int(patients)} | mammogram_settings(seed, image_size, difficulty, processes)
    for name, chosen, known in (("formats", formats, FORMATS), ("looks", looks, LOOKS)):
        if not isinstance(chosen, (list, tuple)) or not chosen or any(one not in known for one in chosen):
            raise MammoError(f"{name} must be a list with some of {', '.join(known)}, not {chosen!r}.")
    settings |= {"formats": tuple(formats), "looks": tuple(looks)}
    return _dataset(folder, "synthetic", settings, _write_patient, processes)


def noise_dataset(folder, images: int = 200, seed: int = 0, image_size=(224, 224), processes: int = -1) -> pd.DataFrame:
    """Uniform random pixels with random labels, each image a patient of its own; returns the manifest.

    There is nothing to learn in them, so an honest evaluation finds an AUC near 0.5, give or take chance.
    Folders are treated as by `generate_dataset`; `image_size` is (height, width) in pixels.
    """
    check_whole("images", images, MIN_PATIENTS, TOO_FEW)
    settings = {"patients": int(images)} | image_settings(seed, image_size, processes)
    return _dataset(folder, "noise", settings, _write_noise, processes)


def _dataset(folder, source: str, settings: dict, write, processes: int) -> pd.DataFrame:
    folder = as_path(folder)
    claim(folder, LAYOUT, {"source": source, "recipe": RECIPE, **settings})
    if not _is_whole(folder):
        patients = settings.pop("patients")
        draw = partial(_once, folder, write=write, **settings)
        manifest = pd.DataFrame(draw_rows(draw, patients, processes, f"{source} images")).assign(source=source)
        for column in manifest.columns.intersection(PATH_COLUMNS):
            manifest[column] = [str(folder / path) if isinstance(path, str) else None for path in manifest[column]]
        save_manifest(split_by_patient(manifest, seed=settings["seed"]), folder / "manifest.csv")
    return load_manifest(folder / "manifest.csv")


def _once(folder: Path, number: int, write, **drawn) -> list[dict]:
    """The rows of one patient, from `truth/` where all of her files are there already; otherwise they are made."""
    truth = folder / "truth" / f"{number:05d}.json"
    if truth.is_file():
        rows = json.loads(truth.read_text())
        if all((folder / row[column]).is_file() for row in rows for column in PATH_COLUMNS if row.get(column)):
            return rows
    rows = write(folder, number, **drawn)
    write_atomically(truth, lambda path: path.write_text(json.dumps(rows, indent=1)))
    return rows


def _is_whole(folder: Path) -> bool:
    try:
        table = pd.read_csv(folder / "manifest.csv")
    except (OSError, ValueError):
        return False
    paths = [path for column in table.columns.intersection(PATH_COLUMNS) for path in table[column].dropna()]
    return all((folder / path).is_file() for path in paths)


def _write_patient(folder: Path, number: int, seed: int, difficulty: float, image_size, formats, looks) -> list[dict]:
    rng = np.random.default_rng([seed, number])
    file_format, look = formats[rng.integers(len(formats))], looks[rng.integers(len(looks))]
    inverted = bool(rng.random() < 0.5)
    patient = draw_patient(rng, _label(number, seed), difficulty, look)
    name = f"S{seed}-{number:05d}"
    origin = f"{RECIPE} {seed} {difficulty} {image_size} {formats} {looks}"
    rows = []
    for index, (side, view) in enumerate((side, view) for side in SIDES for view in VIEWS):
        rng = np.random.default_rng([seed, number, 1 + index])
        image, mask = phantom(patient, side, view, image_size, rng)
        if side == "R":
            image, mask = image[:, ::-1], mask[:, ::-1]
        image = with_labels(image, f"{side} {view}", at_left=side == "R", unit=patient.unit, rng=rng)
        row = {
            "path": f"images/{name}_{side}_{view}{extension(file_format)}",
            "label": "normal",
            "patient_id": name,
            "laterality": side,
            "view": view,
            "density": patient.density,
            "look": look,
            "file_format": file_format,
            "pixel_mm": HEIGHT_MM / image_size[0],
            "compressed_mm": round(patient.compressed, 1),
        }
        if patient.lesion is not None and side == patient.side:
            row |= {"label": patient.label, "mask_path": f"masks/{name}_{side}_{view}.png"}
            row |= _truth_about(patient, mask)
            write_png(folder / row["mask_path"], mask.astype(np.uint8) * 255)
        write_image(folder / row["path"], image, file_format, _tags(row), inverted, origin)
        rows.append(row)
    return rows


def _truth_about(patient: Patient, mask: np.ndarray) -> dict:
    y, x = (float(c) for c in np.argwhere(mask).mean(axis=0))
    return {
        "lesion_type": patient.lesion.kind,
        "description": DESCRIPTIONS[patient.lesion.kind],
        "x": round(x, 1),
        "y": round(y, 1),
        "radius": round(float(np.sqrt(mask.sum() / np.pi)), 1),
        "lesion_mm": round(2 * float(np.sqrt(patient.lesion.area / np.pi)), 2),
        "contrast": round(patient.lesion.contrast, 3),
    }


def _tags(row: dict) -> dict:
    """What the DICOM header says of an image; nothing in it knows of the lesion."""
    return {
        "PatientID": row["patient_id"],
        "PatientName": f"Synthetic^{row['patient_id']}",
        "PatientBirthDate": "",
        "PatientSex": "F",
        "StudyDate": "",
        "StudyTime": "",
        "StudyID": row["patient_id"],
        "ReferringPhysicianName": "",
        "AccessionNumber": "",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "BodyPartExamined": "BREAST",
        "OrganExposed": "BREAST",
        "DetectorType": "",
        "ImageLaterality": row["laterality"],
        "ViewPosition": row["view"],
        "PatientOrientation": _orientation(row["laterality"], row["view"]),
        "ImagerPixelSpacing": [round(row["pixel_mm"], 6)] * 2,
        "PixelSpacing": [round(row["pixel_mm"], 6)] * 2,
        "BodyPartThickness": row["compressed_mm"],
        "PositionerType": "NONE",
        "BurnedInAnnotation": "YES",
        "LossyImageCompression": "00",
    }


def _orientation(side: str, view: str) -> list[str]:
    """Where the rows and the columns of an image lead in the patient: DICOM PS3.3, C.7.6.1.1.1."""
    to_the_middle = "R" if side == "L" else "L"
    return ["A" if side == "L" else "P", to_the_middle if view == "CC" else f"F{to_the_middle}"]


def _label(number: int, seed: int) -> str:
    """Of each five patients two are benign, two malignant, one normal: balanced, and not told by the number."""
    return OF_FIVE_PATIENTS[np.random.default_rng([seed, number // 5, 1, 1]).permutation(5)[number % 5]]


def _write_noise(folder: Path, number: int, seed: int, image_size) -> list[dict]:
    pixels = np.random.default_rng([seed, number]).integers(0, 256, image_size, dtype=np.uint8)
    label = ("benign", "malignant")[(number + np.random.default_rng([seed, number // 2, 1]).integers(2)) % 2]
    name = f"N{seed}-{number:05d}"
    row = {"path": f"images/{name}.png", "label": label, "patient_id": name}
    write_png(folder / row["path"], pixels)
    return [row]
