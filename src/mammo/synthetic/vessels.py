"""Blood vessels, seen best in fat: long smooth lines from the chest wall and the axilla towards the nipple."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

FINE = 2  # vessels are drawn so many times larger, so that their edges are smooth


def vessels(shape, nipple, calcified: bool, mm: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """How much blood, and how much calcium in the walls of arteries; float32 (height, width) in [0, 1].

    Most are 1 to 2 mm wide. The calcium lies in two rows of specks, one in each wall. Numbers chosen by eye.
    """
    blood, calcium = (Image.new("L", (shape[1] * FINE, shape[0] * FINE)) for _ in range(2))
    on_blood, on_calcium = ImageDraw.Draw(blood), ImageDraw.Draw(calcium)
    for number in range(rng.integers(2, 7)):
        path, width = _path(nipple, mm, rng), rng.uniform(0.6, 2.0)
        brightness = rng.uniform(0.25, 1)
        _draw(on_blood, path, width * mm, brightness)
        for _ in range(rng.integers(0, 3)):
            _draw(on_blood, _branch(path, mm, rng), 0.6 * width * mm, 0.7 * brightness)
        if calcified and number < 2:
            _draw_specks(on_calcium, path, 0.4 * max(width, 1.2) * mm, mm, rng)
    return tuple(np.asarray(layer.reduce(FINE), np.float32) / 255 for layer in (blood, calcium))


def _path(nipple, mm: float, rng) -> np.ndarray:
    """Points (n, 2), column and row, a millimetre or so apart: from the chest wall to somewhere near the nipple."""
    start = np.array([0, nipple[0] * rng.uniform(0.1, 1.7)])
    end = np.array([nipple[1] * rng.uniform(0.5, 0.95), nipple[0] + rng.normal(0, 22) * mm])
    return _wavy(start, end, rng.normal(0, 0.12), rng.uniform(0.3, 1), mm, rng)


def _branch(path, mm: float, rng) -> np.ndarray:
    """A path that leaves another one at a small angle."""
    at = rng.integers(len(path) // 4, 3 * len(path) // 4)
    heading = path[at + 2] - path[at - 2]
    turn = rng.choice([-1, 1]) * rng.uniform(0.3, 0.8)
    heading = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ heading
    end = path[at] + heading / np.hypot(*heading) * rng.uniform(15, 45) * mm
    return _wavy(path[at], end, rng.normal(0, 0.1), rng.uniform(0.3, 1), mm, rng)


def _wavy(start, end, bow: float, wave: float, mm: float, rng) -> np.ndarray:
    """From `start` to `end` with a `bow`, as a share of the length, and waves of about `wave` mm on it."""
    along = end - start
    length = np.hypot(*along)
    share = np.linspace(0, 1, int(length / mm) + 8)
    aside = bow * length * np.sin(np.pi * share)
    for period in (40, 17):
        aside += wave * period / 17 * mm * np.sin(2 * np.pi * share * length / mm / period + rng.uniform(0, 6.28))
    return start + share[:, None] * along + aside[:, None] * np.array([-along[1], along[0]]) / length


def _draw(draw, path, width: float, brightness: float) -> None:
    """A line that gets thinner and fainter towards its end."""
    points = [tuple(point) for point in FINE * path]
    third = max(2, len(points) // 3)
    for part in range(3):
        section = points[part * third : (part + 1) * third + 1 if part < 2 else None]
        tapered = 1 - 0.22 * part
        draw.line(section, int(255 * brightness * tapered), max(1, round(FINE * width * tapered)), "curve")


def _draw_specks(draw, path, radius: float, mm: float, rng) -> None:
    """Specks of calcium along both walls, with gaps."""
    heading = np.gradient(path, axis=0)
    normal = np.stack([-heading[:, 1], heading[:, 0]], axis=1) / np.hypot(*heading.T)[:, None]
    gaps = np.sin(np.arange(len(path)) / rng.uniform(4, 9) + rng.uniform(0, 6.28)) > -0.3
    for wall in (-radius, radius):
        for column, row in FINE * (path + wall * normal)[gaps & (rng.random(len(path)) < 0.6)]:
            size = FINE * mm * rng.uniform(0.15, 0.45)
            draw.ellipse([column - size, row - size, column + size, row + size], int(rng.uniform(120, 255)))
