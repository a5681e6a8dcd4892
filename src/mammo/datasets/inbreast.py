"""INbreast, 410 digital mammograms with outlines by a specialist. Labels are BI-RADS, not biopsies.

    from mammo.datasets import inbreast
    manifest = inbreast.manifest("INbreast Release 1.0")
    lesions = inbreast.lesions("INbreast Release 1.0")       # one row an outline

Expected is the release: AllDICOMs/, AllXML/ and INbreast.csv (or INbreast.xls, for which pandas needs `pip install
xlrd`; both are in the release). Any images with a table are read too, such as a copy as PNG: `images/`, `labels.csv`
with the columns file, patient_id, birads, view, laterality and, where known, acr_density and abnormality, and
`lesion_boxes.csv` with file, type, x1, y1, x2, y2 in pixels of these images.

The rule from BI-RADS to label, for images and their lesions: 1 is normal; 2 and 3 benign; 4a, 4b, 4c, 5 and 6
malignant. Of the breasts rated 4a few are malignant: what is measured here is agreement with the radiologist. 6 is
known from a biopsy.

Licence: given out on request by its owners, for research, no passing on; ask the Breast Research Group, INESC Porto
(medicalresearch@inescporto.pt). Cite: I C Moreira et al., INbreast: toward a full-field digital mammographic
database, Academic Radiology 19(2):236-248, 2012, https://doi.org/10.1016/j.acra.2011.09.014.

As published: 410 images of 115 cases; BI-RADS 1: 67, 2: 220, 3: 23, 4: 43, 5: 49, 6: 8.

Traps:
- The tables say "removed" instead of a patient. The id is the second part of a file's name. The 115 cases are fewer
  women, as some came twice, which the id catches.
- Many women have benign and malignant images: split by patient.
- Views are CC and MLO (ML in the names of files); one image has FB.
- Names of outlines vary (Asymmetry, Assymetry; Spiculated, Espiculated region), and some calcifications have none
  (Unnamed, Point 1, Point 3). They are brought together here. A calcification can be a single point: radius 0.
- Some outlines have no points, or points that are no numbers. They are lesions without a place, named in a warning.
- Outlines are in pixels of the images as published (SIZES). They are scaled to a copy of the same aspect, and have no
  place in an image of another one. Where one lies outside its image, all of that image are left without a place.
- An outline has no BI-RADS of its own; its label is that of its image.
"""

from __future__ import annotations

import plistlib
import re
from pathlib import Path

import numpy as np
import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, errors_of_reading, find_files, list_files
from mammo.datasets._geometry import circle_of_box, circle_of_outline, place_in_images, same_aspect, sizes_of
from mammo.datasets._tables import (
    SIDES,
    as_manifest,
    check_counts,
    check_files,
    check_filled,
    first_table,
    in_order,
    read_table,
    translated,
)

SOURCE = "INbreast"
PUBLISHED = {f"BI-RADS {birads}": n for birads, n in {"1": 67, "2": 220, "3": 23, "4": 43, "5": 49, "6": 8}.items()}
LABELS = {"1": "normal", "2": "benign", "3": "benign"} | dict.fromkeys(["4", "4a", "4b", "4c", "5", "6"], "malignant")
KINDS = {
    "mass": "mass",
    "calcification": "calcification",
    "calcifications": "calcification",
    "unnamed": "calcification",
    "point 1": "calcification",
    "point 3": "calcification",
    "cluster": "cluster of calcifications",
    "spiculated region": "spiculated region",
    "espiculated region": "spiculated region",
    "asymmetry": "asymmetry",
    "assymetry": "asymmetry",
    "distortion": "architectural distortion",
}
NAME = re.compile(r"(\d+)_([^_]+)_")  # number of the image, patient
SIZES = ((4084, 3328), (3328, 2560))  # rows and columns of the images, by compression plate
BOX = ["x1", "y1", "x2", "y2"]
OWN = ("file", "patient_id", "birads", "view", "laterality")


