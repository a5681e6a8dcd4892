"""Train the demo weights: ResNet50 from random weights, on synthetic mammograms that are never seen twice.

    python -m mammo.research.pretraining artifacts/pretraining   # hours on 2 cores with bfloat16
    python -m mammo.research.pretraining artifacts/pretraining   # after Ctrl-C: goes on where it stopped

Patches come first: a lesion fills much of a patch, and is learned quickly. They are normal tissue or one of ten kinds
of lesions, large and plain at first, and at the end of the size and contrast that they have in whole images.

Whole images follow, through the same convolutions. There are two tasks: is the image malignant, and which kind of
lesion is in each cell of the last map? The evidence for malignant must come from the cells of the lesion. Later the
images are also turned, scaled and processed as other units might. In the last stage the head alone is trained, after
its hidden units that respond to no image have been drawn anew: without it six of 1,024 units were left, and 14 % of the
images had the same probability, since no unit responded to them.

The folder keeps a checkpoint of each stage and `log.csv`. At the end its `demo/` is what the package ships.

References
----------
L. Shen et al., Deep learning to improve breast cancer detection on screening mammography, Scientific Reports 9, 2019:
patches first, then whole images.
A. Ross, M. Hughes and F. Doshi-Velez, Right for the right reasons: training differentiable models by constraining
their explanations, IJCAI 2017.
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

from mammo.core.files import sha256_of
from mammo.core.splits import split_by_patient
from mammo.research.pretraining_data import KINDS, MALIGNANT_FROM, SEED, WHOLE, patches, whole

CHECK_EVERY, CHECK_SAMPLES, CHECK_FIRST = 100, 80, 10**8  # numbers from CHECK_FIRST on are never trained on
MEASURED_ON = 1000  # patients; half of them fix the operating point and the detector's limits

# TensorFlow is imported in the functions below: the processes that draw mammograms import this module, too.


@dataclass(frozen=True)
class Stage:
    """One stage of the training."""

    name: str
    make: Callable
    """Number -> images and their truth, as `pretraining_data.patches` or `whole`."""
    image_size: tuple[int, int]
    steps: int
    batch: int
    rate: float
    """The highest learning rate."""
    first: int = 0
    """The number that it starts from."""
    images_per_number: int = 1
    head_only: bool = False
    """Draw dead units of the head anew, and train nothing but the head."""


STAGES = (
    Stage(
        "patches",
        partial(patches, side=112, scales=(0.42, 1.15), count=8, curriculum=4000),
        image_size=(112, 112),
        steps=2000,
        batch=32,
        rate=1e-3,
        images_per_number=8,
    ),
    Stage(
        "nearer",
        partial(patches, side=96, scales=(0.7, 1.25), count=11, curriculum=1),
        image_size=(96, 96),
        steps=2700,
        batch=44,
        rate=7e-4,
        first=20_000,
        images_per_number=11,
    ),
    Stage("whole", whole, image_size=WHOLE, steps=1000, batch=16, rate=3e-4),
    Stage("several", partial(whole, lesions=6), image_size=WHOLE, steps=2500, batch=16, rate=3e-4, first=20_000),
    Stage("again", whole, image_size=WHOLE, steps=900, batch=16, rate=2e-4, first=60_000),
    Stage(
        "varied",
        partial(whole, lesions=4, varied=True),
        image_size=WHOLE,
        steps=5000,
        batch=48,
        rate=3e-4,
        first=100_000,
    ),
    Stage(
        "head",
        partial(whole, varied=True),
        image_size=WHOLE,
        steps=600,
        batch=48,
        rate=3e-4,
        first=500_000,
        head_only=True,
    ),
)


def stream(make, start: int, batch_size: int, workers: int, chunk: int = 32):
    """Endless batches of `make(start)`, `make(start + 1)`, ..., drawn ahead in other processes.

    Yields images, float32 (batch_size, height, width, 1) in [0, 1], and their truth.
    """
    images, truths = [], []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = deque()
        for first in itertools.count(start, chunk):
            waiting.append(pool.map(make, range(first, first + chunk), chunksize=chunk // 2))
            if len(waiting) <= 3:
                continue
            for made, truth in waiting.popleft():
                images.extend(made)
                truths.extend(truth)
            while len(images) >= batch_size:
                batch, images = images[:batch_size], images[batch_size:]
                truth, truths = truths[:batch_size], truths[batch_size:]
                yield np.array(batch, np.float32)[..., None] / 255, np.array(truth)


def auc_of(net, make) -> float:
    """AUC of malignant against all others on CHECK_SAMPLES samples that training never reaches."""
    made = [make(number) for number in range(CHECK_FIRST, CHECK_FIRST + CHECK_SAMPLES)]
    x, y = (np.concatenate(part) for part in zip(*made, strict=True))
    p = np.concatenate([net.predict_on_batch(x[i : i + 32, ..., None] / np.float32(255)) for i in range(0, len(x), 32)])
    of_patches = p.shape[1] == len(KINDS)
    first, score = (MALIGNANT_FROM, p[:, MALIGNANT_FROM:].sum(axis=1)) if of_patches else (1, p[:, 1])
    return float(roc_auc_score(y.reshape(len(y), -1)[:, 0] >= first, score))


def train(net, stage: Stage, folder: Path, workers: int):
    """Run a stage from its last checkpoint to its end; returns the trained network."""
    checkpoint, partial_file = folder / f"{stage.name}.weights.h5", folder / "partial.weights.h5"
    if checkpoint.is_file():
        net.optimizer.build(net.trainable_variables)  # so that its state is read too
        net.load_weights(checkpoint)
    done = int(net.optimizer.iterations)
    start = stage.first + int(done * stage.batch / stage.images_per_number * 1.05)  # some breasts give no patches
    batches = stream(stage.make, start, stage.batch, workers)
    losses = []
    for step in tqdm(range(done + 1, stage.steps + 1), initial=done, total=stage.steps, desc=stage.name, unit="step"):
        losses.append(float(net.train_on_batch(*next(batches), return_dict=True)["loss"]))
        net.reset_metrics()
        if step % CHECK_EVERY == 0 or step == stage.steps:
            auc = auc_of(net, stage.make)
            with (folder / "log.csv").open("a") as log:
                log.write(f"{stage.name},{step},{step * stage.batch},{np.mean(losses):.4f},{auc:.4f}\n")
            tqdm.write(f"{stage.name} step {step}: loss {np.mean(losses):.3f}, AUC {auc:.3f}")
            losses = []
            net.save_weights(partial_file)
            os.replace(partial_file, checkpoint)
    batches.close()
    return net


def compiled(net, stage: Stage):
    """The network with AdamW: a warm-up, then a cosine decay to a hundredth of the stage's rate.

    Where the stage is of the head alone, all else is fixed, and dead units are drawn anew.
    """
    from mammo.core.backend import keras
    from mammo.research.pretraining_model import revive_head, whole_loss

    if stage.head_only:
        made = [stage.make(number)[0] for number in range(stage.first, stage.first + CHECK_SAMPLES)]
        revive_head(net, np.concatenate(made)[..., None] / np.float32(255))
    warm_up = stage.steps // 8
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, stage.steps - warm_up, alpha=0.01, warmup_target=stage.rate, warmup_steps=warm_up
    )
    loss = whole_loss if stage.image_size == WHOLE else "sparse_categorical_crossentropy"
    net.compile(keras.optimizers.AdamW(schedule, weight_decay=0.02), loss)
    return net


def main(folder: Path, workers: int, precision: str) -> None:
    """Train all stages, each from where it stopped, and write `demo/`."""
    from mammo.core.backend import keras
    from mammo.research.pretraining_model import network

    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(SEED % 2**31)
    keras.mixed_precision.set_global_policy(precision)
    net = None
    for stage in STAGES:
        net = train(compiled(network(stage.image_size, stage.image_size == WHOLE, net), stage), stage, folder, workers)
    finish(net, folder)


def finish(trained, folder: Path) -> None:
    """Quantise the trained weights, print the AUC before and after, and write `demo/` as the package ships it."""
    from mammo import plots
    from mammo.core.backend import keras
    from mammo.evaluation.report import evaluate
    from mammo.inference.classifier import predict_manifest
    from mammo.models import demo_network, network_export
    from mammo.models.resnet50 import build_model
    from mammo.models.weights import named_weights, set_named_weights, write_int8

    keras.mixed_precision.set_global_policy("float32")
    log = pd.read_csv(folder / "log.csv", names=["stage", "step", "images", "loss", "auc"])
    curves = {stage: (rows["images"], rows["auc"]) for stage, rows in log.groupby("stage", sort=False)}
    plots.save_figure(plots.learning_curves(curves), folder / "curve.png")
    demo = folder / "demo"
    demo.mkdir(exist_ok=True)
    model = build_model(weights=None, image_size=WHOLE, quiet=True)
    learned = named_weights(trained)
    exact = {name: learned[name] for name in named_weights(model)}  # without the layer of the cells' kinds
    set_named_weights(model, exact)
    _print_auc("float32", evaluate(predict_manifest(model, _measured_on(folder))))
    write_int8(demo / "weights.npz", exact)
    network_export.write_graph(model, demo / demo_network.GRAPH, demo_network.WEIGHTS)
    measure(demo, folder)


def measure(demo: Path, folder: Path) -> None:
    """Evaluate the weights in `demo`, and write the card and the out-of-distribution detector beside them.

    What is fixed on validation patients and the metrics on test patients come from synthetic data that nothing was
    trained on; they are drawn into `folder`.
    """
    from mammo.evaluation.report import evaluate
    from mammo.inference.classifier import predict_manifest
    from mammo.inference.out_of_distribution import fit_ood_detector
    from mammo.models.model_card import make_card, write_card
    from mammo.models.resnet50 import build_model
    from mammo.models.saved_model import write_ood_detector
    from mammo.models.weights import read_int8, set_named_weights

    manifest, weights = _measured_on(folder), demo / "weights.npz"
    model, sha256 = build_model(weights=None, image_size=WHOLE, quiet=True), sha256_of(weights)
    set_named_weights(model, read_int8(weights, sha256))
    report = evaluate(predict_manifest(model, manifest))
    _print_auc("int8", report)
    card = make_card(
        report,
        image_size=WHOLE,
        weights=model.starting_weights,
        seed=SEED,
        training=_training_of(demo),
        weights_sha256=sha256,
        ood_sha256=write_ood_detector(demo, fit_ood_detector(model, manifest)),
    )
    write_card(demo, card)
    print(f"Done: {demo}, {weights.stat().st_size / 1e6:.1f} MB")


def _training_of(demo: Path) -> str:
    """What the card in `demo` says of the training; of weights that have no card yet, what `STAGES` are."""
    from mammo.models.model_card import read_card

    if (demo / "card.json").is_file():
        return read_card(demo).training
    n_whole = sum(stage.steps * stage.batch for stage in STAGES if stage.image_size == WHOLE)
    n_patches = sum(stage.steps * stage.batch for stage in STAGES) - n_whole
    return f"{n_patches} patches and {n_whole} whole images, synthetic, none seen twice"


def _measured_on(folder: Path) -> pd.DataFrame:
    from mammo.synthetic import generate_dataset

    manifest = generate_dataset(folder / "measured_on", patients=MEASURED_ON, seed=SEED)
    manifest = split_by_patient(manifest, fractions=(0.02, 0.48, 0.5), seed=SEED)
    return manifest[manifest["split"] != "train"].reset_index(drop=True)


def _print_auc(name: str, report: dict) -> None:
    print(f"{name}: AUC {report['auc']:.4f}, 95 % interval {np.round(report['auc_interval'], 4)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2, help="processes that draw mammograms")
    parser.add_argument("--precision", default="mixed_bfloat16", choices=("mixed_bfloat16", "float32"))
    parser.add_argument("--measure", type=Path, metavar="DEMO", help="only write the card in this folder again")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.folder)
    else:
        main(arguments.folder, arguments.workers, arguments.precision)
