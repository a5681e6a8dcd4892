"""The recipe of the demo weights: ResNet50 from nothing, on synthetic mammograms that are never seen twice.

    python -m mammo.pretraining artifacts/pretraining            # hours on 2 cores with bfloat16; Ctrl-C
    python -m mammo.pretraining artifacts/pretraining            # ... and the same command goes on where it stopped

First patches, then whole images through the same convolutions (Shen et al., Deep learning to improve breast
cancer detection on screening mammography, Scientific Reports 9, 2019): a lesion fills much of a patch and is
found quickly; on the whole image it would be lost among tissue that means nothing yet. Each patch is normal tissue or
one of the ten kinds of lesions. Patches start near and plain and end at the scales and contrasts that
whole images have. On whole images every cell of the last map is asked what it sees, as the patches were, beside
the one question that stays: malignant or not? The evidence for that has to come from where the lesion is (after
Ross et al., Right for the right reasons, IJCAI 2017). The folder keeps a checkpoint of each stage and `log.csv`;
at the end its `demo/` is what the package ships.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tqdm.auto import tqdm

from mammo.core.manifest import split_by_patient
from mammo.research.pretraining_data import KINDS, MALIGNANT_FROM, SEED, WHOLE, patches, whole

CHECK_EVERY, CHECK_SAMPLES = 100, 80
MEASURED_PATIENTS = 400


@dataclass(frozen=True)
class Stage:
    """One stretch of the training."""

    name: str
    make: Callable
    """A number -> some images and their truth."""
    image_size: tuple[int, int]
    steps: int
    batch: int
    rate: float
    """The highest learning rate."""
    first: int = 0
    """The number it starts from."""
    images_a_number: int = 1


STAGES = (
    Stage(
        "patches",
        partial(patches, side=112, scales=(0.42, 1.15), count=8, curriculum=4000),
        image_size=(112, 112),
        steps=2000,
        batch=32,
        rate=1e-3,
        images_a_number=8,
    ),
    Stage(
        "nearer",
        partial(patches, side=96, scales=(0.7, 1.25), count=11, curriculum=1),
        image_size=(96, 96),
        steps=2700,
        batch=44,
        rate=7e-4,
        first=20_000,
        images_a_number=11,
    ),
    Stage("whole", whole, image_size=WHOLE, steps=1000, batch=16, rate=3e-4),
    Stage("several", partial(whole, lesions=6), image_size=WHOLE, steps=2500, batch=16, rate=3e-4, first=20_000),
    Stage("again", whole, image_size=WHOLE, steps=900, batch=16, rate=2e-4, first=60_000),
)


def stream(make, start: int, batch_size: int, workers: int, chunk: int = 32):
    """Endless batches (images float32 in [0, 1] with a channel, truth) of `make(start)`, `make(start + 1)`, ..."""
    images, truths = [], []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = deque()
        for first in itertools.count(start, chunk):
            waiting.append(pool.map(make, range(first, first + chunk), chunksize=chunk // 2))
            if len(waiting) <= 3:
                continue
            for some, their in waiting.popleft():
                images.extend(some)
                truths.extend(their)
            while len(images) >= batch_size:
                batch, images = images[:batch_size], images[batch_size:]
                truth, truths = truths[:batch_size], truths[batch_size:]
                yield np.array(batch, np.float32)[..., None] / 255, np.array(truth)


def auc_of(net, make, first: int, numbers: int) -> float:
    """AUC of malignant against all that is not, on samples that training never reaches (numbers from `first` on)."""
    made = [make(number) for number in range(first, first + numbers)]
    x, y = (np.concatenate(part) for part in zip(*made, strict=True))
    p = np.concatenate([net.predict_on_batch(x[i : i + 32, ..., None] / np.float32(255)) for i in range(0, len(x), 32)])
    first_malignant, answer = (MALIGNANT_FROM, p[:, MALIGNANT_FROM:]) if p.shape[1] == len(KINDS) else (1, p[:, 1:2])
    return float(roc_auc_score(y.reshape(len(y), -1)[:, 0] >= first_malignant, answer.sum(axis=1)))


def train(net, stage: Stage, folder: Path, workers: int):
    """Run one stage from its last checkpoint to its end; returns the trained network."""
    checkpoint, partial_file = folder / f"{stage.name}.weights.h5", folder / "partial.weights.h5"
    if checkpoint.is_file():
        net.optimizer.build(net.trainable_variables)  # so that its state is read too
        net.load_weights(checkpoint)
    done = int(net.optimizer.iterations)
    start = stage.first + int(done * stage.batch / stage.images_a_number * 1.05)  # some breasts give no patches
    batches = stream(stage.make, start, stage.batch, workers)
    losses = []
    for step in tqdm(range(done + 1, stage.steps + 1), initial=done, total=stage.steps, desc=stage.name, unit="step"):
        losses.append(float(net.train_on_batch(*next(batches), return_dict=True)["loss"]))
        net.reset_metrics()
        if step % CHECK_EVERY == 0 or step == stage.steps:
            auc = auc_of(net, stage.make, 10**8, CHECK_SAMPLES)
            with (folder / "log.csv").open("a") as log:
                log.write(f"{stage.name},{step},{step * stage.batch},{np.mean(losses):.4f},{auc:.4f}\n")
            tqdm.write(f"{stage.name} step {step}: loss {np.mean(losses):.3f}, AUC {auc:.3f}")
            losses = []
            net.save_weights(partial_file)
            os.replace(partial_file, checkpoint)
    batches.close()
    return net


def whole_loss(truth, answer):
    """Cross-entropy of the image's answer, of its cells' (lesions and normal tissue count the same), and of the place.

    `truth` as `mammo.samples.whole` gives it, `answer` as `network` does: the two probabilities of the image, the
    evidence of each cell, and the probabilities of all kinds in all cells. The place: of all the cells of a
    malignant image, those with a malignant lesion are to hold the evidence for it.
    """
    from mammo.core.backend import keras

    ops = keras.ops
    truth = ops.cast(truth, "int32")
    image, cells = truth[:, :1], truth[:, 1:]
    count = cells.shape[1]
    kinds = ops.reshape(answer[:, 2 + count :], (-1, count, len(KINDS)))
    entropy = -ops.log(ops.take_along_axis(kinds, ops.maximum(cells, 0)[..., None], axis=2)[..., 0] + 1e-7)
    elsewhere = -ops.log_softmax(answer[:, 2 : 2 + count], axis=1)

    def mean(values, where):
        where = ops.cast(where, values.dtype)
        return ops.sum(values * where) / (ops.sum(where) + 1e-7)

    right = ops.take_along_axis(answer[:, :2], image, axis=1)
    asked = mean(entropy, cells > 0) + mean(entropy, cells == 0)
    return ops.mean(-ops.log(right + 1e-7)) + asked + mean(elsewhere, cells >= MALIGNANT_FROM)


def compiled(net, stage: Stage):
    """AdamW, a short warm-up, then a cosine down to a hundredth of the stage's rate."""
    from mammo.core.backend import keras

    warm_up = stage.steps // 8
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, stage.steps - warm_up, alpha=0.01, warmup_target=stage.rate, warmup_steps=warm_up
    )
    loss = whole_loss if stage.image_size == WHOLE else "sparse_categorical_crossentropy"
    net.compile(keras.optimizers.AdamW(schedule, weight_decay=0.02), loss)
    return net


