"""BreakHis, 7,909 micrographs of breast tumours: stained slices in colour, 700 x 460 pixels, not mammograms.

    from mammo.datasets import breakhis
    manifest = breakhis.manifest("BreaKHis_v1")                       # all four magnifications
    manifest = breakhis.manifest("BreaKHis_v1", magnification=40)

The column `image_kind` says `micrograph`. So no breast is looked for and nothing is turned grey: pictures are resized
with their aspect kept, in RGB. Training, evaluation, saving and prediction are those of mammograms, with a model of
three channels:

    manifest = mammo.split_by_patient(manifest)
    model = mammo.build_model("imagenet", image_size=(224, 336), channels=3)
    mammo.train_head(model, manifest)

`python -m mammo.research.benchmark breakhis --root BreaKHis_v1 --by magnification` has folds by patient, and a row for
each magnification. `mammo.read_mammogram` refuses these pictures; `mammo.io.read_micrograph` reads them.

Licence: the sources contradict each other, research without commerce or CC BY 4.0; go by the page of the owner.
Download from https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis/. Cite: F Spanhol
et al., A Dataset for Breast Cancer Histopathological Image Classification, IEEE Transactions on Biomedical Engineering
63(7):1455-1462, 2016, https://doi.org/10.1109/TBME.2015.2496264.

As published: 2,480 benign and 5,429 malignant pictures of 82 patients (see Traps), 1,995 at 40x, 2,081 at 100x, 2,013
at 200x and 1,820 at 400x. The five folds of the owner are in a separate file and are not read: there is no official
split here.

Traps:
- A name like SOB_B_A-14-22549AB-40-001.png holds procedure, class, kind of tumour, year, slide, magnification and
  number. The owner counts 82 slides as patients, but letters after the number mark parts of one case (22549AB,
  22549CD, 22549G), some of them filed under different kinds of tumour (21998). Patients here are the numbers without
  letters, 70 of them; the column `slide` has the owner's id.
- Slide 14-13412 is filed under ductal and under lobular carcinoma with the same pictures. Both are one patient here.
- One field is there at four magnifications: a split by picture would test on tissue it has trained on.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, list_files
from mammo.datasets._tables import as_manifest, check_counts, check_files

SOURCE = "BreakHis"
PUBLISHED = {
    "benign pictures": 2480,
    "malignant pictures": 5429,
    "pictures at 40x": 1995,
    "pictures at 100x": 2081,
    "pictures at 200x": 2013,
    "pictures at 400x": 1820,
    "slides": 82,
}
NAME = re.compile(r"SOB_([BM])_(A|F|PT|TA|DC|LC|MC|PC)-(\d\d)-(\d+)([A-Z]*)-(40|100|200|400)-(\d+)\.png", re.ASCII)
LABELS = {"B": "benign", "M": "malignant"}
TUMOURS = {
    "A": "adenosis",
    "F": "fibroadenoma",
    "PT": "phyllodes tumor",
    "TA": "tubular adenoma",
    "DC": "ductal carcinoma",
    "LC": "lobular carcinoma",
    "MC": "mucinous carcinoma",
    "PC": "papillary carcinoma",
}


def manifest(root, magnification: int | None = None, partial: bool = False) -> pd.DataFrame:
    """One row a picture, of one magnification (40, 100, 200 or 400) or of all.

    Raises MammoError that names pictures with other names, and one that says which counts are short; with `partial` it
    warns and goes on. There is no list of the pictures, so what is missing can only be counted.
    """
    if magnification not in (None, 40, 100, 200, 400):
        raise MammoError(f"BreakHis has the magnifications 40, 100, 200 and 400, not {magnification}.")
    matches = {path: NAME.fullmatch(path.name) for path in list_files(as_path(root), ".png")}
    check_files(SOURCE, [], [path.name for path, match in matches.items() if not match], partial)
    if not any(matches.values()):
        raise MammoError(f"{root} holds no picture of BreakHis. Give the folder that the archive unpacks to.")
    table = pd.DataFrame([_row(path, match) for path, match in matches.items() if match])
    counts = {f"{label} pictures": int((table["label"] == label).sum()) for label in LABELS.values()}
    counts |= {f"pictures at {m}x": int((table["magnification"] == m).sum()) for m in (40, 100, 200, 400)}
    check_counts(SOURCE, counts | {"slides": table["slide"].nunique()}, PUBLISHED, partial)
    return as_manifest(table[table["magnification"].isin([magnification or m for m in (40, 100, 200, 400)])], SOURCE)


def _row(path: Path, match: re.Match) -> dict:
    kind, tumour, year, number, letters, magnification, _ = match.groups()
    return {
        "path": absolute(path),
        "label": LABELS[kind],
        "patient_id": f"{year}-{number}",
        "laterality": None,
        "view": None,
        "lesion_type": TUMOURS[tumour],
        "image_kind": "micrograph",
        "magnification": int(magnification),
        "slide": f"{tumour}-{year}-{number}{letters}",
    }
