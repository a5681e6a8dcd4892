"""Radiomics: hand-made features of intensity, texture and shape, as a baseline for networks.

features = radiomics(x)                # x: the model's input, (height, width, 1)
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
    """Features of one model input. Pixels beside the breast, which are 0, do not count.

    Parameters
    ----------
    x : ndarray (height, width, 1) in [0, 1]

    Returns
    -------
    ndarray, float32 (VALUES,)
        First-order statistics, grey-level co-occurrence, local binary patterns, and the shapes of the breast and of its
        bright part. All 0 where the input is empty or has one grey level only.

    References
    ----------
    R. Haralick, K. Shanmugam and I. Dinstein, Textural features for image classification, IEEE Trans. SMC 3, 1973.
    T. Ojala, M. Pietikainen and T. Maenpaa, Multiresolution gray-scale and rotation invariant texture classification
    with local binary patterns, IEEE Trans. PAMI 24, 2002.
    """
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
    """Each of HARALICK at each distance, averaged over directions; level 0, beside the breast, is left out."""
    grey = np.where(inside, 1 + np.minimum(image * LEVELS, LEVELS - 1).astype(int), 0).astype(np.uint8)
    matrix = graycomatrix(grey, DISTANCES, ANGLES, levels=LEVELS + 1, symmetric=True)[1:, 1:]
    return np.concatenate([graycoprops(matrix, name).mean(axis=1) for name in HARALICK])


def _patterns(image, inside) -> np.ndarray:
    """Shares of the uniform local binary patterns, at each radius."""
    grey, bins = np.rint(image * 255).astype(np.uint8), np.arange(NEIGHBOURS + 3)
    codes = [local_binary_pattern(grey, NEIGHBOURS, radius, "uniform")[inside] for radius in RADII]
    return np.concatenate([np.histogram(code, bins)[0] / len(code) for code in codes])


def _shape(mask) -> list[float]:
    """SHAPE of a mask, taken as one region; the area is a share of the image."""
    (region,) = regionprops(mask.astype(np.uint8))
    return [float(getattr(region, name)) for name in SHAPE[:-1]] + [float(mask.mean())]
