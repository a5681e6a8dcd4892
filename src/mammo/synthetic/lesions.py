"""Lesions: their shape, their margin, their mask.

Benign and malignant ones are matched by construction. Whatever a lesion looks like, its mask is the `area` pixels where
its shape is strongest, and the brightness in it is dealt out by rank from one fixed profile, the thickness of a
ball. So masks are equally large and hold the same grey levels, to the pixel, and only how these are
arranged tells the classes apart.

A lesion is a body in three dimensions and is seen along two directions, so its views belong together. Coordinates:
towards the nipple, then two across; lengths are in radii of a disc of the lesion's area, angles in radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

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
        "coarse calcifications": "coarse, grouped",
        "rim calcifications": "rim, grouped",
        "popcorn calcification": "coarse (popcorn-like), single",
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

    Masses of 4 to 14 mm radius; specks of calcium of 4 to 10 mm2 in all, brighter than masses, and so small
    that a patch of tissue hides them less. `difficulty` from 0 to 1 takes their contrast away.
    """
    of_calcium = rng.random() < 0.4
    kinds = list((CALCIFICATIONS if of_calcium else MASSES)[label])
    area = rng.uniform(4, 10) if of_calcium else np.pi * rng.uniform(4, 14) ** 2
    return Lesion(
        kind=kinds[rng.integers(len(kinds))],
        area=area,
        contrast=(7.0 if of_calcium else 3.2) * (1 - difficulty) * rng.uniform(0.75, 1.25),
        depth=rng.uniform(0.25, 0.75),
        offset=tuple(rng.uniform(-0.5, 0.5, 2)),
        seed=int(rng.integers(2**31)),
    )


def render(lesion: Lesion, view: str, mm: float) -> tuple[np.ndarray, np.ndarray]:
    """What a lesion adds, float32 (n, n) with a mean of 1 in its mask and 0 around it, and the mask, bool (n, n).

    `mm` is pixels per millimetre. The mask has `lesion.area` to the pixel.
    """
    rng = np.random.default_rng(lesion.seed)
    draw = _FORMS[lesion.kind](rng)
    area = max(1, round(lesion.area * mm**2))
    radius = np.sqrt(lesion.area / np.pi)
    steps = np.arange(-int(radius * REACH[lesion.kind] * mm) - 3, int(radius * REACH[lesion.kind] * mm) + 4)
    towards, across = (axis.astype(np.float32) / (radius * mm) for axis in np.meshgrid(steps, steps))
    shape = ndimage.gaussian_filter(draw(towards, across, ANGLE[view], 1 / (radius * mm)), BLUR_MM * mm)
    order = np.argsort(shape, axis=None, kind="stable")[-area:]
    added = np.zeros(shape.size, np.float32)
    added[order] = ((np.arange(area) + 0.5) / area) ** PROFILE * (1 + PROFILE)
    mask = added.reshape(shape.shape) > 0
    grain = ndimage.gaussian_filter(rng.standard_normal(shape.shape, dtype=np.float32), 0.6 * mm)
    return added.reshape(shape.shape) * (1 + 0.08 * np.clip(grain / grain.std(), -2, 2)), mask


def with_lesion(image, inside, lesion: Lesion, view: str, at, mm: float) -> tuple[np.ndarray, np.ndarray]:
    """The image with a lesion around `at`, (row, column), and its mask, bool (height, width).

    `inside` is where the breast is: the tissue there, within 12 mm, is what the contrast is relative to.
    """
    added, mask = render(lesion, view, mm)
    reach = int(NEIGHBOURHOOD_MM * mm)
    around = tuple(slice(max(centre - reach, 0), centre + reach + 1) for centre in at)
    amount = lesion.contrast * max(0.01, float(image[around][inside[around]].std()))
    return put(image, amount * added, *at), put(np.zeros(image.shape, bool), mask, *at) & inside


def put(canvas: np.ndarray, patch: np.ndarray, row: int, column: int) -> np.ndarray:
    """The canvas with a square patch added around (row, column); what reaches over the edge is cut off."""
    top, left = row - len(patch) // 2, column - len(patch) // 2
    rows = slice(max(top, 0), min(top + len(patch), canvas.shape[0]))
    columns = slice(max(left, 0), min(left + len(patch), canvas.shape[1]))
    canvas = canvas.copy()
    canvas[rows, columns] += patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return canvas


# Each form below takes a generator and returns `draw(towards, across, angle, pixel)`: how strongly the lesion, seen
# at an angle, is there in each pixel. Only the order of these values counts.


def _body(rng, longest: float, roughness: float):
    """An ellipsoid with axes up to `longest`, and waves on its surface."""
    axes = np.array([1.0, rng.uniform(1 / longest, 1), 1 / longest])
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    form = turn @ np.diag(axes**-2.0) @ turn.T
    waves = [(rng.normal(0, 1, 3) * k, roughness / k**0.6 * rng.normal(), rng.uniform(0, 6.28)) for k in range(1, 7)]

    def draw(towards, across, angle, pixel):
        towards = towards + 1e-3  # the centre has no direction
        distance = np.hypot(towards, across)
        ray = np.stack([towards, across * np.cos(angle), across * np.sin(angle)], axis=-1) / distance[..., None]
        edge = 1 / np.sqrt(np.einsum("...i,ij,...j", ray, form, ray))
        bumps = sum(size * np.cos(ray @ wave + phase) for wave, size, phase in waves)
        return 1 - distance / (edge * np.clip(1 + bumps, 0.4, 1.8))

    return draw


