"""Grad-CAM: which parts of the image raised the score.

    heatmap = mammo.grad_cam(model, x)        # x: the model's input, (height, width, 1)

A heatmap shows where the evidence for malignant came from. It does not prove that there is a lesion, nor that there is
none elsewhere.

References
----------
R. Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based localization, ICCV 2017.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy import ndimage

from mammo.core.errors import MammoError
from mammo.data.preprocessing import CELL
from mammo.models.saved_model import check_model

# Keras is imported in the functions below: a heatmap of an exported model must not wait seconds for TensorFlow.


def grad_cam(model, x: np.ndarray) -> np.ndarray:
    """The heatmap for one input.

    Parameters
    ----------
    model : keras.Model
        From `mammo.build_model`.
    x : ndarray, float32 (height, width, channels)
        The model's input, in [0, 1].

    Returns
    -------
    ndarray, float32 (height, width) in [0, 1]
        0 everywhere where nothing raised the score. The score is the log-odds of malignant against benign, which unlike
        the probability does not go flat near 0 and 1. The map is relative: its brightest place is 1, however little
        that place did.

    Raises
    ------
    MammoError
        For a model that `build_model` has not made, and for an input of another shape.
    """
    from mammo.core.backend import keras

    check_model(model)
    if getattr(x, "shape", None) != model.input_shape[1:]:
        given = getattr(x, "shape", type(x).__name__)
        raise MammoError(f"x is one model input, an array of the shape {model.input_shape[1:]}, not {given}.")
    cells = keras.Model(model.input, evidence(model))(x[None], training=False)
    return heatmap(np.asarray(cells)[0], x.shape[:2])


def heatmap(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The evidence of the cells (rows, columns), what speaks against left out, stretched to `size`."""
    raised = np.maximum(cells, 0).astype(np.float32)
    heat = ndimage.map_coordinates(raised, np.indices(size) / CELL, order=3, mode="nearest")
    return np.clip(heat / max(float(raised.max()), 1e-12), 0, 1)


def evidence(model):
    """Symbolic: what each cell of the last map adds to the log-odds of malignant, (n, rows, columns), float32.

    This is Grad-CAM's map before its negative part is cut off. The head is piecewise linear, so the gradient of the
    log-odds with respect to the pooled features follows from its weights, and the sum over the cells is the log-odds
    up to the biases.
    """
    from mammo.core.backend import keras
    from mammo.models.resnet50 import HEAD, LAST_CONVOLUTION

    head, out = (model.get_layer(name) for name in HEAD)
    maps = model.get_layer(LAST_CONVOLUTION).output
    return keras.layers.Lambda(partial(_evidence, head, out), dtype="float32")([maps, head.output])


def _evidence(head, out, maps_and_hidden):
    from mammo.core.backend import keras

    ops = keras.ops
    maps, hidden = maps_and_hidden
    odds = out.kernel[:, 1] - out.kernel[:, 0]
    slope = ops.matmul(ops.where(hidden > 0, odds, 0.0), ops.transpose(head.kernel))
    return ops.sum(maps * slope[:, None, None], axis=-1) / (maps.shape[1] * maps.shape[2])
