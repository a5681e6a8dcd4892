"""How much pretrained weights are worth on other images: as frozen features, and fine-tuned in every fold.

    model = mammo.build_model("demo", image_size=(224, 224))
    features = frozen_values(model, ImageLoader(manifest, (224, 224)), cache_folder())
    LinearClassifier(features, truth, patients)                   # on frozen features
    FineTunedClassifier(model, manifest, cache_folder())          # trained in every fold

Frozen features and the scores of fine-tuned folds are cached: the same call goes on where it was interrupted.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd

from mammo.core.backend import keras, native_precision, without_stderr
from mammo.core.cache import errors_of_cache
from mammo.core.files import read_arrays, write_arrays
from mammo.core.manifest import class_indices
from mammo.data.image_loader import ImageLoader, in_batches
from mammo.evaluation.calibration import log_odds
from mammo.models.resnet50 import FEATURES, LAST_CONVOLUTION
from mammo.models.saved_model import image_size_of
from mammo.research.cross_validation import FOLDS, CVClassifier, shuffled_folds
from mammo.training import fine_tuning
from mammo.training.feature_cache import FeatureCache, mark_used, model_digest
from mammo.training.frozen_backbone import STAGES, copy_of_last_stages, frozen_features, frozen_stages

RECIPE = 2  # of FineTunedClassifier; raise it whenever the same fold would get other scores


class FlippedImages:
    """The images of an ImageLoader upside down; the chest wall stays on the left."""

    def __init__(self, images):
        self.images, self.keys = images, [f"{key} upside down" for key in images.keys]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, items) -> np.ndarray:
        return np.ascontiguousarray(self.images[items][:, ::-1])


def frozen_values(model, images, folder: Path, precision: str | None = None) -> np.ndarray:
    """Pooled features of every image.

    Parameters
    ----------
    model : keras.Model
        From `mammo.build_model`.
    images : ImageLoader or FlippedImages
    folder : Path
        Of the cache.
    precision : "bfloat16", "float16" or "float32", optional
        Without it, what this machine computes fastest.

    Returns
    -------
    ndarray, float32 (images, 2048)
    """
    return _frozen(model, images, folder, precision, FEATURES)[np.arange(len(images))]


def frozen_maps(model, images, folder: Path, precision: str | None = None) -> FeatureCache:
    """Last maps of every image, on disk: each float32 (rows, columns, 2048). Parameters as in `frozen_values`."""
    return _frozen(model, images, folder, precision, LAST_CONVOLUTION)


def _frozen(model, images, folder, precision, layer) -> FeatureCache:
    precision = precision or native_precision()
    maps = cached_features(frozen_stages(model, precision), images, folder, "frozen stages")
    return cached_features(frozen_features(model, precision, layer), maps, folder)


def cached_features(network, images, folder: Path, title: str = "features") -> FeatureCache:
    """The output of any frozen network for every image, computed once and kept on disk."""
    features = FeatureCache(network, images, folder)
    features.compute(title)
    return features


def build_mobilenet(weights, image_size, channels: int = 1) -> keras.Model:
    """MobileNetV2 up to its last maps, with the weights of a file: a baseline, for `cached_features`."""
    image = keras.Input((*image_size, channels))
    x = keras.layers.Concatenate()([image] * 3) if channels == 1 else image
    x = keras.layers.Rescaling(2.0, offset=-1.0)(x)
    network = keras.applications.MobileNetV2(weights=None, include_top=False, input_tensor=x)
    network.load_weights(weights)
    return keras.Model(image, network.output)


def average_pool(maps) -> np.ndarray:
    """The mean over each map: float32 (images, channels)."""
    batches = in_batches(maps, np.arange(len(maps)), 32, "frozen maps")
    return np.concatenate([batch.mean(axis=(1, 2)) for _, batch in batches])


class FineTunedClassifier(CVClassifier):
    """`mammo.train_head`, then `mammo.fine_tune`, from the same start in every fold.

    A fifth of a fold's training patients is its validation part. It stops the head's training and decides whether
    fine-tuning is undone, and its scores are the out-of-fold scores. All folds use the same augmentations, so the
    frozen features are computed once.

    Parameters
    ----------
    model : keras.Model
        From `mammo.build_model`; changed in place.
    manifest : DataFrame
    folder : Path
        Of the cache.
    epochs, stages : int
        Of the fine-tuning.
    flips : bool
        A score is the mean over the image and the same upside down.
    precision : "bfloat16", "float16" or "float32", optional
        Without it, what this machine computes fastest.

    Attributes
    ----------
    restored : list of bool
        Of each fold: whether fine-tuning lowered the validation AUC and was undone.
    """

    def __init__(
        self,
        model,
        manifest: pd.DataFrame,
        folder: Path,
        epochs: int = 3,
        stages: int = STAGES,
        flips: bool = False,
        precision=None,
    ):
        super().__init__(class_indices(manifest), manifest["patient_id"])
        self.model, self.manifest, self.folder = model, manifest.reset_index(drop=True), folder
        self.epochs, self.stages, self.precision = epochs, stages, precision or native_precision()
        images = ImageLoader(manifest, image_size_of(model))
        sources = [images, FlippedImages(images)] if flips else [images]
        self.maps = [FeatureCache(frozen_stages(model, self.precision, stages), source, folder) for source in sources]
        self.start = model.get_weights()
        settings = [fine_tuning.RECIPE, RECIPE, *images.keys, *self.truth, *self.patients, model_digest(model)]
        self.settings = [*settings, epochs, stages, flips, self.precision]
        self.restored: list[bool] = []

    def fit(self, rows: np.ndarray, seed: int) -> FineTunedClassifier:
        """Choose the validation part. The training starts when a score is needed that is not in the cache."""
        learn, validation = next(shuffled_folds(self.truth[rows], self.patients[rows], FOLDS, seed))
        self.learn_, self.validation_, self.network_ = rows[learn], rows[validation], None
        self.restored.append(False)
        return self

    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        """The log-odds of malignant."""
        parts = [*self.settings, "learn", *self.learn_, "validation", *self.validation_, "score", *rows]
        path = self.folder / "folds" / hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
        fold = _read_fold(path, len(rows))
        if fold is None:
            fold = {"scores": self._compute_scores(rows), "restored": np.array(self.restored[-1])}
            with errors_of_cache(self.folder):
                write_arrays(path, fold)
        self.restored[-1] = bool(fold["restored"])
        return fold["scores"]

    def out_of_fold_scores(self, train: np.ndarray, seed: int) -> np.ndarray:
        """Scores of the validation part; NaN for all other rows."""
        scores = np.full(len(self.truth), np.nan)
        scores[self.validation_] = self.decision_function(self.validation_)
        return scores

    def _compute_scores(self, rows: np.ndarray) -> np.ndarray:
        if self.network_ is None:
            self._train()
        parts = np.array_split(rows, -(-len(rows) // 16))  # the maps of a whole fold may not fit into memory
        flips = [
            np.concatenate([self.network_.predict_on_batch(maps[part])[:, 1] for part in parts]) for maps in self.maps
        ]
        return np.mean([log_odds(probability) for probability in flips], axis=0)

    def _train(self) -> None:
        rows = pd.concat(
            [
                self.manifest.iloc[self.learn_].assign(split="train"),
                self.manifest.iloc[self.validation_].assign(split="validation"),
            ]
        )
        options = {"cache": self.folder, "precision": self.precision}
        self.model.set_weights(self.start)
        with without_stderr(), redirect_stdout(io.StringIO()):  # the progress bar of the folds is enough
            fine_tuning.train_head(self.model, rows, **options)
            history = fine_tuning.fine_tune(self.model, rows, self.stages, self.epochs, **options)
        self.restored[-1] = history["restored"]
        self.network_ = copy_of_last_stages(self.model, self.precision, self.stages)


def _read_fold(path: Path, count: int) -> dict[str, np.ndarray] | None:
    """Cached `scores`, and `restored`; None where there are none or the file is damaged."""
    fold = read_arrays(path) if mark_used(path) else {}
    whole = fold.keys() == {"scores", "restored"} and fold["scores"].shape == (count,)
    return fold if whole and np.isfinite(fold["scores"]).all() else None
