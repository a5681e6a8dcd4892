"""The recipe of the demo weights: ResNet50 from nothing, on synthetic mammograms that are never seen twice.

    python -m mammo.pretraining artifacts/pretraining            # hours on 2 cores with bfloat16; Ctrl-C
    python -m mammo.pretraining artifacts/pretraining            # ... and the same command goes on where it stopped

First patches, then whole images through the same convolutions (Shen et al., Deep learning to improve breast
cancer detection on screening mammography, Scientific Reports 9, 2019): a lesion fills much of a patch and is
found quickly; on the whole image it would be lost among tissue that means nothing yet. Each patch is normal tissue or
one of the ten kinds of lesions. Patches start near and plain and end at the scales and contrasts that
whole images have. On whole images every cell of the last map is asked what it sees, as the patches were, beside
the one question that stays: malignant or not? The folder keeps a checkpoint of each stage and `log.csv`; at the end its
`demo/` is what the package ships.
"""

from __future__ import annotations

import argparse
import itertools
import json
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
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from tqdm.auto import tqdm

from mammo.manifest import CLASS_NAMES, split_by_patient
from mammo.preprocessing import breast_mask, find_breast, mask_on_breast, model_input
from mammo.synthetic.breast import HEIGHT_MM
from mammo.synthetic.lesions import CALCIFICATIONS, MASSES, draw_lesion, with_lesion
from mammo.synthetic.phantom import VIEWS, draw_patient, phantom

SEED = 20_261_122
RENDERED, WHOLE = (512, 384), (384, 288)
APART_MM = 35.0  # between the centres of several lesions in one breast
CELL = 32  # pixels of the input to one cell of ResNet50's last map
CHECK_EVERY, CHECK_SAMPLES = 100, 80
HARDEST = 0.45  # of the difficulties that are trained on, from 0
MEASURED_PATIENTS = 400
MM = RENDERED[0] / HEIGHT_MM
KINDS = ("normal", *(kind for label in CLASS_NAMES for group in (MASSES, CALCIFICATIONS) for kind in group[label]))
MALIGNANT_FROM = 1 + len(MASSES["benign"]) + len(CALCIFICATIONS["benign"])


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


