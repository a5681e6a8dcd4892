"""CBIS-DDSM, 3,103 film mammograms with 3,568 outlined masses and calcifications, proven by biopsy or follow-up.

    from mammo.datasets import cbis_ddsm
    manifest = cbis_ddsm.manifest("CBIS-DDSM")                   # one row a file of a whole mammogram
    manifest = cbis_ddsm.manifest("CBIS-DDSM", kind="mass")      # those of the mass tables only
    lesions = cbis_ddsm.lesions("CBIS-DDSM")                     # one row a lesion, with its crop and its mask

    root = cbis_ddsm.download("data/CBIS-DDSM", kind="mass", patients=100)   # a part of it, from IDC
    manifest = cbis_ddsm.manifest(root, kind="mass", partial=True)

The four tables are part of this package; those in the folder, or in `csv/` in it, are used instead
(mass_case_description_train_set.csv, ...). Two layouts are read: the folders of TCIA and of IDC
(`.../Mass-Training_P_00001_LEFT_CC/<study>/<series>/1-1.dcm`, 000000.dcm in older downloads, wherever they lie below
the folder), and the Kaggle copy (`csv/dicom_info.csv` and `jpeg/<series>/1-1.jpg`; its JPEGs are 8 bits and lossy).

Licence: CC BY 3.0. Download, without asking, from https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY. Cite: R S Lee et
al., A curated mammography data set for use in computer-aided detection and diagnosis research, Scientific Data
4:170177, 2017.

As published: masses 1,318 and 378 lesions of 691 and 201 patients for training and test, calcifications 1,546 and 326
of 602 and 151; together 1,566 patients. No normal films.

Traps, all of them looked for in the tables themselves:
- The official split is made for masses and calcifications apart: 31 patients are in the training of one and the test
  of the other. With both kinds, all images of these patients are "test" here, 64 more than the official 645, so that
  nothing is trained on them; `official_split` keeps the owner's word.
- 71 films are in both, under two names and as two files: `film` is the same for both. A label is the gravest of all
  lesions that the tables in use give for a film; in 16 of the 71 the two tables alone would differ.
- Crop and mask are swapped in some rows and folders. They are told apart by their pixels: the mask has the size of
  the whole film or, where that does not decide, has only two grey values.
- Some masks are smaller than their film, as Mass-Test_P_00145. Places are scaled to the film where the aspect agrees,
  and left empty where it does not; both are said in a warning. `mask_path` is the file as it is.
- IDC has 246 films and 152 lesions of the calcification test set under another patient id, as P_00038_LEFT_CC.dcm for
  Calc-Test_P_00038_LEFT_CC. Its folder of this name is read as the film's.
- BENIGN_WITHOUT_CALLBACK counts as benign; `pathology` keeps the word. `N/A` in a description is a word of the owner.
- The same name is `breast density` in two tables and `breast_density` in two; quoted paths hold line breaks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, errors_of_reading, list_files
from mammo.datasets._geometry import crops_and_masks, locate_masks
from mammo.datasets._tables import (
    PACKAGED,
    SIDES,
    as_manifest,
    check_counts,
    check_files,
    check_filled,
    first_table,
    gravest,
    in_order,
    is_there,
    read_table,
    translated,
)
from mammo.datasets.download import draw_patients, fetch, idc_series

SOURCE = "CBIS-DDSM"
KINDS = ("mass", "calc")
SPLITS = {"train": "Training", "test": "Test"}
PUBLISHED = {("mass", "train"): 1318, ("mass", "test"): 378, ("calc", "train"): 1546, ("calc", "test"): 326}
LABELS = {"MALIGNANT": "malignant", "BENIGN": "benign", "BENIGN_WITHOUT_CALLBACK": "benign"}
FOLDER = re.compile(r"(Mass|Calc)-(Training|Test)_P_\d+_(LEFT|RIGHT)_(CC|MLO)(_\d+)?", re.IGNORECASE)
OF_IDC = re.compile(r"(P_\d+_(LEFT|RIGHT)_(CC|MLO)(_\d+)?)\.dcm")  # of the calcification test set
NOTICE = (
    "Licence: CC BY 3.0. Cite: R S Lee et al., A curated mammography data set for use in computer-aided detection and "
    "diagnosis research, Scientific Data 4:170177, 2017; https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY."
)
NAMES = {
    "left_or_right_breast": "laterality",
    "image_view": "view",
    "abnormality_id": "abnormality",
    "breast_density": "density",
    "assessment": "birads",
}
DESCRIPTIONS = {"mass": ("mass_shape", "mass_margins"), "calc": ("calc_type", "calc_distribution")}
NEEDED = ("patient_id", "laterality", "view", "abnormality", "birads", "pathology", "subtlety")


def manifest(root, kind: str | None = None, partial: bool = False) -> pd.DataFrame:
    """One row a file of a whole film, with the official split; of `kind` "mass", "calc" or both.

    `mask_path`, `lesion_type` and what else describes a lesion are those of the first gravest one; `lesions` is
    their number. Raises MammoError that names missing and unknown files; with `partial` it warns and goes on.
    """
    table = lesions(root, kind, partial)
    label = table.groupby("film")["label"].agg(gravest)  # while the rows without a file are here: they know it too
    table = table[table["path"].notna()]
    if table.empty:
        raise MammoError(f"{root} holds none of the films that the tables of CBIS-DDSM name. Download the images too.")
    number = table.groupby("path").size()
    gravest_first = table.sort_values("label", key=lambda column: column != "malignant", kind="stable")
    rows = gravest_first.drop_duplicates("path").sort_index()
    rows = rows.assign(label=rows["film"].map(label), lesions=rows["path"].map(number))
    return as_manifest(rows.drop(columns=["abnormality", "source"]), SOURCE)


@errors_of_reading()
def lesions(root, kind: str | None = None, partial: bool = False, locate: bool = False) -> pd.DataFrame:
    """One row a lesion: label, description, and the paths of the whole film, of its crop and of its mask.

    With `locate` every mask is read, which takes minutes, for x, y and radius in pixels of the film. With `partial`,
    a path is None where the file is missing, and lesions of a missing table are left out.
    """
    root = as_path(root)
    kinds = _kinds(kind)
    tables = [_table(root, k, split, partial) for k in kinds for split in SPLITS]
    table = pd.concat([part for part in tables if part is not None] or [_table(root, kinds[0], "train", False)])
    table = table.reset_index(drop=True)
    tested = set(table.loc[table["official_split"] == "test", "patient_id"])
    table["split"] = ["test" if patient in tested else "train" for patient in table["patient_id"]]
    wanted = {"Mass" if k == "mass" else "Calc" for k in kinds}
    files = {folder: paths for folder, paths in _files(root).items() if folder[:4] in wanted}
    _check(table, files, partial)
    for k, split in PUBLISHED:
        if k in kinds:
            found = {"lesions": int(((table["kind"] == k) & (table["official_split"] == split)).sum())}
            check_counts(f"{SOURCE}, {k} {split},", found, {"lesions": PUBLISHED[k, split]}, partial)
    films = [files.get(folder, [None])[0] for folder in table["folder"]]
    names = table["folder"] + "_" + table["abnormality"]
    pairs = crops_and_masks([files.get(name, []) for name in names], films, names, SOURCE, partial)
    paths = {"path": films, "crop_path": [crop for crop, _ in pairs], "mask_path": [mask for _, mask in pairs]}
    table = table.join(pd.DataFrame(paths, index=table.index, dtype=object))
    if locate:
        table = table.join(locate_masks(table["path"], table["mask_path"], names, SOURCE, partial))
    return in_order(table.drop(columns=["folder", "kind"]).assign(source=SOURCE))


def download(
    folder,
    kind: str | None = None,
    patients: int | None = None,
    crops: bool = False,
    masks: bool = False,
    seed: int = 0,
    max_gb: float | None = 10,
) -> Path:
    """Download films of CBIS-DDSM from the NCI Imaging Data Commons; needs the extra `download` of this package.

    Parameters
    ----------
    folder : path
        Files that are there already are not fetched again: repeat the call where it was interrupted.
    kind : str or None
        "mass" (53.6 GB for all patients), "calc" (49.0 GB) or None for both.
    patients : int or None
        So many, stratified by label and official split; of one seed, fewer are among the more. None for all.
    crops, masks : bool
        Fetch crops and masks of the lesions too. IDC has both in one place, so either brings both (60.9 GB in all).
    seed : int
    max_gb : float or None
        Refuse to fetch more; 1 GB is 10^9 bytes. None for no limit.

    Returns
    -------
    Path
        The folder, for `manifest` and `lesions`; with `partial=True` unless everything is there.

    Raises
    ------
    MammoError
        See `mammo.datasets.download.fetch`.
    """
    kinds = _kinds(kind)
    table = pd.concat([_table(as_path(folder), k, split, False) for k in kinds for split in SPLITS])
    facts = table.groupby("patient_id").agg({"label": gravest, "official_split": "min"})  # "test" is before "train"
    drawn = draw_patients((facts["label"] + facts["official_split"]).to_dict(), patients, seed)
    table = table.set_index("patient_id").loc[drawn]
    wanted = dict.fromkeys(table["folder"])
    if crops or masks:
        wanted |= dict.fromkeys(table["folder"] + "_" + table["abnormality"])
    series = idc_series("cbis_ddsm")
    order = series["PatientID"].map(_in_tables).map({name: at for at, name in enumerate(wanted)}).dropna().sort_values()
    return fetch(folder, series.loc[order.index], f"{SOURCE}, {len(drawn):,} patients", NOTICE, max_gb)


def _tables(root: Path) -> dict[str, Path]:
    """The four tables by name: those of the folder or, where it has none of them, those of this package."""
    names = [f"{kind}_case_description_{split}_set.csv" for kind in KINDS for split in SPLITS]
    own = {name: first_table(root, name, f"csv/{name}") for name in names}
    return own if any(path.is_file() for path in own.values()) else {name: PACKAGED / f"{name}.gz" for name in names}


def _kinds(kind: str | None) -> tuple[str, ...]:
    if kind not in (None, *KINDS):
        raise MammoError(f"kind is mass, calc or None for both, not {kind!r}.")
    return (kind,) if kind else KINDS


@errors_of_reading()
def _table(root: Path, kind: str, split: str, partial: bool) -> pd.DataFrame | None:
    """One of the four tables, in our words, with the folder that each film is in; with `partial` None if missing."""
    name = f"{kind}_case_description_{split}_set.csv"
    path = _tables(root)[name]
    if not is_there(path, SOURCE, partial):
        return None
    columns = ("patient_id", "pathology", "subtlety", *NAMES, *DESCRIPTIONS[kind])
    table = read_table(path, columns, keep_default_na=False, na_values=[""]).rename(columns=NAMES)
    check_filled(table, NEEDED, name)
    sides = translated(table["laterality"], SIDES, name)
    table["folder"] = (
        f"{kind.capitalize()}-{SPLITS[split]}_" + table["patient_id"] + "_" + table["laterality"] + "_" + table["view"]
    )
    return pd.DataFrame(
        {
            "label": translated(table["pathology"], LABELS, name),
            "patient_id": table["patient_id"],
            "laterality": sides,
            "view": table["view"],
            "lesion_type": "mass" if kind == "mass" else "calcification",
            "density": table["density"],
            "film": table["patient_id"] + "_" + sides + "_" + table["view"],
            "abnormality": table["abnormality"],
            "pathology": table["pathology"],
            "birads": table["birads"],
            "subtlety": table["subtlety"],
            **{column: table[column] for column in DESCRIPTIONS[kind]},
            "official_split": split,
            "kind": kind,
            "folder": table["folder"],
        }
    )


def _files(root: Path) -> dict[str, list[str]]:
    """The image files of each folder of TCIA; in the Kaggle copy its table says which file was in which."""
    files = defaultdict(list)
    listing = first_table(root, "csv/dicom_info.csv", "dicom_info.csv")
    if listing.is_file():
        table, there = read_table(listing, ("PatientID", "image_path")), set(list_files(root))
        check_filled(table, ("PatientID", "image_path"), listing.name)
        for folder, path in zip(table["PatientID"], table["image_path"], strict=True):
            image = root.joinpath(*PurePosixPath(path).parts[1:])
            if image in there:
                files[folder].append(absolute(image))
    else:
        for path in list_files(root, ".dcm"):
            parts = [_in_tables(part) for part in reversed(path.parts[:-1])]
            folder = next((part for part in parts if FOLDER.fullmatch(part)), path.parent.name)
            files[folder].append(absolute(path))
    return {folder: sorted(paths) for folder, paths in files.items()}


def _in_tables(folder: str) -> str:
    """The name in the owner's tables of a folder, or patient id, of IDC."""
    return OF_IDC.sub(r"Calc-Test_\1", folder)


def _check(table: pd.DataFrame, files: dict[str, list[str]], partial: bool) -> None:
    """Every film in its folder, one file; every lesion in a folder of its own, two files: crop and mask."""
    wanted = dict.fromkeys(table["folder"], 1) | dict.fromkeys(table["folder"] + "_" + table["abnormality"], 2)
    number = {folder: len(files.get(folder, [])) for folder in {*wanted, *files}}
    too_few = [f"{folder} ({number[folder]} of {n} files)" for folder, n in wanted.items() if number[folder] < n]
    too_many = [f"{folder} ({n} files)" for folder, n in number.items() if n > wanted.get(folder, 0)]
    check_files(SOURCE, too_few, too_many, partial)
