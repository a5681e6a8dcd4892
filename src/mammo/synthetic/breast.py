"""The breast as a shape, and what lies around its tissue."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from mammo.synthetic.texture import power_law_field

HEIGHT_MM = 240.0  # what one image height stands for: the short side of a 24 x 30 cm detector


def outline(view: str, depth: float, half_height: float, rows: int, rng) -> tuple[np.ndarray, tuple[float, float]]:
    """Column of the skin for each row (0 where there is no breast), and row and column of the nipple."""
    row = np.arange(rows, dtype=np.float32)
    mm = rows / HEIGHT_MM
    if view == "CC":
        nipple = rows * rng.uniform(0.45, 0.55)
        half = half_height * np.where(row < nipple, rng.uniform(0.9, 1.1), rng.uniform(0.9, 1.1))
        reach = np.clip(1 - np.abs((row - nipple) / half) ** rng.uniform(1.8, 2.4), 0, None)
        skin = depth * reach ** rng.uniform(0.5, 0.7)
    else:
        nipple = rows * rng.uniform(0.52, 0.64)
        below = np.clip((row - nipple) / (half_height * rng.uniform(0.7, 0.9)), 0, 1)
        above = np.clip((nipple - row) / nipple, 0, 1)
        axilla = rng.uniform(0.3, 0.55)
        upper = 1 - (1 - axilla) * np.sin(above * np.pi / 2) ** rng.uniform(1.5, 2.4)
        skin = depth * np.where(row > nipple, (1 - below ** rng.uniform(1.9, 2.6)) ** rng.uniform(0.45, 0.6), upper)
    bump = np.exp(-(np.abs((row - nipple) / (rng.uniform(3, 5.5) * mm)) ** 3)) * rng.uniform(0, 5) * mm
    return np.where(skin > 0, skin + bump, 0).astype(np.float32), (nipple, depth)


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


def with_pectoral_muscle(image, mm: float, rng) -> np.ndarray:
    """The muscle at the chest wall of an MLO view: a bright wedge over the upper corner, with a curved edge."""
    rows, columns = image.shape
    down = np.arange(rows, dtype=np.float32)[:, None] / np.float32(rng.uniform(0.4, 0.65) * rows)
    edge = rng.uniform(30, 55) * mm * (1 - down)
    edge += rng.uniform(-3, 7) * mm * np.sin(np.clip(down, 0, 1) * np.pi)
    muscle = 0.5 + 0.5 * np.tanh((edge - np.arange(columns, dtype=np.float32)) / np.float32(rng.uniform(0.8, 2.2) * mm))
    fibres = rng.uniform(0.5, 0.62) - 0.08 * down + 0.015 * power_law_field(rng, image.shape, 2.5)
    return image + muscle * (fibres - image + 0.35 * np.clip(image - 0.3, 0, 1))
