"""What pretrained weights are worth on other images: their frozen features, and fine-tuned in every fold.

    model = mammo.build_model("demo", image_size=(224, 224))
    features = frozen_values(model, Inputs(manifest, (224, 224)), cache_folder())      # a linear reader reads them
    read = fine_tuned_reader(model, manifest, cache_folder())                          # or mammo's own training does

What is frozen is computed once and kept (`mammo.cache`), and so is what a fine-tuned fold has said: the same call goes
on where it was interrupted.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from mammo.core.backend import keras, native_precision, without_stderr
from mammo.core.files import write_arrays
from mammo.core.manifest import class_indices
from mammo.data.image_loader import ImageLoader
from mammo.evaluation.calibration import log_odds
from mammo.models.resnet50 import FEATURES, LAST_CONVOLUTION
from mammo.models.saved_model import image_size_of
from mammo.research.cross_validation import FOLDS
from mammo.training.feature_cache import FeatureCache, a_few_at_a_time, fingerprint, mark_used


class FlippedImages:
    """The inputs turned upside down; the chest wall stays on the left."""

    def __init__(self, source):
        self.source, self.keys = source, [f"{key} upside down" for key in source.keys]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, items) -> np.ndarray:
        return np.ascontiguousarray(self.source[items][:, ::-1])


def frozen_values(model, source, folder: Path, precision: str | None = None) -> np.ndarray:
    """The pooled features of a model of `mammo.build_model` for every item of `source`: float32 (items, 2048)."""
    return _frozen(model, source, folder, precision, FEATURES)[np.arange(len(source))]


def frozen_maps(model, source, folder: Path, precision: str | None = None) -> FeatureCache:
    """The last maps of the same for every item of `source`, kept on disk: each float32 (rows, columns, 2048)."""
    return _frozen(model, source, folder, precision, LAST_CONVOLUTION)


def _frozen(model, source, folder, precision, layer) -> FeatureCache:
    precision = precision or native_precision()
    maps = computed(stages.frozen_stages(model, precision), source, folder, "frozen stages")
    return computed(stages.frozen_features(model, precision, layer), maps, folder)


def computed(network, source, folder: Path, title: str = "features") -> FeatureCache:
    """What any frozen network answers for every item of `source`, computed once and kept on disk."""
    values = FeatureCache(network, source, folder)
    values.compute(title)
    return values


def mobilenet(weights, image_size):
    """MobileNetV2 up to its last maps, with the weights of a file; a yardstick, for `computed`."""
    grey = keras.Input((*image_size, 1))
    x = keras.layers.Rescaling(2.0, offset=-1.0)(keras.layers.Concatenate()([grey, grey, grey]))
    network = keras.applications.MobileNetV2(weights=None, include_top=False, input_tensor=x)
    network.load_weights(weights)
    return keras.Model(grey, network.output)


def pooled(maps) -> np.ndarray:
    """The mean over each of the maps: float32 (items, channels)."""
    return np.concatenate([part.mean(axis=(1, 2)) for part in a_few_at_a_time(maps)])


def fine_tuned_reader(
    model, manifest: pd.DataFrame, folder: Path, epochs: int = 10, flips: bool = False, precision: str | None = None
) -> Callable:
    """A reader for `mammo.folds`: `mammo.train_head`, then `mammo.fine_tune`, from the same start in every fold.

    A fifth of a fold's training patients is the validation that stops the training; from its scores the threshold
    comes too. With `flips` a score is the mean over the image and the same upside down. The changed copies of an image
    are the same in every fold, so that what is frozen is computed once for all.
    """
    precision = precision or native_precision()
    manifest = manifest.reset_index(drop=True)
    truth, patients, start = class_indices(manifest), manifest["patient_id"].to_numpy(), model.get_weights()
    inputs = ImageLoader(manifest, image_size_of(model))
    ways = [inputs, FlippedImages(inputs)] if flips else [inputs]
    maps = [FeatureCache(stages.frozen_stages(model, precision), way, folder) for way in ways]
    facts = [*inputs.keys, *truth, *patients, fingerprint(model), epochs, flips, precision, _way_of_training()]

    def read(train, test, seed):
        key = hashlib.sha256(" ".join(map(str, [*facts, *train, "test", *test, seed])).encode()).hexdigest()
        return _kept(folder / "folds" / key, lambda: learned(train, test, seed))

    def learned(train, test, seed):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        learn, own = (train[rows] for rows in next(folds.split(train, truth[train], patients[train])))
        split = pd.Series("test", index=manifest.index)
        split[learn], split[own] = "train", "validation"
        rows = manifest.assign(split=split).iloc[np.concatenate([learn, own, test])]
        model.set_weights(start)
        with without_stderr(), redirect_stdout(io.StringIO()):  # one progress bar, that of the folds, is enough
            training.train_head(model, rows, cache=folder, precision=precision)
            training.fine_tune(model, rows, epochs=epochs, cache=folder, precision=precision)
        scores = np.full(len(manifest), np.nan)
        scores[own] = said(own)
        return said(test), scores

    def said(items):
        last = stages.last_stage(model, precision)
        answers = [last.predict(way[items], batch_size=16, verbose=0)[:, 1] for way in maps]
        return np.mean([log_odds(answer) for answer in answers], axis=0)

    return read


def _kept(path: Path, compute: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays from a file, or computed and written there."""
    if mark_used(path):
        with suppress(FileNotFoundError), np.load(path) as file:  # another process may make room
            return file["test"], file["own"]
    test, own = compute()
    write_arrays(path, {"test": test, "own": own})
    return test, own


def _way_of_training() -> str:
    code = (Path(file).read_bytes() for file in (training.__file__, stages.__file__, __file__))
    return hashlib.sha256(b"".join(code)).hexdigest()[:16]
