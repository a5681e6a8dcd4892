"""The forms that lesions take, as bodies in three dimensions.

Each form takes a generator and returns `draw(towards, across, angle, pixel)`: how strongly the lesion, seen at an
`angle`, is there in each pixel. Only the order of these values counts. Coordinates are arrays (n, n), towards the
nipple and across; lengths are in radii of a disc of the lesion's area, `pixel` is the side of one; angles in radians.
"""

from __future__ import annotations

import numpy as np


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
            fraction = (along / seen - start) / (length - start)
            wide = np.maximum(width * np.clip(1.1 - fraction, 0.15, 1), 0.6 * pixel)
            lines = np.maximum(
                lines,
                np.where(
                    (fraction > 0) & (fraction < 1),
                    0.6 - 0.5 * np.abs(fraction - 0.3) - 0.3 * (off / wide) ** 2,
                    -10,
                ),
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
    """Balls of calcium, or shells."""

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


def _popcorn(rng):
    centres = _scattered(rng, rng.integers(6, 11), 0.6, 0.35)
    return _specks(centres, rng.uniform(0.25, 0.5, len(centres)))


def _pleomorphic(rng):
    """At least five in a group (BI-RADS). Real ones are below half a millimetre; here they have a pixel or more."""
    centres = _scattered(rng, rng.integers(14, 30), 1.9, 0.5)
    return _specks(centres, rng.uniform(0.08, 0.24, len(centres)))


def _linear(rng):
    """Broken casts of ducts that branch away from the nipple; wider than real ones, as pixels are."""
    centres, start = [], np.array([3.0, 0, 0])
    for _ in range(rng.integers(2, 4)):
        place, heading = start + rng.normal(0, 0.4, 3), np.array([-1.0, 0, 0]) + rng.normal(0, 0.3, 3)
        for step in range(rng.integers(18, 30)):
            heading = heading + rng.normal(0, 0.12, 3)
            place = place + 0.25 * heading / np.linalg.norm(heading)
            if step % 7 < 5:
                centres.append(place)
    return _specks(np.array(centres), rng.uniform(0.1, 0.16, len(centres)))


FORMS = {
    "round mass": lambda rng: _body(rng, 1.1, 0.015),
    "oval mass": lambda rng: _body(rng, rng.uniform(1.3, 1.8), 0.02),
    "irregular mass": lambda rng: _body(rng, 1.4, 0.4),
    "spiculated mass": _spiculated,
    "architectural distortion": lambda rng: _star(rng, rng.integers(26, 42), 0.7, 2.8, 0.05),
    "coarse calcifications": _coarse,
    "rim calcification": lambda rng: _specks(np.zeros((1, 3)), rng.uniform(0.9, 1.2, 1), ring=True),
    "popcorn calcification": _popcorn,
    "fine pleomorphic calcifications": _pleomorphic,
    "fine linear calcifications": _linear,
}
# How far from its middle a lesion may reach, in radii.
REACH = {kind: 7.0 if "calc" in kind else 3.2 for kind in FORMS} | {"round mass": 2.2, "oval mass": 2.2}
