"""All that an answer needs from a model, in one pass; and the same pass exported, to be run without TensorFlow.

    run = in_keras(model)                     # or, after export(model, folder): run = in_openvino(folder)
    probabilities, evidence, texture, content = run(x)

`x` is (n, height, width, 1) float32; probabilities are (n, 2), evidence (n, rows, columns), the two features
(n, channels) each.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from mammo.card import sha256_of
from mammo.errors import MammoError

LAYERS = {"texture": "conv3_block4_out", "content": "pooled_features"}
FILES = ("network.xml", "network.bin")
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}

Run = Callable[[np.ndarray], list[np.ndarray]]


def in_keras(model) -> Run:
    """Run a model by Keras, compiled at the first call."""
    from mammo.backend import tf

    compiled = tf.function(_answering(model), reduce_retracing=True)
    return lambda x: [np.asarray(part) for part in compiled(x, training=False)]


def in_openvino(folder: Path, precision: str = "float32") -> Run:
    """Run what `export` wrote, without TensorFlow.

    `precision` "bfloat16" is faster on processors that have it, and less exact. Raises MammoError where OpenVINO or a
    file is missing, or a file is not the one that was written.
    """
    openvino = _openvino()
    if not (folder / "network.json").is_file():
        raise MammoError(f"{folder} holds no exported network. Export it: mammo.load_classifier(...).export(folder).")
    expected = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    if any(not (folder / name).is_file() or sha256_of(folder / name) != expected[name] for name in FILES):
        raise MammoError(f"The exported network in {folder} is damaged. Export it again.")
    if precision not in PRECISIONS:
        raise MammoError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}.")
    options = {"INFERENCE_PRECISION_HINT": PRECISIONS[precision], "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(folder / FILES[0], "CPU", options)
    return lambda x: [np.asarray(part) for part in compiled(x).values()]


def export(model, folder: Path) -> None:
    """Write a model's answering network in OpenVINO's format into an existing folder; `network.json` comes last."""
    openvino = _openvino()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        _answering(model).export(Path(scratch) / "saved", verbose=False)
        converted = openvino.convert_model(Path(scratch) / "saved")
        openvino.save_model(converted, Path(scratch) / FILES[0], compress_to_fp16=False)
        sums = {name: sha256_of(Path(scratch) / name) for name in FILES}
        (Path(scratch) / "network.json").write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(Path(scratch) / "saved")
        for name in (*FILES, "network.json"):
            os.replace(Path(scratch) / name, folder / name)


def _openvino():
    try:
        import openvino
    except ImportError:
        raise MammoError("OpenVINO is not installed. Install it with `pip install openvino`.") from None
    return openvino


def features_of(model) -> list:
    """The symbolic features of texture and content, (n, channels) each, in the order of LAYERS."""
    from mammo.backend import keras

    outputs = [model.get_layer(name).output for name in LAYERS.values()]
    return [x if len(x.shape) == 2 else keras.layers.GlobalAveragePooling2D()(x) for x in outputs]


def evidence(model):
    """Symbolic: what each cell of the last map adds to the log-odds of malignant, (n, rows, columns), float32.

    This is Grad-CAM's map before its negative part is cut off. The head is piecewise linear, so the gradient of the
    log-odds with respect to the pooled features follows from its weights, and the sum over the cells is the log-odds
    up to the biases.
    """
    from mammo.backend import keras
    from mammo.model import HEAD, LAST_CONVOLUTION

    head, out = (model.get_layer(name) for name in HEAD)
    maps = model.get_layer(LAST_CONVOLUTION).output
    return keras.layers.Lambda(partial(_evidence, head, out), dtype="float32")([maps, head.output])


def _evidence(head, out, maps_and_hidden):
    from mammo.backend import keras

    ops = keras.ops
    maps, hidden = maps_and_hidden
    odds = out.kernel[:, 1] - out.kernel[:, 0]
    slope = ops.matmul(ops.where(hidden > 0, odds, 0.0), ops.transpose(head.kernel))
    return ops.sum(maps * slope[:, None, None], axis=-1) / (maps.shape[1] * maps.shape[2])


def _answering(model):
    from mammo.backend import keras

    return keras.Model(model.input, [model.output, evidence(model), *features_of(model)])
