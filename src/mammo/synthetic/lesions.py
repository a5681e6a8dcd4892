"""Lesions: their shape, their margin, their mask.

Benign and malignant ones are matched by construction. Whatever a lesion looks like, its mask is the `area` pixels
where its shape is strongest, and the brightness it adds is dealt out among them by rank from one fixed profile. So
masks of the same area add the same grey levels, to the pixel, and only how these are arranged tells the classes
apart: area, contrast and place are drawn without looking at the label. How far a lesion reaches belongs to its form
and is not matched: spicules are long.

A lesion is a body in three dimensions, seen along two directions, so its views belong together; of a mass it is the
section across the beam that is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mammo.synthetic.lesion_shapes import FORMS, REACH

PROFILE = 0.8  # brightness at the share u of the mask's area, counted from its rim, is u**PROFILE; 0.5 were a ball
ANGLE = {"CC": 0.0, "MLO": np.deg2rad(50)}  # how far the X-ray tube is turned
NEIGHBOURHOOD_MM, BLUR_MM = 12.0, 0.25

# The terms of BI-RADS (D'Orsi et al., ACR BI-RADS Atlas, fifth edition, 2013): type, then how it is described.
MASSES = {
    "benign": {
        "round mass": "round, circumscribed",
        "oval mass": "oval, circumscribed",
    },
    "malignant": {
        "irregular mass": "irregular, indistinct",
        "spiculated mass": "irregular, spiculated",
        "architectural distortion": "architectural distortion",
    },
}
CALCIFICATIONS = {
    "benign": {
        "coarse calcifications": "coarse",
        "rim calcification": "rim",
        "popcorn calcification": "coarse (popcorn-like)",
    },
    "malignant": {
        "fine pleomorphic calcifications": "fine pleomorphic, grouped",
        "fine linear calcifications": "fine linear or fine-linear branching, segmental",
    },
}
DESCRIPTIONS = {k: v for group in (MASSES, CALCIFICATIONS) for types in group.values() for k, v in types.items()}


@dataclass(frozen=True)
class Lesion:
    """What both views of a lesion share."""

    kind: str
    """One of `DESCRIPTIONS`."""
    area: float
    """Of its mask, mm2."""
    contrast: float
    """Mean brightness it adds in its mask, in standard deviations of the tissue around it."""
    depth: float
    """Distance from the chest wall as a share of the breast's depth."""
    offset: tuple[float, float]
    """Above (-) or below the nipple in CC and in MLO, as a share of the breast there."""
    seed: int
    """Decides its form."""


def draw_lesion(rng: np.random.Generator, label: str, difficulty: float) -> Lesion:
    """A lesion with everything but its kind drawn from distributions that do not depend on the label.

    Masses are as large as discs 8 to 28 mm across; of cancers found by screening the median is 12 to 15 mm (Breast
    Cancer Research 6, Suppl. 1: P14, 2004). Specks of calcium cover 5 to 12 mm2 in all, and are brighter than masses,
    as calcium is. `difficulty` from 0 to 1 takes the contrast away.
    """
    of_calcium = rng.random() < 0.4
    kinds = list((CALCIFICATIONS if of_calcium else MASSES)[label])
    area = rng.uniform(5, 12) if of_calcium else np.pi * rng.uniform(4, 14) ** 2
    return Lesion(
        kind=kinds[rng.integers(len(kinds))],
        area=area,
        contrast=(7.0 if of_calcium else 3.2) * (1 - difficulty) * rng.uniform(0.75, 1.25),
        depth=rng.uniform(0.25, 0.75),
        offset=tuple(rng.uniform(-0.5, 0.5, 2)),
        seed=int(rng.integers(2**31)),
    )


def render(lesion: Lesion, view: str, mm: float, inside=None, beside=(0.0, 0.0)) -> tuple[np.ndarray, np.ndarray]:
    """What a lesion adds, float32 (n, n) with a mean of 1 in its mask and 0 around it, and the mask, bool (n, n).

    `mm` is pixels per millimetre. The mask has `lesion.area`, to the pixel; where `inside`, bool (n, n), is
    given, the mask stays in there. `beside`, rows and columns, is how far the lesion's middle is from that of the
    middle pixel.
    """
    rng = np.random.default_rng(lesion.seed)
    draw = FORMS[lesion.kind](rng)
    radius = np.sqrt(lesion.area / np.pi)
    reach = reach_of(lesion, mm)
    across, towards = ((np.arange(-reach, reach + 1) - away) / (radius * mm) for away in beside)
    towards, across = np.meshgrid(towards, across)
    shape = ndimage.gaussian_filter(draw(towards, across, ANGLE[view], 1 / (radius * mm)), BLUR_MM * mm)
    if inside is not None:
        shape = np.where(inside, shape, -np.inf)
    area = min(max(1, round(lesion.area * mm**2)), int(np.isfinite(shape).sum()))
    order = np.argsort(shape, axis=None, kind="stable")[shape.size - area :]
    added = np.zeros(shape.size, np.float32)
    profile = (np.arange(1, area + 1) / area) ** PROFILE
    added[order] = profile / profile.mean()
    added = added.reshape(shape.shape)
    return added, added > 0


def reach_of(lesion: Lesion, mm: float) -> int:
    """Half the side of the square in which a lesion is drawn, in pixels."""
    return int(np.sqrt(lesion.area / np.pi) * REACH[lesion.kind] * mm) + 3


def with_lesion(image, inside, lesion: Lesion, view: str, at, mm: float) -> tuple[np.ndarray, np.ndarray]:
    """The image with a lesion around `at`, (row, column), and its mask, bool (height, width).

    `at` may be between pixels: all kinds are then, also those whose form is symmetric. `inside` is where the breast is:
    the lesion stays in there, and its contrast is relative to the tissue there within 12 mm.
    """
    reach, (row, column) = reach_of(lesion, mm), (round(centre) for centre in at)
    window = np.pad(inside, reach)[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
    added, mask = render(lesion, view, mm, window, (at[0] - row, at[1] - column))
    near = int(NEIGHBOURHOOD_MM * mm)
    around = tuple(slice(max(centre - near, 0), centre + near + 1) for centre in (row, column))
    amount = lesion.contrast * max(0.01, float(image[around][inside[around]].std()))
    return put(image, amount * added, row, column), put(np.zeros(image.shape, bool), mask, row, column)


def put(canvas: np.ndarray, patch: np.ndarray, row: int, column: int) -> np.ndarray:
    """The canvas with a square patch added around (row, column); what reaches over the edge is cut off."""
    top, left = row - len(patch) // 2, column - len(patch) // 2
    rows = slice(max(top, 0), min(top + len(patch), canvas.shape[0]))
    columns = slice(max(left, 0), min(left + len(patch), canvas.shape[1]))
    canvas = canvas.copy()
    canvas[rows, columns] += patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return canvas
