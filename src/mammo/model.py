"""ResNet50 with a small head, and the folder it is saved in.

    model = mammo.build_model(weights="imagenet")         # or "demo", a weights file, a saved folder, None
    mammo.save_classifier("my_model", model, report)

The model takes `(batch, height, width, 1)` float32 in [0, 1], dense tissue bright, and returns
`(batch, 2)` probabilities in the order of `mammo.CLASS_NAMES`. All that follows the grey image is inside
it as built-in Keras layers, in one flat graph: what trained it is what serves it, Grad-CAM finds the
last convolution by name, and `model.keras` loads in Keras' safe mode.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import tempfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mammo import quantised
from mammo.backend import keras
from mammo.card import check_card, read_card, read_familiar, sha256_of, write_card, write_familiar
from mammo.errors import MammoError

FEATURES, LAST_CONVOLUTION, LAST_STAGE = "pooled_features", "conv5_block3_out", "conv5_"
HEAD = ("head", "probabilities")
# The channel means, blue first, that ResNet50's ImageNet weights were trained with (He et al. 2016, caffe).
IMAGENET_MEANS = (103.939, 116.779, 123.68)
IMAGENET_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{IMAGENET_FILE}"
DOWNLOAD_TIMEOUT_S = 20
VERSIONS = ("mammo", "tensorflow", "keras", "numpy", "pydicom", "scikit-image")
TEXTS = {"card.json", "MODEL_CARD.md", "CHECKLIST.md"}
PARTS = TEXTS | {"model.keras", "familiar.npz", "network.onnx", "network.bin", "network.json"}  # of a saved model
DEMO = Path(__file__).parent / "demo"  # made by mammo.pretraining


def build_model(weights="imagenet", image_size=(224, 224), quiet: bool = False) -> keras.Model:
    """ResNet50 without its top, global average pooling, Dense(1024, relu), Dense(2, softmax).

    `weights` says what the convolutions start from: `"imagenet"` (Keras downloads them once and keeps
    them), `"demo"` (trained on synthetic mammograms, in the package), the path of a weights file or of a
    folder written by `save_classifier`, or None (random).
    Raises MammoError where they cannot be had; nothing else is used in their place. What is used is printed,
    unless `quiet`.
    """
    image_size = tuple(int(side) for side in image_size)
    if len(image_size) != 2 or min(image_size) < 32:
        raise MammoError(f"image_size is (height, width) of at least 32 each, not {image_size}.")
    grey = keras.Input((*image_size, 1), name="mammogram")
    x = keras.layers.Concatenate(name="grey_to_three_channels")([grey, grey, grey])
    x = keras.layers.Rescaling(255.0, offset=[-mean for mean in IMAGENET_MEANS], name="imagenet_scale")(x)
    backbone = _resnet50(x, weights)
    x = keras.layers.GlobalAveragePooling2D(name=FEATURES)(backbone.output)
    first, last = (keras.initializers.GlorotUniform(seed=number) for number in (0, 1))  # the same start every time
    x = keras.layers.Dense(1024, "relu", kernel_initializer=first, name=HEAD[0])(x)
    x = keras.layers.Dense(2, "softmax", kernel_initializer=last, dtype="float32", name=HEAD[1])(x)
    model = keras.Model(grey, x, name="resnet50_mammo")
    model.starting_weights = describe_weights(weights)
    if not quiet:
        print(f"ResNet50 at {image_size[0]} x {image_size[1]}, weights: {model.starting_weights}")
    return model


def describe_weights(weights) -> str:
    """The origin of the weights as the model card says it."""
    if weights is None:
        return "random"
    named = {"imagenet": "imagenet", "demo": "demo (pretrained on synthetic mammograms)"}
    return named.get(str(weights), f"file {Path(weights).name}")


def _resnet50(x, weights):
    if weights == "imagenet":
        with _download_timeout():
            try:
                return keras.applications.ResNet50(include_top=False, weights="imagenet", input_tensor=x)
            except Exception as error:  # the download can fail in many ways, none of them the user's fault
                raise MammoError(_imagenet_missing(error)) from None
    if weights is None or weights == "demo" or Path(weights).is_dir():
        backbone = keras.applications.ResNet50(include_top=False, weights=None, input_tensor=x)
        if weights is not None:
            set_named_weights(backbone, _demo_arrays() if weights == "demo" else named_weights(read_folder(weights)[0]))
        return backbone
    path = Path(weights)
    if not path.exists():
        raise MammoError(
            f'{path}: there are no such weights. Give "imagenet", "demo", a file, a saved model\'s folder, or None.'
        )
    try:
        return keras.applications.ResNet50(include_top=False, weights=str(path), input_tensor=x)
    except Exception as error:
        raise MammoError(f"{path.name} does not hold weights of ResNet50 without its top ({_short(error)}).") from None


def named_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """All weights of a model as arrays, under `layer:number`."""
    return {f"{layer.name}:{i}": w for layer in model.layers for i, w in enumerate(layer.get_weights())}


def set_named_weights(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Give every layer of the model its weights from `arrays`; what the model does not have is left out."""
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([arrays[f"{layer.name}:{i}"] for i in range(len(layer.weights))])


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
        f"The ImageNet weights of ResNet50 could be neither found nor downloaded ({_short(error)}). "
        f"Keras looked for {home / 'models' / IMAGENET_FILE}. Get {IMAGENET_URL} on a machine with internet and put it "
        'there, or choose other weights: "demo" (in this package, from synthetic mammograms), the path of a file or '
        "of a saved model's folder, or None for random ones."
    )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def image_size_of(model: keras.Model) -> tuple[int, int]:
    """(height, width) that the model takes."""
    return tuple(model.input_shape[1:3])


