"""The breast as a shape, and what lies around its tissue."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from mammo.synthetic.texture import power_law_field

MUSCLE_IN_CC = 0.3  # share of CC views in which the pectoral muscle is seen: about a third
AXILLARY_FOLD = 0.2  # share of MLO views; chosen by eye
HEIGHT_MM = 240.0  # what one image height stands for: the short side of a 24 x 30 cm detector


def outline(
    view: str, depth: float, half_height: float, rows: int, rng
) -> tuple[np.ndarray, tuple[float, float], float | None]:
    """Column of the skin for each row, row and column of the nipple, and the row of the inframammary fold.

    The column is 0 where there is no breast, the row of the fold None where it is not in the image. Forms chosen by
    eye.
    """
    row = np.arange(rows, dtype=np.float32)
    mm = rows / HEIGHT_MM
    if view == "CC":
        nipple = rows * rng.uniform(0.43, 0.57)
        above, below = half_height * rng.uniform(0.85, 1.15, 2)
        skin = np.where(row < nipple, _half(nipple - row, above, rng), _half(row - nipple, below, rng))
        has_fold = rng.random() < 0.3
    else:
        nipple = rows * rng.uniform(0.5, 0.7)
        below = min(half_height * rng.uniform(0.7, 0.95), rows * rng.uniform(0.9, 1.05) - nipple)
        up = np.clip((nipple - row) / nipple, 0, 1)
        upper = 1 - (1 - rng.uniform(0.35, 0.8)) * np.sin(up * np.pi / 2) ** rng.uniform(1.5, 3)
        upper += rng.uniform(0, 0.12) * np.sin(np.clip(1.6 * up, 0, 1) * np.pi) ** 2  # fuller above the nipple
        skin = np.where(row < nipple, upper, _half(row - nipple, below, rng))
        has_fold = rng.random() < 0.65
    skin = depth * skin
    profile = np.where(rng.random() < 0.35, 0, rng.uniform(1, 8)) * mm  # how far the nipple is seen in profile
    skin = np.where(skin > 0, skin + profile * np.exp(-(np.abs((row - nipple) / (rng.uniform(3.5, 6) * mm)) ** 4)), 0)
    fold = nipple + below if has_fold and nipple + below < rows - 4 * mm else None
    if fold is not None:
        beyond = rng.uniform(3, 0.18 * depth / mm) * mm + rng.normal(0, 0.12) * (row - fold)
        beyond = np.clip(beyond, 0, 0.22 * depth) * (row < fold + rng.uniform(10, 90) * mm)
        skin = np.where(row > nipple, np.maximum(skin, beyond * (row > fold - 8 * mm)), skin)
    return skin.astype(np.float32), (nipple, depth), fold


def _half(away, reach: float, rng) -> np.ndarray:
    """From 1 at the nipple's row to 0 at `reach` rows from it: half a superellipse."""
    away = np.clip(away / np.float32(reach), 0, 1)
    return (1 - away ** rng.uniform(1.7, 2.6)) ** rng.uniform(0.45, 0.68)


def distance_to_skin(skin: np.ndarray, columns: int) -> np.ndarray:
    """float32 (rows, columns): pixels to the nearest skin, 0 outside the breast. Computed coarsely: it is smooth."""
    step = 4
    column = np.arange(columns, dtype=np.float32)
    inside = column < skin[:, None]
    coarse = ndimage.distance_transform_edt(inside[::step, ::step]).astype(np.float32) * step
    fine = np.asarray(Image.fromarray(coarse).resize((columns, len(skin)), Image.BILINEAR))
    return np.where(inside, np.clip(fine, 0.1, np.maximum(skin[:, None] - column, 0.1)), 0)


