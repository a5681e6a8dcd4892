"""Where training lesions are located: look for a lesion in every cell of the network's last map, then judge the image.

    places = places_of(manifest, lesions, (384, 288))
    read = cell_reader([frozen_maps(model, inputs, folder)], places, truth, patients)

A lesion fills a few cells of 32 x 32 pixels and is lost in the mean over hundreds. So a linear reader learns, from the
lesions of training patients, what tells a malignant lesion's cell from all others, and an image's score is that of its
most suspicious cell (from patches to whole images, as in Shen et al., Scientific Reports 9, 2019, but nothing of the
network learns).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mammo.core.errors import MammoError
from mammo.data.image_loader import WORKERS
from mammo.data.preprocessing import CELL, place_on_breast, prepare
from mammo.research.cross_validation import FOLDS
from mammo.training.feature_cache import a_few_at_a_time

OTHERS = 30  # cells without a malignant lesion that each image teaches, beside those of its benign lesions
STRENGTH = 0.1  # of the reader's ridge, as a share of the variance of a feature
OUTSIDE = -1e6
MOBILENET_FIRST = 31  # five layers with steps of two, each a pixel of its own input further: 1 + 2 + 4 + 8 + 16


@dataclass(frozen=True)
class Places:
    """What lies in each cell of the images' last maps."""

    inside: np.ndarray
    """bool (2, images, rows, columns): at least a quarter of the cell is breast; upright, and upside down."""
    lesion: np.ndarray
    """int8 (images, rows, columns): one of `MALIGNANT`, `BENIGN`, `NEAR` (beside a malignant one, or in one that nobody
    has named), or 0."""


MALIGNANT, BENIGN, NEAR = 1, 2, 3


def places_of(manifest: pd.DataFrame, lesions: pd.DataFrame, image_size, first: int = 0) -> Places:
    """Find the breast in every image and in it the lesions, a table with path, label, x, y and radius in pixels.

    `first` is the row and column of the input that the first cell is centred on: 0 in ResNet50, which pads on all
    sides; `MOBILENET_FIRST` in MobileNetV2, which pads below and to the right only. Raises MammoError where none of
    the lesions is malignant and has a place.
    """
    located = lesions.dropna(subset=["x", "y"]) if {"x", "y"} <= set(lesions) else lesions.head(0)
    if not (located["label"] == "malignant").any():
        raise MammoError("No malignant lesion has a place, so there is nothing to learn what one looks like.")
    by_image = dict(list(located.groupby("path")))
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(lambda path: _places(path, by_image.get(path), image_size, first), manifest["path"]))
    inside, lesion = zip(*found, strict=True)
    return Places(np.stack(inside, axis=1), np.stack(lesion))


def _places(path: str, lesions: pd.DataFrame | None, image_size, first: int) -> tuple[np.ndarray, np.ndarray]:
    _, breast, x = prepare(path, image_size)
    inside = np.stack([_covered(way > 0, first) for way in (x[..., 0], x[::-1, :, 0])]) >= 0.25
    lesion = np.zeros(inside.shape[1:], np.int8)
    if lesions is None:
        return inside, lesion
    rows, columns = np.indices(lesion.shape) * CELL + first
    scale = min(side / of_breast for side, of_breast in zip(image_size, breast.image.shape, strict=True))
    gravity = lesions["label"].notna() + (lesions["label"] == "malignant")
    for row in lesions.iloc[np.argsort(gravity, kind="stable")].itertuples():  # malignant ones have the last word
        column, line = place_on_breast(breast, row.x, row.y)
        away = np.hypot(rows - scale * line, columns - scale * column)
        radius = scale * np.nan_to_num(getattr(row, "radius", 0.0))
        there = away <= max(radius, away.min())
        if row.label == "malignant":
            lesion[(away <= radius + CELL) & (lesion != MALIGNANT)] = NEAR
        lesion[there] = NEAR if pd.isna(row.label) else MALIGNANT if row.label == "malignant" else BENIGN
    return inside, lesion


def _covered(mask: np.ndarray, first: int = 0) -> np.ndarray:
    """The share of each cell that a mask covers."""
    rows, columns = (-(-side // CELL) for side in mask.shape)
    padded = np.pad(mask.astype(np.float32), (CELL // 2, 2 * CELL))[first:, first:][: rows * CELL, : columns * CELL]
    return padded.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))


def cell_reader(ways: list, places: Places, truth, patients) -> Callable:
    """A reader for `mammo.folds`; its own scores come from five inner folds.

    `ways` are the last maps of the images, float (images, rows, columns, channels) as an array or in a cache, and, if
    given, of the same upside down: then an image's score is the mean over both. It learns from the upright ones.
    Their roots are held in memory, two bytes a number: 1 MB for an image of 640 x 384 pixels and each way.
    """
    truth, patients = np.asarray(truth), np.asarray(patients)
    maps = [_roots(way) for way in ways]

    def learned(rows, seed):
        rng, taught = np.random.default_rng(seed), []
        for row in rows:
            there, breast = places.lesion[row], places.inside[0, row]
            if truth[row] and not (there == MALIGNANT).any():
                continue  # its lesion could be in any cell
            others = np.argwhere(breast & (there == 0))
            chosen = rng.permutation(others)[:OTHERS], np.argwhere(there == BENIGN), np.argwhere(there == MALIGNANT)
            taught += [(row, *cell) for cell in np.concatenate(chosen)]
        at = tuple(np.transpose(taught)) if taught else ([], [], [])
        if len(set(places.lesion[at] == MALIGNANT)) < 2:
            raise MammoError(
                "Among the training images of a fold no cell is in a malignant lesion that has a place, or every one "
                "is. Give more located lesions, or leave --cells out."
            )
        ridge = RidgeClassifier(STRENGTH * len(taught), class_weight="balanced")
        return make_pipeline(StandardScaler(), ridge).fit(
            maps[0][at].astype(np.float32), places.lesion[at] == MALIGNANT
        )

    def most(reader, cells):
        return reader.decision_function(cells.astype(np.float32)).max() if len(cells) else OUTSIDE

    def said(reader, rows):
        scores = []
        for way, inside in zip(maps, places.inside, strict=False):
            scores.append([most(reader, way[row][inside[row]]) for row in rows])
        return np.mean(scores, axis=0)

    def read(train, test, seed):
        own, inner = np.full(len(truth), np.nan), StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for learn, score in inner.split(train, truth[train], patients[train]):
            own[train[score]] = said(learned(train[learn], seed), train[score])
        return said(learned(train, seed), test), own

    return read


def _roots(maps) -> np.ndarray:
    """Activations have long tails; their roots have not. Read a few at a time."""
    return np.concatenate([np.sqrt(np.maximum(part, 0)).astype(np.float16) for part in a_few_at_a_time(maps)])
