"""The network in two: the stages that stay frozen, and the last one, which may learn.

    frozen = frozen_stages(model, "bfloat16")            # images -> inputs of the last stage
    learning = copy_of_last_stage(model, "bfloat16")     # those -> probabilities

The frozen part is only run forward: each BatchNorm is folded into the convolution before it, which changes nothing but
the time. The last stage's first convolutions look at every second row and column; only those are handed on.
"""

from __future__ import annotations

from mammo.core.backend import keras
from mammo.models.resnet50 import FEATURES, HEAD
from mammo.models.weights import named_weights, set_named_weights

CUT = "conv4_block6_out"
STRIDED = ("conv5_block1_0_conv", "conv5_block1_1_conv")
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # weights stay float32 in both
EXACT = ("grey_to_three_channels", "imagenet_scale", *HEAD)  # pixels, and the head, stay float32


def frozen_stages(model: keras.Model, precision: str) -> keras.Model:
    """Model inputs -> every second row and column of conv4's output, float32."""
    part = _folded(keras.Model(model.input, model.get_layer(CUT).output), model.input.shape[1:], precision)
    thinned = keras.layers.MaxPooling2D(1, strides=2, dtype="float32")(part.output)
    return keras.Model(part.input, thinned)


def frozen_features(model: keras.Model, precision: str, layer: str = FEATURES) -> keras.Model:
    """Output of `frozen_stages` -> pooled features, or another layer's output, float32."""
    part = keras.Model(model.get_layer(CUT).output, model.get_layer(layer).output)
    part = _folded(part, _thinned_shape(model), precision)
    return keras.Model(part.input, keras.layers.Activation("linear", dtype="float32")(part.output))


def copy_of_head(model: keras.Model) -> keras.Model:
    """Pooled features -> probabilities; a copy, which can be trained."""
    return _copy(keras.Model(model.get_layer(FEATURES).output, model.output), (2048,), "float32")


def copy_of_last_stage(model: keras.Model, precision: str) -> keras.Model:
    """Output of `frozen_stages` -> probabilities; a copy, which `fine_tuning` unfreezes and trains."""
    return _copy(keras.Model(model.get_layer(CUT).output, model.output), _thinned_shape(model), precision)


def copy_weights(trained: keras.Model, model: keras.Model) -> None:
    """Give the model the weights of a trained copy of its end."""
    for layer in trained.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())


def _thinned_shape(model) -> tuple[int, int, int]:
    height, width, channels = model.get_layer(CUT).output.shape[1:]
    return -(-height // 2), -(-width // 2), channels


def _copy(part, shape, precision: str) -> keras.Model:
    twin = keras.models.clone_model(part, keras.Input(shape), clone_function=_cloning(precision))
    set_named_weights(twin, named_weights(part))
    return twin


def _folded(part, shape, precision: str) -> keras.Model:
    def call(layer, *inputs, **options):
        return inputs[0] if isinstance(layer, keras.layers.BatchNormalization) else layer(*inputs, **options)

    twin = keras.models.clone_model(part, keras.Input(shape), _cloning(precision), call)
    for layer in part.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            convolution = layer.name.replace("_bn", "_conv")
            kernel, bias = part.get_layer(convolution).get_weights()
            gamma, beta, mean, variance = layer.get_weights()
            scale = gamma / (variance + layer.epsilon) ** 0.5
            twin.get_layer(convolution).set_weights([kernel * scale, (bias - mean) * scale + beta])
    return twin


def _cloning(precision: str):
    def clone(layer):
        config = layer.get_config() | {"dtype": POLICIES["float32" if layer.name in EXACT else precision]}
        if layer.name in STRIDED:
            config["strides"] = (1, 1)
        return type(layer).from_config(config)

    return clone
