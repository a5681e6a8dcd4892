"""Keras and TensorFlow, imported without the dozen lines about CUDA and oneDNN that they print below Python.

from mammo.backend import keras
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


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


with without_stderr():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()  # what it has to say about missing GPUs comes here

logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its advice on retracing

__all__ = ["keras", "tf"]
