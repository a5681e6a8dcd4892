"""Out-of-distribution detection: is this image like those that the model knows? A distance between features.

    detector = mammo.fit_ood_detector(model, manifest)
    mammo.save_classifier("my_model", model, report, ood_detector=detector)

Two layers are used. The third stage responds to texture: grain, sharpness, film or digital. The last one responds to
content: breast or something else. In each, the distance is Mahalanobis' along the directions in which known images vary
most, and the plain distance across them. The logarithms of these four distances are standardised; the largest is the
image's score. Its limit is conformal: an image from the training distribution keeps it with the stated probability.

References
----------
K. Lee et al., A simple unified framework for detecting out-of-distribution samples and adversarial attacks, NeurIPS
2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mammo.core.errors import MammoError
from mammo.core.manifest import rows_in_split
from mammo.evaluation.conformal import conformal_limit
from mammo.models.runtimes import LAYERS, ModelOutputs, features_of
from mammo.models.saved_model import OOD_PARTS

if TYPE_CHECKING:
    import pandas as pd

DIRECTIONS, FEWEST = 48, 40
LEVEL = 0.99  # how often known images should be inside; fewer patients can only keep less
PARTS = OOD_PARTS[:-1]  # the limits follow from these


def fit_ood_detector(model, manifest: pd.DataFrame, seed: int = 0) -> dict[str, np.ndarray]:
    """Fit the detector on the validation images; half of the patients set the limits.

    Parameters
    ----------
    model : keras.Model
        From `mammo.build_model`.
    manifest : DataFrame
        With its `split` column.
    seed : int
        Of the halving.

    Returns
    -------
    dict of arrays
        For `mammo.save_classifier`. `level` is how often an image of a new patient, of the same distribution, is inside
        the limit: 0.99, or n / (n + 1) where n, half of the validation patients, is below 99.

    Raises
    ------
    MammoError
        Where there are fewer than 40 validation images, or one of them cannot be read.
    """
    from mammo.core.backend import keras  # TensorFlow, which using a fitted detector does not need
    from mammo.data.image_loader import ImageLoader, predict_batches
    from mammo.models.saved_model import check_model, image_size_of

    rows = rows_in_split(manifest, "validation")
    if len(rows) < FEWEST:
        raise MammoError(f"There are {len(rows)} validation images; an out-of-distribution detector needs {FEWEST}.")
    check_model(model)
    symbols = features_of(model)
    network = keras.Model(model.input, keras.layers.Concatenate()(symbols))
    values = predict_batches(network, ImageLoader(rows, image_size_of(model)), 32, "features")
    parts = np.split(values, np.cumsum([symbol.shape[1] for symbol in symbols])[:-1], axis=1)
    return fit_to_features(dict(zip(LAYERS, parts, strict=True)), rows["patient_id"].to_numpy(), seed)


def fit_to_features(features: dict[str, np.ndarray], patients: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Fit the detector to features, (images, channels) for each of LAYERS; returns its arrays."""
    shuffled = np.random.default_rng(seed).permutation(np.unique(patients))
    sets_limits = np.isin(patients, shuffled[: len(shuffled) // 2])
    if sets_limits.sum() < 2 or (~sets_limits).sum() < 3:  # one direction at least, of a third as many
        raise MammoError(
            f"The validation images are of {len(shuffled)} patients, too few for an out-of-distribution detector. Take "
            "more patients for validation."
        )
    learned, distances = {}, []
    for name in LAYERS:
        part = _compressed(features[name])
        mean, spread = part[~sets_limits].mean(axis=0), part[~sets_limits].std(axis=0) + 1e-3
        known = (part[~sets_limits] - mean) / spread
        _, lengths, axes = np.linalg.svd(known, full_matrices=False)
        count = min(DIRECTIONS, len(known) // 3)
        found = (mean, spread, axes[:count].astype(np.float16), lengths[:count] / np.sqrt(len(known)))
        learned |= {f"{name}_{kind}": np.asarray(array) for kind, array in zip(PARTS, found, strict=True)}
        distances.append(_both_distances(part[sets_limits], learned, name))
    logs = np.log(np.concatenate(distances, axis=1))  # (images, 4)
    typical, deviation = logs.mean(axis=0), logs.std(axis=0)
    limit, level = conformal_limit(((logs - typical) / deviation).max(axis=1), patients[sets_limits], LEVEL)
    limits = np.exp(typical + limit * deviation)
    learned |= {f"{name}_limits": limits[2 * index : 2 * index + 2] for index, name in enumerate(LAYERS)}
    learned["level"] = np.asarray(level)
    return {name: array if array.dtype == np.float16 else array.astype(np.float32) for name, array in learned.items()}


def ood_scores(outputs: ModelOutputs, detector: dict[str, np.ndarray]) -> dict[str, float]:
    """How far one image's texture and content are from the known ones, in multiples of the limit.

    Both are at most 1 for the share `level` of known images.
    """
    scores = {}
    for name in LAYERS:
        both = _both_distances(_compressed(getattr(outputs, name)[None]), detector, name)
        scores[name] = float((both / detector[f"{name}_limits"]).max())
    return scores


def _both_distances(values: np.ndarray, detector: dict, name: str) -> np.ndarray:
    """(n, 2): along the directions of known images, and across them."""
    mean, spread, axes, scale = (detector[f"{name}_{kind}"].astype(np.float64) for kind in PARTS)
    away = (values - mean) / spread
    along = away @ axes.T
    return np.stack([np.sqrt(((along / scale) ** 2).mean(axis=1)), np.linalg.norm(away - along @ axes, axis=1)], axis=1)


def _compressed(values: np.ndarray) -> np.ndarray:
    """Square roots: means of activations have long tails."""
    return np.sqrt(np.maximum(np.asarray(values, np.float64), 0))
