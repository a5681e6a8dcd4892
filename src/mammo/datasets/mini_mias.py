"""mini-MIAS, 322 film mammograms with their lesions circled.

    from mammo.datasets import mini_mias
    manifest = mini_mias.manifest("all-mias")       # the unpacked archive: Info.txt and mdb001.pgm to mdb322.pgm
    lesions = mini_mias.lesions("all-mias")         # one row a lesion

Licence: research only, no passing on; the agreement is Licence.txt in the archive. Ask for access at, or download
from, http://peipa.essex.ac.uk/info/mias.html. Cite: J Suckling et al., The Mammographic Image Analysis Society
Digital Mammogram Database, Excerpta Medica, International Congress Series 1069, 375-378, 1994. The films they were made
from, at 0.05 mm, are open under CC BY: https://www.repository.cam.ac.uk/handle/1810/250394 (not read here).

As published: 322 films of 161 patients, one MLO view of each breast, 8 bits, 1024 x 1024 pixels of 0.2 mm. 207 are
normal, 63 benign, 52 malignant, an image with both counting as malignant.

Traps:
- The y of Info.txt counts from the bottom edge. Here it is turned to count down, as everywhere in this package.
- Films pair up to patients, 1 and 2, 3 and 4, ...; a split by film would test on a patient it has trained on.
- Info.txt says that even numbers are left breasts. The markers on the films say that odd numbers are; they are
  believed, since they were there when the film was taken.
- A film may have several lesions, each with its line in Info.txt. The manifest has the first of the gravest.
- Places are in pixels of the film as published, 1024 x 1024. They are scaled to a square copy of another size.
- Four lesions have no place: one benign, and three that are spread over the film. Some circles reach beyond the
  breast. White labels and borders are visible, and a careless model will learn them.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import absolute, as_path, errors_of_reading, list_files
from mammo.datasets._geometry import place_in_images, sizes_of
from mammo.datasets._tables import as_manifest, check_counts, check_files, in_order
from mammo.io.decoding import read_bytes

SOURCE = "mini-MIAS"
PUBLISHED = {"films": 322, "patients": 161, "normal films": 207, "benign films": 63, "malignant films": 52}
SIDE = 1024  # pixels; y in Info.txt counts from the bottom edge of such an image
LABELS = {"B": "benign", "M": "malignant"}
FINDINGS = {
    "CALC": "calcification",
    "CIRC": "circumscribed mass",
    "SPIC": "spiculated mass",
    "MISC": "other mass",
    "ARCH": "architectural distortion",
    "ASYM": "asymmetry",
    "NORM": None,
}
TISSUES = {"F": "fatty", "G": "fatty-glandular", "D": "dense-glandular"}


def manifest(root, partial: bool = False) -> pd.DataFrame:
    """One row a film; x, y, radius are the first gravest lesion's, and `lesions` says how many there are.

    Raises MammoError that names missing and unknown films; with `partial` it warns and goes on.
    """
    root = as_path(root)
    lines, there = _films(root, partial)
    gravest_first = lines.sort_values("label", key=lambda label: label != "malignant", kind="stable")
    rows = gravest_first.drop_duplicates("film").sort_values("film")
    rows["lesions"] = rows["film"].map(lines[lines["label"] != "normal"].groupby("film").size()).fillna(0).astype(int)
    rows = rows[rows["film"].isin(there)]
    counts = {"films": len(rows), "patients": rows["patient_id"].nunique()}
    counts |= {f"{label} films": int((rows["label"] == label).sum()) for label in ("normal", "benign", "malignant")}
    check_counts(SOURCE, counts, PUBLISHED, partial)
    return as_manifest(rows.drop(columns="film").assign(path=[absolute(there[f]) for f in rows["film"]]), SOURCE)


def lesions(root, partial: bool = False) -> pd.DataFrame:
    """One row a lesion: path, label, patient, kind, and x, y, radius in pixels, y down (NaN for the four without).

    Raises MammoError as `manifest` does; with `partial` the lesions of films that are there.
    """
    root = as_path(root)
    lines, there = _films(root, partial)
    rows = lines[(lines["label"] != "normal") & lines["film"].isin(there)]
    paths = [absolute(there[film]) for film in rows["film"]]
    return in_order(rows.drop(columns="film").assign(path=paths, source=SOURCE))


@errors_of_reading()
def _films(root: Path, partial: bool) -> tuple[pd.DataFrame, dict[str, Path]]:
    """The lines of Info.txt, with places in pixels of the films that are there, and these films."""
    lines = _lines(root)
    files = [path for path in list_files(root, ".pgm") if path.name.startswith("mdb")]
    known, there = set(lines["film"]), {path.stem: path for path in files}
    check_files(
        SOURCE,
        missing=[f"{film}.pgm" for film in known - set(there)],
        extra=[f"{film}.pgm" for film in set(there) - known],
        partial=partial,
    )
    located = lines["x"].notna() & lines["film"].isin(there)
    part = lines[located]
    sizes = sizes_of([there[film] for film in part["film"]])
    places = place_in_images(part, [(SIDE, SIDE)] * len(part), sizes, part["film"], SOURCE, "circles")
    lines.loc[located, ["x", "y", "radius"]] = places[["x", "y", "radius"]].to_numpy()
    return lines, there


def _lines(root: Path) -> pd.DataFrame:
    """The lines of Info.txt that are about a film: one a normal film, one a lesion."""
    info = root / "Info.txt"
    if not info.is_file():
        raise MammoError(f"{info} is missing. It is part of the archive and says what the films show.")
    rows = [_line(line) for line in read_bytes(info).decode("latin-1").splitlines() if line.startswith("mdb")]
    if not rows:
        raise MammoError(f"{info} has no line about a film. Unpack the archive again.")
    return pd.DataFrame(rows)


def _line(line: str) -> dict:
    """`mdb001 G CIRC B 535 425 197`: film, tissue, finding, severity, and x, y from the bottom, radius where known."""
    try:
        film, tissue, finding, *rest = line.split()
        number = int(film[3:])
        label = LABELS[rest[0]] if finding != "NORM" else "normal"
        located = finding != "NORM" and len(rest) == 4
        x, from_bottom, radius = map(float, rest[1:]) if located else (None,) * 3
        row = {"film": film, "label": label, "lesion_type": FINDINGS[finding], "density": TISSUES[tissue]}
    except (ValueError, KeyError, IndexError):
        raise MammoError(f"Info.txt has a line that is not as published: {line!r}. Unpack the archive again.") from None
    row |= {"patient_id": f"mias_{(number + 1) // 2:03d}", "laterality": "L" if number % 2 else "R", "view": "MLO"}
    return row | {"x": x, "y": SIDE - from_bottom if located else None, "radius": radius}
