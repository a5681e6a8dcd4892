"""DDSM, 2,620 film cases with outlined lesions: the folders as they were on the owner's server.

    from mammo.datasets import ddsm
    manifest = ddsm.manifest("DDSM/cases")         # e.g. cases/cancers/cancer_01/case1112/A-1112-1.ics
    lesions = ddsm.lesions("DDSM/cases")           # one row an abnormality, with its outline

A case folder holds an .ics file, four .LJPEG films, and an .OVERLAY for each film with lesions.
`mammo.read_mammogram` reads the films (see `mammo.io.ddsm_ljpeg`). For the smaller copy see `mini_ddsm`.

Licence: free for research with credit to the owner. The server (ftp://figment.csee.usf.edu/pub/DDSM) no longer
answers; the pages are at http://www.eng.usf.edu/cvprg/Mammography/Database.html. Cite: M Heath et al., The Digital
Database for Screening Mammography, 5th International Workshop on Digital Mammography, 212-218, 2001.

As published: 2,620 cases in 43 volumes: 695 normal, 914 with cancer, 870 benign, 141 benign without callback. The
owner's list of volumes adds up to 702 normal and 919 with cancer, 2,632 in all.

Traps:
- The volume is the case's, not the breast's: in a case with cancer the other breast is mostly normal. The label here
  is the breast's, the gravest of the lesions outlined in its two views; a breast without an outline is normal. `volume`
  keeps the owner's word.
- A lesion of one view may not be seen in the other; `outlined` says whether this film has an outline.
- UNPROVEN is no label. Films of breasts with nothing else are left out and named in a warning.
- BENIGN_WITHOUT_CALLBACK counts as benign; `pathology` keeps the word. Nobody proved it by biopsy; of the
  other benign ones most, but not all, were: some by ultrasound only.
- Copies hold fewer cases than were published (2,602 have been counted): then `partial=True`.
- CBIS-DDSM is made from these films under other patient ids: never train on one and test on the other.

Run on a replica only: the owner's films cannot be had at the time of writing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, list_files
from mammo.datasets._geometry import circle_of_outline, follow_chain, place_in_images
from mammo.datasets._tables import as_manifest, check_counts, check_files, gravest, in_order, left_out, translated
from mammo.io.ddsm_ljpeg import read_ics
from mammo.io.decoding import read_bytes

SOURCE = "DDSM"
PUBLISHED = {"cases": 2620, "films": 10_480}
LABELS = {"MALIGNANT": "malignant", "BENIGN": "benign", "BENIGN_WITHOUT_CALLBACK": "benign"}
UNPROVEN = "UNPROVEN"
CASE = re.compile(r"([A-D])-(\d+)-(\d+)", re.IGNORECASE)


def manifest(root, partial: bool = False) -> pd.DataFrame:
    """One row a film; `lesion_type`, x, y, radius are the first gravest lesion's, `lesions` their number.

    Raises MammoError that names missing and unknown films and overlays; with `partial` it warns and goes on.
    """
    films = _films(as_path(root), partial)
    found = _lesions(films)
    films["breast"] = films["patient_id"] + films["laterality"]
    breast = found["patient_id"] + found["laterality"]
    proven = found["label"].notna()
    films["label"] = films["breast"].map(found[proven].groupby(breast[proven])["label"].agg(gravest))
    unproven = films["label"].isna() & films["breast"].isin(set(breast))
    unread = films["breast"].isin(set(films.loc[films["outlined"] & films["overlay"].isna(), "breast"]))
    unread &= films["label"] != "malignant"
    films, unproven, unread = (rows[films["complete"]] for rows in (films, unproven, unread))
    check_counts(SOURCE, {"cases": films["patient_id"].nunique(), "films": len(films)}, PUBLISHED, partial)
    for why, rows in (("nothing in the breast was proven", unproven & ~unread), ("an overlay is missing", unread)):
        left_out(SOURCE, f"as {why}", [Path(path).name for path in films.loc[rows, "path"]])
    films = films[~unproven & ~unread].fillna({"label": "normal"})
    first = found[proven].sort_values("label", key=lambda label: label != "malignant", kind="stable")
    first = first.drop_duplicates("path").set_index("path")
    for column in ("lesion_type", "x", "y", "radius", "pathology", "birads", "subtlety"):
        films[column] = films["path"].map(first[column])
    films["lesions"] = films["path"].map(found.groupby("path").size()).fillna(0).astype(int)
    return as_manifest(films.drop(columns=["overlay", "breast", "complete", "size"]), SOURCE)


def lesions(root, partial: bool = False) -> pd.DataFrame:
    """One row an abnormality: label (None where unproven), kind, x, y, radius, and `outline`, an array of x, y.

    `skimage.draw.polygon2mask((height, width), outline[:, ::-1])` fills an outline.
    """
    films = _films(as_path(root), partial)
    return in_order(_lesions(films[films["complete"]]).assign(source=SOURCE))


def read_overlay(path) -> list[dict]:
    """The abnormalities of an .OVERLAY file: what the owner says of each, and its outline as an array of x, y.

    Raises MammoError where the file is cut off.
    """
    path = Path(path)
    text = read_bytes(path).decode("latin-1")
    total = re.search(r"TOTAL_ABNORMALITIES\s+(\d+)", text)
    parts = re.split(r"^\s*ABNORMALITY\s+\d+\s*$", text, flags=re.MULTILINE)[1:]
    if not total or int(total[1]) != len(parts):
        said = total[1] if total else "no number of"
        raise MammoError(f"{path.name} announces {said} abnormalities and holds {len(parts)}. Download it again.")
    return [_abnormality(part, path.name) for part in parts]


def _abnormality(text: str, name: str) -> dict:
    """The outer outline counts; those called CORE lie inside it."""
    words = ("ASSESSMENT", "SUBTLETY", "PATHOLOGY")
    facts = {word: re.search(rf"^\s*{word}\s+(\S+)", text, re.MULTILINE) for word in words}
    boundary = re.search(r"BOUNDARY\s+(\d+)\s+(\d+)\s+((?:[0-7]\s+)*)#", text)
    kinds = re.findall(r"^\s*LESION_TYPE\s+(\S+)[ \t]*(.*)$", text, re.MULTILINE)
    if not boundary or not facts["PATHOLOGY"] or not kinds:
        raise MammoError(f"{name} is cut off: an abnormality has no kind, pathology or outline. Download it again.")
    x, y, chain = boundary.groups()
    return {
        "lesion_type": ", ".join(kind.lower() for kind, _ in kinds),
        "description": "; ".join(words.strip() for _, words in kinds),
        "pathology": facts["PATHOLOGY"][1],
        "birads": facts["ASSESSMENT"] and facts["ASSESSMENT"][1],
        "subtlety": facts["SUBTLETY"] and facts["SUBTLETY"][1],
        "outline": follow_chain(int(x), int(y), np.array(chain.split(), int)),
    }


def _films(root: Path, partial: bool) -> pd.DataFrame:
    """One row a film of all cases below the folder; `complete` where it and its overlay, if it has one, are there.

    The others are kept, as what is outlined in one view counts for the whole breast.
    """
    rows, missing, unnamed = [], [], []
    extra = {absolute(path) for path in list_files(root, ".ljpeg", ".overlay")}
    for ics in list_files(root, ".ics"):
        case = CASE.fullmatch(ics.stem)
        if not case:
            unnamed.append(ics.name)
            continue
        facts = read_ics(ics)
        for view, film in facts["views"].items():
            name = f"{ics.stem.replace('-', '_')}.{view}"
            path, overlay = ics.with_name(f"{name}.LJPEG"), ics.with_name(f"{name}.OVERLAY")
            wanted = [path, overlay] if film["overlay"] else [path]
            missing += [file.name for file in wanted if not file.is_file()]
            extra -= {absolute(file) for file in wanted}
            rows.append(
                {
                    "path": absolute(path),
                    "patient_id": f"{case[1].upper()}_{case[2]}",
                    "laterality": view[0],
                    "view": view.partition("_")[2],
                    "density": facts.get("DENSITY"),
                    "age": facts.get("PATIENT_AGE"),
                    "digitizer": facts.get("DIGITIZER"),
                    "volume": ics.parents[1].name,
                    "outlined": film["overlay"],
                    "size": (film["height"], film["width"]),
                    "overlay": overlay if overlay.is_file() else None,
                    "complete": all(file.is_file() for file in wanted),
                }
            )
    check_files(SOURCE, missing, [*unnamed, *map(os.path.basename, extra)], partial)
    if not any(row["complete"] for row in rows):
        raise MammoError(f"{root} holds no case of DDSM: no .ics file with its films below it.")
    return pd.DataFrame(rows)


def _lesions(films: pd.DataFrame) -> pd.DataFrame:
    rows, sizes = [], []
    for film in films[films["outlined"] & films["overlay"].notna()].itertuples():
        for lesion in read_overlay(film.overlay):
            image = {"path": film.path, "patient_id": film.patient_id, "laterality": film.laterality, "view": film.view}
            rows.append(image | lesion | circle_of_outline(lesion["outline"]))
            sizes.append(film.size)
    columns = ["path", "patient_id", "laterality", "view", "lesion_type", "description", "pathology", "birads"]
    table = pd.DataFrame(rows, columns=[*columns, "subtlety", "outline", "x", "y", "radius"])
    names = [Path(path).name for path in table["path"]]
    table = place_in_images(table, [None] * len(table), sizes, names, SOURCE, "outlines")
    words = table["pathology"].where(table["pathology"] != UNPROVEN)
    return table.assign(label=translated(words, LABELS, "An .OVERLAY file").astype(object))
