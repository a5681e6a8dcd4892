"""How like real mammograms the synthetic ones are, in numbers that can be taken from both.

    image = mammo.read_mammogram(path).image
    statistics(image, find_breast(image).mask)

Every image is brought to `ROWS` rows first, so that a pixel means about the same, half a millimetre.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

ROWS = 512
WINDOW = 64
BAND = (0.04, 0.3)  # cycles a pixel: below it are the organs, above it the detector
GREY_LEVELS = 32


def statistics(image: np.ndarray, mask: np.ndarray) -> dict:
    """Of a float32 (height, width) image in [0, 1] with its breast's mask: `exponent`, `area` and `histogram`.

    `exponent` is that of the power law of the tissue, `area` the share of the image that is breast, `histogram`
    the share of the breast in each of 32 grey levels between its 1st and 99th percentile.
    """
    columns = max(1, round(image.shape[1] * ROWS / image.shape[0]))
    image, mask = (
        np.asarray(Image.fromarray(layer.astype(np.float32)).resize((columns, ROWS), Image.BOX))
        for layer in (image, mask)
    )
    mask = mask > 0.5
    values = image[mask]
    low, high = np.percentile(values, [1, 99])
    counts, _ = np.histogram(np.clip((values - low) / (high - low), 0, 1), GREY_LEVELS, (0, 1))
    return {
        "exponent": spectral_exponent(image, mask),
        "area": float(mask.mean()),
        "histogram": counts / counts.sum(),
    }


def spectral_exponent(image: np.ndarray, mask: np.ndarray) -> float:
    """b of the power law 1 / f**b that fits the spectrum of the tissue in `mask`; NaN where it holds no window.

    Half-overlapping square windows that lie wholly in the breast, each under a Hann window; their power spectra
    averaged over windows and directions, and a line through log power against log frequency (as Burgess,
    Jacobson and Judy, Medical Physics 28, 2001).
    """
    inside = ndimage.binary_erosion(mask, iterations=8)
    hann = np.outer(np.hanning(WINDOW), np.hanning(WINDOW))
    frequency = np.hypot(np.fft.fftfreq(WINDOW)[:, None], np.fft.fftfreq(WINDOW))
    power = []
    for row in range(0, image.shape[0] - WINDOW + 1, WINDOW // 2):
        for column in range(0, image.shape[1] - WINDOW + 1, WINDOW // 2):
            part = np.s_[row : row + WINDOW, column : column + WINDOW]
            if inside[part].all():
                window = image[part]
                power.append(np.abs(np.fft.fft2((window - window.mean()) * hann)) ** 2)
    if not power:
        return float("nan")
    ring = np.rint(frequency * WINDOW).astype(int)
    rings = np.arange(int(np.ceil(BAND[0] * WINDOW)), int(BAND[1] * WINDOW) + 1)
    mean = ndimage.mean(np.mean(power, axis=0), ring, rings)
    return float(-np.polyfit(np.log(rings), np.log(mean), 1)[0])
