"""What training costs, side by side with the plain Keras loop: the same images, batches and machine.

    python benchmarks/training.py

Head: ten epochs of `fit` over a frozen backbone (one is timed and counted ten times) against ten epochs of
`mammo.train_head`, whose cache is empty at the beginning. Last stage: an epoch of plain fine-tuning, all layers,
against an epoch of `mammo.fine_tune`. Five rounds, taking turns. Both begin with the demo weights; the plain loop
finds its images in memory, this package reads files. For the AUC both learn for as many epochs as there are rounds,
and are scored in float32 on the same test patients. The limit is one forward pass over the images.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
from sklearn.metrics import roc_auc_score

import mammo
from mammo.core.backend import keras, native_precision
from mammo.core.manifest import class_indices
from mammo.data.image_loader import load_images
from mammo.models.resnet50 import HEAD
from mammo.training.checkpoint import Checkpoint
from mammo.training.feature_batches import one_hot

SIZE, EPOCHS, BATCH, TUNING_BATCH, RATE = (224, 224), 10, 32, 16, 1e-5


def plain(model, layers_that_learn, rate: float, **options):
    """The model compiled as the plain loop has it; BatchNorm keeps its statistics, or the few images spoil them."""
    for layer in model.layers:
        layer.trainable = layers_that_learn(layer) and not isinstance(layer, keras.layers.BatchNormalization)
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"], **options)
    return model


def arrays(manifest) -> dict[str, tuple]:
    """Split -> images and one-hot labels."""
    parts = {split: manifest[manifest["split"] == split] for split in ("train", "validation")}
    return {split: (load_images(rows, SIZE), one_hot(class_indices(rows))) for split, rows in parts.items()}


def seconds(function, *given, **options) -> float:
    """How long a call takes."""
    begun = time.perf_counter()
    function(*given, **options)
    return time.perf_counter() - begun


def auc(model, manifest) -> float:
    """On the test patients, in float32."""
    test = mammo.predict_manifest(model, manifest[manifest["split"] == "test"])
    return roc_auc_score(class_indices(test), test["probability"])


def fresh():
    """The model that both start from."""
    keras.utils.set_random_seed(0)
    return mammo.build_model("demo", image_size=SIZE, quiet=True)


def head(manifest, cache: Path, rounds: int) -> tuple:
    """Seconds of ten plain epochs and of ten of ours, for each round; AUC of both."""
    data, model, found = arrays(manifest), plain(fresh(), lambda layer: layer.name in HEAD, 1e-3), []
    model.evaluate(*data["validation"], batch_size=BATCH, verbose=0)
    for _ in range(rounds):
        shutil.rmtree(cache, ignore_errors=True)
        options = {"validation_data": data["validation"], "batch_size": BATCH, "verbose": 0}
        first = seconds(model.fit, *data["train"], **options)
        second = seconds(mammo.train_head, fresh(), manifest, EPOCHS, n_augmentations=0, patience=EPOCHS, cache=cache)
        found.append((EPOCHS * first, second))
    ours = fresh()
    mammo.train_head(ours, manifest, rounds, n_augmentations=0, patience=rounds, cache=cache)
    return found, auc(model, manifest), auc(ours, manifest)


def last_stage(manifest, cache: Path, rounds: int) -> tuple:
    """Seconds of a plain epoch over all layers and of an epoch of ours, for each round; AUC of both."""
    start = fresh()
    mammo.train_head(start, manifest, EPOCHS, n_augmentations=0, cache=cache)
    data, model, found = arrays(manifest), fresh(), []
    model.set_weights(start.get_weights())
    plain(model, lambda layer: True, RATE).fit(*(part[:BATCH] for part in data["train"]), verbose=0)  # compiles
    for _ in range(rounds):
        options = {"validation_data": data["validation"], "batch_size": TUNING_BATCH, "verbose": 0}
        first = seconds(model.fit, *data["train"], **options)
        ours = fresh()
        ours.set_weights(start.get_weights())
        found.append((first, an_epoch(ours, manifest, cache)))
    mammo.fine_tune(start, manifest, 1, rounds, RATE, n_augmentations=0, batch_size=TUNING_BATCH, cache=cache)
    return found, auc(model, manifest), auc(start, manifest)


def an_epoch(model, manifest, cache: Path, stages: int = 1, batch_size: int = TUNING_BATCH, precision=None) -> float:
    """Seconds of an epoch of `fine_tune`: the second of two, since the first one compiles."""
    ends, on_epoch_end = [], Checkpoint.on_epoch_end

    def with_time(self, *given):
        on_epoch_end(self, *given)
        ends.append(time.perf_counter())

    Checkpoint.on_epoch_end = with_time
    try:
        options = {"n_augmentations": 0, "batch_size": batch_size, "cache": cache, "precision": precision}
        mammo.fine_tune(model, manifest, stages, 2, RATE, **options)
    finally:
        Checkpoint.on_epoch_end = on_epoch_end
    return ends[-1] - ends[-2]


def forward_pass(manifest) -> float:
    """Seconds for the training and validation images, read and predicted once by Keras in float32."""
    used = manifest[manifest["split"] != "test"]
    model = fresh()
    model.predict_on_batch(np.zeros((BATCH, *SIZE, 1), np.float32))
    return seconds(mammo.predict_manifest, model, used, BATCH)


STAGES = {"head": ("head, ten epochs", head), "last": ("last stage, an epoch", last_stage)}


def main(images: int, rounds: int, stages: list[str]) -> None:
    """Print a table."""
    print(f"About {images} training images, batches of {BATCH} and {TUNING_BATCH}; here in {native_precision()}")
    print("| stage | plain Keras, s | here, s | times as fast | AUC, plain | AUC, here |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        manifest = mammo.generate_dataset(Path(scratch) / "data", patients=round(images / 4 / 0.6), seed=20_272)
        forward = forward_pass(manifest)
        for name, measure in (STAGES[stage] for stage in stages):
            found, first, second = measure(manifest, Path(scratch) / "cache", rounds)
            plainly, ours = np.median(found, axis=0)
            ratio = np.divide(*np.transpose(found))
            spread = f"{np.median(ratio):.1f} ({ratio.min():.1f} to {ratio.max():.1f})"
            row = f"| {name} | {plainly:.1f} | {ours:.1f} | {spread} | {first:.3f} | {second:.3f} |"
            print(row, file=sys.__stdout__, flush=True)
    print(f"One forward pass over the training and validation images by Keras, float32: {forward:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000, help="to train on")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stages", nargs="*", choices=STAGES, default=list(STAGES))
    given = parser.parse_args()
    main(given.images, given.rounds, given.stages)
