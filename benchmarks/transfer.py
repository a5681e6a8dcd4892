"""What pretrained weights are worth on other images: frozen with a linear reader, and fine-tuned.

    python benchmarks/transfer.py TABLE.csv --size 640 384 --fine-tune

TABLE.csv has the columns `file` (relative to it), `label` (benign, malignant or normal) and `patient_id`; each image is
prepared as for prediction. With the columns `x`, `y` (of the image's pixels, from its top left) and `side`, a square
around that place is cut out instead. Malignant against all others: five folds by patient, five times with other folds;
AUC, the mean of the five, with an interval from a bootstrap over patients. `--mobilenet FILE` adds a yardstick,
MobileNetV2 with weights from that file (ImageNet's, say). With SYNTHETIC in place of a table: 400 synthetic images
with a lesion. A column `group` gives each group of images a column of its own.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import mammo
from mammo.evaluation import bootstrap
from mammo.manifest import class_indices
from mammo.preprocessing import model_input, prepare

SEEDS, FOLDS = 5, 5
C = 0.01  # of the linear reader; not tuned
EPOCHS, RATE, BATCH = 4, 1e-4, 16  # of the fine-tuning; not tuned


def images_of(table: pd.DataFrame, root: Path, size) -> np.ndarray:
    """float32 (n, height, width, 1) in [0, 1]: breasts, or squares cut out of them."""
    images = []
    for row in tqdm(list(table.itertuples()), desc="reading images"):
        _, breast, x = prepare(root / row.file, size)
        if hasattr(row, "side"):
            top, left, _, right = breast.box
            column = right - 1 - row.x if breast.mirrored else row.x - left
            half = row.side / 2
            box = (column - half, row.y - top - half, column + half, row.y - top + half)
            cut = Image.fromarray(breast.image).transform((2 * round(half),) * 2, Image.EXTENT, box, Image.BILINEAR)
            x = model_input(np.asarray(cut), size)
        images.append(x)
    return np.array(images)


def backbones(weights, mobilenet, size):
    """Name -> (network up to its last part, that part up to the pooled features), trained as the name says.

    The last part is what fine-tuning trains: ResNet50's last block, or what MobileNetV2 has after its last stride.
    """
    for name in weights:
        keras.utils.set_random_seed(0)
        model = mammo.build_model(None if name == "random" else name, image_size=size, quiet=True)
        yield f"ResNet50, {name}", parts(model, "conv5_block2_out", "pooled_features")
    if mobilenet:
        grey = keras.Input((*size, 1))
        x = keras.layers.Rescaling(2.0, offset=-1.0)(keras.layers.Concatenate()([grey, grey, grey]))
        net = keras.applications.MobileNetV2(weights=None, include_top=False, input_tensor=x)
        net.load_weights(mobilenet)
        pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(net.output)
        yield "MobileNetV2, file", parts(keras.Model(grey, pooled), "block_12_add", "pooled")


def parts(model: keras.Model, split: str, end: str):
    """The network up to a layer, and from there to another one."""
    middle = model.get_layer(split).output
    return keras.Model(model.input, middle), keras.Model(middle, model.get_layer(end).output)


def frozen(features, truth, train, test) -> np.ndarray:
    """Scores of a logistic regression."""
    reader = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=3000))
    return reader.fit(features[train], truth[train]).decision_function(features[test])


def fine_tuned(last_part, start, maps, truth, train, test, seed) -> np.ndarray:
    """Log-odds after the last part and a new answer were trained together; BatchNorm keeps its statistics.

    `maps` holds what that part is given for each image as it is and upside down, (2, n, ...).
    """
    keras.utils.set_random_seed(seed)
    last_part.set_weights(start)
    for layer in last_part.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    answer = keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32")
    x = keras.layers.Dropout(0.3)(last_part.output)
    net = keras.Model(last_part.input, answer(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    net.compile(keras.optimizers.Adam(RATE), loss)
    share = truth[train].mean()
    weight = np.where(truth == 1, 0.5 / share, 0.5 / (1 - share))
    rng = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        order = rng.permutation(train)
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            batch = maps[rng.integers(0, 2, len(rows)), rows].astype(np.float32)
            net.train_on_batch(batch, truth[rows, None].astype(np.float32), sample_weight=weight[rows])
    return net.predict(maps[0][test].astype(np.float32), batch_size=BATCH, verbose=0)[:, 0]


def scores(one_fold, truth, patients) -> np.ndarray:
    """(n, SEEDS): the score of every image from the fold that has not learned from its patient."""
    out = np.zeros((len(truth), SEEDS))
    for seed in range(SEEDS):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for train, test in folds.split(truth, truth, patients):
            out[test, seed] = one_fold(train, test, seed)
    return out


def mean_auc(truth, score, weight) -> float:
    return np.mean([roc_auc_score(truth, column, sample_weight=weight) for column in score.T])


def table_row(name: str, score, truth, patients, groups) -> str:
    """AUC with its interval over all images, then over each group of them."""
    cells = [name]
    for here in groups:
        value, low, high = bootstrap(mean_auc, truth[here], score[here], patients[here])
        cells.append(f"{value:.3f} ({low:.3f} to {high:.3f})")
    return f"| {' | '.join(cells)} |"


def main(table, size, weights, mobilenet, fine_tune: bool) -> None:
    """Print one row for each kind of weights and each way to use them."""
    with tempfile.TemporaryDirectory() as scratch:
        if table == "SYNTHETIC":
            rows = mammo.generate_dataset(scratch, patients=250, seed=20_270)
            rows = rows[rows["label"] != "normal"].assign(file=lambda t: t["path"]).reset_index(drop=True)
            rows["group"] = np.where(rows["lesion_type"].str.contains("calc"), "calcifications", "masses, distortions")
            root = Path("/")
        else:
            rows, root = pd.read_csv(table, dtype={"patient_id": str}), Path(table).parent
        images = images_of(rows, root, size)
    truth, patients = class_indices(rows), rows["patient_id"].to_numpy()
    names = sorted(rows["group"].unique()) if "group" in rows else []
    groups = [np.ones(len(rows), bool), *((rows["group"] == name).to_numpy() for name in names)]
    print(f"{len(rows)} images, {truth.sum()} malignant, {len(set(patients))} patients, {size[0]} x {size[1]}")
    print("|".join(["", " weights ", " all ", *(f" {name} " for name in names), ""]))
    print("|---" * (2 + len(names)) + "|")
    for name, (first, last) in backbones(weights, mobilenet, size):
        ways = images, images[:, ::-1]
        maps = np.stack([first.predict(x, batch_size=8, verbose=0).astype(np.float16) for x in ways[: 1 + fine_tune]])
        features = last.predict(maps[0].astype(np.float32), batch_size=8, verbose=0).astype(np.float32)
        linear = scores(lambda a, b, _, x=features: frozen(x, truth, a, b), truth, patients)
        print(table_row(f"{name}, frozen", linear, truth, patients, groups), flush=True)
        if fine_tune:
            start = last.get_weights()
            tuned = scores(
                lambda a, b, seed, x=maps, n=last, w=start: fine_tuned(n, w, x, truth, a, b, seed), truth, patients
            )
            print(table_row(f"{name}, fine-tuned", tuned, truth, patients, groups), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", help="CSV, or SYNTHETIC")
    parser.add_argument("--size", type=int, nargs=2, default=(224, 224), metavar=("HEIGHT", "WIDTH"))
    names = ("random", "demo", "imagenet")
    parser.add_argument("--weights", nargs="*", choices=names, default=names[:2], help="of ResNet50; random and demo")
    parser.add_argument("--mobilenet", help="weights of MobileNetV2 without its top, .h5")
    parser.add_argument("--fine-tune", action="store_true")
    parser.add_argument("--precision", default="float32", help="of the networks; mixed_bfloat16 where it is native")
    given = parser.parse_args()
    keras.mixed_precision.set_global_policy(given.precision)
    main(given.table, tuple(given.size), given.weights, given.mobilenet, given.fine_tune)
