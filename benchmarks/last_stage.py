"""A step of fine-tuning: 1 x 1 convolutions as products of matrices, against TensorFlow's convolutions.

    python benchmarks/last_stage.py

The last stage of the demo model at 384 x 288 learns from batches of 16 maps, as in `mammo.fine_tune`; both take turns.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import mammo
from mammo.training import frozen_backbone
from mammo.core.backend import keras
from mammo.training.fine_tuning import one_hot

SIZE, BATCH, STEPS = (384, 288), 16, 5


def compiled(model, precision: str, kind):
    """The last stage with its 1 x 1 convolutions of that kind, traced."""
    product, stages._Product = stages._Product, kind
    try:
        part = stages.last_stage(model, precision)
    finally:
        stages._Product = product
    part.compile(keras.optimizers.Adam(1e-5), "categorical_crossentropy")
    part.optimizer.build(part.trainable_variables)
    return part


def seconds_a_step(part, maps, truth) -> float:
    """A mean of a few, after one that does not count."""
    part.train_on_batch(maps, truth)
    begun = time.perf_counter()
    for _ in range(STEPS):
        part.train_on_batch(maps, truth)
    return (time.perf_counter() - begun) / STEPS


def main(rounds: int, size: tuple[int, int]) -> None:
    """Print a table."""
    random = np.random.default_rng(0)
    model = mammo.build_model("demo", image_size=size, quiet=True)
    truth = one_hot(random.integers(0, 2, BATCH))
    print("| computed in | convolutions, s | products, s | times as fast |\n|---|---|---|---|")
    for precision in stages.POLICIES:
        parts = [compiled(model, precision, kind) for kind in (keras.layers.Conv2D, stages._Product)]
        maps = random.random((BATCH, *parts[0].input_shape[1:]), np.float32)
        found = np.array([[seconds_a_step(part, maps, truth) for part in parts] for _ in range(rounds)])
        ratio, (before, after) = found[:, 0] / found[:, 1], np.median(found, axis=0)
        spread = f"{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
        print(f"| {precision} | {before:.3f} | {after:.3f} | {spread} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, metavar=("HEIGHT", "WIDTH"))
    given = parser.parse_args()
    main(given.rounds, tuple(given.size))
