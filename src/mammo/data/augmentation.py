"""Random changes of training images that leave the diagnosis as it is."""

from __future__ import annotations

import numpy as np
from PIL import Image

from mammo.data.preprocessing import by_channel

TURN, MOVE, NEARER = np.radians(15), 0.05, 0.1
RECIPE = 1  # raise it whenever the same seed would give another image


def augment(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a radiographer could have changed in an image (height, width, 1): upside down, turned, moved, nearer.

    The chest wall stays on the left, where prediction will find it too. Micrographs, (height, width, 3), have no such
    side and are mirrored, too.
    """
    height, width, channels = x.shape
    angle, scale = rng.uniform(-TURN, TURN), rng.uniform(1 - NEARER, 1 + NEARER)
    upside_down = -1 if rng.random() < 0.5 else 1
    across, down = rng.uniform(-MOVE, MOVE, 2) * (width, height)
    mirrored = -1 if channels == 3 and rng.random() < 0.5 else 1
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    # Where each place of the result lies in the image, both counted from the middle.
    matrix = np.array([[cos, -sin], [sin, cos]]) * (mirrored, upside_down)
    middle = np.array([width, height]) / 2
    first, second = middle + np.array([across, down]) - matrix @ middle
    terms = (*matrix[0], first, *matrix[1], second)
    return by_channel(x, lambda channel: channel.transform((width, height), Image.AFFINE, terms, Image.BILINEAR))


def versions_of(count: int, n_augmentations) -> tuple[np.ndarray, np.ndarray]:
    """Of each item, its image and its version: 0 for the image as it is, else the number of its augmentation."""
    versions = np.broadcast_to(n_augmentations, count) + 1
    return np.repeat(np.arange(count), versions), np.concatenate([np.arange(number) for number in versions])
