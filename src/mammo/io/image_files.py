"""PNG, JPEG, TIFF, PGM, BMP and WebP files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mammo.core.errors import MammoError
from mammo.io.mammogram import Mammogram, check_size, grey_from_channels, scale_to_unit

FORMATS = ("PNG", "JPEG", "TIFF", "PPM", "BMP", "WEBP")
TIFF_POLARITY = 262  # PhotometricInterpretation; 0 is WhiteIsZero


def read_picture(path: Path) -> Mammogram:
    """Read a picture; raises MammoError where it is none, in colour, or absurdly large."""
    try:
        picture = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise MammoError(
            f"{path.name} is not an image in a format known here. Use DICOM, PNG, JPEG, TIFF or PGM; "
            "renaming another file does not make it one."
        ) from None
    with picture:
        check_size(path, *picture.size)
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in ("1", "LA"):
            upright = upright.convert("L")
        elif upright.mode not in ("L", "I", "F") and not upright.mode.startswith("I;16"):
            upright = upright.convert("RGB")
        pixels = np.asarray(upright)
        # Pillow turns 8-bit TIFFs that store white as 0, but not 16-bit ones.
        inverted = upright.mode.startswith("I;16") and getattr(picture, "tag_v2", {}).get(TIFF_POLARITY) == 0
        kind = {"PPM": "PGM", "MPO": "JPEG"}.get(picture.format, picture.format)
    image, bits = scale_to_unit(grey_from_channels(pixels, path) if pixels.ndim == 3 else pixels)
    return Mammogram(image=1 - image if inverted else image, file=path.name, format=kind, bits=bits, inverted=inverted)
