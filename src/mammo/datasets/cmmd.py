"""CMMD, the Chinese Mammography Database: 5,202 digital mammograms of 1,775 patients, every tumour proven by biopsy.

    from mammo.datasets import cmmd
    manifest = cmmd.manifest("CMMD")                             # the whole data set
    root = cmmd.download("data/CMMD", patients=300)              # or a part of it
    manifest = cmmd.manifest(root, partial=True)

Expected is the download of TCIA or of IDC: anywhere below the folder, a folder for each patient,
`D1-0001/<study>/<series>/1-1.dcm`. The table of labels is part of this package; a CMMD_clinicaldata_revision.xlsx (or
.csv) in the folder is used instead. Nobody has outlined lesions, so there is no table of them.

Licence: CC BY 4.0. Download, without asking, from https://doi.org/10.7937/tcia.eqde-4b16. Cite: C Cui et al., The
Chinese Mammography Database (CMMD): an online mammography database with biopsy confirmed types for machine diagnosis
of breast, The Cancer Imaging Archive, 2021. Described in: An Online Mammography Database with Biopsy Confirmed Types,
Scientific Data 10, 2023, https://doi.org/10.1038/s41597-023-02025-1.

As published: 5,202 images of 1,775 patients in two sets, D1 (1,026) and D2 (749), the second with the molecular
subtype. The owner's summary also speaks of 3,728 mammographies: the archive holds 5,202 images.

Traps:
- The spreadsheet has one row a breast. Of many patients both breasts were imaged, but only the one with the tumour
  has a row. Nobody says that the other is normal: its images have no label, are left out, and are named in a warning.
  With `other_breast="normal"` they come in as normal, which is your word and not the owner's.
- Side and view are only in the DICOM header, and the order of files says nothing about them.
- All patients had a benign or malignant disease. There are no screened women, and no labelled breast without one.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, errors_of_reading, list_files
from mammo.core.manifest import LABELS as KNOWN
from mammo.datasets._tables import (
    PACKAGED,
    SIDES,
    as_manifest,
    check_counts,
    check_files,
    check_filled,
    first_table,
    gravest,
    left_out,
    read_table,
    translated,
)
from mammo.datasets.download import draw_patients, fetch, idc_series
from mammo.io.headers_and_masks import side_and_view

SOURCE = "CMMD"
PUBLISHED = {"patients": 1775, "images": 5202}
LABELS = {"Benign": "benign", "Malignant": "malignant"}
FINDINGS = {"mass": "mass", "calcification": "calcification", "both": "mass, calcification"}
NOTICE = (
    "Licence: CC BY 4.0. Cite: C Cui et al., The Chinese Mammography Database (CMMD), The Cancer Imaging Archive, "
    "2021, https://doi.org/10.7937/tcia.eqde-4b16."
)
TABLES = ("CMMD_clinicaldata_revision.xlsx", "CMMD_clinicaldata_revision.csv")


def manifest(root, other_breast: str | None = None, partial: bool = False) -> pd.DataFrame:
    """One row an image of a breast with a row in the spreadsheet; `subtype` is the molecular one, where known.

    `other_breast` is the label for breasts without a row; None leaves their images out and warns with their names.
    Raises MammoError that names missing and unknown patients, and files that cannot be read; with `partial` it warns
    and goes on.
    """
    if other_breast not in (None, *KNOWN):
        raise MammoError(f"other_breast is None or one of {', '.join(KNOWN)}, not {other_breast!r}.")
    root = as_path(root)
    breasts = _breasts(root)
    patients = {patient for patient, _ in breasts}
    images = [(path, _patient(path, root)) for path in list_files(root, ".dcm")]
    there = {patient for _, patient in images}
    extra = [str(path.relative_to(root)) for path, patient in images if patient not in patients]
    check_files(SOURCE, patients - there, extra, partial)
    images = [(path, patient) for path, patient in images if patient in patients]
    check_counts(SOURCE, {"patients": len(there & patients), "images": len(images)}, PUBLISHED, partial)
    rows, without, no_side, unreadable = [], [], [], []
    for path, patient in images:
        name = str(path.relative_to(root))
        try:
            side, view = side_and_view(path)
        except MammoError:
            if not partial:
                raise
            unreadable.append(name)
            continue
        breast = breasts.get((patient, side)) or ({"label": other_breast} if other_breast and side else None)
        if breast:
            rows.append({"path": absolute(path), "patient_id": patient, "laterality": side, "view": view, **breast})
        else:
            (without if side else no_side).append(f"{patient} {side} {view}" if side else name)
    left_out(SOURCE, "because the spreadsheet has no row for the breast", without)
    left_out(SOURCE, "because their header does not say which breast they show", no_side)
    left_out(SOURCE, "because they cannot be read", unreadable)
    if not rows:
        raise MammoError(f"{root} holds no image of a breast that the spreadsheet of CMMD names.")
    return as_manifest(rows, SOURCE)


def download(folder, patients: int | None = None, seed: int = 0, max_gb: float | None = 10) -> Path:
    """Download patients of CMMD from the NCI Imaging Data Commons; needs the extra `download` of this package.

    Parameters
    ----------
    folder : path
        Files that are there already are not fetched again: repeat the call where it was interrupted.
    patients : int or None
        So many, stratified by label; of one seed, fewer are among the more. None for all 1,775 (22.9 GB).
    seed : int
    max_gb : float or None
        Refuse to fetch more; 1 GB is 10^9 bytes. None for no limit.

    Returns
    -------
    Path
        The folder, for `manifest`; with `partial=True` unless all patients are there.

    Raises
    ------
    MammoError
        See `mammo.datasets.download.fetch`.
    """
    labels = pd.DataFrame([{"patient": patient, **row} for (patient, _), row in _breasts(as_path(folder)).items()])
    drawn = draw_patients(labels.groupby("patient")["label"].agg(gravest).to_dict(), patients, seed)
    series = idc_series("cmmd").set_index("PatientID", drop=False)
    series = series.loc[[patient for patient in drawn if patient in series.index]]
    return fetch(folder, series, f"{SOURCE}, {len(drawn):,} patients", NOTICE, max_gb)


@errors_of_reading()
def _breasts(root: Path) -> dict[tuple[str, str], dict]:
    """What the spreadsheet says of each breast, by patient and side; the gravest where a breast has several rows."""
    path = first_table(root, *TABLES, PACKAGED / "CMMD_clinicaldata_revision.csv.gz")
    columns = ("ID1", "LeftRight", "Age", "abnormality", "classification", "subtype")
    table = read_table(path, columns, keep_default_na=False, na_values=[""])
    check_filled(table, ("ID1", "LeftRight", "classification"), path.name)
    table["LeftRight"] = translated(table["LeftRight"].str.upper(), SIDES, path.name)
    table["label"] = translated(table["classification"], LABELS, path.name)
    table["Age"] = pd.to_numeric(table["Age"], errors="coerce")
    table["lesion_type"] = translated(table["abnormality"], FINDINGS, path.name)
    breasts = {}
    for (patient, side), group in table.groupby(["ID1", "LeftRight"]):
        first = group[group["label"] == gravest(group["label"])].iloc[0]
        facts = {"label": first["label"], "lesion_type": first["lesion_type"], "age": first["Age"]}
        breasts[patient, side] = facts | {"subtype": first["subtype"], "lesions": len(group)}
    return breasts


def _patient(path: Path, root: Path) -> str:
    """The folder of the patient, D1-0001 or D2-0001, that a file lies in; else its first folder."""
    folders = path.relative_to(root).parts[:-1]
    return next((part for part in folders if part[:3] in ("D1-", "D2-")), folders[0] if folders else "")
