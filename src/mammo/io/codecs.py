"""One compressed frame of a DICOM file -> its grey values.

imagecodecs decodes them: its decoders raise where a frame is damaged. (GDCM aborts the whole process on some.)
"""

from __future__ import annotations

import os
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydicom import uid

from mammo.core.errors import MammoError
from mammo.io.decoding import decoding
from mammo.io.header import integer
from mammo.io.mammogram import check_size

DECODERS = {
    uid.RLELossless: "dicomrle_decode",
    uid.JPEGBaseline8Bit: "jpeg8_decode",
    uid.JPEGExtended12Bit: "jpeg8_decode",
    uid.JPEGLossless: "jpeg8_decode",
    uid.JPEGLosslessSV1: "jpeg8_decode",
    uid.JPEGLSLossless: "jpegls_decode",
    uid.JPEGLSNearLossless: "jpegls_decode",
    uid.JPEG2000Lossless: "jpeg2k_decode",
    uid.JPEG2000: "jpeg2k_decode",
    uid.HTJ2KLossless: "jpeg2k_decode",
    uid.HTJ2KLosslessRPCL: "jpeg2k_decode",
    uid.HTJ2K: "jpeg2k_decode",
}
LOSSY = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K}
OPTIONS = {"jpeg2k_decode": {"numthreads": os.cpu_count()}}
START_OF_JPEG, END_OF_JPEG, START_OF_SCAN = b"\xff\xd8", b"\xff\xd9", 0xDA
JPEG_LS = 0xF7
STARTS_OF_FRAME = {JPEG_LS, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG-LS, and the kinds of JPEG


def decompressed(path: Path, frame: bytes, syntax: uid.UID, header) -> np.ndarray:
    """The values (height, width), or (height, width, 3), of a frame in this transfer syntax, with all bits it has.

    RLE of a single channel only.
    Raises MammoError where there is no decoder for it, or where the frame states an absurd size.
    """
    if syntax not in DECODERS:
        raise MammoError(
            f"{path.name} is compressed as {syntax.name}, which nothing here can decode. Export it uncompressed."
        )
    try:
        import imagecodecs

        decode = getattr(imagecodecs, DECODERS[syntax])
    except ImportError:
        raise MammoError(
            f"{path.name} is compressed as {syntax.name}, for which no decoder is installed. "
            "Install it with `pip install imagecodecs`, or export the image uncompressed."
        ) from None
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if syntax == uid.RLELossless:
        kind = "i" if integer(header, "PixelRepresentation") == 1 else "u"
        with decoding(path):
            dtype = np.dtype(f"<{kind}{integer(header, 'BitsAllocated', 16) // 8}")
            room = np.empty(rows * columns * dtype.itemsize, np.uint8)
            return decode(frame, dtype, out=room).view(dtype).reshape(rows, columns)  # fails where some lack
    check_stated_size(path, frame)
    if DECODERS[syntax] == "jpeg8_decode":
        check_complete_jpeg(path, frame)
    with decoding(path):
        values = decode(frame, **OPTIONS.get(DECODERS[syntax], {}))
    if values.shape[:2] != (rows, columns):
        raise MammoError(
            f"{path.name} is damaged: its header announces {columns} x {rows} pixels, and {values.shape[1]} x "
            f"{values.shape[0]} were found. Copy or export it again."
        )
    return values


def check_stated_size(path: Path, frame: bytes) -> None:
    """A frame states its own size, whatever the header of the file says."""
    stated = jpeg_frame(frame)
    if stated is not None:
        check_size(path, stated.width, stated.height)
    else:
        with decoding(path), suppress(UnidentifiedImageError), Image.open(BytesIO(frame)) as picture:
            check_size(path, *picture.size)


def check_complete_jpeg(path: Path, data: bytes) -> None:
    """A decoder of JPEG fills with grey what is missing: raise MammoError where the end is."""
    if data.rfind(END_OF_JPEG) < data.rfind(bytes([0xFF, START_OF_SCAN])):
        raise MammoError(f"{path.name} is damaged, cut off before its end. Copy or export it again.")


class JPEGFrame(NamedTuple):
    """What the first frame header of a JPEG or JPEG-LS states."""

    marker: int
    height: int
    width: int


def jpeg_frame(data: bytes) -> JPEGFrame | None:
    """The frame header, from marker to marker up to the scan, as decoders go; None where there is none.

    (Pillow refuses 12 bits, and so cannot tell their size; tifffile's `jpeg_shape` does not know JPEG-LS.)
    """
    at = data.find(b"\xff", len(START_OF_JPEG)) if data.startswith(START_OF_JPEG) else -1
    while 0 <= at < len(data) - 9 and data[at + 1] != START_OF_SCAN:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in STARTS_OF_FRAME:
            return JPEGFrame(marker, *(int.from_bytes(data[at + n : at + n + 2], "big") for n in (5, 7)))
        is_segment = marker not in (0x00, 0x01, 0xFF) and not 0xD0 <= marker <= 0xD9
        at = data.find(b"\xff", at + 2 + length if is_segment else at + 1)
    return None
