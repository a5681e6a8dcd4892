"""A classifier from its folder, or the demo classifier of the package, by Keras, ONNX Runtime or OpenVINO."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from mammo.core.errors import MammoError
from mammo.core.files import as_path, errors_of_reading
from mammo.core.manifest import CLASS_NAMES
from mammo.inference.classifier import Classifier
from mammo.models import runtimes
from mammo.models.demo_network import demo_network
from mammo.models.model_card import ModelCard, read_card
from mammo.models.saved_model import load_saved_model, read_ood_detector
from mammo.models.weights import DEMO

RUNTIMES = ("keras", "onnx", "openvino")
PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}  # of exported networks; what starts faster comes first


@errors_of_reading()
def load_classifier(folder=None, runtime: str | None = None, precision: str = "float32") -> Classifier:
    """A classifier from a folder that `save_classifier` wrote; without one, the demo classifier of the package.

    Parameters
    ----------
    folder : path, optional
    runtime : "keras", "onnx" or "openvino", optional
        The last two run a network that `Classifier.export` has written into the folder, without TensorFlow: ONNX
        Runtime starts at once and takes a third of the memory, OpenVINO processes more images a second. The demo
        model's network is written into the cache folder when it is first needed. Without `runtime` it is the exported
        network where there is one and a package that runs it, else Keras.
    precision : "float32" or "bfloat16"
        bfloat16 goes with OpenVINO. Where an error of 0.15 in the log-odds could change a result, the image is computed
        again in float32; of 1,247 images 99 of 100 had a smaller error, and the largest was 0.252.

    Raises
    ------
    MammoError
        Where the folder holds no saved or exported model, or a damaged one; where the package of the runtime is
        missing; for an unknown runtime, and for bfloat16 where the processor does not have it.
    """
    if runtime not in (None, *RUNTIMES):
        raise MammoError(f"runtime is one of {', '.join(RUNTIMES)}, not {runtime!r}.")
    if precision != "float32" and runtime != "openvino":
        raise MammoError(f'precision={precision!r} needs runtime="openvino".')
    if folder is not None:
        folder = _model_folder(folder)
    if runtime is None:
        classifier = _load_fastest(folder)
    else:
        classifier = _load_keras(folder) if runtime == "keras" else _load_exported(folder, runtime, precision)
    if classifier.card.class_names != CLASS_NAMES:
        raise MammoError(f"The model in {folder} predicts {classifier.card.class_names}, not {CLASS_NAMES}.")
    return classifier


def _model_folder(folder) -> Path:
    folder = as_path(folder)
    try:
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise MammoError(f"{folder} is a file. Give the folder that save_classifier wrote.")
    except OSError as error:
        raise MammoError(
            f"{folder} cannot be opened ({error.strerror}). Check the path and the spelling. Notebook 02 makes a "
            "model, and mammo.load_classifier() without a folder loads the demo model."
        ) from None
    return folder


def _load_fastest(folder) -> Classifier:
    """By the runtime that starts fastest, of those that are there."""
    if folder is None:
        with suppress(MammoError):  # ONNX Runtime is not installed, or the cache cannot be written: Keras needs neither
            return _load_exported(None, "onnx", "float32")
    elif (folder / "network.json").is_file():
        for runtime, package in PACKAGES.items():
            if find_spec(package):
                return _load_exported(folder, runtime, "float32")
        if not (folder / "model.keras").is_file():
            raise MammoError(f"{folder} holds an exported network. `pip install onnxruntime` or `openvino` to run it.")
    return _load_keras(folder)


def _load_keras(folder) -> Classifier:
    saved = _load_demo() if folder is None else load_saved_model(folder)
    return Classifier(saved.card, runtimes.keras_runtime(saved.model), saved.ood_detector, lambda: saved.model)


def _load_demo():
    from mammo.models.demo import load_demo_model  # imports TensorFlow, which takes seconds

    return load_demo_model()


def _load_exported(folder, runtime: str, precision: str) -> Classifier:
    if folder is None:
        network, model_id = demo_network()
        described, load_model = DEMO, lambda: _load_demo().model
        card = read_card(DEMO)
    else:
        network = described = folder
        card = read_card(described)
        model_id = card.model_id
        load_model = (lambda: load_saved_model(folder).model) if (described / "model.keras").is_file() else None
    if runtime == "onnx":
        run = runtimes.onnx_runtime(network, model_id)
    else:
        run = runtimes.openvino_runtime(network, model_id, precision)
        if precision == "bfloat16":
            run = _unstable_again(run, runtimes.openvino_runtime(network, model_id), card)
    return Classifier(card, run, read_ood_detector(described, card), load_model)


def _unstable_again(fast: runtimes.Runtime, exact: runtimes.Runtime, card: ModelCard) -> runtimes.Runtime:
    """`fast`, but `exact` where an error of BFLOAT16_ERROR could change the result."""

    def run(x):
        outputs = fast(x)
        probability = outputs.probabilities[:, 1]
        stable = card.result_rule.is_stable(probability, runtimes.BFLOAT16_ERROR, card.calibration)
        if not stable.all():
            again = exact(x[~stable])
            for name in ("probabilities", "evidence", "texture", "content"):
                getattr(outputs, name)[~stable] = getattr(again, name)
        return outputs

    return run
