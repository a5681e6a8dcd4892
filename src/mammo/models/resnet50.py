"""The model: ResNet50 with a small classification head.

    model = mammo.build_model(weights="imagenet")         # or "demo", a weights file, a saved model's folder, None
    model = mammo.build_model(channels=3)                 # for micrographs, in colour

All that follows the image is inside the model as built-in Keras layers, in one flat graph: what trained it is what
serves it, Grad-CAM finds the last convolution by name, and `model.keras` loads in Keras' safe mode.
"""

from __future__ import annotations

from mammo.core.backend import keras
from mammo.core.errors import MammoError
from mammo.core.manifest import IMAGE_KINDS
from mammo.models.weights import describe_weights, load_resnet50

FEATURES, LAST_CONVOLUTION = "pooled_features", "conv5_block3_out"
HEAD = ("head", "probabilities")
PIXEL_LAYERS = ("red", "green", "blue", "grey_to_three_channels", "imagenet_scale")  # of the layers that are there
# The channel means, blue first, that ResNet50's ImageNet weights were trained with (He et al. 2016, caffe).
IMAGENET_MEANS = (103.939, 116.779, 123.68)


def build_model(weights="imagenet", image_size=(224, 224), quiet: bool = False, channels: int = 1) -> keras.Model:
    """ResNet50 without its top, global average pooling, Dense(1024, relu), Dense(2, softmax).

    Parameters
    ----------
    weights : "imagenet", "demo", path or None
        What the convolutions start from: ImageNet (Keras downloads and caches the file), the demo model of this package
        (trained on synthetic mammograms), a weights file, a folder written by `save_classifier`, or random values.
    image_size : (int, int)
        Height and width of the input in pixels, at least 32 each.
    quiet : bool
        Do not print which weights were used.
    channels : int
        1 for mammograms, 3 for micrographs (RGB).

    Returns
    -------
    keras.Model
        Input (batch, height, width, channels) float32 in [0, 1], dense tissue bright; output (batch, 2), probabilities
        in the order of CLASS_NAMES.

    Raises
    ------
    MammoError
        Where the weights cannot be had (nothing else is used in their place), for sides below 32 pixels, and for
        other channels.

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, CVPR 2016.
    """
    try:
        height, width = (int(side) for side in image_size)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 32:
        raise MammoError(f"image_size is (height, width) of at least 32 each, not {image_size!r}.")
    kind = next((name for name, number in IMAGE_KINDS.items() if number == channels), None)
    if kind is None:
        raise MammoError(f"channels is 1 for mammograms or 3 for micrographs, not {channels!r}.")
    image = keras.Input((height, width, channels), name=kind)
    x = keras.layers.Concatenate(name="grey_to_three_channels")([image] * 3 if channels == 1 else _blue_first(image))
    x = keras.layers.Rescaling(255.0, offset=[-mean for mean in IMAGENET_MEANS], name="imagenet_scale")(x)
    backbone = load_resnet50(x, weights)
    x = keras.layers.GlobalAveragePooling2D(name=FEATURES)(backbone.output)
    first, last = (keras.initializers.GlorotUniform(seed=number) for number in (0, 1))  # the same start every time
    x = keras.layers.Dense(1024, "relu", kernel_initializer=first, name=HEAD[0])(x)
    x = keras.layers.Dense(2, "softmax", kernel_initializer=last, dtype="float32", name=HEAD[1])(x)
    model = keras.Model(image, x, name="resnet50_mammo")
    model.starting_weights = describe_weights(weights)
    if not quiet:
        print(f"ResNet50 at {height} x {width}, weights: {model.starting_weights}")
    return model


def _blue_first(image) -> list:
    """The channels of RGB as ImageNet's weights take them; an axis of channels is cropped like one of columns."""
    first = {"blue": 2, "green": 1, "red": 0}
    return [
        keras.layers.Cropping2D(((0, 0), (at, 2 - at)), data_format="channels_first", name=name)(image)
        for name, at in first.items()
    ]
