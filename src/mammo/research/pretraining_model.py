"""The network that learns the demo weights, and the loss of its whole images."""

from __future__ import annotations

import numpy as np

from mammo.core.backend import keras
from mammo.models.gradcam import evidence
from mammo.models.resnet50 import FEATURES, HEAD, LAST_CONVOLUTION, build_model
from mammo.models.weights import named_weights, set_named_weights
from mammo.research.pretraining_data import KINDS, MALIGNANT_FROM


def network(image_size, cells: bool, trained=None):
    """ResNet50 with the kinds of lesions as its output.

    Parameters
    ----------
    image_size : (int, int)
    cells : bool
        False: the kind of a patch, (batch, kinds). True: the output of `whole_loss`, for whole images.
    trained : keras.Model, optional
        Its weights are taken over where layers have the same names.

    Returns
    -------
    keras.Model
    """
    model = build_model(weights=None, image_size=image_size, quiet=True)
    kinds = keras.layers.Dense(len(KINDS), activation="softmax", dtype="float32", name="kinds")
    if cells:
        maps = model.get_layer(LAST_CONVOLUTION).output
        parts = [model.output, *(keras.layers.Flatten(dtype="float32")(x) for x in (evidence(model), kinds(maps)))]
        output = keras.layers.Concatenate(dtype="float32")(parts)
    else:
        output = kinds(model.get_layer(FEATURES).output)
    net = keras.Model(model.input, output)
    if trained is not None:
        set_named_weights(net, named_weights(net) | named_weights(trained))
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.98  # the statistics follow within a few hundred steps
    return net


def revive_head(net, images) -> int:
    """Leave only the head to be trained, and draw its hidden units anew that respond to none of the images.

    A unit whose input is never positive has no gradient, so it stays as it is for ever. The new units have no weight in
    the output at first, so the network's answers stay the same.

    Parameters
    ----------
    net : keras.Model
        From `network`.
    images : ndarray, float32 (n, height, width, 1) in [0, 1]

    Returns
    -------
    int
        Number of units that were drawn anew.
    """
    for layer in net.layers:
        layer.trainable = layer.name in HEAD
    hidden, out = (net.get_layer(name) for name in HEAD)
    responses = keras.Model(net.input, hidden.output).predict(images, batch_size=16, verbose=0)
    dead = ~(responses > 0).any(axis=0)
    kernel, bias, output_kernel, output_bias = (np.array(w) for w in hidden.get_weights() + out.get_weights())
    kernel[:, dead] = np.asarray(keras.initializers.GlorotUniform(seed=0)(kernel.shape))[:, dead]
    bias[dead], output_kernel[dead] = 0, 0
    hidden.set_weights([kernel, bias])
    out.set_weights([output_kernel, output_bias])
    return int(dead.sum())


def whole_loss(truth, output):
    """The loss of whole images, the sum of three parts.

    - Cross-entropy of the image: malignant or not.
    - Cross-entropy of its cells; those with lesions and those of normal tissue weigh the same.
    - Of the malignant images, how much of the evidence lies outside the cells of malignant lesions.

    Parameters
    ----------
    truth : tensor of int (batch, 1 + cells)
        As from `pretraining_data.whole`.
    output : tensor (batch, 2 + cells + cells * kinds)
        As from `network`: probabilities of the image, evidence of each cell, probabilities of all kinds in each cell.
    """
    ops = keras.ops
    truth = ops.cast(truth, "int32")
    image, cells = truth[:, :1], truth[:, 1:]
    count = cells.shape[1]
    kinds = ops.reshape(output[:, 2 + count :], (-1, count, len(KINDS)))
    entropy = -ops.log(ops.take_along_axis(kinds, ops.maximum(cells, 0)[..., None], axis=2)[..., 0] + 1e-7)
    elsewhere = -ops.log_softmax(output[:, 2 : 2 + count], axis=1)

    def mean(values, where):
        where = ops.cast(where, values.dtype)
        return ops.sum(values * where) / (ops.sum(where) + 1e-7)

    probability = ops.take_along_axis(output[:, :2], image, axis=1)
    of_cells = mean(entropy, cells > 0) + mean(entropy, cells == 0)
    return ops.mean(-ops.log(probability + 1e-7)) + of_cells + mean(elsewhere, cells >= MALIGNANT_FROM)
