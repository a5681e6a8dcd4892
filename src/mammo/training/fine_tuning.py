"""Training in two steps: the classification head, then the convolutions with it.

    model = mammo.build_model("imagenet")
    head = mammo.train_head(model, manifest)
    tuned = mammo.fine_tune(model, manifest)

Both take the manifest with its `split` column, learn from `train`, and never open `test`. The loss of `validation`
stops the head's training; fine-tuning is undone where it lowers the AUC there. Both change the model in place and
return its history: a dict of lists, one value an epoch. The loss of both splits is weighted by class
(`feature_batches.class_weights`): what stops the training is what trains.

What stays frozen runs once: its features of each image and of its augmentations are cached on disk (`feature_cache`),
and `model.fit` trains on them. Where every convolution learns, the prepared images are cached instead, and augmented
anew in every epoch. The same call goes on where it was interrupted. Memory does not grow with the data set.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.keras import TqdmCallback

from mammo.core.arguments import check_seed, check_whole, is_number
from mammo.core.backend import check_precision, keras, native_precision, released
from mammo.core.cache import cache_folder
from mammo.core.errors import MammoError
from mammo.core.manifest import class_indices, rows_in_split
from mammo.data.image_loader import ImageLoader
from mammo.models.saved_model import image_size_of
from mammo.training.augmented_images import AugmentedImages
from mammo.training.checkpoint import Checkpoint
from mammo.training.feature_batches import TrainingData
from mammo.training.feature_cache import FeatureCache, model_digest
from mammo.training.frozen_backbone import (
    STAGES,
    copy_of_head,
    copy_of_last_stages,
    copy_weights,
    frozen_features,
    frozen_stages,
)

RECIPE = 4  # raise it whenever the same images and settings would be trained otherwise
WARM_UP = 0.1  # of the steps of fine-tuning: the rate rises, then falls as a cosine
WEIGHT_DECAY = 1e-3


def train_head(
    model: keras.Model,
    manifest: pd.DataFrame,
    epochs: int = 60,
    learning_rate: float = 1e-3,
    n_augmentations: int = 3,
    batch_size: int = 32,
    patience: int = 10,
    seed: int = 0,
    cache=None,
    precision: str | None = None,
) -> dict:
    """Train the two Dense layers while the backbone is frozen.

    Parameters
    ----------
    model : keras.Model
        From `mammo.build_model`; changed in place.
    manifest : DataFrame
        With its `split` column.
    epochs : int
        At most; 1 or more.
    learning_rate : float
        Of Adam.
    n_augmentations : int
        Each training image is seen as it is and in so many augmented versions.
    batch_size : int
    patience : int
        Training stops when the validation loss has not fallen for so many epochs, 1 or more, and goes back to the best
        epoch.
    seed : int
        Of the augmentations and of the order of batches.
    cache : path, optional
        Folder for cached features; by default $MAMMO_CACHE, else ~/.cache/mammo. `feature_cache` bounds it.
    precision : "bfloat16", "float16" or "float32", optional
        Of the frozen part; without it, what this machine computes fastest.

    Returns
    -------
    dict of list
        `loss`, `auc`, `accuracy` and the same with `val_`, one value an epoch. The losses are weighted by class.

    Raises
    ------
    MammoError
        Where a split is missing or leaks, a file cannot be read, a setting is too low, or the loss is not a number
        from the first epoch on.
    """
    _check_settings(learning_rate, seed, n_augmentations, epochs=epochs, batch_size=batch_size, patience=patience)
    training = _frozen_part(model, manifest, n_augmentations, seed, cache_folder(cache), _precision(precision))
    features = FeatureCache(frozen_features(model, training.precision), training.features, training.folder)
    features.compute("last stage, frozen")
    optimizer = keras.optimizers.Adam(float(learning_rate), name="adam")
    with released(_compiled(copy_of_head(model), optimizer, seed)) as head:
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
        history = _fit(head, training, features, epochs, batch_size, stopping, seed)
        _say_if_no_number(history, learning_rate, "the best epoch before it is kept")
        copy_weights(head, model)
    return history


def fine_tune(
    model: keras.Model,
    manifest: pd.DataFrame,
    stages: int = STAGES,
    epochs: int = 3,
    learning_rate: float = 5e-5,
    n_augmentations: int = 3,
    batch_size: int = 16,
    seed: int = 0,
    cache=None,
    precision: str | None = None,
) -> dict:
    """Train the convolutions of the last `stages` together with the head.

    AdamW; over the first tenth of the steps the learning rate rises to `learning_rate`, then it falls as a cosine [1]_.
    BatchNorm stays in inference mode: batches are too small for its statistics. All epochs are run, and the last one is
    kept: the validation loss rises where the model grows too sure, which calibration mends, while it still learns to
    tell the classes apart (docs/fine_tuning_study.md). Other parameters and errors are those of `train_head`.

    Parameters
    ----------
    stages : int
        1 trains conv5, 2 conv4 and conv5, and so on; 5 trains every convolution. Features of frozen stages are cached,
        so fewer stages are faster.
    n_augmentations : int
        In an epoch each training image is seen as it is and in so many augmented versions. With 5 stages they are
        others in every epoch; with fewer their features are cached.

    Returns
    -------
    dict
        As of `train_head`, and `restored`: True where the validation AUC is lower after the last epoch than before the
        first, or the loss was not a number. The model is then left as it was, and a line says so.

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017.
    """
    _check_settings(learning_rate, seed, n_augmentations, epochs=epochs, batch_size=batch_size, stages=stages)
    if stages > STAGES:
        raise MammoError(f"stages is {stages!r}. ResNet50 has {STAGES}.")
    training = _frozen_part(model, manifest, n_augmentations, seed, cache_folder(cache), _precision(precision), stages)
    steps = epochs * -(-np.count_nonzero(training.splits == "train") // batch_size)
    part = unfreeze(copy_of_last_stages(model, training.precision, stages))
    with released(_compiled(part, _adamw(learning_rate, steps, training.precision), seed)):
        with closing(training.batches(training.features, "validation", batch_size)) as validation:
            start = part.evaluate(validation, verbose=0, return_dict=True)
        never = keras.callbacks.EarlyStopping("val_loss", patience=epochs)  # the rate falls to the end of the epochs
        history = _fit(part, training, training.features, epochs, batch_size, never, seed)
        restored = _is_worse(history, start["auc"], learning_rate)
        if not restored:
            copy_weights(part, model)
    return history | {"restored": restored}


def unfreeze(part: keras.Model) -> keras.Model:
    """Let every layer of the copied stages and the head learn but BatchNorm, which stays in inference mode."""
    for layer in part.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    return part


def _is_worse(history: dict, auc_at_start: float, learning_rate: float) -> bool:
    """Whether fine-tuning lowered the validation AUC or had a loss that is not a number; says so."""
    no_number = _say_if_no_number(history, learning_rate, "the model is left as it was before")
    lower = history["val_auc"][-1] < auc_at_start
    if lower:
        print("Fine-tuning lowered the validation AUC; the model is left as it was before.")
    return no_number or lower


def _adamw(learning_rate: float, steps: int, precision: str) -> keras.optimizers.Optimizer:
    warm_up = max(1, round(WARM_UP * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        learning_rate / 100, max(1, steps - warm_up), warmup_target=learning_rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY, name="adamw")
    return keras.optimizers.LossScaleOptimizer(optimizer, name="scaled") if precision == "float16" else optimizer


def _check_settings(learning_rate: float, seed: int, n_augmentations: int, **counts: int) -> None:
    if not is_number(learning_rate) or learning_rate < 0:
        raise MammoError(f"learning_rate is a number of at least 0, such as 5e-5, not {learning_rate!r}.")
    check_seed(seed)
    check_whole("n_augmentations", n_augmentations, 0)
    for name, value in counts.items():
        check_whole(name, value)


def _precision(wanted: str | None) -> str:
    precision = check_precision(wanted) if wanted else native_precision()
    print(f"Computing in {precision}.")
    return precision


def _frozen_part(
    model, manifest, n_augmentations: int, seed: int, folder: Path, precision: str, learning: int = 1
) -> TrainingData:
    parts = [rows_in_split(manifest, split) for split in ("train", "validation")]
    rows, counts = pd.concat(parts), [n_augmentations] * len(parts[0]) + [0] * len(parts[1])
    everything = learning == STAGES
    images = ImageLoader(rows, image_size_of(model), 0 if everything else counts, seed)
    features = FeatureCache(frozen_stages(model, precision, learning), images, folder)
    features.compute("reading images" if everything else "frozen stages")
    items = images.rows
    if everything:
        features = AugmentedImages(features, counts, seed)
        items = features.rows
    return TrainingData(features, class_indices(rows)[items], rows["split"].to_numpy()[items], folder, precision)


def _compiled(net: keras.Model, optimizer: keras.optimizers.Optimizer, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    metrics = [
        keras.metrics.AUC(name="auc", multi_label=True, num_labels=2),
        keras.metrics.CategoricalAccuracy(name="accuracy"),
    ]
    net.compile(optimizer, "categorical_crossentropy", metrics=metrics)
    net.optimizer.build(net.trainable_variables)  # else TensorFlow traces how, which takes seconds
    return net


def _fit(net, training: TrainingData, features, epochs, batch_size, stopping, seed) -> dict:
    """Train `net` on cached features, until `stopping` stops it."""
    train = training.batches(features, "train", batch_size, seed)
    settings = [RECIPE, keras.__version__, *features.keys, *training.labels, *training.splits, model_digest(net)]
    settings += [net.optimizer.get_config(), batch_size, stopping.patience, seed]
    name = hashlib.sha256(" ".join(map(str, settings)).encode()).hexdigest()
    checkpoint = Checkpoint(training.folder / "runs" / name, stopping, features.paths)
    done = checkpoint.restore(net, epochs)
    order = keras.callbacks.LambdaCallback(on_epoch_begin=train.set_epoch)
    bar = TqdmCallback(epochs, verbose=0, desc="training", initial=done)
    begun = time.perf_counter()
    with closing(train), closing(training.batches(features, "validation", batch_size)) as validation:
        net.fit(
            train,
            validation_data=validation,
            initial_epoch=done,
            epochs=epochs,
            callbacks=[order, stopping, checkpoint, bar, keras.callbacks.TerminateOnNaN()],
            shuffle=False,
            verbose=0,
        )
    checkpoint.finish()
    _say_who_waits(train.seconds / (time.perf_counter() - begun))
    return checkpoint.history


def _say_who_waits(share: float) -> None:
    """Batches are prepared beside the network: that holds it up only where it takes nearly all the time."""
    waits = "the network waited for them" if share > 0.9 else "the network did not wait for them"
    print(f"Preparing batches, beside the network, took {share:.0%} of the training time: {waits}.")


def _say_if_no_number(history: dict, learning_rate: float, then: str) -> bool:
    """Whether an epoch's loss was not a number; `then` says what follows. Raises MammoError for the first epoch's."""
    finite = np.isfinite(history["loss"]) & np.isfinite(history["val_loss"])
    if finite.all():
        return False
    epoch = int(np.argmin(finite)) + 1
    problem = f"The loss was not a number in epoch {epoch} at a learning rate of {learning_rate:g}"
    if epoch == 1:
        raise MammoError(f"{problem}. The model is left as it was before. Choose a lower learning_rate.")
    print(f"{problem}: training stopped there, and {then}. Choose a lower learning_rate.")
    return True
