"""The recipe of the demo weights: ResNet50 from nothing, on synthetic mammograms that are never seen twice.

    python -m mammo.pretraining artifacts/pretraining            # about an hour on 2 cores with bfloat16; Ctrl-C
    python -m mammo.pretraining artifacts/pretraining            # ... and the same command goes on where it stopped

First patches, then whole images through the same convolutions (Shen et al., Deep learning to improve breast
cancer detection on screening mammography, Scientific Reports 9, 2019): a lesion fills much of a patch and is
found quickly; on the whole image it would be lost among tissue that means nothing yet. Each patch is normal tissue or
one of the ten kinds of lesions. Patches start near and plain and end at the scales and contrasts that
whole images have. The folder keeps a checkpoint and `log.csv`; at the end its `demo/` is what the package ships.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from tqdm.auto import tqdm

from mammo.manifest import CLASS_NAMES, split_by_patient
from mammo.preprocessing import find_breast, model_input
from mammo.synthetic.breast import HEIGHT_MM
from mammo.synthetic.lesions import CALCIFICATIONS, MASSES, draw_lesion, with_lesion
from mammo.synthetic.phantom import VIEWS, draw_patient, phantom

SEED = 20_261_122
RENDERED = (512, 384)
PATCH, WHOLE = (112, 112), (384, 288)
PATCH_STEPS, PATCH_BATCH, PATCHES_A_BREAST = 2000, 32, 8
WHOLE_STEPS, WHOLE_BATCH = 350, 16
CHECK_EVERY, CHECK_SAMPLES = 100, 80
HARDEST = 0.45  # of the difficulties that are trained on, from 0
MEASURED_PATIENTS = 400
MM = RENDERED[0] / HEIGHT_MM
KINDS = ("normal", *(kind for label in CLASS_NAMES for group in (MASSES, CALCIFICATIONS) for kind in group[label]))
MALIGNANT_FROM = 1 + len(MASSES["benign"]) + len(CALCIFICATIONS["benign"])


def patches(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches of one breast, uint8 (n, 112, 112), and their classes, places in `KINDS`."""
    rng = np.random.default_rng([SEED, number, 1])
    view = VIEWS[number % 2]
    breast, _ = phantom(draw_patient(rng, "normal", 0.0), "L", view, RENDERED, rng)
    breast = np.clip(breast / np.percentile(breast[breast > 0.12], 99.5), 0, 1)  # as find_breast does
    inside = breast > 0.1
    places = np.argwhere(ndimage.binary_erosion(inside[::8, ::8], iterations=2)) * 8
    ease = max(0.0, 1 - number * PATCHES_A_BREAST / PATCH_BATCH / (0.5 * PATCH_STEPS))
    images, classes = [], []
    for _ in range(PATCHES_A_BREAST if len(places) else 0):
        row, column = places[rng.integers(len(places))]
        image, kind = breast, "normal"
        if rng.random() < 0.85:
            lesion = draw_lesion(rng, CLASS_NAMES[rng.integers(2)], HARDEST * rng.uniform(0, 1 - 0.8 * ease))
            image, _ = with_lesion(breast, inside, lesion, view, (row, column), MM * rng.uniform(0.85, 1.2))
            kind = lesion.kind
        side = PATCH[0] / np.exp(rng.uniform(np.log(0.42 + 0.4 * ease), np.log(1.15)))
        top, left = (centre - side / 2 + rng.uniform(-0.28, 0.28) * side for centre in (row, column))
        cut = Image.fromarray(image).transform(
            PATCH, Image.EXTENT, (left, top, left + side, top + side), Image.BILINEAR
        )
        images.append(_vary(np.asarray(cut), rng, turn=True))
        classes.append(KINDS.index(kind))
    return np.array(images, np.uint8).reshape(-1, *PATCH), np.array(classes, np.int64)


def whole(number: int) -> tuple[np.ndarray, np.ndarray]:
    """One whole image, uint8 (1, 384, 288), prepared as for prediction, and its class: 1 if malignant, else 0."""
    rng = np.random.default_rng([SEED, number, 2])
    label = ("benign", "malignant", "normal")[rng.choice(3, p=(0.35, 0.45, 0.2))]
    patient = draw_patient(rng, label, rng.uniform(0.0, HARDEST))
    image, _ = phantom(patient, patient.side, VIEWS[rng.integers(2)], RENDERED, rng)
    x = model_input(find_breast(image).image, WHOLE)[..., 0]
    return _vary(x, rng, turn=False)[None], np.array([int(label == "malignant")])


def _vary(x: np.ndarray, rng, turn: bool) -> np.ndarray:
    """Another exposure, film curve, sharpness and grain, upside down, and for patches any side up; uint8."""
    if rng.random() < 0.5:
        x = x[::-1]
    if turn:
        x = np.rot90(x, rng.integers(4))
    x = np.clip(x, 0, None) ** rng.uniform(0.7, 1.4) * rng.uniform(0.75, 1.1)
    x = ndimage.gaussian_filter(x, rng.uniform(0, 0.7)) if rng.random() < 0.5 else x
    x = x + rng.standard_normal(x.shape) * rng.uniform(0, 0.02) * (x > 0)
    return np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)


