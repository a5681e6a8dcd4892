"""Head first, then the last stage of the backbone.

    model = mammo.build_model("imagenet")
    head = mammo.train_head(model, manifest)
    tuned = mammo.fine_tune(model, manifest)

Both take the manifest with its `split` column, learn from `train`, stop by `validation`, and never open
`test`. They change the model in place and return its history: a dict of lists, one value an epoch.

What is frozen runs once: its answers, for each image and its augmented copies, are kept on disk (`mammo.cache`), and
both stages train on them. The same call goes on where it was interrupted. Memory does not grow with the data set.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tqdm.auto import tqdm

from mammo.backend import keras, native_precision
from mammo.cache import Cached, cache_folder, fingerprint, make_room
from mammo.errors import MammoError
from mammo.inputs import Inputs, ahead
from mammo.manifest import class_indices, rows_of
from mammo.model import image_size_of
from mammo.stages import POLICIES, frozen_features, frozen_stages, head_of, last_stage, take_over
from mammo.storage import write_arrays

SAVE_EVERY_S = 60  # a second or two each


def train_head(
    model: keras.Model,
    manifest: pd.DataFrame,
    epochs: int = 60,
    learning_rate: float = 1e-3,
    copies: int = 3,
    batch_size: int = 32,
    patience: int = 10,
    seed: int = 0,
    cache=None,
    precision: str | None = None,
) -> dict:
    """Train the two Dense layers while the backbone is frozen; returns the history.

    Each training image is seen as it is and in `copies` augmented versions. Training stops when the validation loss
    has not fallen for `patience` epochs and goes back to the best epoch. `cache` is the folder for what is computed
    once (`mammo.cache` says how it is bounded and where it is by default). `precision` is what the frozen part is
    computed in, "bfloat16" or "float32"; without it, what the processor is good at.
    """
    precision, folder = _precision(precision), cache_folder(cache)
    maps, labels, splits = _maps(model, manifest, copies, seed, folder, precision)
    features = Cached(frozen_features(model, precision), maps, folder)
    features.compute("last stage, frozen")
    head = head_of(model)
    history = _fit(head, features, labels, splits, learning_rate, epochs, batch_size, patience, seed, np.inf)
    take_over(model, head)
    return history


def fine_tune(
    model: keras.Model,
    manifest: pd.DataFrame,
    epochs: int = 10,
    learning_rate: float = 1e-5,
    copies: int = 3,
    batch_size: int = 16,
    patience: int = 3,
    seed: int = 0,
    cache=None,
    precision: str | None = None,
) -> dict:
    """Train the last stage (conv5) together with the head; returns the history.

    BatchNorm keeps the statistics it came with: trained on a few mammograms they would only get worse. Stops by
    validation loss, as `train_head` does; where no epoch beats the model it started from, that one is kept, and a line
    says so. After `train_head` with the same `copies`, `seed` and `precision` nothing is left to be computed before.
    """
    precision, folder = _precision(precision), cache_folder(cache)
    maps, labels, splits = _maps(model, manifest, copies, seed, folder, precision)
    part = last_stage(model, precision)
    start = _score(part, maps, labels, np.flatnonzero(splits == "validation"), batch_size)["val_loss"]
    history = _fit(part, maps, labels, splits, learning_rate, epochs, batch_size, patience, seed, start)
    if any(loss < start for loss in history["val_loss"]):  # none is where it is no number
        take_over(model, part)
    else:
        print("Fine-tuning did not lower the validation loss; the model is left as it was before.")
    return history


def _precision(wanted: str | None) -> str:
    precision = wanted or native_precision()
    if precision not in POLICIES:
        raise MammoError(f"precision is one of {', '.join(POLICIES)}, not {precision!r}.")
    print(f"Computing in {precision}{'' if wanted else ', as this machine does it best'}.")
    return precision


def _maps(model, manifest, copies: int, seed: int, folder: Path, precision: str) -> tuple:
    """What the last stage is given, for training images, their copies, and validation images; classes; splits."""
    parts = [rows_of(manifest, split) for split in ("train", "validation")]
    rows, counts = pd.concat(parts), [copies] * len(parts[0]) + [0] * len(parts[1])
    inputs = Inputs(rows, image_size_of(model), counts, seed)
    maps = Cached(frozen_stages(model, precision), inputs, folder)
    maps.compute("frozen stages")
    return maps, class_indices(rows)[inputs.rows], rows["split"].to_numpy()[inputs.rows]


def _fit(net, data, labels, splits, rate, epochs, batch_size, patience, seed, best) -> dict:
    """Train `net`; stop by validation loss and go back to the best epoch, or to the start if none is below `best`."""
    keras.utils.set_random_seed(seed)
    net.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=_metrics())
    train, validation = (np.flatnonzero(splits == split) for split in ("train", "validation"))
    weights = class_weights(labels[train])
    net.optimizer.build(net.trainable_variables)  # else TensorFlow traces how, which takes seconds
    run = " ".join(map(str, [*data.keys, *labels, *splits, fingerprint(net), rate, batch_size, patience, seed]))
    checkpoint = data.folder / "runs" / hashlib.sha256(run.encode()).hexdigest()
    history, best_weights = {}, net.get_weights()
    if checkpoint.is_file():
        history, best, best_weights = _resumed(net, checkpoint, epochs) or (history, best, best_weights)
    done, saved = len(history.get("loss", ())), time.perf_counter()
    with tqdm(total=epochs, initial=done, desc="training", unit="epoch") as bar:
        while done < epochs and _waited(history) < patience:
            order = np.random.default_rng([seed, done]).permutation(train)
            batches = _batches(order, batch_size)
            read = ahead(data.__getitem__, batches)
            epoch = ((values, one_hot(labels[items]), weights[labels[items]]) for items, values in read)
            fitted = net.fit(epoch, steps_per_epoch=len(batches), shuffle=False, verbose=0)
            logs = {name: float(values[0]) for name, values in fitted.history.items()}
            logs |= _score(net, data, labels, validation, batch_size)
            history = {name: [*history.get(name, ()), value] for name, value in logs.items()}
            done += 1
            if logs["val_loss"] < best:
                best, best_weights = logs["val_loss"], net.get_weights()
            if time.perf_counter() - saved > SAVE_EVERY_S:
                _save(net, checkpoint, data.paths, history, best, best_weights)
                saved = time.perf_counter()
            bar.set_postfix(val_auc=f"{logs['val_auc']:.3f}", refresh=False)
            bar.update()
    net.set_weights(best_weights)
    checkpoint.unlink(missing_ok=True)
    return history


def _batches(items: np.ndarray, batch_size: int) -> list[np.ndarray]:
    return [items[start : start + batch_size] for start in range(0, len(items), batch_size)]


def _waited(history: dict) -> int:
    """Epochs since the lowest validation loss."""
    losses = np.nan_to_num(history.get("val_loss", [np.inf]), nan=np.inf)
    return len(losses) - 1 - int(np.argmin(losses))


def _save(net, checkpoint: Path, needed: set[Path], history: dict, best: float, best_weights: list) -> None:
    """Write the state at the end of an epoch, where there is room beside the files that are needed."""
    parts = {"net": net.get_weights(), "optimizer": [x.numpy() for x in net.optimizer.variables], "best": best_weights}
    arrays = {f"{name} {place}": array for name, part in parts.items() for place, array in enumerate(part)}
    arrays["state"] = np.array(json.dumps([history, best]))
    size = sum(array.nbytes for array in arrays.values()) + 10**6
    if make_room(checkpoint.parents[1], size, {path for path in needed if path.is_file()}):
        write_arrays(checkpoint, arrays)


def _resumed(net, checkpoint: Path, epochs: int) -> tuple[dict, float, list] | None:
    """Bring `net` to the state that was saved; returns the history, the lowest loss and its weights.

    None, and nothing is changed, where it has learned for more epochs than are asked for now.
    """
    with np.load(checkpoint) as file:
        history, best = json.loads(str(file["state"]))
        if len(history["loss"]) > epochs:
            return None
        parts = {
            name: [file[f"{name} {place}"] for place in range(sum(key.startswith(name) for key in file))]
            for name in ("net", "optimizer", "best")
        }
    net.set_weights(parts["net"])
    for variable, value in zip(net.optimizer.variables, parts["optimizer"], strict=True):
        variable.assign(value)
    print(f"Resumed after epoch {len(history['loss'])}.")
    return history, best, parts["best"]


def _score(net, data, labels: np.ndarray, items: np.ndarray, batch_size: int) -> dict:
    """Loss, AUC and accuracy on the validation images."""
    read = ahead(data.__getitem__, _batches(items, batch_size))
    answers, truth = np.concatenate([net.predict_on_batch(values) for _, values in read]), labels[items]
    usable = len(set(truth)) > 1 and np.isfinite(answers).all()
    return {
        "val_loss": float(-np.log(np.clip(answers[np.arange(len(truth)), truth], 1e-7, 1)).mean()),
        "val_auc": float(roc_auc_score(truth, answers[:, 1])) if usable else float("nan"),
        "val_accuracy": float((answers.argmax(axis=1) == truth).mean()),
    }


def one_hot(classes: np.ndarray) -> np.ndarray:
    """Class indices (n,) -> float32 (n, 2)."""
    return np.eye(2, dtype=np.float32)[classes]


def class_weights(classes: np.ndarray) -> np.ndarray:
    """float32 (2,): weights that let both classes count the same in the loss, however rare one is."""
    counts = np.bincount(classes, minlength=2)
    return (len(classes) / (2 * np.maximum(counts, 1))).astype(np.float32)


def _metrics() -> list:
    return [
        keras.metrics.AUC(name="auc", multi_label=True, num_labels=2),
        keras.metrics.CategoricalAccuracy(name="accuracy"),
    ]
