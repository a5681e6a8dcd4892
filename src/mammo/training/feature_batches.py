"""Batches of cached features for `model.fit`, and the weights of the classes in the loss."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo.core.backend import keras
from mammo.core.manifest import CLASS_NAMES
from mammo.training.augmented_images import AugmentedImages
from mammo.training.feature_cache import FeatureCache


class FeatureBatches(keras.utils.PyDataset):
    """Batches of cached features, one-hot labels and weights; with a `seed` in an order that follows from `epoch`.

    Parameters
    ----------
    features : FeatureCache, AugmentedImages or ndarray
    items : ndarray of int
        Those of `features` that belong to it.
    labels : ndarray of int (features,)
        0 or 1.
    weights : ndarray (2,)
        Of both classes in the loss.
    batch_size : int
    seed : int, optional
        Without it the items stay in their order.
    """

    def __init__(self, features, items: np.ndarray, labels: np.ndarray, weights, batch_size: int, seed=None):
        super().__init__()
        self.features, self.items, self.labels, self.weights = features, items, labels, weights
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        self.seconds = 0.0
        """Spent on reading and augmenting, in a thread beside the network."""

    def set_epoch(self, epoch: int, logs=None) -> None:
        """For a callback: Keras' own `on_epoch_end` is also called before the first epoch."""
        self.epoch = epoch
        if isinstance(self.features, AugmentedImages):
            self.features.set_epoch(epoch)

    def close(self) -> None:
        """Let go of the features and the frozen network: TensorFlow keeps the batches of `fit` until Python ends."""
        self.features = None

    def __len__(self) -> int:
        return -(-len(self.items) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        begun, items = time.perf_counter(), self.items
        if self.seed is not None:
            items = np.random.default_rng([self.seed, self.epoch]).permutation(items)
        batch = items[index * self.batch_size : (index + 1) * self.batch_size]
        values = self.features[batch], one_hot(self.labels[batch]), self.weights[self.labels[batch]]
        self.seconds += time.perf_counter() - begun
        return values


@dataclass(frozen=True)
class TrainingData:
    """What the frozen stages make of the training images, their augmentations and the validation images."""

    features: FeatureCache | AugmentedImages
    labels: np.ndarray
    """int (items,): 1 for malignant, else 0."""
    splits: np.ndarray
    """str (items,): train or validation."""
    folder: Path
    precision: str

    def batches(self, features, split: str, batch_size: int, seed: int | None = None) -> FeatureBatches:
        """One split's batches of `features`, which has the same items as `self.features`.

        All splits have the class weights of the training images: one loss trains and stops the training.
        """
        weights = class_weights(self.labels[self.splits == "train"])
        return FeatureBatches(features, np.flatnonzero(self.splits == split), self.labels, weights, batch_size, seed)


def one_hot(classes: np.ndarray) -> np.ndarray:
    """Class indices (n,) -> float32 (n, 2)."""
    return np.eye(len(CLASS_NAMES), dtype=np.float32)[classes]


def class_weights(classes: np.ndarray) -> np.ndarray:
    """Weights (2,) by class that let both count the same in the loss, however rare one is."""
    counts = np.bincount(classes, minlength=len(CLASS_NAMES))
    return (len(classes) / (len(counts) * np.maximum(counts, 1))).astype(np.float32)
