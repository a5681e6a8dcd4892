"""Mini-DDSM, 7,808 films of DDSM as smaller JPEG or PNG, with a spreadsheet and masks.

    from mammo.datasets import mini_ddsm
    manifest = mini_ddsm.manifest("MINI-DDSM-Complete-JPEG-8")       # or MINI-DDSM-Complete-PNG-16
    lesions = mini_ddsm.lesions("MINI-DDSM-Complete-JPEG-8")         # one row a mask

Expected are DataWMask.xlsx (or the same as .csv) and the folders Benign, Cancer and Normal beside it.

Licence: free for research with credit to the owners of both. Download from
https://www.kaggle.com/datasets/cheddad/miniddsm2. Cite: C D Lekamlage et al., Mini-DDSM: Mammography-based Automatic
Age Estimation, Digital Medicine and Image Processing, 2020, https://doi.org/10.1145/3441369.3441370, and Heath et al.
2001 (see `ddsm`).

As published: 1,952 cases of four films: 679 with cancer, 671 benign, 602 normal.

Traps:
- `Status` is the case's: of the 2,716 films called Cancer half show the other, healthy breast. The label here is the
  breast's: that of the case where a lesion is outlined in either view, else normal. `status` keeps the owner's word.
- What is outlined in a case with cancer may be a benign lesion beside it: the spreadsheet does not say. In full DDSM
  and CBIS-DDSM each lesion has its own pathology.
- Case numbers are used twice: Cancer/0115/C_0115 and Normal/0115/A_0115 are two patients. The letter is kept.
- Paths in the spreadsheet have backslashes, and end in .jpg for the PNGs too.
- CBIS-DDSM is made from the same films under other patient ids: never train on one and test on the other.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, errors_of_reading, list_files
from mammo.datasets._geometry import locate_masks
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

SOURCE = "Mini-DDSM"
PUBLISHED = {"films": 7808, "Cancer cases": 679, "Benign cases": 671, "Normal cases": 602}
LABELS = {"Cancer": "malignant", "Benign": "benign", "Normal": "normal"}
MASKS = {"Tumour_Contour": "mask_path", "Tumour_Contour2": "mask2_path"}
NEEDED = ("fullPath", "fileName", "View", "Side", "Status", *MASKS, "Density")
NONE = "-"


def manifest(root, partial: bool = False) -> pd.DataFrame:
    """One row a film; `mask_path` is its first mask, `lesions` the number of masks.

    Raises MammoError that names missing and unknown films and masks; with `partial` it warns and goes on.
    """
    root = as_path(root)
    rows = _films(root, partial)
    counts = {f"{status} cases": rows.loc[rows["status"] == status, "patient_id"].nunique() for status in LABELS}
    check_counts(SOURCE, {"films": len(rows)} | counts, PUBLISHED, partial)
    masks = rows[list(MASKS.values())].notna().sum(axis=1)
    return as_manifest(rows.assign(lesions=masks).drop(columns="mask2_path"), SOURCE)


def lesions(root, partial: bool = False, locate: bool = False) -> pd.DataFrame:
    """One row a mask, with the film and the label of the breast.

    With `locate` every mask is read for x, y and radius, in pixels of the film.
    """
    films = _films(as_path(root), partial)
    parts = [films.assign(mask_path=films[column]) for column in MASKS.values()]
    rows = pd.concat(parts, ignore_index=True).dropna(subset="mask_path").drop(columns="mask2_path")
    rows = rows.sort_values(["path", "mask_path"]).reset_index(drop=True)
    if locate:
        names = [f"{Path(path).parent.name}/{Path(path).name}" for path in rows["mask_path"]]
        rows = rows.join(locate_masks(rows["path"], rows["mask_path"], names, SOURCE, partial))
    return in_order(rows.assign(source=SOURCE))


@errors_of_reading()
def _films(root: Path, partial: bool) -> pd.DataFrame:
    path = first_table(root, "DataWMask.xlsx", "DataWMask.csv")
    table = read_table(path, NEEDED)
    check_filled(table, ("fullPath", "fileName", "View", "Side", "Status"), path.name)
    there = {path.relative_to(root).as_posix(): path for path in list_files(root, ".jpg", ".png")}
    ending = ".png" if any(name.endswith(".png") for name in there) else ".jpg"
    named = {
        column: (table[column].str.replace("\\", "/").str.removesuffix(".jpg") + ending).where(table[column] != NONE)
        for column in ("fullPath", *MASKS)
    }
    wanted = {name for column in named.values() for name in column.dropna()}
    extra = {name for name in set(there) - wanted if "mask" not in name.lower()}
    check_files(SOURCE, wanted - set(there), extra, partial)
    case = table["fileName"].str.extract(r"^([A-D]_\d+)_\d+\.(?:LEFT|RIGHT)_(?:CC|MLO)\.")[0]
    if case.isna().any():
        raise MammoError(f"{path.name} names {table['fileName'][case.isna()].iloc[0]}, which is no film of DDSM.")
    outlined = (case + table["Side"]).isin(set((case + table["Side"])[named["Tumour_Contour"].notna()]))
    rows = pd.DataFrame(
        {
            "path": named["fullPath"].map(there),
            "label": translated(table["Status"], LABELS, path.name).where(outlined, "normal"),
            "patient_id": case,
            "laterality": translated(table["Side"], SIDES, path.name),
            "view": table["View"],
            "density": table["Density"],
            "age": table.get("Age"),
            "status": table["Status"],
            **{ours: named[owners].map(there) for owners, ours in MASKS.items()},
        }
    )
    rows = rows[rows["path"].notna()]
    for column in ("path", *MASKS.values()):
        rows[column] = [absolute(file) if pd.notna(file) else None for file in rows[column]]
    return rows