def network(image_size, cells: bool, trained=None):
    """ResNet50 with the kinds of lesions as its answer: of a patch, or of each cell of a whole image.

    A whole image's own answer then comes before them, and its evidence. What `trained` has learned is taken over.
    BatchNorm's statistics follow within a few hundred steps.
    """
    from mammo.core.backend import keras
    from mammo.models.gradcam import evidence
    from mammo.models.resnet50 import FEATURES, LAST_CONVOLUTION, build_model
    from mammo.models.weights import named_weights, set_named_weights

    model = build_model(weights=None, image_size=image_size, quiet=True)
    kinds = keras.layers.Dense(len(KINDS), activation="softmax", dtype="float32", name="kinds")
    if cells:
        maps = model.get_layer(LAST_CONVOLUTION).output
        parts = [model.output, *(keras.layers.Flatten(dtype="float32")(x) for x in (evidence(model), kinds(maps)))]
        answer = keras.layers.Concatenate(dtype="float32")(parts)
    else:
        answer = kinds(model.get_layer(FEATURES).output)
    net = keras.Model(model.input, answer)
    if trained is not None:
        set_named_weights(net, named_weights(net) | named_weights(trained))
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.98
    return net


def main(folder: Path, workers: int, precision: str) -> None:
    """All stages, each resumed where it stopped; then `demo/` is written."""
    from mammo.core.backend import keras

    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(SEED % 2**31)
    keras.mixed_precision.set_global_policy(precision)
    net = None
    for stage in STAGES:
        net = train(compiled(network(stage.image_size, stage.image_size == WHOLE, net), stage), stage, folder, workers)
    finish(net, folder)


