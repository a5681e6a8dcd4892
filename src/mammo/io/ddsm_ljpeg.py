"""The .LJPEG films of DDSM, with the .ics file of their case, as the owner publishes them.

The films are lossless JPEGs by Stanford's PVRG codec. Three things are not what a JPEG reader expects:

- Width and height in the JPEG can be swapped. LINES and PIXELS_PER_LINE in the .ics file beside it are right.
- The four digitisers give different numbers for the same film. The owner measured for each how grey values follow
  from optical density (http://marathon.csee.usf.edu/Mammography/DDSM/calibrate/), and that is turned back here: the
  image is linear in density from 0.05 (bright, 1) to 3.60 (dark, 0), the range of the owner's own software.
- The codec handles the first line in its own way where the predictor is 2, 3, 6 or 7. Every other decoder then gives
  stripes, without an error; such a file is refused.

Run on files that the same codec wrote, not on the owner's films, which cannot be had at the time of writing.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mammo.core.errors import MammoError
from mammo.io.decoding import decoding, read_bytes
from mammo.io.mammogram import Mammogram, check_size, scale_to_unit

NAME = re.compile(r"([A-D])_(\d+)_(\d+)\.((?:LEFT|RIGHT)_(?:CC|MLO))", re.IGNORECASE)
VIEW_LINE = re.compile(
    r"^(LEFT_CC|LEFT_MLO|RIGHT_CC|RIGHT_MLO)\s+LINES\s+(\d+)\s+PIXELS_PER_LINE\s+(\d+)"
    r"\s+BITS_PER_PIXEL\s+(\d+)\s+RESOLUTION\s+(\d+(?:\.\d+)?)\s+(\S*OVERLAY)",
    re.MULTILINE,
)
DENSITY = {  # first letter of the case and digitiser -> optical density of a grey value
    ("A", "DBA"): lambda grey: (np.log10(np.maximum(grey, 1)) - 4.80662) / -1.07553,
    ("A", "HOWTEK"): lambda grey: 3.789 - 0.00094568 * grey,
    ("B", "LUMISYS"): lambda grey: (grey - 4096.99) / -1009.01,
    ("C", "LUMISYS"): lambda grey: (grey - 4096.99) / -1009.01,
    ("D", "HOWTEK"): lambda grey: 3.96604095240593 - 0.00099055807612 * grey,
}
LOW, HIGH = 0.05, 3.60
START_OF_FRAME, START_OF_SCAN, END = b"\xff\xc3", b"\xff\xda", b"\xff\xd9"
PREDICTORS = {1, 4, 5}
NO_ICS = "The .ics file of this case is not beside the film: its size and greys are taken as the JPEG has them."
UNKNOWN_DIGITISER = "The digitiser {} is not one that DDSM calibrates for case {}; the greys are taken as they are."


def read_ics(path) -> dict:
    """What an .ics file says: `DENSITY`, `DIGITIZER`, `PATIENT_AGE`, ... as text, and `views`.

    Each view has `height`, `width`, `bits`, `microns` and `overlay` (True where lesions are outlined).
    Raises MammoError where it names no view.
    """
    path = Path(path)
    text = read_bytes(path).decode("latin-1")
    facts = {}
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        facts[word] = rest.strip()
    facts["views"] = {
        view: {
            "height": int(lines),
            "width": int(pixels),
            "bits": int(bits),
            "microns": float(microns),
            "overlay": overlay == "OVERLAY",
        }
        for view, lines, pixels, bits, microns, overlay in VIEW_LINE.findall(text)
    }
    if not facts["views"]:
        raise MammoError(f"{path.name} names no film. It is damaged, or no .ics file of DDSM.")
    return facts


def ics_of(path: Path) -> Path | None:
    """The .ics file beside a film, which has its size and its greys; None where there is none."""
    name = NAME.match(path.name)
    ics = path.with_name("{}-{}-{}.ics".format(*name.groups()[:3])) if name else path
    return ics if name and ics.is_file() else None


def read_ljpeg(path: Path) -> Mammogram:
    """Read one film; raises MammoError where it is cut off, not lossless JPEG, or not of the size announced."""
    import imagecodecs  # takes a tenth of a second, which other formats need not wait for

    data = read_bytes(path)
    frame, scan = data.find(START_OF_FRAME), data.find(START_OF_SCAN)
    if frame < 0 or scan < 0 or len(data) < scan + 8:
        raise MammoError(f"{path.name} is no lossless JPEG of DDSM. Download it again.")
    if not data.rstrip(b"\0\n").endswith(END):
        raise MammoError(f"{path.name} is cut off before its end. Download it again.")
    if data[scan + 7] not in PREDICTORS:
        raise MammoError(
            f"{path.name} is compressed with predictor {data[scan + 7]}, which only the codec that wrote it decodes. "
            "Convert it with that codec (pvrg-jpeg) first."
        )
    check_size(path, *(int.from_bytes(data[frame + n : frame + n + 2], "big") for n in (7, 5)))
    with decoding(path):
        grey = imagecodecs.jpeg8_decode(data)
    if grey.ndim != 2:
        raise MammoError(f"{path.name} has {grey.shape[-1]} channels; a film of DDSM has one. Download it again.")
    name, ics = NAME.match(path.name), ics_of(path)
    if ics is None:
        image, bits = scale_to_unit(grey)
        return Mammogram(image=image, file=path.name, format="LJPEG", bits=bits, warnings=(NO_ICS,))
    return _calibrated(path, grey, read_ics(ics), name[1].upper(), name[4].upper())


def _calibrated(path: Path, grey: np.ndarray, ics: dict, letter: str, view: str) -> Mammogram:
    facts = ics["views"].get(view)
    if facts is None or grey.size != facts["height"] * facts["width"]:
        said = f"{facts['width']} x {facts['height']}" if facts else "no film of this view"
        found = f"{grey.shape[1]} x {grey.shape[0]}"
        raise MammoError(f"{path.name} holds {found} pixels, but its .ics file says {said}. Download both again.")
    grey = grey.reshape(facts["height"], facts["width"])
    digitiser = ics.get("DIGITIZER", "").partition(" ")[0].upper()
    density = DENSITY.get((letter, digitiser))
    if density:
        table = np.clip((HIGH - density(np.arange(2**16, dtype=np.float64))) / (HIGH - LOW), 0, 1).astype(np.float32)
        image, notes = table[grey], ()
    else:
        image, notes = scale_to_unit(grey)[0], (UNKNOWN_DIGITISER.format(digitiser or "not named", letter),)
    spacing = facts["microns"] / 1000
    return Mammogram(
        image=image,
        file=path.name,
        format="LJPEG",
        bits=facts["bits"],
        view=view.partition("_")[2],
        laterality=view[0],
        pixel_spacing_mm=(spacing, spacing),
        warnings=notes,
    )
