"""Where a lesion is, from what the owner drew: an outline, a box or a mask -> x, y, radius.

x, y is the middle and radius that of a circle of the same area, in pixels of the image, y down. Synthetic lesions
are located the same way.
"""

from __future__ import annotations

import numpy as np
from skimage.draw import polygon2mask

CHAIN_CODE = np.array([(0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1)])


def follow_chain(x: int, y: int, code) -> np.ndarray:
    """The outline (points, 2) as x, y that starts at a pixel and takes a step for each number.

    0 is up, and the numbers go round clockwise: 2 is right, 4 down, 6 left.
    """
    steps = CHAIN_CODE[np.asarray(code, int)]
    return np.array([x, y]) + np.vstack([np.zeros((1, 2), int), np.cumsum(steps, axis=0)])


def circle_of_outline(points) -> dict[str, float]:
    """x, y and radius of a closed outline (points, 2); of a single point or a line, half its length.

    Area and middle by the shoelace formula.
    """
    points = np.asarray(points, float)
    x, y = (points - points[0]).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    if abs(area) < 1:
        low, high = points.min(axis=0), points.max(axis=0)
        return _circle(*(low + high) / 2, np.hypot(*(high - low)) / 2)
    middle = [((v + np.roll(v, -1)) * cross).sum() / (6 * area) for v in (x, y)]
    return _circle(*(points[0] + middle), np.sqrt(abs(area) / np.pi))


def circle_of_box(xmin: float, ymin: float, xmax: float, ymax: float) -> dict[str, float]:
    """x, y and radius of the ellipse that fills a box."""
    return _circle((xmin + xmax) / 2, (ymin + ymax) / 2, np.sqrt(abs((xmax - xmin) * (ymax - ymin))) / 2)


def circle_of_mask(mask: np.ndarray) -> dict[str, float]:
    """x, y and radius of what is True in a mask (height, width); all NaN where nothing is."""
    if not mask.any():
        return _circle(np.nan, np.nan, np.nan)
    y, x = np.nonzero(mask)
    return _circle(x.mean(), y.mean(), np.sqrt(len(x) / np.pi))


def mask_of_outline(points, height: int, width: int) -> np.ndarray:
    """bool (height, width), True inside an outline (points, 2) of x, y."""
    return polygon2mask((height, width), np.asarray(points, float)[:, ::-1])


def _circle(x: float, y: float, radius: float) -> dict[str, float]:
    return {"x": round(float(x), 1), "y": round(float(y), 1), "radius": round(float(radius), 1)}
