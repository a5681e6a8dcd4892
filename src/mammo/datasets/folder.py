r"""Your own images: one sub-folder a label.

my_data/benign/P001_L_CC.dcm
my_data/malignant/P002_R_MLO.png
my_data/normal/...                  (if you have any)

manifest = folder.manifest("my_data", patient_pattern=r"(P\d+)_")
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, list_files, normalized
from mammo.core.manifest import CLASS_NAMES, LABELS
from mammo.datasets._tables import as_manifest

ENDINGS = {".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm", ".bmp", ".webp", ""}
ENDINGS |= {".jp2", ".j2k", ".jls", ".ppm", ".pnm", ".pfm", ".gif"}


def manifest(root, patient_pattern: str) -> pd.DataFrame:
    """A manifest of all images under `root/benign`, `root/malignant` and, if there, `root/normal`.

    `patient_pattern` is a regular expression whose first group is the patient's id, searched in each path
    below the label's folder. It is asked for and not guessed: two images of one patient in different
    splits would make every figure too good. Raises MammoError for a missing folder, a file of an unknown
    kind, and a path in which the pattern finds no patient.
    """
    root = as_path(root)
    absent = [name for name in CLASS_NAMES if not (root / name).is_dir()]
    if absent:
        raise MammoError(f"{root} has no sub-folder {' and no '.join(absent)}. Sort the images into them by label.")
    pattern, unknown = _compiled(patient_pattern), {"laterality": None, "view": None}
    rows = [
        {"path": absolute(path), "label": label, "patient_id": _patient(path, root, pattern)} | unknown
        for label in LABELS
        if (root / label).is_dir()
        for path in list_files(root / label)
    ]
    if not rows:
        raise MammoError(f"{root} holds no images.")
    return as_manifest(rows, root.resolve().name)


def _compiled(patient_pattern: str) -> re.Pattern:
    try:
        pattern = re.compile(patient_pattern)
    except re.error as error:
        raise MammoError(f"patient_pattern {patient_pattern!r} is no regular expression ({error}).") from None
    if pattern.groups < 1:
        raise MammoError(rf"patient_pattern {patient_pattern!r} has no group: put the id in brackets, like r'(P\d+)_'.")
    return pattern


def _patient(path: Path, root: Path, pattern: re.Pattern) -> str:
    inside = path.relative_to(root)
    if path.suffix.lower() not in ENDINGS and not path.suffix[1:].isdigit():
        raise MammoError(f"{inside} is no image of a kind known here. Move it out of the folder.")
    found = pattern.search(normalized(Path(*inside.parts[1:]).as_posix()))
    if not found or not found.group(1):
        raise MammoError(f"The pattern {pattern.pattern!r} finds no patient in {inside}. Mend the pattern or the name.")
    return found.group(1)
