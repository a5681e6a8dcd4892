"""What reading a file gives, and what holds for files of every format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mammo.core.errors import MammoError

MIN_SIDE = 100  # pixels
MAX_PIXELS = 100_000_000  # three times the largest mammogram: more is a mistake or an attack
MOSTLY_WHITE = 0.4  # share of pixels; of 577 real mammograms none reaches it, and turned round 551 exceed it
LEAST_CONTRAST = 0.01  # of the range from black to white; below it an image is blank
SAMPLED = 17  # one pixel in so many shows which values an image has
LOOKED_UP = 32  # rows at a time: so many stay in the processor's cache
FAR = 4  # times; no tissue is so much brighter than all that is between
SMALLER_THAN_A_BREAST, LARGEST_LABEL = 0.03, 0.25  # of the pixels
OUTLIERS = (
    "{} pixels (hot pixels or a label?) are far from all others, which reach from {:g} to {:g}; they do not set the "
    "grey scale and are shown black or white."
)
INVERTED = (
    "Much of the image is white, as if its greys were inverted. Dense tissue must be bright, the background dark."
)
TWO_VALUES = "The image has only two grey values, as a mask has. Choose the mammogram itself."
NO_MICROGRAPH = (
    "{} {}, and a micrograph is a colour picture (PNG, JPEG or TIFF). Choose a micrograph, or for a mammogram a model "
    "that was trained on mammograms."
)
SYNTHETIC = "mammo, synthetic images"  # the manufacturer of a drawn DICOM file, the source of a drawn PNG


@dataclass(frozen=True)
class Mammogram:
    """One image and the facts about its file that the next steps need."""

    image: np.ndarray
    """float32 (height, width) in [0, 1], dense tissue bright (MONOCHROME2); of a micrograph (height, width, 3), RGB."""
    file: str
    """Name of the file, without its folder."""
    format: str
    """`"DICOM"`, `"PNG"`, `"JPEG"`, `"TIFF"`, ..."""
    bits: int
    """Bits a pixel that the file really uses."""
    inverted: bool = False
    """True where the file stored dense tissue dark (MONOCHROME1) and was turned round."""
    view: str | None = None
    """`"CC"`, `"MLO"` or another word of DICOM's."""
    laterality: str | None = None
    """`"L"` or `"R"`."""
    chest_wall: str | None = None
    """The side of the image, `"left"` or `"right"`, where the header says the chest wall is."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """Millimetres between rows, and between columns."""
    warnings: tuple[str, ...] = ()
    synthetic: bool = False
    """True where the file says that this package drew it."""


@dataclass(frozen=True)
class Samples:
    """The values of a picture as its file has them."""

    pixels: np.ndarray
    """(height, width) or (height, width, 3)."""
    format: str
    orientation: int = 1
    """As Exif and TIFF number it; 1 is upright."""
    inverted: bool = False
    """True where the file says that the lowest value is white."""
    alpha: np.ndarray | None = None
    """(height, width)."""
    synthetic: bool = False


def scale_to_unit(pixels: np.ndarray, low: float | None = None, high: float | None = None) -> tuple[np.ndarray, int]:
    """Grey values of any type -> float32 in [0, 1], and the number of bits they use.

    12-bit data in a 16-bit file would come out black if divided by 65,535, so whole numbers are divided
    by the full scale of the bits that occur (8, 10, 12, 14 or 16). Signed values are shifted to start at
    0; fractions that leave [0, 1], or stay below 0.01, are stretched between their lowest and highest value, and count
    as 32 bits.
    `low` and `high` are the lowest and highest value that count; what is beyond becomes 0 or 1.
    """
    values = np.asarray(pixels)
    low, high = (float(values.min()), float(values.max())) if low is None else (low, high)
    if values.dtype in (np.uint8, np.uint16) and values.size > 2**16:  # each value that can occur is scaled once
        levels = np.arange(np.iinfo(values.dtype).max + 1, dtype=values.dtype)
        table, bits = scale_to_unit(levels, low, high)
        return looked_up(table, values), bits
    if np.issubdtype(values.dtype, np.integer) or (high > 1 and (values == np.rint(values)).all()):
        shift = min(low, 0.0)
        bits = next((n for n in (8, 10, 12, 14, 16) if high - shift < 2**n), None)
        full = 2.0**bits - 1 if bits else high - shift
        scaled, bits = (values - shift) / full, bits or 32
    elif low < 0 or high > 1 or high < LEAST_CONTRAST:
        scaled, bits = (values - low) / ((high - low) or 1), 32
    else:
        scaled, bits = values, 32
    return np.clip(scaled, 0, 1).astype(np.float32), bits


def looked_up(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`table[values]` for places that are in the table, a few rows at a time.

    NumPy would turn the whole image into places of 8 bytes first, which takes longer than to look them up.
    """
    found = np.empty(values.shape, table.dtype)
    for start in range(0, len(values), LOOKED_UP):
        rows = slice(start, start + LOOKED_UP)
        np.take(table, values[rows], out=found[rows], mode="clip")  # else NumPy checks them and copies the result
    return found


def depth_limits(values: np.ndarray, notes: list[str]) -> tuple[float, float]:
    """The lowest and the highest value that decide about the depth of an image.

    Hot pixels and labels do not decide; where there are any, a warning is added to `notes`.
    """
    low, high = float(values.min()), float(values.max())
    is_fraction = low >= 0 and high <= 1
    if values.dtype.itemsize == 1 or is_fraction or not np.isfinite([low, high]).all():
        return low, high
    highest = _highest(values, min(low, 0), high)
    lowest = -_highest(-values.astype(np.float64), -highest, -low) if low < 0 else low
    if (lowest, highest) != (low, high):
        outside = np.count_nonzero(values > highest) + np.count_nonzero(values < lowest)
        notes.append(OUTLIERS.format(outside, lowest, highest))
    return lowest, highest


