"""Tissue: power-law noise, combed towards the nipple."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage


def power_law_field(rng, shape, exponent: float, stretch: float = 1.0) -> np.ndarray:
    """Noise whose power spectrum falls as 1 / f**exponent, float32, mean 0, standard deviation 1.

    The texture of mammograms follows such a law, with an exponent of about 3 (Burgess, Jacobson and Judy,
    Medical Physics 28, 2001). `stretch` > 1 draws structures out along the rows' axis.
    """
    down = fft.fftfreq(shape[0])[:, None].astype(np.float32) * np.float32(stretch)
    frequency = np.maximum(np.hypot(down, fft.rfftfreq(shape[1])[None].astype(np.float32)), 1.5 / max(shape))
    spectrum = rng.standard_normal((2, *frequency.shape), dtype=np.float32)
    field = fft.irfft2((spectrum[0] + 1j * spectrum[1]) * frequency ** np.float32(-exponent / 2), s=shape)
    field -= field.mean()
    return field / field.std()


def tissue(dense_share: float, half_height: float, distance, nipple, mm: float, rng) -> np.ndarray:
    """Fat, a glandular disc behind the nipple, and strands that run together there; float32 (height, width)."""
    shape = distance.shape
    row = np.arange(shape[0], dtype=np.float32)[:, None] - nipple[0]
    column = np.arange(shape[1], dtype=np.float32)[None]
    cloud = power_law_field(rng, shape, 3.0)
    # Strands: noise that is stretched along the radius, in polar coordinates around a point before the nipple.
    before = nipple[1] + 18 * mm - column
    radius = np.hypot(row, before)
    angle = np.arctan2(row, before) + 0.10 * np.sin(radius / (22 * mm) + rng.uniform(0, 2 * np.pi))
    angle += 0.06 * np.sin(row / (15 * mm) + column / (19 * mm) + rng.uniform(0, 2 * np.pi))
    polar = power_law_field(rng, (384, 384), 2.7, stretch=2.6)
    at = np.stack([radius * (384 / (1.3 * shape[0])), (angle / np.pi + 0.5) * 383])
    strands = ndimage.map_coordinates(polar, at, order=1, mode="grid-wrap")

    centre = rng.normal(0, 0.05) * shape[0]
    across = (row - centre) / (0.85 * half_height)
    disc = 1 - across**2 - ((column - 0.5 * nipple[1]) / (0.62 * nipple[1])) ** 2
    wish = 0.75 * cloud + 0.5 * strands + 1.6 * np.clip(disc, -2, 1)
    deep = wish[distance > 5 * mm]
    cut = np.quantile(deep[::7], 1 - dense_share)
    gland = 0.5 + 0.5 * np.tanh((wish - cut) / 0.9)
    gland *= np.clip((distance - 4 * mm) / (8 * mm), 0, 1)  # fat under the skin
    # Ligaments and vessels: thin bright lines, the zero crossings of the noise.
    web = np.exp(-np.abs(strands + 0.25 * cloud) / 0.05)
    web += np.exp(-np.abs(np.roll(strands, 37, axis=0) - 0.4 * cloud + 0.6) / 0.04)
    fine = 0.6 * strands + 0.4 * cloud
    fat = 0.30 + 0.015 * cloud + 0.012 * fine
    return fat + gland * (0.22 + 0.06 * fine) + 0.07 * web * (0.6 + gland)
