"""What the header of an image says, and masks: for the readers of data sets, which need no grey values.

Nothing but size, side and view leaves a header.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, ImageOps

from mammo.core.errors import MammoError
from mammo.io.decoding import START, decoding, read_bytes
from mammo.io.dicom import looks_like_dicom
from mammo.io.examination import laterality_of, view_of
from mammo.io.grey_levels import is_inverted
from mammo.io.image_files import ORIENTATION
from mammo.io.mammogram import check_size

NEARLY = 16  # of 255 grey levels; a mask that went through JPEG is not quite black and white


def image_size(path) -> tuple[int, int]:
    """Height and width in pixels, upright; raises MammoError where the file cannot be read or states none."""
    path = Path(path)
    start = read_bytes(path, START)
    with decoding(path), path.open("rb") as file:
        if looks_like_dicom(start):
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["Rows", "Columns"], force=True)
            return int(header.Rows), int(header.Columns)
        with Image.open(file) as picture:
            on_its_side = picture.format != "TIFF" and picture.getexif().get(ORIENTATION, 1) > 4  # a TIFF: as upright
            return picture.size if on_its_side else picture.size[::-1]


def side_and_view(path) -> tuple[str | None, str | None]:
    """`"L"` or `"R"`, and `"CC"`, `"MLO"` or another view, as a DICOM header says; None where it does not."""
    path = Path(path)
    read_bytes(path, START)  # says what hinders reading
    with decoding(path), path.open("rb") as file:
        header = pydicom.dcmread(file, stop_before_pixels=True)
    return laterality_of(header), view_of(header) or None


def read_mask(path) -> np.ndarray:
    """bool (height, width), True where a mask is bright; raises MammoError where the file is no mask."""
    values = _values(path)
    if not _black_and_white(values):
        raise MammoError(f"{path} is no mask: it has more than two grey values.")
    return values > int(values.max()) / 2


def is_mask(path) -> bool:
    """True where an image has two grey values, or nearly so after JPEG."""
    return _black_and_white(_values(path))


def _values(path) -> np.ndarray:
    path = Path(path)
    check_size(path, *image_size(path))
    data = read_bytes(path)
    with decoding(path):
        if looks_like_dicom(data):
            header = pydicom.dcmread(BytesIO(data), force=True)
            values = header.pixel_array
            return values.max() - values if is_inverted(header) else values
        with Image.open(BytesIO(data)) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("L"))


def _black_and_white(values: np.ndarray) -> bool:
    high = int(values.max())
    nearly = high * NEARLY // 255
    return values.ndim == 2 and bool(((values > nearly) & (values < high - nearly)).mean() < 0.01)
