"""Where a lesion is, from what the owner drew: an outline, a box or a mask -> x, y, radius.

x, y is the middle and radius that of a circle of the same area, in pixels of the image, y down. Synthetic lesions
are located the same way.

Every reader passes what it has found through `place_in_images`, since what was drawn on one file can be wrong on
another: CBIS-DDSM has films of 5,041 rows with masks of 4,386.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

from mammo.core.errors import MammoError
from mammo.datasets._tables import warn_of
from mammo.io.headers_and_masks import image_size, is_mask, read_mask

TOLERANCE = 0.01  # two aspects agree up to this share; whole pixels change that of real films by a fifth of it
PLACE = ["x", "y", "radius"]
SCALED = "images have {} of another size with the same aspect, which are scaled to the image"
EMPTY = "images have {} that are empty or missing, and that get no place"
SWAPPED = "masks cover most of their image, as if black and white were swapped, and get no place"
UNKNOWN = "images do not say their size, and their {} get no place"
OTHER_ASPECT = "images have {} of another aspect, which get no place"
OUTSIDE = "images have {} outside them, and all {} of these images get no place"

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


def place_in_images(
    lesions: pd.DataFrame,
    drawn_on: Sequence,
    sizes: Sequence,
    images: Sequence[str],
    source: str,
    drawing: str,
    box: Sequence[str] = (),
) -> pd.DataFrame:
    """Bring places from the pixels that they were drawn in to the pixels of the image files.

    Where both have the same size, nothing changes. Where only the aspect agrees, up to TOLERANCE, places are scaled.
    There is no place where the aspect does not agree, where nothing was drawn, or where the image's size is not known.
    Where a middle is outside its image, nothing that was drawn on this image has a place: its size must have been
    another. Warnings name all of these images.

    Parameters
    ----------
    lesions : DataFrame
        With `x, y, radius`, and `box`; NaN where nothing was drawn.
    drawn_on : sequence of (int, int) or None
        Height and width in pixels of what each was drawn on; None where it was the image itself.
    sizes : sequence of (int, int) or None
        Height and width of each image file; None where they are not known.
    images : sequence of str
        Names of the images, for the warnings.
    source, drawing : str
        Name of the data set, and what was drawn, as in `"CBIS-DDSM"` and `"masks"`.
    box : sequence of str
        Columns of the left, upper, right and lower edge, which are brought along.

    Returns
    -------
    DataFrame
        A copy of `lesions`; NaN in all these columns where there is no place.
    """
    columns, images = [*PLACE, *box], list(images)
    values = lesions[columns].to_numpy(float, copy=True)
    found = {what: set() for what in (SCALED, EMPTY, UNKNOWN, OTHER_ASPECT, OUTSIDE)}
    for value, drawn, size, image in zip(values, drawn_on, sizes, images, strict=True):
        if np.isnan(value[:3]).any():
            found[EMPTY].add(image)
        elif size is None:
            found[UNKNOWN].add(image)
        elif not same_aspect(drawn or size, size):
            found[OTHER_ASPECT].add(image)
        else:
            if tuple(drawn or size) != tuple(size):
                found[SCALED].add(image)
                _scale(value, drawn, size)
            if not (0 <= value[0] <= size[1] and 0 <= value[1] <= size[0]):
                found[OUTSIDE].add(image)
            continue
        value[:] = np.nan
    values[[image in found[OUTSIDE] for image in images]] = np.nan
    for what, names in found.items():
        warn_of(source, what.format(drawing, drawing), names)
    placed = pd.DataFrame(values.round(1), columns=columns, index=lesions.index)
    return lesions.assign(**{column: placed[column] for column in columns})


def _scale(place: np.ndarray, drawn, size) -> None:
    """Bring x, y, radius and the edges of a box, in place, from the pixels of one size to those of another."""
    scale_y, scale_x = np.divide(size, drawn)
    across, down = [0, *range(3, len(place), 2)], [1, *range(4, len(place), 2)]
    place[across] = (place[across] + 0.5) * scale_x - 0.5
    place[down] = (place[down] + 0.5) * scale_y - 0.5
    place[2] *= np.sqrt(scale_x * scale_y)


def same_aspect(one, other) -> bool:
    """Whether two sizes (height, width) have the same aspect, up to TOLERANCE."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= TOLERANCE


def locate_masks(paths: Sequence, masks: Sequence, names: Sequence[str], source: str, partial: bool) -> pd.DataFrame:
    """x, y and radius in the pixels of each image, from its mask; of a missing mask (None) NaN.

    A mask that covers more than half of its image marks no lesion: no place, and a warning.
    Raises MammoError where a file is no mask; with `partial` such a lesion has no place, and a warning names it.
    """
    circles, drawn_on, swapped = [], [], []
    for path, name in zip(masks, names, strict=True):
        try:
            mask = read_mask(path) if path else np.zeros((0, 0), bool)
        except MammoError:
            if not partial:
                raise
            mask = np.zeros((0, 0), bool)
        if 2 * np.count_nonzero(mask) > mask.size:
            swapped.append(name)
            mask = np.zeros_like(mask)
        circles.append(circle_of_mask(mask))
        drawn_on.append(mask.shape)
    warn_of(source, SWAPPED, swapped)
    circles = pd.DataFrame(circles, columns=PLACE)
    return place_in_images(circles, drawn_on, sizes_of(paths), names, source, "masks")


def sizes_of(paths: Sequence) -> list[tuple[int, int] | None]:
    """Height and width of each image file; None where there is no file, or it does not say them."""

    @cache
    def size(path):
        try:
            return image_size(path) if path else None
        except MammoError:  # reading the image will say what is wrong with it
            return None

    return [size(path) for path in paths]


def _circle(x: float, y: float, radius: float) -> dict[str, float]:
    return {"x": round(float(x), 1), "y": round(float(y), 1), "radius": round(float(radius), 1)}


def crops_and_masks(rois: list[list[str]], films: list, names, source: str, partial: bool) -> list[tuple]:
    """Crop and mask of each lesion; with `partial`, None where they cannot be told apart."""
    pairs, doubtful = [], []
    for files, film, name in zip(rois, films, names, strict=True):
        try:
            pairs.append(_crop_and_mask(files, film, partial))
        except MammoError:
            if not partial:
                raise
            pairs.append((None, None))
            doubtful.append(name)
    warn_of(source, "lesions have no crop and mask here, as their files cannot be told apart", doubtful)
    return pairs


def _crop_and_mask(files: list[str], film: str | None, partial: bool) -> tuple[str | None, str | None]:
    """Which of a lesion's files is the crop and which the mask, by what they hold; None where there is none.

    With `partial`, one readable file decides about the other, and the film may be unreadable.
    """

    def ask(question, path: str):
        try:
            return question(path)
        except MammoError:
            if not partial:
                raise
            return None

    size = ask(image_size, film) if film else None
    masks = [path for path in files if size and ask(image_size, path) == size]
    unknown: list[str] = []
    if len(masks) != 1:
        answers = {path: ask(is_mask, path) for path in files}
        unknown = [path for path in files if answers[path] is None]
        masks = [path for path in files if answers[path]] or unknown
    crops = [path for path in files if path not in masks]
    if len(masks) > 1 or len(crops) > 1 or (unknown and len(files) == 1):
        raise MammoError(f"Of {' and '.join(files)} none or both look like a mask. Download that folder again.")
    return next(iter(crops), None), next(iter(masks), None)
