"""One compressed frame of a DICOM file -> its grey values.

imagecodecs decodes them: its decoders raise where a frame is damaged. (GDCM aborts the whole process on some.)
"""

from __future__ import annotations

import os
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydicom import uid

from mammo.core.errors import MammoError
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
OPTIONS = {"jpeg2k_decode": {"numthreads": os.cpu_count()}}
START_OF_JPEG, START_OF_SCAN = b"\xff\xd8", 0xDA
STARTS_OF_FRAME = {0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG-LS, and the kinds of JPEG


def decompressed(path: Path, frame: bytes, syntax: uid.UID, header) -> np.ndarray:
    """The grey values (height, width), or (height, width, 3), of a frame in this transfer syntax.

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
    signed = int(header.PixelRepresentation) == 1
    if syntax == uid.RLELossless:
        kind = np.dtype(f"<{'i' if signed else 'u'}{header.BitsAllocated // 8}")
        room = np.empty(header.Rows * header.Columns * kind.itemsize, np.uint8)
        values = decode(frame, kind, out=room).view(kind).reshape(header.Rows, header.Columns)  # fails where some lack
    else:
        _check_stated_size(path, frame)
        values = decode(frame, **OPTIONS.get(DECODERS[syntax], {}))
    found = f"{values.shape[1]} x {values.shape[0]}"
    if values.shape[:2] != (header.Rows, header.Columns):
        raise ValueError(f"{header.Columns} x {header.Rows} pixels announced, {found} found")
    bits = int(header.BitsStored)
    if signed and values.dtype.kind == "u":  # the frame does not know that it is signed
        values = (values.astype(np.uint16) << (16 - bits)).view(np.int16) >> (16 - bits)
    low = -(2 ** (bits - 1)) if signed else 0
    return np.clip(values, low, low + 2**bits - 1, out=values)  # lossy compression overshoots


def _check_stated_size(path: Path, frame: bytes) -> None:
    """A frame states its own size, whatever the header of the file says."""
    if frame.startswith(START_OF_JPEG):
        _check_jpeg_size(path, frame)
    else:
        with suppress(UnidentifiedImageError, OSError, SyntaxError), Image.open(BytesIO(frame)) as picture:
            check_size(path, *picture.size)


def _check_jpeg_size(path: Path, frame: bytes) -> None:
    """From marker to marker up to the scan, as decoders go. (Pillow refuses 12 bits, and so cannot tell their size.)"""
    at = frame.find(b"\xff", len(START_OF_JPEG))
    while 0 <= at < len(frame) - 9 and frame[at + 1] != START_OF_SCAN:
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker in STARTS_OF_FRAME:
            check_size(path, *(int.from_bytes(frame[at + n : at + n + 2], "big") for n in (7, 5)))
        is_segment = marker not in (0x00, 0x01, 0xFF) and not 0xD0 <= marker <= 0xD9
        at = frame.find(b"\xff", at + 2 + length if is_segment else at + 1)
