"""Grad-CAM: which parts of the image raised the score.

    heatmap = mammo.grad_cam(model, x)        # x: the model's input, (height, width, 1)

Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based localization, ICCV 2017.
A heatmap shows where the model looked. It does not prove that there is a lesion, nor that there is none elsewhere.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mammo.network import evidence
from mammo.preprocessing import CELL


def grad_cam(model, x: np.ndarray) -> np.ndarray:
    """float32 (height, width) in [0, 1] for one input (height, width, 1); 0 everywhere where nothing raised the score.

    The score is the log-odds of malignant against benign, which unlike the probability does not go flat
    when the model is sure. The map is relative: its brightest place is 1, however little that place did.
    """
    from mammo.backend import keras

    cells = keras.Model(model.input, evidence(model))(x[None], training=False)
    return heatmap(np.asarray(cells)[0], x.shape[:2])


def heatmap(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The evidence of the cells (rows, columns), what speaks against left out, stretched to `size`."""
    raised = np.maximum(cells, 0).astype(np.float32)
    heat = ndimage.map_coordinates(raised, np.indices(size) / CELL, order=3, mode="nearest")
    return np.clip(heat / max(float(raised.max()), 1e-12), 0, 1)
