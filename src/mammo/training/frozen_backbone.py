"""The network in two: the stages that stay frozen, and the last ones, which learn.

    frozen = frozen_stages(model, "bfloat16", learning=2)     # images -> inputs of the last two stages
    learning = copy_of_last_stages(model, "bfloat16", 2)      # those -> probabilities

ResNet50 has five stages, conv1 to conv5. The frozen part is only run forward: each BatchNorm is folded into the
convolution before it, which changes nothing but the time. The first convolutions of conv3, conv4 and conv5 look at
every second row and column; only those are handed on. Where all five stages learn, the frozen part hands on its images.
"""

from __future__ import annotations

from mammo.core.backend import POLICIES, keras
from mammo.models.resnet50 import FEATURES, HEAD, PIXEL_LAYERS
from mammo.models.weights import named_weights, set_named_weights

STAGES = 5
CUTS = {1: "conv4_block6_out", 2: "conv3_block4_out", 3: "conv2_block3_out", 4: "pool1_pool"}  # stages that learn: cut
STRIDED = tuple(f"conv{stage}_block1_{branch}_conv" for stage in (3, 4, 5) for branch in (0, 1))
EXACT = (*PIXEL_LAYERS, *HEAD)  # pixels, and the head, stay float32


def frozen_stages(model: keras.Model, precision: str, learning: int = 1) -> keras.Model:
    """Model inputs -> what the last `learning` stages compute with, float32."""
    if learning == STAGES:
        image = keras.Input(model.input.shape[1:], name=model.input.name)  # not the model's own: it would be kept
        return keras.Model(image, keras.layers.Identity(dtype="float32")(image))
    part = _folded(keras.Model(model.input, _cut(model, learning)), model.input.shape[1:], precision)
    stride = 2 if _strided(learning) else 1
    thinned = keras.layers.MaxPooling2D(1, strides=stride, dtype="float32")(part.output)
    return keras.Model(part.input, thinned)


def frozen_features(model: keras.Model, precision: str, layer: str = FEATURES) -> keras.Model:
    """Output of `frozen_stages` -> pooled features, or another layer's output, float32."""
    part = keras.Model(_cut(model, 1), model.get_layer(layer).output)
    part = _folded(part, _shape_at_cut(model, 1), precision, _strided(1))
    return keras.Model(part.input, keras.layers.Activation("linear", dtype="float32")(part.output))


def copy_of_head(model: keras.Model) -> keras.Model:
    """Pooled features -> probabilities; a copy, which can be trained."""
    return _copy(keras.Model(model.get_layer(FEATURES).output, model.output), (2048,), "float32")


def copy_of_last_stages(model: keras.Model, precision: str, learning: int = 1) -> keras.Model:
    """Output of `frozen_stages` -> probabilities; a copy, which `fine_tuning` unfreezes and trains."""
    part = keras.Model(_cut(model, learning), model.output)
    return _copy(part, _shape_at_cut(model, learning), precision, _strided(learning))


def copy_weights(trained: keras.Model, model: keras.Model) -> None:
    """Give the model the weights of a trained copy of its end."""
    for layer in trained.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())


def _cut(model, learning: int):
    return model.input if learning == STAGES else model.get_layer(CUTS[learning]).output


def _strided(learning: int) -> tuple[str, ...]:
    """The convolutions whose stride the frozen part has taken over."""
    first = f"conv{STAGES + 1 - learning}_"
    return tuple(name for name in STRIDED if name.startswith(first))


def _shape_at_cut(model, learning: int) -> tuple[int, int, int]:
    height, width, channels = _cut(model, learning).shape[1:]
    return (-(-height // 2), -(-width // 2), channels) if _strided(learning) else (height, width, channels)


def _copy(part, shape, precision: str, strided=()) -> keras.Model:
    twin = keras.models.clone_model(part, keras.Input(shape), clone_function=_cloning(precision, strided))
    set_named_weights(twin, named_weights(part))
    return twin


def _folded(part, shape, precision: str, strided=()) -> keras.Model:
    def call(layer, *inputs, **options):
        return inputs[0] if isinstance(layer, keras.layers.BatchNormalization) else layer(*inputs, **options)

    twin = keras.models.clone_model(part, keras.Input(shape), _cloning(precision, strided), call)
    for layer in part.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            convolution = layer.name.replace("_bn", "_conv")
            kernel, bias = part.get_layer(convolution).get_weights()
            gamma, beta, mean, variance = layer.get_weights()
            scale = gamma / (variance + layer.epsilon) ** 0.5
            twin.get_layer(convolution).set_weights([kernel * scale, (bias - mean) * scale + beta])
    return twin


def _cloning(precision: str, strided=()):
    def clone(layer):
        config = layer.get_config() | {"dtype": POLICIES["float32" if layer.name in EXACT else precision]}
        if layer.name in strided:
            config["strides"] = (1, 1)
        return type(layer).from_config(config)

    return clone
