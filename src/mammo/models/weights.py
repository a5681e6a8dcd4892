"""Where ResNet50's weights come from: ImageNet, the demo model of this package, a file, a saved model, or nowhere.

Nothing is used in place of what was asked for: what cannot be had raises MammoError.
"""

from __future__ import annotations

import io
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mammo.core.errors import MammoError, short_reason
from mammo.core.files import as_path, errors_of_reading, sha256_of, write_atomically
from mammo.models.model_card import read_card
from mammo.models.saved_model import load_saved_model

if TYPE_CHECKING:
    import keras

# Keras is imported in the function that needs it: reading the demo weights must not wait seconds for TensorFlow.
IMAGENET_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{IMAGENET_FILE}"
DOWNLOAD_TIMEOUT_S = 20
DEMO = Path(__file__).parent / "demo_model"  # made by mammo.research.pretraining
SCALE, STEPS = "|scale", 100  # of the 8-bit weights


@errors_of_reading()
def load_resnet50(input_tensor, weights) -> keras.Model:
    """Keras' ResNet50 without its top, over a symbolic input of three channels, with its weights.

    `weights` as `build_model` takes them. Raises MammoError where they cannot be had.
    """
    from mammo.core.backend import keras

    if weights == "imagenet":
        with _download_timeout():
            try:
                return keras.applications.ResNet50(include_top=False, weights="imagenet", input_tensor=input_tensor)
            except Exception as error:  # the download can fail in many ways, none of them the user's fault
                raise MammoError(_imagenet_missing(error)) from None
    if weights is None or weights == "demo" or as_path(weights).is_dir():
        backbone = keras.applications.ResNet50(include_top=False, weights=None, input_tensor=input_tensor)
        if weights is not None:
            arrays = demo_weights() if weights == "demo" else named_weights(load_saved_model(weights).model)
            set_named_weights(backbone, arrays)
        return backbone
    path = as_path(weights)
    if not path.exists():
        raise MammoError(
            f'{path}: there are no such weights. Give "imagenet", "demo", a file, a saved model\'s folder, or None.'
        )
    try:
        return keras.applications.ResNet50(include_top=False, weights=str(path), input_tensor=input_tensor)
    except Exception as error:  # what Keras, h5py and zipfile raise for a file of something else
        raise MammoError(
            f"{path.name} does not hold weights of ResNet50 without its top ({short_reason(error)})."
        ) from None


def describe_weights(weights) -> str:
    """The origin of the weights as the model card says it."""
    if weights is None:
        return "random"
    named = {"imagenet": "imagenet", "demo": "demo (pretrained on synthetic mammograms)"}
    return named.get(str(weights), f"file {Path(weights).name}")


def named_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """All weights of a model as arrays, under `layer:number`."""
    return {f"{layer.name}:{i}": w for layer in model.layers for i, w in enumerate(layer.get_weights())}


def set_named_weights(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Give every layer of the model its weights from `arrays`; arrays of other layers are ignored."""
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([arrays[f"{layer.name}:{i}"] for i in range(len(layer.weights))])


def demo_weights() -> dict[str, np.ndarray]:
    """The arrays of the demo model; raises MammoError where the package's file is damaged."""
    return read_int8(DEMO / "weights.npz", read_card(DEMO).weights_sha256)


def write_int8(path, arrays: dict[str, np.ndarray]) -> str:
    """Write arrays by name, those of two or more dimensions as int8; returns the SHA-256 of the file.

    Per-channel symmetric quantisation: w is about q * s, q in -100..100, s = max |w| of the channel / 100. A hundred
    steps to each side instead of 127 let the file be compressed further. The last axis is the output channel, as in
    Keras' kernels. Vectors are kept as float32.

    References
    ----------
    R. Krishnamoorthi, Quantizing deep convolutional networks for efficient inference, 2018.
    """
    stored = {}
    for name, array in arrays.items():
        if array.ndim < 2:
            stored[name] = array.astype(np.float32)
            continue
        scale = np.abs(array).max(axis=tuple(range(array.ndim - 1))).astype(np.float32) / STEPS
        stored[name + SCALE] = scale
        stored[name] = np.rint(array / np.where(scale > 0, scale, 1)).astype(np.int8)
    path = Path(path)
    file = io.BytesIO()
    np.savez_compressed(file, **stored)
    write_atomically(path, lambda part: part.write_bytes(file.getbuffer()))
    return sha256_of(path)


def read_int8(path, sha256: str) -> dict[str, np.ndarray]:
    """The arrays by name, float32 again; raises MammoError where the file is not the one that was written."""
    path = Path(path)
    if not path.is_file() or sha256_of(path) != sha256:
        raise MammoError(f"{path} is missing or damaged (its checksum is wrong). Install the package again.")
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return {
        name: array * arrays[name + SCALE] if name + SCALE in arrays else array
        for name, array in arrays.items()
        if not name.endswith(SCALE)
    }


@contextmanager
def _download_timeout():
    """A firewall that swallows packets must not hang the notebook."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _imagenet_missing(error: Exception) -> str:
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    return (
        f"The ImageNet weights of ResNet50 could be neither found nor downloaded ({short_reason(error)}). "
        f"Keras looked for {home / 'models' / IMAGENET_FILE}. Get {IMAGENET_URL} on a machine with internet and put it "
        'there, or choose other weights: "demo" (in this package, from synthetic mammograms), the path of a file or '
        "of a saved model's folder, or None for random ones."
    )
