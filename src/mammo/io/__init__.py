"""Any mammogram file -> one 2-D image and what was learned about the file.

    mammogram = mammo.read_mammogram("image.dcm")
    mammogram.image          # float32 (height, width) in [0, 1], dense tissue bright

Nothing is rounded to 8 bits on the way. Of a DICOM header the pixels, side, view, spacing and warnings leave this
module: no name, no date, no identifier.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

from mammo.core.errors import MammoError
from mammo.core.files import as_path, sha256_of
from mammo.io.ddsm_ljpeg import ics_of, read_ljpeg
from mammo.io.decoding import START, read_bytes
from mammo.io.dicom import looks_like_dicom, read_dicom
from mammo.io.image_files import read_picture
from mammo.io.mammogram import MIN_SIDE, NO_MICROGRAPH, Mammogram, checked, frame_index, scale_to_unit


class _Quiet:
    """Without Python's warnings, in any number of threads at a time.

    `warnings.catch_warnings` alone is for one thread: of two that overlap, the second would bring back the silence of
    the first, for good.
    """

    def __init__(self):
        self.lock, self.readers, self.before = threading.Lock(), 0, None

    def __enter__(self):
        with self.lock:
            self.readers += 1
            if self.readers == 1:
                self.before = warnings.catch_warnings()
                self.before.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *error):
        with self.lock:
            self.readers -= 1
            if self.readers == 0:
                self.before.__exit__(*error)


QUIET = _Quiet()
__all__ = ["MIN_SIDE", "Mammogram", "content_id", "files_read", "read_mammogram", "read_micrograph", "scale_to_unit"]


def read_mammogram(path, frame: int | None = None) -> Mammogram:
    """Read a mammogram: DICOM, PNG, JPEG, JPEG 2000, TIFF, PGM or one of the rarer formats of docs/files.md.

    Parameters
    ----------
    path : path
    frame : int, optional
        Which image of a file that holds several (frames of a tomosynthesis, pages of a TIFF), counted from 0.

    Returns
    -------
    Mammogram

    Raises
    ------
    MammoError
        And nothing else, where the file is missing, cannot be read, is empty, damaged, not an image, in colour,
        blank, absurdly small or large, a DICOM of another kind of examination, or holds several images and `frame`
        chooses none.
    """
    return _read(path, frame, colour=False)


def read_micrograph(path, frame: int | None = None) -> Mammogram:
    """Read a micrograph, a colour picture of stained tissue, as PNG, JPEG or TIFF.

    Parameters and errors are those of `read_mammogram`, but DICOM is refused, and what has only greys. `image` is
    (height, width, 3), RGB.
    """
    return _read(path, frame, colour=True)


def files_read(path: Path) -> list[Path]:
    """What is read for an image: the file, and the .ics file beside a film of DDSM."""
    ics = ics_of(path) if path.suffix.upper() == ".LJPEG" else None
    return [path, ics] if ics else [path]


def content_id(path: Path) -> str:
    """The checksums of all that is read for an image."""
    return " ".join(map(sha256_of, files_read(path)))


def _read(path, frame: int | None, colour: bool) -> Mammogram:
    path = as_path(path)
    start = read_bytes(path, START)
    try:
        with QUIET:  # what a reader should know comes as the mammogram's own warnings
            is_dicom, is_ljpeg = looks_like_dicom(start), path.suffix.upper() == ".LJPEG"
            if colour and (is_dicom or is_ljpeg):
                raise MammoError(NO_MICROGRAPH.format(path.name, "is DICOM" if is_dicom else "is a film of DDSM"))
            if is_dicom:
                return checked(read_dicom(path, frame))
            if is_ljpeg:
                frame_index(path, frame, 1, "films", "split the file")
                return checked(read_ljpeg(path))
            return checked(read_picture(path, start, frame, colour))
    except MemoryError:
        raise MammoError(f"{path.name} does not fit into memory. Export it at a smaller size.") from None