def _star(rng, rays: int, inner: float, outer: float, width: float):
    """Lines in all directions of space, from within `inner` to about `outer` radii, tapering and slightly bent."""
    directions = rng.standard_normal((rays, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths, bends = outer * rng.uniform(0.5, 1.2, rays), rng.normal(0, 0.1, rays)
    starts = inner * rng.uniform(0, 1, rays)

    def draw(towards, across, angle, pixel):
        lines = np.full(towards.shape, -10.0, np.float32)
        for (x, y, z), start, length, bend in zip(directions, starts, lengths, bends, strict=True):
            y = y * np.cos(angle) + z * np.sin(angle)
            seen = np.hypot(x, y) + 1e-6
            along = (towards * x + across * y) / seen
            off = (across * x - towards * y) / seen - bend * along**2
            share = (along / seen - start) / (length - start)
            wide = np.maximum(width * np.clip(1.1 - share, 0.15, 1), 0.6 * pixel)
            lines = np.maximum(
                lines,
                np.where((share > 0) & (share < 1), 0.6 - 0.5 * np.abs(share - 0.3) - 0.3 * (off / wide) ** 2, -10),
            )
        return lines

    return draw


def _spiculated(rng):
    body, star = _body(rng, 1.3, 0.2), _star(rng, rng.integers(20, 36), 0.6, 2.3, 0.055)

    def draw(towards, across, angle, pixel):
        core = 1.0 - (1 - body(towards, across, angle, pixel)) / 0.85
        return np.maximum(core, star(towards, across, angle, pixel))

    return draw


def _specks(centres, radii, ring: bool = False):
    """Balls of calcium, or shells; blurred by the width of a pixel."""

    def draw(towards, across, angle, pixel):
        deepest = np.full(towards.shape, -10.0, np.float32)
        for (x, y, z), radius in zip(centres, radii, strict=True):
            away = np.hypot(towards - x, across - y * np.cos(angle) - z * np.sin(angle))
            depth = -np.abs(away - radius) / pixel if ring else (radius - away) / max(radius, pixel)
            deepest = np.maximum(deepest, depth)
        return deepest

    return draw


def _scattered(rng, count: int, spread: float, apart: float) -> np.ndarray:
    """Points in a ball, each `apart` from the others where that can be had."""
    points = [rng.normal(0, spread, 3)]
    for _ in range(20 * count):
        point = rng.normal(0, spread, 3)
        if min(np.linalg.norm(point - other) for other in points) > apart:
            points.append(point)
        if len(points) == count:
            break
    return np.array(points)


def _coarse(rng):
    centres = _scattered(rng, rng.integers(3, 6), 1.8, 1.6)
    return _specks(centres, rng.uniform(0.4, 0.65, len(centres)))


def _rims(rng):
    centres = _scattered(rng, rng.integers(1, 3), 2.0, 3.5)
    return _specks(centres, rng.uniform(0.9, 1.4, len(centres)) / np.sqrt(len(centres)), ring=True)


def _popcorn(rng):
    centres = _scattered(rng, rng.integers(6, 11), 0.6, 0.35)
    return _specks(centres, rng.uniform(0.25, 0.5, len(centres)))


def _pleomorphic(rng):
    centres = _scattered(rng, rng.integers(14, 30), 1.9, 0.5)
    return _specks(centres, rng.uniform(0.08, 0.24, len(centres)))


def _linear(rng):
    """Broken casts of ducts that branch away from the nipple."""
    centres, start = [], np.array([3.0, 0, 0])
    for _ in range(rng.integers(2, 4)):
        place, heading = start + rng.normal(0, 0.4, 3), np.array([-1.0, 0, 0]) + rng.normal(0, 0.3, 3)
        for step in range(rng.integers(18, 30)):
            heading = heading + rng.normal(0, 0.12, 3)
            place = place + 0.25 * heading / np.linalg.norm(heading)
            if step % 7 < 5:
                centres.append(place)
    return _specks(np.array(centres), rng.uniform(0.1, 0.16, len(centres)))


_FORMS = {
    "round mass": lambda rng: _body(rng, 1.1, 0.015),
    "oval mass": lambda rng: _body(rng, rng.uniform(1.3, 1.8), 0.02),
    "irregular mass": lambda rng: _body(rng, 1.4, 0.4),
    "spiculated mass": _spiculated,
    "architectural distortion": lambda rng: _star(rng, rng.integers(26, 42), 0.7, 2.8, 0.05),
    "coarse calcifications": _coarse,
    "rim calcifications": _rims,
    "popcorn calcification": _popcorn,
    "fine pleomorphic calcifications": _pleomorphic,
    "fine linear calcifications": _linear,
}
REACH = dict.fromkeys(MASSES["benign"], 2.2) | dict.fromkeys(MASSES["malignant"], 3.2)
REACH |= dict.fromkeys(CALCIFICATIONS["benign"], 7) | dict.fromkeys(CALCIFICATIONS["malignant"], 7)
