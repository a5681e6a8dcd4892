"""How a breast becomes a picture: digital or film, exposure, blur, grain, borders and burned-in labels.

Nothing in here knows what is in the breast: all of it is drawn without looking at the label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

LOOKS = ("digital", "film")


@dataclass(frozen=True)
class Acquisition:
    """One unit and its settings, the same for all views of a patient."""

    look: str
    """One of `LOOKS`: digital as processed for presentation, or film as digitised."""
    exposure: float
    blur_mm: float
    grain: float
    border: tuple[float, float, float, float]
    """Width of the film's border above, below, left and right, as a share of the image; 0 for none."""
    sticker: bool
    """Film only: dark letters on a white label instead of bright letters."""


def draw_acquisition(rng: np.random.Generator, look: str | None = None) -> Acquisition:
    """A unit and its settings; `look` is drawn too where it is not given."""
    drawn = LOOKS[rng.integers(2)]
    look = look or drawn
    border = np.where(rng.random(4) < 0.3, rng.uniform(0.006, 0.018, 4), 0) * (look == "film")
    return Acquisition(
        look=look,
        exposure=rng.uniform(0.92, 1.08),
        blur_mm=rng.uniform(0.05, 0.2) if look == "digital" else rng.uniform(0.15, 0.35),
        grain=rng.uniform(0.004, 0.009) if look == "digital" else rng.uniform(0.004, 0.008),
        border=tuple(float(width) for width in border),
        sticker=bool(rng.random() < 0.5),
    )


def develop(tissue: np.ndarray, thickness: np.ndarray, unit: Acquisition, mm: float) -> np.ndarray:
    """From tissue to brightness, float32 (height, width), before grain.

    Digital processing evens out the thin rim and sharpens; film keeps the rim dark and has a characteristic
    curve with a toe and a shoulder.
    """
    image = ndimage.gaussian_filter(tissue * np.float32(unit.exposure), max(0.35, unit.blur_mm * mm))
    if unit.look == "digital":
        image = 0.95 * np.clip(image * (0.25 + 0.75 * thickness), 0, None) ** np.float32(0.6)
        return image + 0.3 * (image - ndimage.uniform_filter(image, int(3 * mm) | 1))
    exposed = image * (0.2 + 0.8 * thickness)
    return 0.05 + 0.7 / (1 + np.exp((0.35 - exposed) / np.float32(0.15)))


def expose(image: np.ndarray, inside: np.ndarray, unit: Acquisition, width: int, rng) -> np.ndarray:
    """The breast with its grain, float32 (height, width) in [0, 1]; around it black, or the fog of a film.

    `image` and `inside` may be narrower than `width`: there is no breast beyond them.
    """
    beside = (0, 0), (0, width - image.shape[1])
    if unit.look == "digital":
        grain = rng.standard_normal(image.shape, dtype=np.float32)
        return np.pad(np.clip((image + np.float32(unit.grain) * grain) * inside, 0, 1), beside)
    image, inside = np.pad(image, beside), np.pad(inside, beside)
    fog = np.float32(rng.uniform(0.02, 0.07)) * np.linspace(*rng.uniform(0.8, 1.2, 2), width, dtype=np.float32)
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    image = np.where(inside, np.maximum(image, fog), fog) + grain * np.where(
        inside, np.float32(unit.grain), np.float32(0.3 * unit.grain)
    )
    return np.clip(image, 0, 1)


def with_labels(image: np.ndarray, text: str, at_left: bool, unit: Acquisition, rng) -> np.ndarray:
    """The image with its view burned in, in the upper corner away from the breast, and with the film's borders."""
    height, width = image.shape
    picture = Image.fromarray(image.astype(np.float32))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(height / 26)
    row = height * rng.uniform(0.03, 0.09)
    gap = width * rng.uniform(0.03, 0.08)
    column = gap if at_left else width - gap - draw.textlength(text, font=font)
    box = draw.textbbox((column, row), text, font=font)
    on_label = unit.look == "film" and unit.sticker
    if on_label:
        draw.rectangle([box[0] - 4, box[1] - 3, box[2] + 4, box[3] + 3], fill=0.92)
    draw.text((column, row), text, fill=0.15 if on_label else 0.92, font=font)
    image = np.array(picture)
    top, bottom, left, right = (
        round(fraction * side) for fraction, side in zip(unit.border, (height, height, width, width), strict=True)
    )
    white = np.float32(rng.uniform(0.85, 0.97))
    image[:top], image[height - bottom :], image[:, :left], image[:, width - right :] = white, white, white, white
    return image
