"""Head first, then the last stage of the backbone.

    model = mammo.build_model("imagenet")
    head = mammo.train_head(model, manifest)
    tuned = mammo.fine_tune(model, manifest)

Both take the manifest with its `split` column, learn from `train`, stop by `validation`, and never open
`test`. They change the model in place and return its history: a dict of lists, one value an epoch.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from mammo.backend import keras, run_batches
from mammo.manifest import class_indices, rows_of
from mammo.model import FEATURES, HEAD, LAST_STAGE, image_size_of
from mammo.preprocessing import load_images


def train_head(
    model: keras.Model,
    manifest: pd.DataFrame,
    epochs: int = 60,
    learning_rate: float = 1e-3,
    copies: int = 3,
    batch_size: int = 32,
    patience: int = 10,
    seed: int = 0,
) -> dict:
    """Train the two Dense layers while the backbone is frozen; returns the history.

    What is frozen answers the same every time, so the pooled features are computed once: for each
    training image as it is and for `copies` augmented versions of it. The head is then trained on the
    features in seconds. Training stops when the validation loss has not fallen for `patience` epochs and
    goes back to the best epoch.
    """
    keras.utils.set_random_seed(seed)
    backbone = keras.Model(model.input, model.get_layer(FEATURES).output)
    train, validation = rows_of(manifest, "train"), rows_of(manifest, "validation")
    images = load_images(train, image_size_of(model), title="reading training images")
    augment = augmentation(seed)
    versions = [None] + [lambda batch: augment(batch, training=True)] * copies
    features = np.concatenate([run_batches(backbone, images, batch_size, "features", change) for change in versions])
    labels = np.tile(class_indices(train), len(versions))
    seen = load_images(validation, image_size_of(model), title="reading validation images")
    checks = run_batches(backbone, seen, batch_size, "features"), one_hot(class_indices(validation))

    layers = [model.get_layer(name) for name in HEAD]
    head = keras.Sequential([keras.Input(features.shape[1:]), *(type(x).from_config(x.get_config()) for x in layers)])
    head.set_weights([w for layer in layers for w in layer.get_weights()])
    head.compile(keras.optimizers.Adam(learning_rate), "categorical_crossentropy", metrics=_metrics())
    history = head.fit(
        features,
        one_hot(labels),
        batch_size=batch_size,
        epochs=epochs,
        validation_data=checks,
        class_weight=class_weights(labels),
        callbacks=_callbacks("training the head", epochs, patience),
        verbose=0,
    )
    for layer, trained in zip(layers, head.layers, strict=True):
        layer.set_weights(trained.get_weights())
    return history.history


def fine_tune(
    model: keras.Model,
    manifest: pd.DataFrame,
    epochs: int = 10,
    learning_rate: float = 1e-5,
    batch_size: int = 16,
    patience: int = 3,
    seed: int = 0,
) -> dict:
    """Train the last stage (conv5) together with the head; returns the history.

    BatchNorm keeps the statistics it came with: trained on a few mammograms they would only get worse.
    Training images are augmented afresh in every epoch. Stops by validation loss, as `train_head` does;
    where no epoch beats the model it started from, that one is kept, and a line says so.
    """
    keras.utils.set_random_seed(seed)
    unfreeze_last_stage(model)
    train, validation = rows_of(manifest, "train"), rows_of(manifest, "validation")
    images = load_images(train, image_size_of(model), title="reading training images")
    seen = load_images(validation, image_size_of(model), title="reading validation images")
    labels = class_indices(train)
    model.compile(keras.optimizers.Adam(learning_rate), "categorical_crossentropy", metrics=_metrics())
    checks = seen, one_hot(class_indices(validation))
    before, start = model.evaluate(*checks, batch_size=batch_size, verbose=0)[0], model.get_weights()
    history = model.fit(
        AugmentedBatches(images, one_hot(labels), batch_size, seed),
        epochs=epochs,
        validation_data=checks,
        validation_batch_size=batch_size,
        class_weight=class_weights(labels),
        callbacks=_callbacks("fine-tuning", epochs, patience),
        verbose=0,
    )
    if not any(loss < before for loss in history.history["val_loss"]):  # nor where it is no number
        model.set_weights(start)
        print("Fine-tuning did not lower the validation loss; the model is left as it was before.")
    return history.history


def unfreeze_last_stage(model: keras.Model) -> None:
    """Make conv5 and the head trainable and nothing else; BatchNorm stays in inference mode everywhere."""
    for layer in model.layers:
        learns = layer.name.startswith(LAST_STAGE) or layer.name in HEAD
        layer.trainable = learns and not isinstance(layer, keras.layers.BatchNormalization)


def augmentation(seed: int = 0) -> keras.Sequential:
    """Changes a radiographer could have made: mirrored up-down, turned, moved, nearer.

    The chest wall stays on the left, where prediction will find it too.
    """
    layers = keras.layers
    return keras.Sequential(
        [
            layers.RandomFlip("vertical", seed=seed),
            layers.RandomRotation(0.04, fill_mode="constant", fill_value=0.0, seed=seed + 1),
            layers.RandomTranslation(0.05, 0.05, fill_mode="constant", fill_value=0.0, seed=seed + 2),
            layers.RandomZoom((-0.1, 0.1), fill_mode="constant", fill_value=0.0, seed=seed + 3),
        ],
        name="augmentation",
    )


class AugmentedBatches(keras.utils.PyDataset):
    """Shuffled batches of images (n, height, width, 1) and one-hot labels (n, 2), augmented when asked for."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int, seed: int):
        super().__init__()
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.rng = np.random.default_rng(seed)
        self.augment = augmentation(seed)
        self.order = self.rng.permutation(len(images))

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, index: int):
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.augment(self.images[rows], training=True), self.labels[rows]

    def on_epoch_end(self) -> None:
        self.order = self.rng.permutation(len(self.images))


def one_hot(classes: np.ndarray) -> np.ndarray:
    """Class indices (n,) -> float32 (n, 2)."""
    return np.eye(2, dtype=np.float32)[classes]


def class_weights(classes: np.ndarray) -> dict[int, float]:
    """Weights that let both classes count the same in the loss, however rare one is."""
    counts = np.bincount(classes, minlength=2)
    return {index: len(classes) / (2 * count) for index, count in enumerate(counts) if count}


def _metrics() -> list:
    return [
        keras.metrics.AUC(name="auc", multi_label=True, num_labels=2),
        keras.metrics.CategoricalAccuracy(name="accuracy"),
    ]


def _callbacks(title: str, epochs: int, patience: int) -> list:
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, restore_best_weights=True)
    return [stop, ProgressBar(title, epochs)]


class ProgressBar(keras.callbacks.Callback):
    """One bar for the whole training, with the validation AUC beside it."""

    def __init__(self, title: str, epochs: int):
        super().__init__()
        self.title, self.epochs = title, epochs

    def on_train_begin(self, logs=None):
        self.bar = tqdm(total=self.epochs, desc=self.title, unit="epoch")

    def on_epoch_end(self, epoch, logs=None):
        self.bar.update()
        self.bar.set_postfix(val_auc=f"{(logs or {}).get('val_auc', float('nan')):.3f}")

    def on_train_end(self, logs=None):
        self.bar.close()
