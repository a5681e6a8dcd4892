"""PNG, JPEG, TIFF, PGM, BMP, WebP, GIF, JPEG 2000 and JPEG-LS files.

Pillow reads what it keeps all bits of, tifffile reads TIFF, and imagecodecs the rest: 16-bit colour, and JPEG of
more than 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mammo.core.errors import MammoError
from mammo.io.codecs import JPEG_LS, check_complete_jpeg, check_stated_size, jpeg_frame
from mammo.io.decoding import decoding, read_bytes
from mammo.io.mammogram import (
    SYNTHETIC,
    Mammogram,
    Samples,
    check_size,
    colours_of,
    depth_limits,
    frame_index,
    grey_from_channels,
    scale_to_unit,
)
from mammo.io.tiff import STARTS_OF_TIFF, read_tiff

FORMATS = ("PNG", "JPEG", "PPM", "BMP", "WEBP", "GIF", "JPEG2000", "TIFF")
NAMES = {"PPM": "PGM", "MPO": "JPEG", "JPEG2000": "JPEG 2000"}
ORIENTATION = 0x0112  # of Exif and of TIFF
PICTURES = 0xB002  # entry of a multi-picture JPEG, one item an image
TURNED: dict[int, Callable] = {  # Exif orientation -> how the image is put upright
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels, 1),
}
STARTS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"\0\0\0\x0cjP  ")  # of formats that are read
PACKED = {
    b"PK\3\4": "ZIP",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"7z\xbc\xaf": "7-Zip",
    b"Rar!": "RAR",
    b"\xfd7zXZ": "xz",
}
TRANSPARENT = "Parts of the image are transparent; it was read as if they were not."


def read_picture(path: Path, start: bytes, frame: int | None, colour: bool = False) -> Mammogram:
    """Read an image file, of which `start` are the first bytes: its greys or, with `colour`, its colours.

    Raises MammoError where it is none, has not what was asked for, is absurdly large, or holds several images and none
    is chosen.
    """
    samples = _samples(path, start, frame)
    pixels = samples.pixels
    if colour:
        pixels = colours_of(pixels, path)
    elif pixels.ndim == 3:
        pixels = grey_from_channels(pixels, path)
    notes = []
    if samples.alpha is not None and samples.alpha.min() < samples.alpha.max():
        notes.append(TRANSPARENT)
    image, bits = scale_to_unit(pixels, *depth_limits(pixels, notes))
    image = TURNED.get(samples.orientation, lambda pixels: pixels)(1 - image if samples.inverted else image)
    return Mammogram(
        image=np.ascontiguousarray(image),
        file=path.name,
        format=samples.format,
        bits=bits,
        inverted=samples.inverted,
        warnings=tuple(notes),
        synthetic=samples.synthetic,
    )


def _samples(path: Path, start: bytes, frame: int | None) -> Samples:
    """The chosen image of a file in any of the formats."""
    samples = read_tiff(path, frame) if start[:4] in STARTS_OF_TIFF else None
    if samples is not None:
        return samples
    data = read_bytes(path)
    with decoding(path):
        try:
            picture = Image.open(BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            picture = None
    if picture is None:
        return _deep_jpeg(path, data, frame)
    with picture:
        check_size(path, *picture.size)
        if picture.format == "PPM" and _goes_on(picture, data):
            raise MammoError(
                f"{path.name} holds more than one image, or more than its header announces. "
                "Save the one you mean as a file of its own."
            )
        with decoding(path):
            images = _images(picture)
        index = images[frame_index(path, frame, len(images), "images", "save the one you mean as a file of its own")]
        with decoding(path):
            if index:
                picture.seek(index)
            check_size(path, *picture.size)
            pixels, alpha = _without_alpha(_values(picture, data, index))
            if alpha is None and picture.mode != "P" and "transparency" in picture.info:  # one grey or colour of a PNG
                alpha = np.atleast_3d(pixels != np.asarray(picture.info["transparency"])).any(axis=2)
            orientation = picture.getexif().get(ORIENTATION, 1)
        name, drawn = NAMES.get(picture.format, picture.format), picture.info.get("Source") == SYNTHETIC
        return Samples(pixels, name, orientation=orientation, alpha=alpha, synthetic=drawn)


def _images(picture: Image.Image) -> list[int]:
    """Which frames are images of their own: all but the thumbnails of a multi-picture JPEG."""
    frames = range(getattr(picture, "n_frames", 1))
    entries = getattr(picture, "mpinfo", {}).get(PICTURES, ())
    kinds = dict(enumerate(entry["Attribute"]["MPType"] for entry in entries))
    return [frame for frame in frames if "Thumbnail" not in str(kinds.get(frame))] or [0]


def _values(picture: Image.Image, data: bytes, index: int) -> np.ndarray:
    """The values of a picture, by another decoder where Pillow would round them to 8 bits."""
    import imagecodecs  # takes a tenth of a second, which other formats need not wait for

    stored_as = picture.tile[0].args if picture.tile else ""
    if picture.format == "JPEG2000":
        return imagecodecs.jpeg2k_decode(data)
    if picture.format == "PNG" and "16B" in str(stored_as) and picture.mode != "I;16":
        has_frames = getattr(picture, "n_frames", 1) > 1
        return imagecodecs.apng_decode(data, index=index) if has_frames else imagecodecs.png_decode(data)
    if picture.format == "PPM" and picture.mode == "RGB" and isinstance(stored_as, tuple) and stored_as[-1] > 255:
        return _deep_ppm(picture, data)
    if picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    elif picture.mode not in ("L", "LA", "I", "F", "RGBA") and not picture.mode.startswith("I;16"):
        picture = picture.convert("RGB")
    return np.asarray(picture)


def _goes_on(picture: Image.Image, data: bytes) -> bool:
    """Whether there is more than the image in a binary PGM or PPM: by its standard, other images may follow."""
    codec, _, start, stored_as = picture.tile[0]
    if codec == "ppm_plain" or picture.mode == "F":
        return False
    highest = stored_as[-1] if isinstance(stored_as, tuple) and isinstance(stored_as[-1], int) else 255
    row = (picture.width + 7) // 8 if picture.mode == "1" else picture.width * len(picture.getbands())
    size = row * picture.height * (2 if highest > 255 or picture.mode.startswith("I") else 1)
    return bool(data[start + size :].strip(b" \t\r\n\0"))


def _deep_ppm(picture: Image.Image, data: bytes) -> np.ndarray:
    """Colours of 16 bits in the portable formats."""
    codec, _, start, _ = picture.tile[0]
    shape = picture.height, picture.width, 3
    if codec == "ppm_plain":
        return np.array(data[start:].split()[: np.prod(shape)], np.uint16).reshape(shape)
    return np.frombuffer(data, ">u2", int(np.prod(shape)), start).reshape(shape).astype(np.uint16)


def _without_alpha(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    if values.ndim == 2:
        return values, None
    channels = values.shape[2]
    alpha = values[..., -1] if channels in (2, 4) else None
    return (values[..., 0] if channels < 3 else values[..., :3]), alpha


def _not_an_image(path: Path, data: bytes) -> MammoError:
    if data.startswith(STARTS):
        return MammoError(
            f"{path.name} is damaged: it starts as an image and goes on otherwise. Copy or export it again."
        )
    packed = next((name for start, name in PACKED.items() if data.startswith(start)), None)
    if packed:
        return MammoError(f"{path.name} is packed ({packed}). Unpack it, and choose the image that is in it.")
    return MammoError(
        f"{path.name} is not an image in a format known here. Use DICOM, PNG, JPEG, TIFF or PGM; "
        "renaming another file does not make it one."
    )


def _deep_jpeg(path: Path, data: bytes, frame: int | None) -> Samples:
    """JPEG of more than 8 bits and JPEG-LS, which Pillow does not know."""
    import imagecodecs

    stated = jpeg_frame(data)
    if stated is None:
        raise _not_an_image(path, data)
    check_stated_size(path, data)
    frame_index(path, frame, 1, "images", "")
    is_jpeg_ls = stated.marker == JPEG_LS
    check_complete_jpeg(path, data)
    with decoding(path):
        pixels, alpha = _without_alpha((imagecodecs.jpegls_decode if is_jpeg_ls else imagecodecs.jpeg8_decode)(data))
    return Samples(pixels, "JPEG-LS" if is_jpeg_ls else "JPEG", alpha=alpha)