def save_classifier(folder, model: keras.Model, report: dict, seed: int = 0, familiar=None, **facts) -> dict:
    """Write `model.keras`, `card.json`, `MODEL_CARD.md` and `CHECKLIST.md`, whole or not at all; returns the card.

    With `familiar`, from `mammo.learn_familiar`, also `familiar.npz`: then predictions say how far an image is from
    those that the model knows. `report` is what `mammo.evaluate` returned, `seed` the training's; further `facts` go
    into the card as they are. An older model in `folder` is replaced, with what was exported of it; a folder that holds
    anything else is refused with a MammoError.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / "card.json").is_file() and (folder.is_file() or any(folder.iterdir())):
        raise MammoError(f"{folder} is not empty and holds no model; it is not overwritten. Choose another folder.")
    strange = sorted(path.name for path in folder.glob("[!.]*") if path.name not in PARTS)
    if strange:
        raise MammoError(f"{folder} holds {strange[0]}, which would be lost. Move it, or choose another folder.")
    card = make_card(model, report, seed, **facts)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        bare = keras.Model(model.input, model.output, name=model.name)  # leaves the optimizer's state behind
        bare.save(new / "model.keras")
        card["model_sha256"] = sha256_of(new / "model.keras")
        if familiar is not None:
            card["familiar_sha256"] = write_familiar(new, familiar)
        write_card(new, card)
        _swap(new, folder, Path(scratch) / "old")
    return card


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Put `new` where `folder` is; if that fails, what was there is there again."""
    if folder.exists():
        shutil.move(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if old.exists():
            shutil.move(old, folder)
        raise


def make_card(model: keras.Model, report: dict, seed: int, **facts) -> dict:
    """What is known about a model, in one dict that fits into JSON; raises MammoError where something is missing."""
    card = {
        "image_size": list(image_size_of(model)),
        "weights": getattr(model, "starting_weights", "unknown"),
        "seed": seed,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
        **report,
        **facts,
    }
    check_card(card, "The report")
    return card


def read_folder(folder) -> tuple[keras.Model, dict, dict | None]:
    """The model, the card and what is familiar (or None) of a folder written by `save_classifier`.

    Keras' safe mode is on: a file that carries code is refused. Raises MammoError where a file is missing
    or damaged, or the card contradicts the model.
    """
    folder = Path(folder)
    card = read_card(folder)
    if not (folder / "model.keras").is_file():
        raise MammoError(f"{folder} has no model.keras; it is not a saved classifier. Notebook 02 makes one.")
    if sha256_of(folder / "model.keras") != card["model_sha256"]:
        raise MammoError(
            f"The card in {folder} contradicts the model file: it belongs to another one. Save both again."
        )
    try:
        model = keras.models.load_model(folder / "model.keras", compile=False, safe_mode=True)
        size, outputs = image_size_of(model), model.output_shape[-1]
    except Exception as error:
        raise MammoError(f"{folder / 'model.keras'} cannot be loaded ({_short(error)}).") from None
    if list(size) != list(card["image_size"]) or outputs != len(card["class_names"]):
        raise MammoError(f"The card in {folder} contradicts the model: image size or classes differ. Save both again.")
    return model, card, read_familiar(folder, card)


def read_demo() -> tuple[keras.Model, dict, dict]:
    """The demo classifier of the package, head and all, its card, and what is familiar to it."""
    card = _demo_card()
    model = build_model(weights=None, image_size=card["image_size"], quiet=True)
    set_named_weights(model, _demo_arrays())
    return model, card, read_familiar(DEMO, card)


def _demo_arrays() -> dict[str, np.ndarray]:
    return quantised.read(DEMO / "weights.npz", _demo_card()["weights_sha256"])


def _demo_card() -> dict:
    return json.loads((DEMO / "card.json").read_text(encoding="utf-8"))
