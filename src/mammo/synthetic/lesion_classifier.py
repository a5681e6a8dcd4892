"""A simple classifier that is told where to look: how plainly does shape separate benign from malignant?

    auc = study(difficulty=0.3)

It measures what radiomics measures, margin, spicules and specks, in the image around the middle of the true mask, and
a logistic regression weighs it. From the mask it takes the place and the scale, which are the same for both
classes; never the outline, which would give the answer away at any contrast. It is also told whether to look for specks
of calcium or for a mass, which is no hint either.
"""

from __future__ import annotations

import numpy as np
from joblib import Parallel, delayed
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mammo.core.manifest import CLASS_NAMES
from mammo.synthetic.breast import HEIGHT_MM
from mammo.synthetic.lesions import CALCIFICATIONS
from mammo.synthetic.phantom import VIEWS, draw_patient, phantom

SMALLEST_MM = 5.0  # the features look at least this far around the middle
ZONES, SECTORS = 12, 24
TINY = 1e-6


def study(difficulty: float, patients: int = 400, image_size=(512, 384)) -> float:
    """AUC of malignant against benign of the classifier, on both views of as many new patients, half of them malignant.

    The images are drawn, read and forgotten. With fewer than some hundred patients the regression has too little to
    learn from.
    """
    rows = Parallel(n_jobs=-1)(delayed(_reading)(number, difficulty, image_size) for number in range(patients))
    truth = np.repeat(np.arange(patients) % 2, len(VIEWS))
    return cross_validated_auc(np.concatenate(rows), truth, np.repeat(np.arange(patients), len(VIEWS)))


def _reading(number: int, difficulty: float, image_size) -> np.ndarray:
    """The features of both views, (2, 88): those of calcium in the first half, those of masses in the second."""
    patient = draw_patient(np.random.default_rng([0, number]), CLASS_NAMES[number % 2], difficulty)
    calcium = patient.lesion.kind in CALCIFICATIONS[patient.label]
    rows = []
    for index, view in enumerate(VIEWS):
        drawn = phantom(patient, patient.side, view, image_size, np.random.default_rng([0, number, 1 + index]))
        values = lesion_features(*drawn, HEIGHT_MM / image_size[0])
        rows.append(np.concatenate([values * calcium, values * (not calcium)]))
    return np.array(rows)


def cross_validated_auc(features: np.ndarray, truth: np.ndarray, patients) -> float:
    """AUC of a logistic regression on (rows, features), from five folds; no patient is in two folds."""
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    score = cross_val_predict(regression, features, truth, groups=patients, cv=folds, method="decision_function")
    return float(roc_auc_score(truth, score))


def lesion_features(image: np.ndarray, mask: np.ndarray, pixel_mm: float) -> np.ndarray:
    """float64 (44,): what is seen around the middle of a bool (height, width) mask, at the scale of its area."""
    row, column = np.argwhere(mask).mean(axis=0).astype(int)
    radius = max(np.sqrt(mask.sum() / np.pi), SMALLEST_MM / pixel_mm)
    reach = int(3 * radius) + 2
    window = np.pad(image, reach, mode="edge")[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
    steps = np.arange(-reach, reach + 1) / radius
    down, right = np.meshgrid(steps, steps, indexing="ij")
    smooth = ndimage.gaussian_filter(window, 1)
    return np.array(
        [
            *_detail(window, np.hypot(down, right)),
            *_direction_of_edges(smooth, down, right),
            *_specks(window, np.hypot(down, right)),
            *_outline(smooth, down, right),
        ]
    )


def _detail(window, distance) -> list:
    """Fine structure at three scales, from the middle outwards, relative to the whole window."""
    zone, values = _zone(distance), []
    for sigma in (0.6, 1.2, 2.4):
        detail = window - ndimage.gaussian_filter(window, sigma)
        energy = ndimage.standard_deviation(detail, zone, range(ZONES))[[0, 2, 4, 6, 8]]
        peak = np.percentile(detail[distance < 2], 99.7)
        values += list(np.log(np.array([*energy, peak]) / (detail.std() + TINY) + 1e-3))
    return values


def _direction_of_edges(smooth, down, right) -> list:
    """In four rings: whether edges face outwards, as a smooth margin's do, or sideways, as those of spicules."""
    distance = np.hypot(down, right) + TINY
    slope_down, slope_right = np.gradient(smooth)
    outward = (slope_down * down + slope_right * right) / distance
    sideways = (slope_right * down - slope_down * right) / distance
    steep, values = np.hypot(outward, sideways) + 1e-9, []
    for inner, outer in ((0.3, 0.8), (0.8, 1.2), (1.2, 1.8), (1.8, 2.6)):
        ring = (distance >= inner) & (distance < outer)
        values.append(-(outward / steep)[ring].mean())
        values.append(np.log((sideways**2)[ring].sum() / ((outward**2)[ring].sum() + 1e-12) + TINY))
    return values


def _specks(window, distance) -> list:
    """How many, how large, how small and how hollow the spots are that stand out from the grain."""
    detail, values = window - ndimage.gaussian_filter(window, 2.4), []
    for limit in (4, 8):
        spots, count = ndimage.label((detail > limit * 1.48 * np.median(np.abs(detail))) & (distance < 2.5))
        areas = np.bincount(spots.ravel())[1:] if count else np.zeros(1)
        hollow = ndimage.binary_fill_holes(spots).sum() / max(1, areas.sum())
        values += [np.log1p(count), np.log1p(areas.max()), np.log1p(areas.mean()), np.log1p((areas <= 3).sum()), hollow]
    return values


def _outline(smooth, down, right) -> list:
    """How far the brightness reaches in each direction, as waves around the middle, and how it falls off."""
    distance = np.hypot(down, right)
    profile = ndimage.mean(smooth, _zone(distance), range(ZONES))
    excess = np.clip(smooth - profile[9:].mean(), 0, None) * (distance < 2)
    sector = ((np.arctan2(down, right) / (2 * np.pi) + 0.5) * (SECTORS - TINY)).astype(int)
    amount = ndimage.sum(excess, sector, range(SECTORS)) + TINY
    edge = ndimage.sum(excess * distance, sector, range(SECTORS)) / amount
    waves = np.abs(np.fft.rfft(edge / (edge.mean() + TINY)))
    bands = [waves[1], waves[2], waves[3:6].sum(), waves[6:].sum()]
    return [*np.log(np.array(bands) + 0.1), *((profile[[0, 2, 3, 4]] - profile[8:].mean()) / (smooth.std() + TINY))]


def _zone(distance) -> np.ndarray:
    return np.minimum((distance * 4).astype(int), ZONES - 1)
