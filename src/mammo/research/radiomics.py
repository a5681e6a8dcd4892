"""What was measured before there were networks: intensity, texture and shape, as a baseline.

    features = radiomics(x)                # x: the model's input, (height, width, 1)

First-order statistics, grey-level co-occurrence (Haralick, Shanmugam and Dinstein, IEEE Trans. SMC 3, 1973), local
binary patterns (Ojala, Pietikainen and Maenpaa, IEEE Trans. PAMI 24, 2002) and the shape of the breast and of the
brightest thing in it. What lies beside the breast, where the input is 0, does not count.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import kurtosis, skew
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from skimage.filters import threshold_otsu
from skimage.measure import regionprops

LEVELS, DISTANCES, ANGLES = 32, (1, 3, 7), (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
HARALICK = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
NEIGHBOURS, RADII = 8, (1, 3)
SHAPE = ("eccentricity", "solidity", "extent", "area")
VALUES = 5 + len(PERCENTILES) + len(HARALICK) * len(DISTANCES) + (NEIGHBOURS + 2) * len(RADII) + 2 * len(SHAPE)


def radiomics(x: np.ndarray) -> np.ndarray:
    """float32 (VALUES,): what can be measured in an input (height, width, 1) in [0, 1]; zeros where that is empty."""
    image = np.asarray(x, np.float64)[..., 0]
    inside = image > 0
    values = image[inside]
    if len(values) < 2 or values.min() == values.max():
        return np.zeros(VALUES, np.float32)
    counts = np.histogram(values, LEVELS, (0, 1))[0] / len(values)
    entropy = -np.sum(counts * np.log2(counts + 1e-12))
    first_order = [values.mean(), values.std(), skew(values), kurtosis(values), entropy]
    return np.array(
        [
            *first_order,
            *np.percentile(values, PERCENTILES),
            *_co_occurrence(image, inside),
            *_patterns(image, inside),
            *_shape(inside),
            *_shape(image > threshold_otsu(values)),
        ],
        np.float32,
    )


def _co_occurrence(image, inside) -> np.ndarray:
    """Each of HARALICK at each distance, the mean of all directions; level 0 is what lies beside the breast."""
    grey = np.where(inside, 1 + np.minimum(image * LEVELS, LEVELS - 1).astype(int), 0).astype(np.uint8)
    matrix = graycomatrix(grey, DISTANCES, ANGLES, levels=LEVELS + 1, symmetric=True)[1:, 1:]
    return np.concatenate([graycoprops(matrix, name).mean(axis=1) for name in HARALICK])


def _patterns(image, inside) -> np.ndarray:
    """The shares of the uniform local binary patterns, at two radii."""
    grey, bins = np.rint(image * 255).astype(np.uint8), np.arange(NEIGHBOURS + 3)
    codes = [local_binary_pattern(grey, NEIGHBOURS, radius, "uniform")[inside] for radius in RADII]
    return np.concatenate([np.histogram(code, bins)[0] / len(code) for code in codes])


def _shape(mask) -> list[float]:
    """Of a mask taken as one thing: SHAPE, the area as a share of the image."""
    (thing,) = regionprops(mask.astype(np.uint8))
    return [float(getattr(thing, name)) for name in SHAPE[:-1]] + [float(mask.mean())]