def stream(make, start: int, batch_size: int, workers: int, chunk: int = 32):
    """Endless batches (images float32 in [0, 1] with a channel, classes) of `make(start), make(start + 1), ...`."""
    images, classes = [], []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = deque()
        for first in count(start, chunk):
            waiting.append(pool.map(make, range(first, first + chunk), chunksize=chunk // 2))
            if len(waiting) <= 3:
                continue
            for some, their in waiting.popleft():
                images.extend(some)
                classes.extend(their)
            while len(images) >= batch_size:
                batch, images = images[:batch_size], images[batch_size:]
                truth, classes = classes[:batch_size], classes[batch_size:]
                yield np.array(batch, np.float32)[..., None] / 255, np.array(truth)


def auc_of(net, make, first: int, images: int) -> float:
    """AUC of malignant against all that is not, on samples that training never reaches (numbers from `first` on)."""
    made = [make(number) for number in range(first, first + images)]
    x, y = (np.concatenate(part) for part in zip(*made, strict=True))
    p = np.concatenate([net.predict_on_batch(x[i : i + 32, ..., None] / np.float32(255)) for i in range(0, len(x), 32)])
    malignant = MALIGNANT_FROM if p.shape[1] == len(KINDS) else p.shape[1] - 1
    return float(roc_auc_score(y >= malignant, p[:, malignant:].sum(axis=1)))


def train(net, make, steps: int, batch_size: int, numbers_a_step: float, folder: Path, name: str, workers: int):
    """Run one stage from its last checkpoint to its end; returns the trained network."""
    from mammo.backend import keras

    checkpoint = folder / f"{name}.keras"
    if checkpoint.is_file():
        net = keras.models.load_model(checkpoint)
    done = int(net.optimizer.iterations)
    batches = stream(make, int(done * numbers_a_step), batch_size, workers)
    losses = []
    for step in tqdm(range(done + 1, steps + 1), initial=done, total=steps, desc=name, unit="step"):
        losses.append(float(net.train_on_batch(*next(batches), return_dict=True)["loss"]))
        net.reset_metrics()
        if step % CHECK_EVERY == 0 or step == steps:
            auc = auc_of(net, make, 10**8, CHECK_SAMPLES)
            with (folder / "log.csv").open("a") as log:
                log.write(f"{name},{step},{step * batch_size},{np.mean(losses):.4f},{auc:.4f}\n")
            tqdm.write(f"{name} step {step}: loss {np.mean(losses):.3f}, AUC {auc:.3f}")
            losses = []
            net.save(folder / "partial.keras")
            os.replace(folder / "partial.keras", checkpoint)
    batches.close()
    return net


def compiled(net, steps: int, rate: float):
    """AdamW, a short warm-up, then a cosine down to a hundredth of `rate`."""
    from mammo.backend import keras

    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 8, alpha=0.01, warmup_target=rate, warmup_steps=steps // 8
    )
    net.compile(keras.optimizers.AdamW(schedule, weight_decay=0.02), "sparse_categorical_crossentropy")
    return net


def quicken_statistics(net) -> None:
    """Let BatchNorm's statistics follow within a few hundred steps."""
    from mammo.backend import keras

    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.98


def main(folder: Path, workers: int, precision: str) -> None:
    """Both stages, each resumed where it stopped; then `demo/` is written."""
    from mammo.backend import keras
    from mammo.model import FEATURES, build_model, named_weights, set_named_weights

    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(SEED % 2**31)
    keras.mixed_precision.set_global_policy(precision)
    base = build_model(weights=None, image_size=PATCH)
    quicken_statistics(base)
    classes = keras.layers.Dense(len(KINDS), activation="softmax", dtype="float32", name="patch_classes")
    net = compiled(keras.Model(base.input, classes(base.get_layer(FEATURES).output)), PATCH_STEPS, 1e-3)
    near = PATCH_BATCH / PATCHES_A_BREAST * 1.05  # a few breasts are too small to give patches
    net = train(net, patches, PATCH_STEPS, PATCH_BATCH, near, folder, "patches", workers)

    model = build_model(weights=None, image_size=WHOLE)
    set_named_weights(model, named_weights(model) | named_weights(net))  # the head is not in `net`
    quicken_statistics(model)
    model = compiled(model, WHOLE_STEPS, 2e-4)
    model = train(model, whole, WHOLE_STEPS, WHOLE_BATCH, WHOLE_BATCH, folder, "whole", workers)
    finish(model, folder)


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
    curves = {stage: (rows["images"], rows["auc"]) for stage, rows in log.groupby("stage")}
    plots.save_figure(plots.learning_curves(curves), folder / "curve.png")
    manifest = generate_dataset(folder / "measured_on", patients=MEASURED_PATIENTS, seed=SEED)
    manifest = split_by_patient(manifest, fractions=(0.05, 0.2, 0.75), seed=SEED)
    manifest = manifest[manifest["split"] != "train"].reset_index(drop=True)
    demo = folder / "demo"
    demo.mkdir(exist_ok=True)
    exact = m.named_weights(trained)
    sha256 = quantised.write(demo / "weights.npz", exact)
    for name, arrays in (("float32", exact), ("int8", quantised.read(demo / "weights.npz", sha256))):
        model = m.build_model(weights=None, image_size=WHOLE, quiet=True)
        m.set_named_weights(model, arrays)
        report = evaluate(predict_manifest(model, manifest))
        print(f"{name}: AUC {report['auc']:.4f}, 95 % interval {np.round(report['auc_interval'], 4)}")
    training = (
        f"{PATCH_STEPS * PATCH_BATCH} patches and {WHOLE_STEPS * WHOLE_BATCH} whole images, synthetic, none seen twice"
    )
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