@errors_of_reading()
def manifest(root, partial: bool = False) -> pd.DataFrame:
    """One row an image; `birads` and `density` (ACR 1 to 4) are the owner's, `lesions` the number of outlines.

    Raises MammoError that names missing and unknown images; with `partial` it warns and goes on.
    """
    root = as_path(root)
    rows = _there(root, partial)
    number = _located(root, rows).groupby("path").size()
    return as_manifest(rows.drop(columns="name").assign(lesions=rows["path"].map(number).fillna(0).astype(int)), SOURCE)


@errors_of_reading()
def lesions(root, partial: bool = False) -> pd.DataFrame:
    """One row an outline or box: path, label and patient of its image, kind, and x, y, radius in pixels, y down.

    Raises MammoError as `manifest` does; with `partial` the lesions of images that are there.
    """
    root = as_path(root)
    return _located(root, _there(root, partial))


def _there(root: Path, partial: bool) -> pd.DataFrame:
    """One row an image that is there, after what is missing, unknown or not as published has been reported."""
    own = (root / "labels.csv").is_file()
    rows = _own_table(root) if own else _release(root)
    twice = rows["name"][rows["name"].duplicated()]
    if len(twice):
        raise MammoError(f"The table of {SOURCE} has {len(twice)} images twice, first {twice.iloc[0]}. Remove a row.")
    known = set(rows["path"])
    unknown = [path.name for path in _images(root) if absolute(path) not in known]
    missing = [*rows.loc[rows["path"].isna(), "name"]]
    if not own and not (root / "AllXML").is_dir():
        missing.append("AllXML")
    check_files(SOURCE, missing, unknown, partial)
    rows = rows[rows["path"].notna()]
    if not own:
        counts = rows["birads"].str[0].value_counts()
        check_counts(SOURCE, {name: int(counts.get(name[-1], 0)) for name in PUBLISHED}, PUBLISHED, partial)
    return rows


def _located(root: Path, images: pd.DataFrame) -> pd.DataFrame:
    own = (root / "labels.csv").is_file()
    found = _boxes(root, images) if own else _outlines(root, images)
    columns = ["path", "label", "patient_id", "laterality", "view", "birads", "name"]
    return in_order(found.merge(images[columns], on="name").drop(columns="name").assign(source=SOURCE))


def _release(root: Path) -> pd.DataFrame:
    """The owner's table, one row an image, with the file that belongs to it; `name` is the image's number."""
    path = first_table(root, "INbreast.csv", "INbreast.xls", "INbreast.xlsx")
    columns = ("File_Name", "Laterality", "View", "ACR", "Bi-Rads")
    table = read_table(path, columns, **({"sep": ";"} if path.suffix == ".csv" else {}))
    table = table[table["File_Name"].str.fullmatch(r"\d+(\.0)?", na=False)]  # the spreadsheet ends in remarks
    check_filled(table, ("Laterality", "View", "Bi-Rads"), path.name)
    name = table["File_Name"].str.removesuffix(".0")
    named = {path: NAME.match(path.name) for path in _images(root)}
    files = {match[1]: path for path, match in named.items() if match}
    birads = table["Bi-Rads"].str.lower()
    return pd.DataFrame(
        {
            "path": [absolute(files[n]) if n in files else None for n in name],
            "label": translated(birads, LABELS, path.name),
            "patient_id": [named[files[n]][2] if n in files else None for n in name],
            "laterality": translated(table["Laterality"].str.upper(), SIDES, path.name),
            "view": table["View"],
            "density": table["ACR"],
            "birads": birads,
            "name": name,
        }
    )