def thickness(distance: np.ndarray, compressed: float) -> np.ndarray:
    """Share of the `compressed` thickness, in pixels: even between the plates, round where the breast leaves them.

    The free rim bulges as a half circle, as wide as half the thickness (Highnam, Brady and Shepstone, British
    Journal of Radiology 71, 1998).
    """
    rim = np.clip(distance / np.float32(compressed / 2), 0, 1)
    return np.sqrt(np.clip(1 - (1 - rim) ** 2, 0, 1))


def skin_edge_on(distance, nipple, mm: float, rng) -> np.ndarray:
    """How much of the skin is seen, in [0, 1]: a line along the rim, brightest near the nipple and below it."""
    row = np.arange(len(distance), dtype=np.float32)[:, None] - np.float32(nipple[0] + rng.uniform(-15, 40) * mm)
    thicker = 0.45 + 0.55 * np.exp(-((row / np.float32(rng.uniform(25, 60) * mm)) ** 2))
    return thicker * np.exp(-(((distance - 1.3 * mm) / (mm * (0.5 + 0.5 * thicker))) ** 2))


def with_pectoral_muscle(image, view: str, mm: float, rng) -> np.ndarray:
    """The muscle at the chest wall: a wedge over the upper corner of an MLO view, a sickle in some CC views."""
    rows, columns = image.shape
    row = np.arange(rows, dtype=np.float32)[:, None]
    if view == "MLO":
        down = row / np.float32(rng.uniform(0.35, 0.8) * rows)
        edge = rng.uniform(22, 65) * mm * (1 - down)
        edge += rng.uniform(-6, 9) * mm * np.sin(np.clip(down, 0, 1) * np.pi)
        edge += rng.uniform(0, 1.2) * mm * np.sin(row / np.float32(rng.uniform(6, 12) * mm))
    elif rng.random() < MUSCLE_IN_CC:
        down = 0
        edge = rng.uniform(3, 12) * mm - np.float32(0.02 / mm) * (row - np.float32(rows * rng.uniform(0.35, 0.65))) ** 2
    else:
        return image
    soft = np.float32(rng.uniform(0.8, 5) * mm)
    muscle = 0.5 + 0.5 * np.tanh((edge - np.arange(columns, dtype=np.float32)) / soft)
    fibres = power_law_field(rng, image.shape, 2.4, stretch=rng.uniform(1.5, 4))
    level = rng.uniform(0.34, 0.6) - 0.08 * down + np.float32(rng.uniform(0.01, 0.03)) * fibres
    through = np.float32(rng.uniform(0.3, 0.7))  # of the tissue over the muscle
    return image + muscle * (level - image + through * (image - 0.27))


def with_folds(image, skin, fold: float | None, view: str, mm: float, rng) -> np.ndarray:
    """Skin that lies double: a bright spot in the inframammary fold, and in some MLO views a fold in the axilla."""
    if fold is not None:
        row, column = (np.arange(side, dtype=np.float32) for side in image.shape)
        row = row[:, None]
        high, wide = rng.uniform(2, 5) * mm, rng.uniform(5, 14) * mm
        spot = np.exp(-np.abs((row - np.float32(fold)) / np.float32(high)) - column / np.float32(wide))
        image = image + np.float32(rng.uniform(0.05, 0.4)) * spot
    if view == "MLO" and rng.random() < AXILLARY_FOLD:
        start = rng.uniform(0.03, 0.25) * len(skin)
        from_skin = skin[int(start)] - np.arange(image.shape[1], dtype=np.float32)
        line = start + rng.uniform(0, 0.5) * from_skin + np.float32(rng.normal(0, 0.004) / mm) * from_skin**2
        off = np.arange(len(skin), dtype=np.float32)[:, None] - line
        fade = np.exp(-from_skin / np.float32(rng.uniform(15, 50) * mm)) * np.float32(rng.uniform(0.05, 0.2))
        shade = np.exp(-np.abs(off) / np.float32(4 * mm)) * np.where(off > 0, np.float32(-0.4), np.float32(0.4))
        image = image + fade * (np.exp(-((off / np.float32(0.8 * mm)) ** 2)) + shade)
    return image
