r"""Your own images: one sub-folder a label.

my_data/benign/P001_L_CC.dcm
my_data/malignant/P002_R_MLO.png
my_data/normal/...                  (if you have any)

manifest = folder.manifest("my_data", patient_pattern=r"(P\d+)_")
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, list_files, normalized
from mammo.core.manifest import CLASS_NAMES, LABELS
from mammo.datasets._tables import as_manifest, warn_of

ENDINGS = {".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm", ".bmp", ".webp", ""}
ENDINGS |= {".jp2", ".j2k", ".jls", ".ppm", ".pnm", ".pfm", ".gif"}


def manifest(root, patient_pattern: str) -> pd.DataFrame:
    """A manifest of all images under `root/benign`, `root/malignant` and, if there, `root/normal`, in any capitals.

    Other folders, and images beside the folders, get no row: a warning names them.
    `patient_pattern` is a regular expression whose first group is the patient's id, searched in each path
    below the label's folder. It is asked for and not guessed: two images of one patient in different
    splits would make every figure too good. Raises MammoError for a missing folder, a file of an unknown
    kind, and a path in which the pattern finds no patient.
    """
    root = as_path(root)
    files = [path.relative_to(root) for path in list_files(root)]
    folders = ["".join(file.parent.parts[:1]) for file in files]  # of files beside them an empty name
    absent = [name for name in CLASS_NAMES if name not in map(str.lower, folders)]
    if absent:
        there = ", ".join(sorted({*folders} - {""})) or "none"
        raise MammoError(
            f"{root} has no sub-folder {' and no '.join(absent)} with files; its sub-folders with files are: {there}. "
            "Sort the images into them by label."
        )
    pattern, unknown = _compiled(patient_pattern), {"laterality": None, "view": None}
    rows, others = [], Counter()
    for file, folder in zip(files, folders, strict=True):
        if folder.lower() in LABELS:
            row = {"path": absolute(root / file), "label": folder.lower(), "patient_id": _patient(file, pattern)}
            rows.append(row | unknown)
        elif _may_be_image(file):
            others[folder or "beside the sub-folders"] += 1
    source, named = root.resolve().name, [f"{name} ({number})" for name, number in others.items()]
    warn_of(source, f"places hold images that get no row, as only folders named {', '.join(LABELS)} do", named)
    return as_manifest(rows, source)


def _compiled(patient_pattern: str) -> re.Pattern:
    try:
        pattern = re.compile(patient_pattern)
    except (re.error, TypeError) as error:
        raise MammoError(f"patient_pattern {patient_pattern!r} is no regular expression ({error}).") from None
    if pattern.groups < 1:
        raise MammoError(rf"patient_pattern {patient_pattern!r} has no group: put the id in brackets, like r'(P\d+)_'.")
    return pattern


def _may_be_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS or path.suffix[1:].isdigit()


def _patient(inside: Path, pattern: re.Pattern) -> str:
    if not _may_be_image(inside):
        raise MammoError(f"{inside} is no image of a kind known here. Move it out of the folder.")
    found = pattern.search(normalized(Path(*inside.parts[1:]).as_posix()))
    if not found or not found.group(1):
        raise MammoError(f"The pattern {pattern.pattern!r} finds no patient in {inside}. Mend the pattern or the name.")
    return found.group(1)
