"""Findings that occur in any breast, whatever its label: lymph nodes, single calcifications, moles, skin markers."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

FINE = 2  # drawn so many times larger, so that edges are smooth
CALCIFICATIONS, RING, MOLE, MARKER, NODES = 0.25, 0.04, 0.06, 0.03, 0.3  # share of views with some; chosen by eye


def incidental_findings(skin, columns: int, view: str, mm: float, rng) -> np.ndarray:
    """How much such findings add, float32 (rows, columns) in [0, 1].

    `skin` is the column of the skin for each row. A marker is a ring of wire that radiographers tape to the skin.
    """
    layer = Image.new("L", (columns * FINE, len(skin) * FINE))
    draw = ImageDraw.Draw(layer)
    if rng.random() < CALCIFICATIONS:
        for _ in range(rng.integers(1, 6)):
            _oval(draw, _place(skin, rng), rng.uniform(0.15, 0.5) * mm, 1, rng.uniform(0.5, 1))
    if rng.random() < RING:
        place, radius = _place(skin, rng), rng.uniform(0.8, 1.6) * mm
        _oval(draw, place, radius, 1, rng.uniform(0.5, 0.9))
        _oval(draw, place, radius - max(0.4 * mm, 0.7), 1, rng.uniform(0.1, 0.3))
    if rng.random() < MOLE:
        place, radius, rounding = _place(skin, rng), rng.uniform(2, 6) * mm, rng.uniform(0.7, 1)
        brightness = rng.uniform(0.1, 0.35)
        _oval(draw, place, radius, rounding, brightness)
        _oval(draw, place, radius - 0.6 * mm, rounding, rng.uniform(0.6, 1) * brightness)
    if rng.random() < MARKER:
        place, radius, rounding = _place(skin, rng), rng.uniform(4, 9) * mm, rng.uniform(0.7, 1)
        size = [radius * FINE, radius * rounding * FINE]
        draw.ellipse(_box(place, *size), outline=int(rng.uniform(150, 255)), width=max(1, round(0.8 * mm * FINE)))
    if view == "MLO" and rng.random() < NODES:
        for _ in range(rng.integers(1, 4)):
            _node(draw, len(skin) * rng.uniform(0.02, 0.3), mm, rng)
    return np.asarray(layer.reduce(FINE), np.float32) / 255


def _place(skin, rng) -> tuple[float, float]:
    """Column and row of a place in the breast."""
    row = rng.choice(np.flatnonzero(skin > 0.2 * skin.max()))
    return float(skin[row] * rng.uniform(0.05, 0.93)), float(row)


def _node(draw, row: float, mm: float, rng) -> None:
    """A lymph node in the axilla: an oval with a notch of fat, its hilum."""
    column = rng.uniform(2, 35) * mm
    radius, rounding, brightness = rng.uniform(2.5, 7) * mm, rng.uniform(0.5, 0.8), rng.uniform(0.08, 0.22)
    _oval(draw, (column, row), radius, rounding, brightness)
    hilum = column + rng.choice([-1, 1]) * rng.uniform(0.4, 0.8) * radius, row + rng.uniform(-0.2, 0.4) * radius
    _oval(draw, hilum, rng.uniform(0.4, 0.7) * radius, rounding, rng.uniform(0.1, 0.6) * brightness)


def _oval(draw, place, radius: float, rounding: float, brightness: float) -> None:
    draw.ellipse(_box(place, FINE * radius, FINE * radius * rounding), fill=int(255 * brightness))


def _box(place, wide: float, high: float) -> list[float]:
    column, row = FINE * place[0], FINE * place[1]
    wide, high = max(wide, 0), max(high, 0)
    return [column - wide, row - high, column + wide, row + high]
