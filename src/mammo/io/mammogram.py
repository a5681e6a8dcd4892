"""What reading a file gives, and what holds for files of every format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mammo.core.errors import MammoError

MIN_SIDE = 100  # pixels; the smallest published lesion crops of whole breasts are larger
MAX_PIXELS = 100_000_000  # three times the largest mammogram: more is a mistake or an attack
MOSTLY_WHITE = 0.4  # share of pixels; of 577 real mammograms none reaches it, and turned round 559 exceed it
INVERTED = (
    "Much of the image is white, as if its greys were inverted. Dense tissue must be bright, the background dark."
)


@dataclass(frozen=True)
class Mammogram:
    """One image and the facts about its file that the next steps need."""

    image: np.ndarray
    """float32 (height, width) in [0, 1], dense tissue bright (MONOCHROME2)."""
    file: str
    """Name of the file, without its folder."""
    format: str
    """`"DICOM"`, `"PNG"`, `"JPEG"`, `"TIFF"`, ..."""
    bits: int
    """Bits a pixel that the file really uses."""
    inverted: bool = False
    """True where the file stored dense tissue dark (MONOCHROME1) and was turned round."""
    view: str | None = None
    laterality: str | None = None
    chest_wall: str | None = None
    """The side of the image, `"left"` or `"right"`, where the header says the chest wall is."""
    pixel_spacing_mm: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()


def scale_to_unit(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Grey values of any type -> float32 in [0, 1], and the number of bits they use.

    12-bit data in a 16-bit file would come out black if divided by 65,535, so whole numbers are divided
    by the full scale of the bits that occur (8, 10, 12, 14 or 16). Signed values are shifted to start at
    0; fractions that leave [0, 1] are stretched between their lowest and highest value, and count as 32 bits.
    """
    values = np.asarray(pixels)
    low, high = float(values.min()), float(values.max())
    if np.issubdtype(values.dtype, np.integer) or (high > 1 and (values == np.rint(values)).all()):
        shift = min(low, 0.0)
        bits = next((n for n in (8, 10, 12, 14, 16) if high - shift < 2**n), None)
        full = 2.0**bits - 1 if bits else high - shift
        return ((values - shift) / full).astype(np.float32), bits or 32
    if low < 0 or high > 1:
        return ((values - low) / (high - low)).astype(np.float32), 32
    return values.astype(np.float32), 32


def grey_from_channels(pixels: np.ndarray, path: Path) -> np.ndarray:
    """The one channel of a grey image stored as colour; a real colour image is refused."""
    pixels = pixels[..., :3]
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    if (spread > 0.1 * max(255, pixels.max())).mean() > 0.01:  # JPEG rounding stays below this
        raise MammoError(
            f"{path.name} is a colour picture, and a mammogram has only greys. "
            "Choose the mammogram itself, not a photograph or a screenshot of it."
        )
    return pixels[..., 1]


def check_size(path: Path, width: int, height: int) -> None:
    """Raise MammoError for absurd dimensions, before their memory is taken."""
    if width * height > MAX_PIXELS:
        raise MammoError(f"{path.name} claims {width} x {height} pixels, more than any mammogram. It was not opened.")


def checked(mammogram: Mammogram) -> Mammogram:
    """The same mammogram, with a warning where its greys seem inverted; raises MammoError where it cannot be one."""
    image, name = mammogram.image, mammogram.file
    height, width = image.shape
    if min(height, width) < MIN_SIDE:
        raise MammoError(
            f"{name} is only {width} x {height} pixels; a mammogram needs at least {MIN_SIDE} a side. "
            "Choose the full-size image, not its thumbnail."
        )
    low, high = float(image.min()), float(image.max())  # both are NaN where any pixel is
    if not np.isfinite([low, high]).all():
        raise MammoError(f"{name} has pixels that are not numbers (NaN or infinity). Export it again.")
    if high - low < 0.01:
        raise MammoError(f"{name} is blank: all its pixels are nearly the same. Export it again.")
    some = image[::4, ::4]
    if (some > np.percentile(some, 99) - 0.1).mean() > MOSTLY_WHITE:
        return replace(mammogram, warnings=(*mammogram.warnings, INVERTED))
    return mammogram
