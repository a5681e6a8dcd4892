"""Arrays in a quarter of their size: 8-bit whole numbers with a scale for each output channel.

Per-channel symmetric quantisation of weights (Krishnamoorthi, Quantizing deep convolutional networks for
efficient inference, 2018): w is about q * s, q in -100..100, s = max |w| of the channel / 100. A hundred
steps to each side instead of 127 leave the file room to be compressed.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from mammo.card import sha256_of
from mammo.errors import MammoError
from mammo.storage import write_whole

SCALE = "|scale"
STEPS = 100


def write(path, arrays: dict[str, np.ndarray]) -> str:
    """Write arrays by name, those of two or more dimensions as int8; returns the SHA-256 of the file.

    The last axis is the output channel, as in Keras' kernels. Vectors are kept as float32.
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
    write_whole(path, lambda part: part.write_bytes(file.getbuffer()))
    return sha256_of(path)


def read(path, sha256: str) -> dict[str, np.ndarray]:
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
