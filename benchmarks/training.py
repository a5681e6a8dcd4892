"""What training costs, side by side with the plain Keras loop: the same images, epochs, batches and machine.

    python benchmarks/training.py                         # 1,000 images, 10 epochs, one pair: minutes
    python benchmarks/training.py --images 200 --pairs 5  # the spread of the ratios

Head: `fit` over a frozen backbone against `mammo.train_head`, whose cache is empty at the beginning. Last stage: an
epoch of plain fine-tuning, all layers, against an epoch of `mammo.fine_tune` after `train_head`, each as the difference
between two epochs and one. Both begin with files and with the demo weights; the plain loop reads its images into memory
first, which is counted. For the AUC both are scored in float32 on the same test patients. The limit is one forward pass
over the images.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
from sklearn.metrics import roc_auc_score

import mammo
from mammo.backend import keras, native_precision
from mammo.inputs import load_images
from mammo.manifest import class_indices
from mammo.model import HEAD
from mammo.training import one_hot

SIZE, BATCH, TUNING_BATCH, TUNING_RATE = (224, 224), 32, 16, 1e-5


def plain_head(model, manifest, epochs: int) -> None:
    """The seed's loop: frozen backbone, `fit`."""
    for layer in model.layers:
        layer.trainable = layer.name in HEAD
    _plain_fit(model, manifest, epochs, 1e-3, BATCH)


def plain_fine_tuning(model, manifest, epochs: int) -> None:
    """All layers learn; BatchNorm keeps its statistics, or the few images would spoil them."""
    for layer in model.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    _plain_fit(model, manifest, epochs, TUNING_RATE, TUNING_BATCH)


def _plain_fit(model, manifest, epochs: int, rate: float, batch_size: int) -> None:
    train, validation = (manifest[manifest["split"] == split] for split in ("train", "validation"))
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        load_images(train, SIZE),
        one_hot(class_indices(train)),
        validation_data=(load_images(validation, SIZE), one_hot(class_indices(validation))),
        epochs=epochs,
        batch_size=batch_size,
        verbose=0,
    )


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
    """The model that every way begins with."""
    keras.utils.set_random_seed(0)
    return mammo.build_model("demo", image_size=SIZE, quiet=True)


def pair(manifest, epochs: int, cache: Path) -> dict[str, tuple]:
    """Way -> seconds of the plain loop and of ours, and AUC of both."""
    shutil.rmtree(cache, ignore_errors=True)
    plain, ours = fresh(), fresh()
    common = {"copies": 0, "patience": epochs, "cache": cache}  # no early end: as many epochs as the plain loop
    times = (
        seconds(plain_head, plain, manifest, epochs),
        seconds(mammo.train_head, ours, manifest, epochs, batch_size=BATCH, **common),
    )
    found = {"head": (*times, auc(plain, manifest), auc(ours, manifest))}
    tuning = common | {"learning_rate": TUNING_RATE, "batch_size": TUNING_BATCH}
    start, lasted = ours.get_weights(), {1: [], 2: []}
    for count, both in lasted.items():
        plain.set_weights(start)
        ours.set_weights(start)
        both.append(seconds(plain_fine_tuning, plain, manifest, count))
        both.append(seconds(mammo.fine_tune, ours, manifest, count, **tuning))
    times = (two - one for one, two in zip(*lasted.values(), strict=True))
    return found | {"last stage, an epoch": (*times, auc(plain, manifest), auc(ours, manifest))}


def forward_pass(manifest) -> float:
    """Seconds for the training and validation images, read and answered once by Keras in float32."""
    used = manifest[manifest["split"] != "test"]
    model = fresh()
    model.predict_on_batch(np.zeros((BATCH, *SIZE, 1), np.float32))
    return seconds(mammo.predict_manifest, model, used, BATCH)


def main(images: int, epochs: int, pairs: int) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as scratch:
        patients = round(images / 4 / 0.6)
        manifest = mammo.generate_dataset(Path(scratch) / "data", patients=patients, seed=20_272)
        counts = manifest["split"].value_counts()
        print(f"{counts['train']} training images, {epochs} epochs, batches of {BATCH}; ours in {native_precision()}")
        found = [pair(manifest, epochs, Path(scratch) / "cache") for _ in range(pairs)]
        forward = forward_pass(manifest)
    print("| stage | plain Keras, s | here, s | times as fast | AUC, plain | AUC, here |\n|---|---|---|---|---|---|")
    for way in found[0]:
        rows = np.array([one[way] for one in found])
        ratio = rows[:, 0] / rows[:, 1]
        plain, ours, first, second = np.median(rows, axis=0)
        spread = f"{np.median(ratio):.1f} ({ratio.min():.1f} to {ratio.max():.1f})"
        print(f"| {way} | {plain:.1f} | {ours:.1f} | {spread} | {first:.3f} | {second:.3f} |")
    ours = np.median([one["head"][1] for one in found])
    print(f"One forward pass in float32: {forward:.1f} s; the whole training of the head: {ours / forward:.2f} of it.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000, help="to train on")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=1)
    given = parser.parse_args()
    main(given.images, given.epochs, given.pairs)
