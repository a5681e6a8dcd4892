"""How a breast becomes a picture: digital or film, exposure, blur, grain, borders and burned-in labels.

Nothing in here knows what is in the breast: all of it is drawn without looking at the label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from mammo.synthetic.breast import HEIGHT_MM

LOOKS = ("digital", "film")
# Ranges of the settings, chosen by eye: digital images are pale and flat, or strongly processed, with dark fat.
PALE = {
    "blur_mm": (0.05, 0.2),
    "grain": (0.003, 0.009),
    "grain_mm": (0.1, 0.3),
    "rim": (0.6, 1.0),
    "evened": (0.0, 0.4),
    "detail": (0.2, 1.2),
    "detail_mm": (1.0, 4.0),
    "fat": (0.46, 0.66),
    "bright": (0.78, 0.9),
    "skin": (0.0, 0.1),
}
STRONG = {
    "blur_mm": (0.05, 0.2),
    "grain": (0.006, 0.025),
    "grain_mm": (0.1, 0.35),
    "rim": (-0.8, 0.0),
    "evened": (0.3, 0.9),
    "detail": (0.3, 1.5),
    "detail_mm": (1.5, 8.0),
    "fat": (0.08, 0.24),
    "bright": (0.45, 0.8),
    "skin": (0.04, 0.2),
}
FILM = {
    "blur_mm": (0.15, 0.35),
    "grain": (0.004, 0.008),
    "grain_mm": (0.05, 0.2),
    "rim": (0.8, 0.8),
    "evened": (0.0, 0.0),
    "detail": (0.0, 0.0),
    "detail_mm": (1.0, 1.0),
    "fat": (0.0, 0.0),
    "bright": (0.0, 0.0),
    "skin": (0.12, 0.12),
}
STRONGLY_PROCESSED = 0.65  # share of digital units
BACKGROUND_MM = 12.0
GREY_QUANTILES = 0.12, 0.98  # of the breast, between which the grey scale is stretched
LEAST_RANGE = 0.08  # between them, so that an even breast is not all grain
DARKEST, TOE, SHOULDER = 0.04, 0.05, 0.8  # the least of fat, the bend to it, and where brightness is compressed
LEAST_INSIDE = 0.03  # tissue is never as black as what is around it


@dataclass(frozen=True)
class Acquisition:
    """One unit and its settings, the same for all views of a patient."""

    look: str
    """One of `LOOKS`: digital as processed for presentation, or film as digitised."""
    exposure: float
    blur_mm: float
    grain: float
    """Standard deviation."""
    grain_mm: float
    """Size of its specks, as the standard deviation of the Gaussian that blurs them."""
    rim: float
    """Share of the brightness that the tissue loses where the breast gets thin."""
    evened: float
    """Share of the slow changes of brightness that processing removes."""
    detail: float
    """How much of what is finer than `detail_mm` processing adds."""
    detail_mm: float
    fat: float
    """Brightness of fat."""
    bright: float
    """Brightness of the brightest tissue, some hundredths of it."""
    skin: float
    """How much brighter the skin is, seen edge-on, in units of `develop`'s input."""
    border: tuple[float, float, float, float]
    """Width of the film's border above, below, left and right, as a share of the image; 0 for none."""
    sticker: bool
    """Film only: dark letters on a white label instead of bright letters."""


def draw_acquisition(rng: np.random.Generator, look: str | None = None) -> Acquisition:
    """A unit and its settings; `look` is drawn too where it is not given."""
    drawn = LOOKS[rng.integers(2)]
    look = look or drawn
    border = np.where(rng.random(4) < 0.3, rng.uniform(0.006, 0.018, 4), 0) * (look == "film")
    digital = STRONG if rng.random() < STRONGLY_PROCESSED else PALE
    settings = FILM if look == "film" else digital
    return Acquisition(
        look=look,
        exposure=rng.uniform(0.92, 1.08),
        border=tuple(float(width) for width in border),
        sticker=bool(rng.random() < 0.5),
        **{name: float(rng.uniform(*limits)) for name, limits in settings.items()},
    )


