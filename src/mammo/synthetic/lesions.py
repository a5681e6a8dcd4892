"""Masses: their shape, their margin, their mask."""

from __future__ import annotations

import numpy as np

from mammo.synthetic.texture import power_law_field

FLATNESS = 0.35
MEAN_OF_BALL = 1 / (1 + FLATNESS)  # mean of (1 - r**2)**FLATNESS over the unit disc


def mass(label: str, area: float, mm: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """A mass: what it adds, float (n, n), about 1 at its brightest, and its mask, bool (n, n).

    Shapes and margins after the BI-RADS lexicon: round or oval and circumscribed, or irregular and
    spiculated. Drawn, measured and drawn again until it adds as much in all as a smooth ball whose shadow
    has `area` pixels: so neither its peak nor its sum tells the classes apart.
    """
    draw = _smooth_mass(rng) if label == "benign" else _spiculated_mass(rng)
    radius = np.sqrt(area / np.pi)
    for _ in range(3):
        added, mask = draw(radius, mm)
        radius *= np.sqrt(area * MEAN_OF_BALL / added.sum())
    return added * (1 + 0.15 * np.clip(power_law_field(rng, added.shape, 2.5), -2, 2)), mask


def put(canvas: np.ndarray, patch: np.ndarray, row: int, column: int) -> np.ndarray:
    """The canvas with a square patch added around (row, column); what reaches over the edge is cut off."""
    top, left = row - len(patch) // 2, column - len(patch) // 2
    rows = slice(max(top, 0), min(top + len(patch), canvas.shape[0]))
    columns = slice(max(left, 0), min(left + len(patch), canvas.shape[1]))
    canvas = canvas.copy()
    canvas[rows, columns] += patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return canvas


def _smooth_mass(rng):
    stretch, turn = rng.uniform(0, 0.3), rng.uniform(0, np.pi)
    lobe, lobe_turn = rng.normal(0, 0.04), rng.uniform(0, 2 * np.pi)

    def draw(radius, mm):
        distance, angle = _polar_grid(2.2 * radius)
        edge = radius * (1 + stretch * np.cos(2 * (angle - turn)) + lobe * np.cos(3 * angle + lobe_turn))
        return _blob(distance / edge, 0.035), distance < edge

    return draw


def _spiculated_mass(rng):
    waves = [(k, rng.normal(0, 0.22 / k**0.6), rng.uniform(0, 2 * np.pi)) for k in range(2, 9)]
    spicules = [
        (rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.5), rng.normal(0, 0.1)) for _ in range(rng.integers(14, 26))
    ]

    def draw(radius, mm):
        distance, angle = _polar_grid(2.7 * radius)
        edge = radius * np.clip(1 + sum(a * np.cos(k * angle + p) for k, a, p in waves), 0.45, 1.7)
        shape, mask = _blob(distance / edge, 0.09), distance < edge
        for direction, length, bend in spicules:
            along = distance * np.cos(angle - direction)
            across = distance * np.sin(angle - direction) - bend * along**2 / radius
            share = (along / radius - 0.5) / (length + 0.5)  # 0 inside the mass, 1 at the tip
            width = 0.8 * mm * np.clip(1.15 - share, 0.12, 1)
            line = np.exp(-((across / width) ** 2)) * (share > 0) * np.clip(1.6 * (1 - share), 0, 1)
            shape = np.maximum(shape, 0.6 * line)
            mask = mask | (line > 0.35)
        return shape, mask

    return draw


def _polar_grid(reach: float) -> tuple[np.ndarray, np.ndarray]:
    steps = np.arange(-int(reach) - 2, int(reach) + 3, dtype=np.float32)
    return np.hypot(steps[:, None], steps), np.arctan2(steps[:, None], steps)


def _blob(ratio: np.ndarray, softness: float) -> np.ndarray:
    """Thickness of a flattened ball at `ratio` of its radius, with a margin as soft as asked."""
    ball = np.clip(1 - ratio**2, 0, 1) ** FLATNESS
    return ball * (0.5 + 0.5 * np.tanh((1 - ratio) / (2 * softness)))