def finish(trained, folder: Path) -> None:
    """Quantise, measure on patients never seen, and write `demo/` as the package ships it.

    The threshold and the calibration come from validation patients, the figures from test patients of a
    data set with a seed of its own; printed for the weights before and after they were quantised.
    """
    from mammo import plots
    from mammo.core.backend import keras
    from mammo.evaluation.report import evaluate
    from mammo.inference.classifier import predict_manifest
    from mammo.inference.out_of_distribution import fit_ood_detector
    from mammo.models import resnet50 as m
    from mammo.models.model_card import write_card
    from mammo.models.saved_model import write_ood_detector
    from mammo.synthetic import generate_dataset

    keras.mixed_precision.set_global_policy("float32")
    log = pd.read_csv(folder / "log.csv", names=["stage", "step", "images", "loss", "auc"])
    curves = {stage: (rows["images"], rows["auc"]) for stage, rows in log.groupby("stage", sort=False)}
    plots.save_figure(plots.learning_curves(curves), folder / "curve.png")
    manifest = generate_dataset(folder / "measured_on", patients=MEASURED_PATIENTS, seed=SEED)
    manifest = split_by_patient(manifest, fractions=(0.05, 0.2, 0.75), seed=SEED)
    manifest = manifest[manifest["split"] != "train"].reset_index(drop=True)
    demo = folder / "demo"
    demo.mkdir(exist_ok=True)
    model = m.build_model(weights=None, image_size=WHOLE, quiet=True)
    learned = m.named_weights(trained)
    exact = {name: learned[name] for name in m.named_weights(model)}  # what asked the cells is left behind
    sha256 = quantised.write(demo / "weights.npz", exact)
    for name, arrays in (("float32", exact), ("int8", quantised.read(demo / "weights.npz", sha256))):
        m.set_named_weights(model, arrays)
        report = evaluate(predict_manifest(model, manifest))
        print(f"{name}: AUC {report['auc']:.4f}, 95 % interval {np.round(report['auc_interval'], 4)}")
    wholes = sum(stage.steps * stage.batch for stage in STAGES if stage.image_size == WHOLE)
    cuts = sum(stage.steps * stage.batch for stage in STAGES) - wholes
    training = f"{cuts} patches and {wholes} whole images, synthetic, none seen twice"
    familiar_sha256 = write_ood_detector(demo, fit_ood_detector(model, manifest))
    facts = {"training": training, "weights_sha256": sha256, "familiar_sha256": familiar_sha256}
    card = m.make_card(model, report, seed=SEED, **facts)
    write_card(demo, card)
    print(f"Done: {demo}, {(demo / 'weights.npz').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2, help="processes that draw mammograms")
    parser.add_argument("--precision", default="mixed_bfloat16", choices=("mixed_bfloat16", "float32"))
    arguments = parser.parse_args()
    main(arguments.folder, arguments.workers, arguments.precision)
