"""The folder that a trained model is saved in: the network, its card, and the out-of-distribution detector.

    mammo.save_classifier("my_model", model, mammo.evaluate(scored))

`model.keras` alone turns an image into a probability. `card.json` is the ModelCard, `MODEL_CARD.md` the same in
sentences, `CHECKLIST.md` what it fills of two reporting guidelines.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mammo.core.errors import MammoError, short_reason
from mammo.core.files import as_path, errors_of_reading, errors_of_writing, read_arrays, sha256_of, write_arrays
from mammo.core.manifest import CLASS_NAMES
from mammo.models.model_card import CARD_FILES, ModelCard, make_card, read_card, write_card

# Keras is imported in the functions that need it: an exported model must not wait seconds for TensorFlow.
OOD_FILE = "ood_detector.npz"
OOD_PARTS = ("mean", "spread", "axes", "scale", "limits")  # for each of LAYERS
# By file managers, Jupyter, and an export that was killed.
LEFT_BEHIND = re.compile(r"\.DS_Store$|\._|\.ipynb_checkpoints$|\.export-")
FILES = CARD_FILES | {"model.keras", OOD_FILE, "network.onnx", "network.bin", "network.json"}


@dataclass(frozen=True)
class SavedModel:
    """What a folder holds."""

    model: object
    """keras.Model."""
    card: ModelCard
    ood_detector: dict[str, np.ndarray] | None
    """Arrays of `mammo.fit_ood_detector`; None where none was fitted."""


def save_classifier(
    folder, model, report: dict, seed: int = 0, ood_detector=None, training: str = "", checklist=None, **metadata
) -> ModelCard:
    """Write a model's folder, whole or not at all; an older model in it is replaced, with what was exported of it.

    Parameters
    ----------
    folder : path
        New, empty, or of an older model.
    model : keras.Model
    report : dict
        What `mammo.evaluate` returned.
    seed : int
    ood_detector : dict of arrays, optional
        From `mammo.fit_ood_detector`: then predictions say how far an image is from the training distribution.
    training : str
        One sentence on the training, for the card.
    checklist : dict, optional
        Entries for the reporting guidelines, such as `{"CLAIM 44": "no funding"}`.
    **metadata
        Anything else that the card should keep; values must fit into JSON.

    Returns
    -------
    ModelCard

    Raises
    ------
    MammoError
        For a folder that holds anything else or cannot be written, for a model that `build_model` has not made, for a
        report that lacks a field or is of another kind of images than the model takes, for another detector, and for an
        unknown item of a checklist.
    """
    folder = as_path(folder)
    check_model(model)
    _check_detector(ood_detector)
    card = make_card(
        report,
        image_size=image_size_of(model),
        weights=getattr(model, "starting_weights", "unknown"),
        seed=seed,
        training=training,
        checklist=checklist or {},
        metadata=metadata,
    )
    if model.input_shape[-1] != card.channels:
        raise MammoError(
            f"The report is of images of the kind {card.image_kind}, and the model takes {model.input_shape[-1]} "
            "channels. Evaluate this model with mammo.evaluate."
        )
    advice = "Check the drive and its permissions (in Colab: mount Google Drive again), or choose another folder."
    with errors_of_writing(folder, advice):
        return _write_folder(folder, model, card, ood_detector)


def _write_folder(folder: Path, model, card: ModelCard, ood_detector) -> ModelCard:
    from mammo.core.backend import keras

    if folder.exists() and not (folder / "card.json").is_file() and (folder.is_file() or any(folder.iterdir())):
        raise MammoError(f"{folder} is not empty and holds no model; it is not overwritten. Choose another folder.")
    names = {path.name for path in folder.glob("*")} - FILES
    unknown = sorted(name for name in names if not LEFT_BEHIND.match(name))
    if unknown:
        raise MammoError(f"{folder} holds {unknown[0]}, which would be lost. Move it, or choose another folder.")
    folder = folder.resolve()  # a link to a folder elsewhere stays one
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        bare = keras.Model(model.input, model.output, name=model.name)  # leaves the optimizer's state behind
        bare.save(new / "model.keras")
        card = replace(card, model_sha256=sha256_of(new / "model.keras"))
        if ood_detector is not None:
            card = replace(card, ood_sha256=write_ood_detector(new, ood_detector))
        write_card(new, card)
        _swap(new, folder, Path(scratch) / "old")
    return card


@errors_of_reading()
def load_saved_model(folder) -> SavedModel:
    """What `save_classifier` wrote.

    Keras' safe mode is on: a file that carries code is refused. Raises MammoError where a file is missing or damaged,
    or the card contradicts the model.
    """
    from mammo.core.backend import keras

    folder = as_path(folder)
    card = read_card(folder)
    path = folder / "model.keras"
    if not path.is_file():
        raise MammoError(f"{folder} has no model.keras; it is not a saved classifier. Notebook 02 makes one.")
    if sha256_of(path) != card.model_sha256:
        raise MammoError(
            f"{path} is damaged, or belongs to another card: its checksum is not the one in card.json. Copy the whole "
            "folder again, or save the model again."
        )
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        shapes = model.input_shape[1:], model.output_shape[1:]
    except Exception as error:  # Keras raises anything for a file of something else
        raise MammoError(f"{path} cannot be loaded ({short_reason(error)}).") from None
    if shapes != ((*card.image_size, card.channels), (len(card.class_names),)):
        raise MammoError(
            f"The card in {folder} contradicts the model: image size, channels or classes differ. Save both again."
        )
    return SavedModel(model, card, read_ood_detector(folder, card))


def image_size_of(model) -> tuple[int, int]:
    """(height, width) that the model takes; raises MammoError for what is no Keras model."""
    shape = getattr(model, "input_shape", None)
    if shape is None:
        raise MammoError(
            f"A Keras model is needed, as mammo.build_model gives it, not {type(model).__name__}. "
            "A loaded classifier holds its own as `classifier.model`."
        )
    return tuple(shape[1:3])


def check_model(model) -> None:
    """Raise MammoError for a model that `build_model` has not made: heatmaps and the rest need its layers."""
    from mammo.models.resnet50 import HEAD, LAST_CONVOLUTION
    from mammo.models.runtimes import LAYERS

    image_size_of(model)
    absent = {*HEAD, LAST_CONVOLUTION, *LAYERS.values()} - {layer.name for layer in model.layers}
    if absent or model.output_shape != (None, len(CLASS_NAMES)):
        fault = f"it has no layer {min(absent)}" if absent else f"its output has the shape {model.output_shape}"
        raise MammoError(f"{model.name} is not a model of mammo.build_model: {fault}. Build the model with it.")


def _check_detector(ood_detector) -> None:
    """Raise MammoError for what `fit_ood_detector` has not returned; there may be none."""
    from mammo.models.runtimes import LAYERS

    names = {f"{layer}_{part}" for layer in LAYERS for part in OOD_PARTS} | {"level"}
    if ood_detector is not None and not (isinstance(ood_detector, dict) and ood_detector.keys() == names):
        raise MammoError("ood_detector is what mammo.fit_ood_detector returned, or None.")


def write_ood_detector(folder: Path, ood_detector: dict[str, np.ndarray]) -> str:
    """Write the detector's arrays; returns their SHA-256, for the card."""
    write_arrays(folder / OOD_FILE, ood_detector)
    return _sha256_of_arrays(ood_detector)


def read_ood_detector(folder: Path, card: ModelCard) -> dict[str, np.ndarray] | None:
    """The detector's arrays, None where the card names none; raises MammoError for another model's."""
    if card.ood_sha256 is None:
        return None
    path = folder / OOD_FILE
    ood_detector = read_arrays(path)
    if _sha256_of_arrays(ood_detector) != card.ood_sha256:
        raise MammoError(f"{path} is missing or damaged, or belongs to another model. Save the model again.")
    return ood_detector


def _sha256_of_arrays(arrays: dict[str, np.ndarray]) -> str:
    """Of names, shapes and numbers, whatever the file that holds them looks like."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Put `new` where `folder` is; if that fails, what was there is there again."""
    try:
        if folder.exists():
            shutil.move(folder, old)
        os.replace(new, folder)
    except BaseException:  # Ctrl-C, too
        if old.exists():  # the folder may be there still, and empty, where it is the place of a drive
            shutil.copytree(old, folder, dirs_exist_ok=True)
        raise
