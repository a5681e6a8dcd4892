"""The breast as a shape, what lies around its tissue, and the detector behind it."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from mammo.synthetic.texture import power_law_field

HEIGHT_MM = 240.0  # what one image height stands for: the short side of a 24 x 30 cm detector


def outline(view: str, depth: float, half_height: float, rows: int, rng) -> tuple[np.ndarray, tuple[float, float]]:
    """Column of the skin for each row (0 where there is no breast), and row and column of the nipple."""
    row = np.arange(rows, dtype=np.float32)
    if view == "CC":
        nipple = rows * rng.uniform(0.47, 0.53)
        reach = np.clip(1 - np.abs((row - nipple) / half_height) ** rng.uniform(1.9, 2.3), 0, None)
        skin = depth * reach ** rng.uniform(0.5, 0.6)
    else:
        nipple = rows * rng.uniform(0.55, 0.62)
        below = np.clip((row - nipple) / (half_height * rng.uniform(0.75, 0.9)), 0, 1)
        above = np.clip((nipple - row) / nipple, 0, 1)
        axilla = rng.uniform(0.35, 0.55)
        upper = 1 - (1 - axilla) * np.sin(above * np.pi / 2) ** rng.uniform(1.6, 2.2)
        skin = depth * np.where(row > nipple, np.sqrt(1 - below**2.1), upper)
    bump = np.exp(-(((row - nipple) * HEIGHT_MM / rows / 3.5) ** 4)) * rng.uniform(2, 6) * rows / HEIGHT_MM
    return np.where(skin > 0, skin + bump, 0), (nipple, depth)


def distance_to_skin(skin: np.ndarray, image_size) -> np.ndarray:
    """float32 (height, width): pixels to the nearest skin, 0 outside the breast. Computed coarsely: it is smooth."""
    step = 4
    column = np.arange(image_size[1], dtype=np.float32)
    inside = column < skin[:, None]
    coarse = np.pad(inside[::step, ::step], ((1, 1), (64, 0)), mode="edge")  # the chest wall is no skin
    coarse = ndimage.distance_transform_edt(coarse)[1:-1, 64:].astype(np.float32) * step
    fine = np.asarray(Image.fromarray(coarse).resize(image_size[::-1], Image.BILINEAR))
    return np.where(inside, np.clip(fine, 0.1, np.maximum(skin[:, None] - column, 0.1)), 0)


def with_pectoral_muscle(image, thickness, mm: float, rng) -> np.ndarray:
    """The muscle at the chest wall of an MLO view: a bright triangle over the upper corner."""
    rows, columns = image.shape
    row = np.arange(rows, dtype=np.float32)[:, None]
    down = row / (rng.uniform(0.45, 0.62) * rows)
    edge = rng.uniform(0.28, 0.45) * columns * (1 - down)
    edge += rng.uniform(-2, 6) * mm * np.sin(np.clip(down, 0, 1) * np.pi)
    muscle = 0.5 + 0.5 * np.tanh((edge - np.arange(columns, dtype=np.float32)) / (2.4 * mm))
    fibres = 0.47 + 0.02 * power_law_field(rng, image.shape, 2.5)
    return image + muscle * thickness * (fibres - image + 0.3 * np.clip(image - 0.3, 0, 1))


def detector(image, inside, rng) -> np.ndarray:
    """Blur, exposure and grain; a background that is dark but not 0."""
    image = ndimage.gaussian_filter(image, 0.6) * rng.uniform(0.9, 1.1) + 0.01
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image + grain * np.where(inside, 0.006, 0.002), 0, 1).astype(np.float32)
