"""Is this image like those that the model knows? A distance in the space of its features.

    familiar = mammo.learn_familiar(model, manifest)
    mammo.save_classifier("my_model", model, report, familiar=familiar)

Two layers are asked. The third stage knows textures: grain, sharpness, film or digital. The last one knows content:
breast or something else. In each, the distance is Mahalanobis' in the directions in which familiar images vary most,
and the plain distance across them (after Lee et al., A simple unified framework for detecting out-of-distribution
samples, NeurIPS 2018), in multiples of what 99 of 100 familiar images keep within.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mammo.errors import MammoError
from mammo.manifest import rows_of
from mammo.network import LAYERS, features_of

if TYPE_CHECKING:
    import pandas as pd

DIRECTIONS, FEWEST, INSIDE = 48, 40, 0.99
PARTS = ("mean", "spread", "axes", "scale", "limits")


def learn_familiar(model, manifest: pd.DataFrame, seed: int = 0) -> dict[str, np.ndarray]:
    """What the features of the validation images are like, as arrays; half of the patients set the limits.

    Raises MammoError where there are too few of them.
    """
    from mammo.backend import keras
    from mammo.inputs import Inputs, run_batches
    from mammo.model import image_size_of

    rows = rows_of(manifest, "validation")
    patients = np.random.default_rng(seed).permutation(rows["patient_id"].unique())
    sets_limits = rows["patient_id"].isin(patients[: len(patients) // 2]).to_numpy()
    if min(sets_limits.sum(), (~sets_limits).sum()) < FEWEST // 2:
        raise MammoError(f"There are {len(rows)} validation images; to learn what is familiar, {FEWEST} are needed.")
    symbols = features_of(model)
    network = keras.Model(model.input, keras.layers.Concatenate()(symbols))
    values = run_batches(network, Inputs(rows, image_size_of(model)), 32, "familiar features")
    learned, start = {}, 0
    for name, symbol in zip(LAYERS, symbols, strict=True):
        part = _compressed(values[:, start : start + symbol.shape[1]])
        start += symbol.shape[1]
        mean, spread = part[~sets_limits].mean(axis=0), part[~sets_limits].std(axis=0) + 1e-3
        known = (part[~sets_limits] - mean) / spread
        _, lengths, axes = np.linalg.svd(known, full_matrices=False)
        count = min(DIRECTIONS, len(known) // 3)
        found = (mean, spread, axes[:count].astype(np.float16), lengths[:count] / np.sqrt(len(known)), np.ones(2))
        learned |= {f"{name}_{kind}": np.asarray(array) for kind, array in zip(PARTS, found, strict=True)}
        both = _both_distances(part[sets_limits], learned, name)
        learned[f"{name}_limits"] = np.quantile(both, (1 + INSIDE) / 2, axis=0, method="higher")
    return {name: array if array.dtype == np.float16 else array.astype(np.float32) for name, array in learned.items()}


def unlike(features: dict[str, np.ndarray], familiar: dict[str, np.ndarray]) -> dict[str, float]:
    """How far one image's features (channels,) are, by texture and by content; above 1 few familiar images are."""
    found = {}
    for name in LAYERS:
        both = _both_distances(_compressed(features[name][None]), familiar, name)
        found[name] = float((both / familiar[f"{name}_limits"]).max())
    return found


def _both_distances(values: np.ndarray, familiar: dict, name: str) -> np.ndarray:
    """(n, 2): along the familiar directions, and across them."""
    mean, spread, axes, scale = (familiar[f"{name}_{kind}"].astype(np.float64) for kind in PARTS[:4])
    away = (values - mean) / spread
    along = away @ axes.T
    return np.stack([np.sqrt(((along / scale) ** 2).mean(axis=1)), np.linalg.norm(away - along @ axes, axis=1)], axis=1)


def _compressed(values: np.ndarray) -> np.ndarray:
    """Means of activations have long tails; their roots have not."""
    return np.sqrt(np.maximum(np.asarray(values, np.float64), 0))
