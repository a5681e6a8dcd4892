"""Grad-CAM: which parts of the image raised the score.

    heatmap = mammo.grad_cam(model, x)        # x: the model's input, (height, width, 1)

Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based localization, ICCV 2017.
A heatmap shows where the model looked. It does not prove that there is a lesion, nor that there is none elsewhere.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mammo.backend import keras, tf
from mammo.model import FEATURES, HEAD, LAST_CONVOLUTION
from mammo.preprocessing import CELL


def grad_cam(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """float32 (height, width) in [0, 1] for one input (height, width, 1); 0 everywhere where nothing raised the score.

    The score is the log-odds of malignant against benign, which unlike the probability does not go flat
    when the model is sure. The map is relative: its brightest place is 1, however little that place did.
    """
    below = keras.Model(model.input, model.get_layer(LAST_CONVOLUTION).output)
    return heatmap(model, below(x[None], training=False), x.shape[:2])


def heatmap(model: keras.Model, maps, size: tuple[int, int]) -> np.ndarray:
    """The same from the model's last map (1, rows, columns, channels), stretched to `size`."""
    output = model.get_layer(HEAD[1])
    with tf.GradientTape() as tape:
        tape.watch(maps)
        hidden = model.get_layer(HEAD[0])(model.get_layer(FEATURES)(maps))
        logits = tf.matmul(hidden, output.kernel) + output.bias
        score = logits[0, 1] - logits[0, 0]
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    coarse = np.maximum(np.asarray(tf.reduce_sum(weights * maps, axis=-1)[0], np.float32), 0)
    heat = ndimage.map_coordinates(coarse, np.indices(size) / CELL, order=3, mode="nearest")
    return np.clip(heat / max(float(coarse.max()), 1e-12), 0, 1)
