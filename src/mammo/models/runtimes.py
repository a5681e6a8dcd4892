"""One pass that computes all a prediction needs, in Keras; and the same pass exported, to run without TensorFlow.

    run = keras_runtime(model)        # or, after `network_export.export`: run = onnx_runtime(folder, model_id)
    outputs = run(x)                          # x: (n, height, width, 1) float32; outputs: ModelOutputs

What is exported is one network in ONNX's format. ONNX Runtime starts on it fastest, with the least memory, for a single
prediction; OpenVINO processes more images a second, for a folder of them. Both use all cores, or as many threads as
$OMP_NUM_THREADS says: Ray sets it in each of its processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from mammo.core.errors import MammoError
from mammo.core.files import sha256_of
from mammo.models.gradcam import evidence

# TensorFlow, ONNX Runtime and OpenVINO are imported in the functions that need them: each takes up to seconds.

LAYERS = {"texture": "conv3_block4_out", "content": "pooled_features"}
FILES = ("network.onnx", "network.bin")  # the graph, and its weights
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
BFLOAT16_ERROR = 0.15  # of the log-odds of malignant: no bound, of 1,247 images the largest was 0.252


@dataclass(frozen=True)
class ModelOutputs:
    """All that a prediction needs of n images."""

    probabilities: np.ndarray
    """float32 (n, 2), in the order of CLASS_NAMES, before calibration."""
    evidence: np.ndarray
    """float32 (n, rows, columns): what each cell of the last map adds to the log-odds of malignant."""
    texture: np.ndarray
    """float32 (n, channels): pooled features of the third stage, for the out-of-distribution detector."""
    content: np.ndarray
    """float32 (n, channels): pooled features of the last stage."""

    def __getitem__(self, index) -> ModelOutputs:
        """The outputs for some of the images, or, without the first axis, for one."""
        return ModelOutputs(self.probabilities[index], self.evidence[index], self.texture[index], self.content[index])


Runtime = Callable[[np.ndarray], ModelOutputs]


def keras_runtime(model) -> Runtime:
    """Run a model by Keras, compiled at the first call."""
    from mammo.core.backend import tf

    compiled = tf.function(all_outputs(model), reduce_retracing=True)
    return lambda x: ModelOutputs(*map(np.asarray, compiled(x, training=False)))


def onnx_runtime(folder: Path, model_id: str) -> Runtime:
    """Run what `export` wrote by ONNX Runtime.

    Raises MammoError where ONNX Runtime or a file is missing, or a file is not the one that was written for the model.
    """
    onnxruntime, graph = _package_and_graph("onnxruntime", folder, model_id)
    options = onnxruntime.SessionOptions()
    # One step more copies all weights into another order: a fifth faster later on, with more memory and a later start.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.intra_op_num_threads = _threads()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: ModelOutputs(*session.run(None, {name: x}))


def openvino_runtime(folder: Path, model_id: str, precision: str = "float32") -> Runtime:
    """Run what `export` wrote by OpenVINO.

    `precision` "bfloat16" is faster and less exact: 99 of 100 log-odds are within BFLOAT16_ERROR. Raises MammoError
    where the processor does not have it, OpenVINO or a file is missing, or a file is not the one that was written
    for the model.
    """
    if precision not in PRECISIONS:
        raise MammoError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}.")
    openvino, graph = _package_and_graph("openvino", folder, model_id)
    core = openvino.Core()
    if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise MammoError('This processor has no instructions for bfloat16. Leave precision at "float32".')

    def compiled(model, precision):
        hints = {"INFERENCE_PRECISION_HINT": PRECISIONS[precision], "PERFORMANCE_HINT": "LATENCY"}
        hints["INFERENCE_NUM_THREADS"] = _threads()
        network = core.compile_model(model, "CPU", hints)
        return lambda x: [np.asarray(part) for part in network(x).values()]

    if precision == "float32":
        network = compiled(graph, precision)
        return lambda x: ModelOutputs(*network(x))
    before, after = _cut(core.read_model(graph))
    on_pixels, on_maps = compiled(before, "float32"), compiled(after, precision)
    return lambda x: ModelOutputs(*on_maps(on_pixels(x)[0]))


def _cut(model) -> tuple:
    """An OpenVINO model up to its first convolution, and from there on.

    Eight bits are too few for a pixel of 0 to 255: they made half of bfloat16's error.
    """
    opset, model_of = import_module("openvino.opset13"), import_module("openvino").Model
    first = next(step for step in model.get_ordered_ops() if step.get_type_name() == "Convolution").input(0)
    before = model_of([opset.result(first.get_source_output())], model.get_parameters())
    pixels = opset.parameter(first.get_partial_shape(), np.float32)
    first.replace_source_output(pixels.output(0))
    return before, model_of(model.get_results(), [pixels])


def _threads() -> int:
    """$OMP_NUM_THREADS, which neither runtime reads; 0, for all cores, where it is no number."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() else 0


def _package_and_graph(name: str, folder: Path, model_id: str) -> tuple:
    """A package, and the exported graph for it, whose checksum is computed while the package is imported."""
    with ThreadPoolExecutor(1) as pool:
        graph = pool.submit(verified_graph, folder, model_id)
        return package(name), graph.result()


def verified_graph(folder: Path, model_id: str) -> Path:
    """The exported graph; raises MammoError where there is none, or one that was not written so for this model."""
    if not (folder / "network.json").is_file():
        raise MammoError(f"{folder} holds no exported network. Export it: mammo.load_classifier(...).export(folder).")
    try:
        expected = dict(json.loads((folder / "network.json").read_text(encoding="utf-8")))
    except (TypeError, ValueError):
        expected = {}
    if any(not (folder / name).is_file() or sha256_of(folder / name) != expected.get(name) for name in FILES):
        raise MammoError(f"The exported network in {folder} is damaged. Export it again.")
    if expected.get("model") != model_id:
        raise MammoError(
            f"The exported network in {folder} belongs to another model than the card beside it. Export it again."
        )
    return folder / FILES[0]


def package(name: str):
    """An optional package; raises MammoError that says how to install it."""
    try:
        return import_module(name)
    except ImportError:
        raise MammoError(f"{name} is not installed. Install it with `pip install {name}`.") from None


def features_of(model) -> list:
    """The symbolic features of texture and content, (n, channels) each, in the order of LAYERS."""
    from mammo.core.backend import keras

    outputs = [model.get_layer(name).output for name in LAYERS.values()]
    return [x if len(x.shape) == 2 else keras.layers.GlobalAveragePooling2D()(x) for x in outputs]


def all_outputs(model):
    """A Keras model of the same input that computes what ModelOutputs holds, in its order."""
    from mammo.core.backend import keras

    return keras.Model(model.input, [model.output, evidence(model), *features_of(model)])
