"""A Keras model's outputs, all that a prediction needs, as a network in ONNX's format: for `runtimes` to run."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mammo.core.files import sha256_of
from mammo.models.runtimes import FILES, all_outputs, package
from mammo.models.weights import named_weights

# TensorFlow, ONNX Runtime and tf2onnx are imported in the functions that need them.


def export(model, folder: Path, model_id: str) -> None:
    """Write a model's outputs as a network in ONNX's format into an existing folder.

    Raises MammoError where ONNX Runtime or tf2onnx is missing.
    """
    package("tf2onnx")
    write_network(lambda path: _write_traced(model, path), folder, model_id)


def write_network(write_traced: Callable[[Path], None], folder: Path, model_id: str) -> None:
    """Write a network, as ONNX Runtime simplifies what `write_traced` writes, into an existing folder.

    `network.json` comes last. It holds the checksums of both files and `model_id`, which binds them to the model's
    card. Raises MammoError where ONNX Runtime is missing.
    """
    onnxruntime = package("onnxruntime")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        as_traced, graph, weights = (Path(scratch) / name for name in ("traced.onnx", *FILES))
        write_traced(as_traced)
        options = onnxruntime.SessionOptions()
        # BatchNorm goes into the convolutions; what is left are operations of the standard, which every runtime knows.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(graph)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", weights.name)
        onnxruntime.InferenceSession(as_traced, options, providers=["CPUExecutionProvider"])
        sums = {path.name: sha256_of(path) for path in (graph, weights)} | {"model": model_id}
        (Path(scratch) / "network.json").write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
        for name in (*FILES, "network.json"):
            os.replace(Path(scratch) / name, folder / name)


def write_graph(model, path: Path, weights_file: str) -> None:
    """Write a model's outputs in ONNX's format without the weights.

    The graph looks for them in `weights_file` beside it: the arrays of `weights.named_weights`, float32, one after the
    other.
    """
    import onnx

    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole.onnx"
        names = _write_traced(model, whole)
        traced = onnx.load(whole)
    places, end = {}, 0
    for name, array in named_weights(model).items():
        places[name] = end, array.size * 4
        end += array.size * 4
    for initializer in traced.graph.initializer:
        if initializer.name in names:
            offset, length = places[names[initializer.name]]
            initializer.ClearField("raw_data")
            initializer.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", weights_file), ("offset", offset), ("length", length)):
                initializer.external_data.add(key=key, value=str(value))
    path.write_bytes(traced.SerializeToString())


def _write_traced(model, path: Path) -> dict[str, str]:
    """Write a model's outputs in ONNX's format; returns which weight of `weights.named_weights` each initializer is.

    The weights are inputs of what tf2onnx converts, and are filled in afterwards: as constants, tf2onnx copies all of
    them in each of its steps, 9 GB for a ResNet50.
    """
    import onnx
    import tf2onnx

    from mammo.core.backend import tf, without_stderr

    network = all_outputs(model)
    learning, fixed = network.trainable_variables, network.non_trainable_variables
    weights = {f"weight_{place}": variable for place, variable in enumerate([*learning, *fixed])}

    def outputs(x, *given):
        return network.stateless_call(given[: len(learning)], given[len(learning) :], x, training=False)[0]

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32, name="x")]
    signature += [tf.TensorSpec(variable.shape, variable.dtype, name=name) for name, variable in weights.items()]
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), without_stderr():
        warnings.simplefilter("ignore", FutureWarning)  # of NumPy, for names that tf2onnx looks for
        traced, _ = tf2onnx.convert.from_function(tf.function(outputs), signature)
    graph = traced.graph
    for place in reversed(range(len(graph.input))):
        name = graph.input[place].name
        if name in weights:
            graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(weights[name]), name))
            del graph.input[place]
    onnx.save(traced, path)
    names = {
        id(weight): f"{layer.name}:{place}" for layer in model.layers for place, weight in enumerate(layer.weights)
    }
    return {name: names[id(variable)] for name, variable in weights.items()}
