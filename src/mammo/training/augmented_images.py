"""Prepared images on disk, augmented when they are read: the training data where every convolution learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mammo.data.augmentation import RECIPE, augment, versions_of
from mammo.training.feature_cache import FeatureCache


class AugmentedImages:
    """Each image as it is, followed by its augmentations, which are others in every epoch.

    Parameters
    ----------
    prepared : FeatureCache
        The model inputs, one item an image.
    n_augmentations : sequence of int
        Of each image.
    seed : int
        Of the augmentations.
    """

    def __init__(self, prepared: FeatureCache, n_augmentations, seed: int = 0):
        self.prepared, self.seed, self.epoch = prepared, seed, 0
        self.rows, self.version = versions_of(len(prepared), n_augmentations)
        self.keys = [
            f"{prepared.keys[row]} augmentation {RECIPE} {version} {seed}"
            for row, version in zip(self.rows, self.version, strict=True)
        ]

    @property
    def paths(self) -> set[Path]:
        """The files in the cache that it reads."""
        return self.prepared.paths

    def __len__(self) -> int:
        return len(self.rows)

    def set_epoch(self, epoch: int) -> None:
        """Return this epoch's augmentations from now on."""
        self.epoch = epoch

    def __getitem__(self, items) -> np.ndarray:
        """float32 (items, height, width, channels) in [0, 1]."""
        wanted = np.atleast_1d(items)
        images = self.prepared[self.rows[wanted]]
        return np.stack([self._version(x, int(item)) for x, item in zip(images, wanted, strict=True)])

    def _version(self, x: np.ndarray, item: int) -> np.ndarray:
        if self.version[item] == 0:
            return x
        return augment(x, np.random.default_rng([self.seed, self.epoch, item]))