def patches(number: int, side: int, scales, count: int, curriculum: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches of one breast, uint8 (count, side, side), and their classes, places in `KINDS`.

    `scales` are the fewest and the most pixels of a patch to a pixel of the mammogram. Up to the number `curriculum`
    patches come nearer and plainer than afterwards. A breast that is too small gives none.
    """
    rng = np.random.default_rng([SEED, number, 1])
    view = VIEWS[number % 2]
    breast, _ = phantom(draw_patient(rng, "normal", 0.0), "L", view, RENDERED, rng)
    breast = np.clip(breast / np.percentile(breast[breast > 0.12], 99.5), 0, 1)  # as find_breast does
    inside = breast > 0.1
    places = np.argwhere(ndimage.binary_erosion(inside[::8, ::8], iterations=2)) * 8
    ease = max(0.0, 1 - number / curriculum)
    images, classes = [], []
    for _ in range(count if len(places) else 0):
        row, column = places[rng.integers(len(places))]
        image, kind = breast, "normal"
        if rng.random() < 0.85:
            lesion = draw_lesion(rng, CLASS_NAMES[rng.integers(2)], HARDEST * rng.uniform(0, 1 - 0.8 * ease))
            image, _ = with_lesion(breast, inside, lesion, view, (row, column), MM * rng.uniform(0.85, 1.2))
            kind = lesion.kind
        seen = side / np.exp(rng.uniform(np.log(scales[0] + 0.4 * ease), np.log(scales[1])))
        top, left = (centre - seen / 2 + rng.uniform(-0.25, 0.25) * seen for centre in (row, column))
        cut = Image.fromarray(image).transform(
            (side, side), Image.EXTENT, (left, top, left + seen, top + seen), Image.BILINEAR
        )
        images.append(_vary(np.asarray(cut), rng, turn=True))
        classes.append(KINDS.index(kind))
    return np.array(images, np.uint8).reshape(-1, side, side), np.array(classes, np.int64)


def whole(number: int, lesions: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """One whole image, uint8 (1, 384, 288), prepared as for prediction, and its truth, int (1, 1 + cells).

    First 1 if malignant, else 0; then, for each cell of the last map, the place in `KINDS` of what is there, or -1
    where a lesion only begins. An image that is not normal has up to so many lesions, all benign or all malignant.
    """
    rng = np.random.default_rng([SEED, number, 2])
    label = ("benign", "malignant", "normal")[rng.choice(3, p=(0.35, 0.45, 0.2))]
    patient, view = draw_patient(rng, label, rng.uniform(0.0, HARDEST)), VIEWS[rng.integers(2)]
    image, mask = phantom(patient, patient.side, view, RENDERED, rng)
    marks = [] if label == "normal" else [(patient.lesion, mask)]
    if marks and lesions > 1:
        image, marks = _more_lesions(image, marks, lesions, label, view, rng)
    breast = find_breast(image)
    upside_down = -1 if rng.random() < 0.5 else 1
    cells = np.zeros((WHOLE[0] // CELL, WHOLE[1] // CELL), np.int64)
    for lesion, mask in marks:
        covered = model_input(mask_on_breast(breast, mask), WHOLE)[::upside_down, :, 0]
        share = covered.reshape(len(cells), CELL, -1, CELL).sum(axis=(1, 3))
        cells[(share > 0) & (cells == 0)] = -1
        cells[(share > 0) & (share >= 0.5 * share.max())] = KINDS.index(lesion.kind)
    x = _vary(model_input(breast.image, WHOLE)[::upside_down, :, 0], rng, turn=False)
    return x[None], np.concatenate([[int(label == "malignant")], cells.ravel()])[None]


def _more_lesions(image, marks, count: int, label: str, view: str, rng):
    """The image with up to `count` lesions that keep apart, and each with its mask."""
    inside = breast_mask(image)
    centres = [np.argwhere(mask).mean(axis=0) for _, mask in marks if mask.any()]
    for place in rng.permutation(np.argwhere(ndimage.binary_erosion(inside[::8, ::8], iterations=3)) * 8):
        if len(marks) == count:
            break
        if all(np.hypot(*(place - centre)) > APART_MM * MM for centre in centres):
            lesion = draw_lesion(rng, label, rng.uniform(0.0, HARDEST))
            image, mask = with_lesion(image, inside, lesion, view, place, MM)
            marks, centres = [*marks, (lesion, mask)], [*centres, place]
    return np.clip(image, 0, 1), marks


def _vary(x: np.ndarray, rng, turn: bool) -> np.ndarray:
    """Another exposure, film curve, sharpness and grain, and for patches any side up; uint8."""
    if turn:
        x = np.rot90(x[::-1] if rng.random() < 0.5 else x, rng.integers(4))
    x = np.clip(x, 0, None) ** rng.uniform(0.7, 1.4) * rng.uniform(0.75, 1.1)
    x = ndimage.gaussian_filter(x, rng.uniform(0, 0.7)) if rng.random() < 0.5 else x
    x = x + rng.standard_normal(x.shape) * rng.uniform(0, 0.02) * (x > 0)
    return np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)


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
    Stage("several", partial(whole, lesions=6), image_size=WHOLE, steps=500, batch=16, rate=3e-4, first=20_000),
    Stage("again", whole, image_size=WHOLE, steps=150, batch=16, rate=1e-4, first=40_000),
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
    from mammo.backend import keras

    checkpoint = folder / f"{stage.name}.keras"
    if checkpoint.is_file():
        net = keras.models.load_model(checkpoint, custom_objects={"whole_loss": whole_loss})
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
            net.save(folder / "partial.keras")
            os.replace(folder / "partial.keras", checkpoint)
    batches.close()
    return net


def whole_loss(truth, answer):
    """Cross-entropy of the image's answer, plus that of its cells: lesions and normal tissue count the same.

    `truth` as `whole` gives it, `answer` the two probabilities of the image and then those of all kinds in all cells.
    """
    from mammo.backend import keras

    ops = keras.ops
    truth = ops.cast(truth, "int32")
    image = ops.mean(-ops.log(ops.take_along_axis(answer[:, :2], truth[:, :1], axis=1) + 1e-7))
    cells = ops.reshape(answer[:, 2:], (-1, truth.shape[1] - 1, len(KINDS)))
    right = ops.take_along_axis(cells, ops.maximum(truth[:, 1:, None], 0), axis=2)[..., 0]
    entropy = -ops.log(right + 1e-7)
    for here in (truth[:, 1:] > 0, truth[:, 1:] == 0):
        weight = ops.cast(here, entropy.dtype)
        image += ops.sum(entropy * weight) / (ops.sum(weight) + 1e-7)
    return image


def compiled(net, stage: Stage):
    """AdamW, a short warm-up, then a cosine down to a hundredth of the stage's rate."""
    from mammo.backend import keras

    warm_up = stage.steps // 8
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, stage.steps - warm_up, alpha=0.01, warmup_target=stage.rate, warmup_steps=warm_up
    )
    loss = whole_loss if stage.image_size == WHOLE else "sparse_categorical_crossentropy"
    net.compile(keras.optimizers.AdamW(schedule, weight_decay=0.02), loss)
    return net


def network(image_size, cells: bool, trained=None):
    """ResNet50 with the kinds of lesions as its answer: of a patch, or of each cell of a whole image.

    A whole image's own answer then comes before them. What `trained` has learned is taken over. BatchNorm's statistics
    follow within a few hundred steps.
    """
    from mammo.backend import keras
    from mammo.model import FEATURES, LAST_CONVOLUTION, build_model, named_weights, set_named_weights

    model = build_model(weights=None, image_size=image_size, quiet=True)
    kinds = keras.layers.Dense(len(KINDS), activation="softmax", dtype="float32", name="kinds")
    if cells:
        each = kinds(model.get_layer(LAST_CONVOLUTION).output)
        answer = keras.layers.Concatenate(dtype="float32")([model.output, keras.layers.Flatten(dtype="float32")(each)])
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
    from mammo.backend import keras

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
    from mammo import model as m
    from mammo import plots, quantised
    from mammo.backend import keras
    from mammo.evaluation import evaluate
    from mammo.prediction import predict_manifest
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
    card = m.make_card(model, report, seed=SEED, training=training, weights_sha256=sha256)
    (demo / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    (demo / "MODEL_CARD.md").write_text(m.card_text(card), encoding="utf-8")
    print(f"Done: {demo}, {(demo / 'weights.npz').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2, help="processes that draw mammograms")
    parser.add_argument("--precision", default="mixed_bfloat16", help="mixed_bfloat16 or float32")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.workers, arguments.precision)