def develop(tissue: np.ndarray, thickness: np.ndarray, unit: Acquisition, mm: float) -> np.ndarray:
    """From tissue to brightness, float32 (height, width), before grain.

    Digital processing evens out the thin rim and slow changes, sharpens, and sets the grey scale by the image's
    own histogram; film keeps the rim dark and has a characteristic curve with a toe and a shoulder.
    """
    image = ndimage.gaussian_filter(tissue * np.float32(unit.exposure), max(0.35, unit.blur_mm * mm))
    image *= 1 - np.float32(unit.rim) + np.float32(unit.rim) * thickness
    if unit.look == "film":
        return 0.05 + 0.7 / (1 + np.exp((0.35 - image) / np.float32(0.15)))
    image *= np.clip(4 * thickness, 0.3, 1)  # the outermost pixels are partly air
    inside = thickness > 0
    slow = _slow(image, inside, BACKGROUND_MM * mm)
    size = int(unit.detail_mm * mm) | 1
    around = ndimage.uniform_filter(inside.astype(np.float32), size)
    image += np.float32(unit.detail) * (image - ndimage.uniform_filter(image, size) / np.maximum(around, 0.1))
    image -= np.float32(unit.evened) * slow
    fat, bright = np.quantile(image[inside & (thickness > 0.8)][::7], GREY_QUANTILES)
    image = (image - fat) / max(bright - fat, LEAST_RANGE)
    image = np.float32(unit.fat - DARKEST) + np.float32(unit.bright - unit.fat) * image
    image = np.float32(DARKEST) + np.float32(TOE) * np.logaddexp(0, image / np.float32(TOE))
    over = np.clip(image - SHOULDER, 0, None)
    return image - over + (1 - SHOULDER) * np.tanh(over / np.float32(2 * (1 - SHOULDER)))


def _slow(image: np.ndarray, inside: np.ndarray, size: float) -> np.ndarray:
    """The image blurred over `size` pixels within the breast; computed coarsely, as it is smooth."""
    step, shape = 8, image.shape
    small = [
        ndimage.gaussian_filter(np.asarray(Image.fromarray(layer).reduce(step)), size / step)
        for layer in (image * inside, inside.astype(np.float32))
    ]
    ratio = small[0] / np.maximum(small[1], np.float32(1e-3))
    return np.asarray(Image.fromarray(ratio).resize(shape[::-1], Image.BILINEAR))


def expose(image: np.ndarray, inside: np.ndarray, unit: Acquisition, width: int, rng) -> np.ndarray:
    """The breast with its grain, float32 (height, width) in [0, 1]; around it black, or the fog of a film.

    `image` and `inside` may be narrower than `width`: there is no breast beyond them.
    """
    beside = (0, 0), (0, width - image.shape[1])
    if unit.look == "digital":
        image = np.where(inside, np.clip(image + _grain(image.shape, unit, rng), LEAST_INSIDE, 1), 0)
        return np.pad(image.astype(np.float32), beside)
    image, inside = np.pad(image, beside), np.pad(inside, beside)
    fog = np.float32(rng.uniform(0.02, 0.07)) * np.linspace(*rng.uniform(0.8, 1.2, 2), width, dtype=np.float32)
    image = np.where(inside, np.maximum(image, fog), fog)
    return np.clip(image + _grain(image.shape, unit, rng) * np.where(inside, np.float32(1), np.float32(0.3)), 0, 1)


def _grain(shape, unit: Acquisition, rng) -> np.ndarray:
    """Blurred white noise, float32, with the standard deviation `unit.grain`."""
    white = rng.standard_normal(shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(white, unit.grain_mm * shape[0] / HEIGHT_MM, truncate=3)
    return noise * np.float32(unit.grain / noise.std())


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