def _highest(values: np.ndarray, floor: float, top: float) -> float:
    """The highest of the values up to `top`, without those of labels and hot pixels far above all others.

    Far means: none lies between, and they are at more than `FAR` times the height of the others. They are fewer than a
    breast has pixels, or of one white beside others that differ: a large label.
    """
    some = values.ravel()[::SAMPLED]
    some = np.flatnonzero(np.bincount(some)) if values.dtype == np.uint16 else np.unique(some)  # the same, but faster
    levels = np.append(some[(some > floor) & (some < top)], top).astype(np.float64) - floor
    narrowest = 255 if np.issubdtype(values.dtype, np.integer) else 0  # less than 8 bits is no depth
    for gap in np.flatnonzero(levels[1:] > FAR * np.maximum(levels[:-1], narrowest)):
        is_above = values > floor + np.sqrt(levels[gap] * levels[gap + 1])
        above, below = values[is_above], values[~is_above]
        height, nearest = float(below.max()) - floor, float(above.min()) - floor
        if nearest > FAR * max(height, narrowest) and _is_label(above, below, narrowest):
            return floor + height
    return top


def _is_label(above: np.ndarray, below: np.ndarray, narrowest: float) -> bool:
    share = above.size / (above.size + below.size)
    is_flat = (above == above.max()).mean() > 0.9
    varies = np.subtract(*np.percentile(below[::SAMPLED], [99, 1])) > narrowest
    return share < SMALLER_THAN_A_BREAST or bool(share < LARGEST_LABEL and is_flat and varies)


def grey_from_channels(pixels: np.ndarray, path: Path) -> np.ndarray:
    """The one channel of a grey image stored as colour; a real colour image is refused."""
    if is_colour(pixels):
        raise MammoError(
            f"{path.name} is a colour picture, and a mammogram has only greys. "
            "Choose the mammogram itself, not a photograph or a screenshot of it."
        )
    return pixels[..., 1 if pixels.shape[2] > 2 else 0]


def colours_of(pixels: np.ndarray, path: Path) -> np.ndarray:
    """The three channels of a colour image; one that has only greys is refused."""
    if not is_colour(pixels):
        raise MammoError(NO_MICROGRAPH.format(path.name, "has only greys"))
    return pixels[..., :3]


def is_colour(pixels: np.ndarray) -> bool:
    """Whether an image has colours, and not only greys in three channels."""
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        return False
    highest, lowest = pixels[..., :3].max(axis=2), pixels[..., :3].min(axis=2)
    white = max(255, highest.max()) if highest.max() > 1 else 1
    return (highest - lowest > 0.1 * white).mean() > 0.01  # JPEG rounding stays below this


def check_size(path: Path, width: int, height: int) -> None:
    """Raise MammoError for absurd dimensions, before their memory is taken."""
    if width * height < 1:
        raise MammoError(f"{path.name} is damaged: it claims {width} x {height} pixels. Copy or export it again.")
    if width * height > MAX_PIXELS:
        raise MammoError(f"{path.name} claims {width} x {height} pixels, more than any mammogram. It was not opened.")


def frame_index(path: Path, frame: int | None, count: int, kind: str, otherwise: str) -> int:
    """The index of the chosen frame or page; raises MammoError where there are several and none is chosen."""
    if frame is not None and (isinstance(frame, bool) or not isinstance(frame, int | np.integer)):
        raise MammoError(f"frame is a whole number, counted from 0, or None, and not {frame!r}.")
    if count > 1 and frame is None:
        raise MammoError(
            f"{path.name} holds {count} {kind}. Choose one with frame=0 to frame={count - 1}, as in "
            f"classifier.predict(path, frame={count // 2}), or {otherwise}."
        )
    if frame is not None and not 0 <= frame < count:
        has = "one image, frame 0," if count == 1 else f"frames 0 to {count - 1},"
        raise MammoError(f"{path.name} has {has} and no frame {frame}.")
    return int(frame or 0)


def checked(mammogram: Mammogram) -> Mammogram:
    """The same mammogram, with a warning where its greys seem inverted; raises MammoError where it cannot be one."""
    image, name = mammogram.image, mammogram.file
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise MammoError(
            f"{name} is only {width} x {height} pixels; an image needs at least {MIN_SIDE} a side. "
            "Choose the full-size image, not its thumbnail."
        )
    low, high = float(image.min()), float(image.max())  # both are NaN where any pixel is
    if not np.isfinite([low, high]).all():
        raise MammoError(f"{name} has pixels that are not numbers (NaN or infinity). Export it again.")
    if high - low < LEAST_CONTRAST:
        raise MammoError(f"{name} is blank: all its pixels are nearly the same. Export it again.")
    if image.ndim == 3:  # a micrograph's background is white
        return mammogram
    some = image[::4, ::4].copy()
    if all(((values == low) | (values == high)).all() for values in (some[::4], some, image)):
        return replace(mammogram, warnings=(*mammogram.warnings, TWO_VALUES))
    bright = float(np.percentile(some, 99))
    if (some > bright - 0.1 * (bright - low)).mean() > MOSTLY_WHITE:  # a dim image has its white where it ends
        return replace(mammogram, warnings=(*mammogram.warnings, INVERTED))
    return mammogram
