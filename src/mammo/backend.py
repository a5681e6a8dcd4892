"""Keras and TensorFlow, imported without the dozen lines about CUDA and oneDNN that they print below Python.

from mammo.backend import keras
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager

import numpy as np
from tqdm.auto import tqdm

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

__all__ = ["keras", "run_batches", "tf"]


def run_batches(model: keras.Model, images: np.ndarray, batch_size: int, title: str, change=None) -> np.ndarray:
    """The model's output for every image, in inference mode, with a progress bar; `change` is done to each batch."""
    outputs = []
    for start in tqdm(range(0, len(images), batch_size), desc=title, unit="batch"):
        batch = images[start : start + batch_size]
        outputs.append(model.predict_on_batch(batch if change is None else np.asarray(change(batch))))
    return np.concatenate(outputs)
