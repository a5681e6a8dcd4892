"""Keras and TensorFlow, imported without the dozen lines about CUDA and oneDNN that they print below Python.

from mammo.core.backend import keras

Raises MammoError where Keras is set to another backend, order of axes or number format than the models are built for.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path

from mammo.core.errors import MammoError, short_reason

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}  # weights stay float32
SETTINGS = {"backend": "tensorflow", "image_data_format": "channels_last", "floatx": "float32"}

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # TensorFlow leaves it off where AVX2 is all: a third slower


@contextmanager
def without_stderr():
    """Nothing that is written to file descriptor 2 meanwhile is shown; exceptions still are."""
    shown, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(shown)
        os.close(nowhere)


def _refused(settings: str) -> MammoError:
    """What to do about Keras' settings."""
    wanted = ", ".join(f'"{name}": "{value}"' for name, value in SETTINGS.items())
    folder = os.environ.get("KERAS_HOME") or "~/.keras"
    return MammoError(
        f"Keras is set up in a way that these models cannot use ({settings}): write {{{wanted}}} to "
        f"{folder}/keras.json, unset KERAS_BACKEND, and restart Python."
    )


with without_stderr():
    try:
        import keras
        import tensorflow as tf
    except Exception as error:  # a backend that is not installed, or not known: anything may come out of it
        if isinstance(error, ModuleNotFoundError) and error.name == "tensorflow":
            raise
        raise _refused(short_reason(error)) from None

    tf.config.list_physical_devices()  # what it has to say about missing GPUs comes here

logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its advice on retracing

found = {name: getattr(keras.config, name)() for name in SETTINGS}
if found != SETTINGS:
    raise _refused(", ".join(f"{name} is {value}" for name, value in found.items() if value != SETTINGS[name]))


def check_precision(precision: str) -> str:
    """The number format; raises MammoError where it is none of POLICIES."""
    if precision not in POLICIES:
        raise MammoError(f"precision is one of {', '.join(POLICIES)}, not {precision!r}.")
    return precision


def native_precision() -> str:
    """The number format that training computes in: $MAMMO_PRECISION, or what the processor is good at.

    "bfloat16" where the GPU (from compute capability 8 on) or the processor has instructions for it;
    "float16" on older cards with tensor cores (7.0 on, such as the T4); else "float32". Weights, probabilities and
    losses stay float32 anyway.
    """
    if chosen := os.environ.get("MAMMO_PRECISION"):
        return check_precision(chosen)
    cards = [tf.config.experimental.get_device_details(card) for card in tf.config.list_physical_devices("GPU")]
    if cards:
        oldest = min(card.get("compute_capability", (0, 0)) for card in cards)
        return "bfloat16" if oldest >= (8, 0) else "float16" if oldest >= (7, 0) else "float32"
    known = Path("/proc/cpuinfo")  # elsewhere TensorFlow has no fast bfloat16
    words = set(known.read_text().split()) if known.is_file() else set()
    return "bfloat16" if words & {"avx512_bf16", "amx_bf16", "bf16"} else "float32"


@contextmanager
def released(net: keras.Model):
    """A compiled model that is of no use afterwards: the memory of its variables and its optimizer's is given back.

    TensorFlow never frees the step that `fit` traced, and with it the variables: some 0.4 GB for each ResNet50.
    """
    try:
        yield net
    finally:
        for variable in [*net.variables, *net.optimizer.variables]:
            nothing = tf.zeros(0, variable.value.dtype)
            tf.raw_ops.AssignVariableOp(resource=variable.value.handle, value=nothing)
