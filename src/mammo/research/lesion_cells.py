"""Classify images by their most suspicious cell, learned from located lesions.

    cells = label_cells(manifest, lesions, (384, 288))
    classifier = LesionCellClassifier([frozen_maps(model, images, folder)], cells, truth, patients)
    scores = cross_validate(classifier, folds, len(truth))

A cell of a network's last map covers 32 x 32 pixels. A lesion fills a few cells, which are lost in the mean over
hundreds. So a linear classifier of cells learns from the lesions of training patients, and an image's score is that of
its highest cell. The network itself does not learn.

References
----------
L. Shen et al., Deep learning to improve breast cancer detection on screening mammography, Scientific Reports 9, 2019:
from patches to whole images.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mammo.core.errors import MammoError
from mammo.data.image_loader import WORKERS, in_batches
from mammo.data.preprocessing import CELL, place_on_breast, prepare
from mammo.research.cross_validation import CVClassifier

NORMAL_CELLS = 30  # of each training image, drawn at random
STRENGTH = 0.1  # of the ridge penalty, as a share of the variance of a feature
NO_BREAST = -1e6  # the score of an image without a breast
MOBILENET_OFFSET = 31  # five layers of stride two, each a pixel of its own input further: 1 + 2 + 4 + 8 + 16
NORMAL, MALIGNANT, BENIGN, IGNORED = 0, 1, 2, 3


@dataclass(frozen=True)
class CellLabels:
    """What lies in each cell of the images' last maps."""

    inside: np.ndarray
    """bool (2, images, rows, columns): at least a quarter of the cell is breast; as it is, and upside down."""
    lesion: np.ndarray
    """int8 (images, rows, columns): NORMAL, MALIGNANT, BENIGN, or IGNORED (next to a malignant lesion, or in one
    without a label)."""


def label_cells(manifest: pd.DataFrame, lesions: pd.DataFrame, image_size, offset: int = 0) -> CellLabels:
    """Find the breast in every image, and the cells of its lesions.

    Parameters
    ----------
    manifest : DataFrame
    lesions : DataFrame
        One row a lesion: `path`, `label`, and `x`, `y`, `radius` in pixels of the file.
    image_size : (int, int)
        Height and width of the model input.
    offset : int
        Row and column of the input that the first cell is centred on. 0 for ResNet50, which pads on all sides;
        MOBILENET_OFFSET for MobileNetV2, which pads below and to the right only.

    Raises
    ------
    MammoError
        Where no malignant lesion is located.
    """
    located = lesions.dropna(subset=["x", "y"]) if {"x", "y"} <= set(lesions) else lesions.head(0)
    if not (located["label"] == "malignant").any():
        raise MammoError("No malignant lesion has x and y, so its cells cannot be learned. Leave --cells out.")
    by_image = dict(list(located.groupby("path")))
    with ThreadPoolExecutor(WORKERS) as pool:
        labels = list(pool.map(lambda path: _label(path, by_image.get(path), image_size, offset), manifest["path"]))
    inside, lesion = zip(*labels, strict=True)
    return CellLabels(np.stack(inside, axis=1), np.stack(lesion))


def _label(path: str, lesions: pd.DataFrame | None, image_size, offset: int) -> tuple[np.ndarray, np.ndarray]:
    prepared = prepare(path, image_size)
    breast, mask = prepared.breast, prepared.model_input[..., 0] > 0
    inside = np.stack([_cell_coverage(flip, offset) for flip in (mask, mask[::-1])]) >= 0.25
    cells = np.full(inside.shape[1:], NORMAL, np.int8)
    if lesions is None:
        return inside, cells
    rows, columns = np.indices(cells.shape) * CELL + offset
    scale = min(side / of_breast for side, of_breast in zip(image_size, breast.image.shape, strict=True))
    priority = lesions["label"].notna() + (lesions["label"] == "malignant")
    for lesion in lesions.iloc[np.argsort(priority, kind="stable")].itertuples():  # malignant ones overwrite others
        column, row = place_on_breast(breast, lesion.x, lesion.y)
        distance = np.hypot(rows - scale * row, columns - scale * column)
        radius = scale * np.nan_to_num(getattr(lesion, "radius", 0.0))
        if lesion.label == "malignant":
            cells[(distance <= radius + CELL) & (cells != MALIGNANT)] = IGNORED
        label = IGNORED if pd.isna(lesion.label) else MALIGNANT if lesion.label == "malignant" else BENIGN
        cells[distance <= max(radius, distance.min())] = label
    return inside, cells


def _cell_coverage(mask: np.ndarray, offset: int = 0) -> np.ndarray:
    """The share of each cell that a mask covers."""
    rows, columns = (-(-side // CELL) for side in mask.shape)
    padded = np.pad(mask.astype(np.float32), (CELL // 2, 2 * CELL))[offset:, offset:]
    return padded[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))


class LesionCellClassifier(CVClassifier):
    """A ridge classifier of cells; an image's score is that of its highest cell.

    Parameters
    ----------
    maps : list of array or FeatureCache
        Last maps of the images, float (images, rows, columns, channels), and optionally the same of the images upside
        down. With both, a score is the mean of the two; only the first is learned from. Their square roots are held in
        memory as float16: 1 MB for an image of 640 x 384 pixels.
    cells : CellLabels
    truth, patients : array_like (images,)
    """

    def __init__(self, maps: list, cells: CellLabels, truth, patients):
        super().__init__(truth, patients)
        self.maps, self.cells = [_square_roots(flip) for flip in maps], cells

    def fit(self, rows: np.ndarray, seed: int) -> LesionCellClassifier:
        """Learn from the cells of these images; raises MammoError where none, or every one, is malignant."""
        cells = self._training_cells(rows, np.random.default_rng(seed))
        malignant = self.cells.lesion[cells] == MALIGNANT
        if len(set(malignant)) < 2:
            raise MammoError(
                "Among the training images of a fold no cell is in a located malignant lesion, or every one is. Give "
                "more located lesions, or leave --cells out."
            )
        ridge = RidgeClassifier(STRENGTH * len(malignant), class_weight="balanced")
        self.pipeline_ = make_pipeline(StandardScaler(), ridge)
        self.pipeline_.fit(self.maps[0][cells].astype(np.float32), malignant)
        return self

    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        flips = zip(self.maps, self.cells.inside, strict=False)
        return np.mean([[self._highest(maps[row][inside[row]]) for row in rows] for maps, inside in flips], axis=0)

    def _training_cells(self, rows, rng) -> tuple:
        """Indices (images, rows, columns) of all lesions' cells and of some normal ones."""
        chosen = []
        for row in rows:
            lesion = self.cells.lesion[row]
            if self.truth[row] and not (lesion == MALIGNANT).any():
                continue  # its lesion could be in any cell
            normal = np.argwhere(self.cells.inside[0, row] & (lesion == NORMAL))
            for cells in (
                rng.permutation(normal)[:NORMAL_CELLS],
                np.argwhere(lesion == BENIGN),
                np.argwhere(lesion == MALIGNANT),
            ):
                chosen += [(row, *cell) for cell in cells]
        return tuple(np.array(chosen, int).reshape(-1, 3).T)

    def _highest(self, cells: np.ndarray) -> float:
        return self.pipeline_.decision_function(cells.astype(np.float32)).max() if len(cells) else NO_BREAST


def _square_roots(maps) -> np.ndarray:
    """Activations have long tails, their square roots have not. float16, read in batches."""
    batches = in_batches(maps, np.arange(len(maps)), 32, "frozen maps")
    return np.concatenate([np.sqrt(np.maximum(batch, 0)).astype(np.float16) for _, batch in batches])