def _own_table(root: Path) -> pd.DataFrame:
    """Images of any kind with `labels.csv`, one row an image; the label follows from `birads`."""
    table = read_table(root / "labels.csv", OWN)
    check_filled(table, OWN, "labels.csv")
    label = translated(table["birads"].str.lower(), LABELS, "labels.csv")
    if "label" in table and (table["label"] != label).any():
        row = table[table["label"] != label].iloc[0]
        raise MammoError(f"labels.csv calls {row['file']} {row['label']} at BI-RADS {row['birads']}. Mend one of them.")
    files = find_files(root / file for file in table["file"])
    return pd.DataFrame(
        {
            "path": [absolute(file) if file.is_file() else None for file in files],
            "label": label,
            "patient_id": table["patient_id"],
            "laterality": translated(table["laterality"].str.upper(), SIDES, "labels.csv"),
            "view": table["view"],
            "lesion_type": table.get("abnormality"),
            "density": table["acr_density"].str.removesuffix(".0") if "acr_density" in table else None,
            "birads": table["birads"].str.lower(),
            "name": table["file"],
        }
    )


def _images(root: Path) -> list[Path]:
    folder = root / "AllDICOMs" if (root / "AllDICOMs").is_dir() else root / "images"
    return list_files(folder) if folder.is_dir() else []


def _boxes(root: Path, images: pd.DataFrame) -> pd.DataFrame:
    """All boxes in lesion_boxes.csv, of the images that are there."""
    path = root / "lesion_boxes.csv"
    if not path.is_file():
        return pd.DataFrame(columns=["name", "lesion_type", "x", "y", "radius"])
    table = read_table(path, ("file", "type", *BOX))
    strange = sorted(set(table["file"]) - set(_own_table(root)["name"]))
    if strange:
        raise MammoError(
            f"lesion_boxes.csv has boxes in {len(strange)} files that labels.csv does not name, first {strange[0]}. "
            "Use the same names in both."
        )
    table = table[table["file"].isin(images["name"])].reset_index(drop=True)
    try:
        corners = table[BOX].astype(float)
    except ValueError as error:
        raise MammoError(f"lesion_boxes.csv has an edge that is no number ({error}). Mend it.") from None
    circles = pd.DataFrame([circle_of_box(*box) for box in corners.to_numpy()], columns=["x", "y", "radius"])
    rows = table[["file", "type"]].set_axis(["name", "lesion_type"], axis=1).join(circles).join(corners)
    sizes = sizes_of(rows["name"].map(images.set_index("name")["path"]))
    return place_in_images(rows, [None] * len(rows), sizes, rows["name"], SOURCE, "boxes", BOX)


def _outlines(root: Path, images: pd.DataFrame) -> pd.DataFrame:
    """All outlines in AllXML, of the images that are there."""
    rows, drawn_on, sizes = [], [], []
    for name, size in zip(images["name"], sizes_of(images["path"]), strict=True):
        path = root / "AllXML" / f"{name}.xml"
        for region in _regions(path) if path.is_file() else []:
            kind = str(region.get("Name", "Unnamed")).strip().lower()
            rows.append({"name": name, "lesion_type": KINDS.get(kind, kind), **_circle(region)})
            drawn_on.append(next((plate for plate in SIZES if size and same_aspect(plate, size)), SIZES[0]))
            sizes.append(size)
    rows = pd.DataFrame(rows, columns=["name", "lesion_type", "x", "y", "radius"])
    return place_in_images(rows, drawn_on, sizes, rows["name"], SOURCE, "outlines")


def _circle(region: dict) -> dict[str, float]:
    """The middle and radius of an outline; NaN where it has no points, or points that are no numbers."""
    try:
        points = np.array([[float(v) for v in point.strip("() ").split(",")][:2] for point in region["Point_px"]])
        return circle_of_outline(points.reshape(-1, 2))
    except (KeyError, ValueError, AttributeError, TypeError, IndexError):
        return dict.fromkeys(("x", "y", "radius"), np.nan)


def _regions(path: Path) -> list[dict]:
    try:
        with path.open("rb") as file:
            return [region for image in plistlib.load(file)["Images"] for region in image["ROIs"]]
    except Exception as error:  # damaged XML fails anywhere inside the parser
        raise MammoError(f"{path.name} cannot be read ({error}). Take it from the release again.") from None
