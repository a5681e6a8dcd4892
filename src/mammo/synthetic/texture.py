"""Tissue: power-law noise and webs of ligaments, combed towards the nipple."""

from __future__ import annotations

import numpy as np
from scipy import fft

EXPONENT = 3.2  # of mammograms: 3.17 (CC) and 3.30 (MLO), Chen et al., Medical Physics 39, 2012


def power_law_field(rng, shape, exponent: float = EXPONENT, stretch: float = 1.0) -> np.ndarray:
    """Noise whose power spectrum falls as 1 / f**exponent, float32, mean 0, standard deviation 1.

    The texture of mammograms follows such a law, with an exponent of about 3 (Burgess, Jacobson and Judy,
    Medical Physics 28, 2001). `stretch` > 1 draws structures out along the rows' axis.
    """
    lowest = np.float32(1.5 / max(shape))
    return _field(rng, shape, stretch, 1.0, lambda f: np.maximum(f, lowest) ** np.float32(-exponent / 2))


def band_field(rng, shape, period: float, stretch: float = 1.0) -> np.ndarray:
    """Smooth noise whose structures repeat about every `period` pixels; float32, mean 0, standard deviation 1."""
    period, spread = np.float32(period), np.float32(0.45)
    return _field(
        rng, shape, stretch, 3.5 / period, lambda f: np.exp(-((np.log(np.maximum(f * period, 1e-3)) / spread) ** 2))
    )


def filaments(rng, shape, period: float, width: float, stretch: float = 1.0) -> np.ndarray:
    """A web of bright curved lines around dark cells, float32 in [0, 1]; lengths in pixels.

    The lines are the zero crossings of smooth noise, which are closed curves, as Cooper's ligaments around
    the lobules of fat; a second noise lets them fade in and out. Lines set mammograms apart from Gaussian
    noise of the same spectrum (Abbey et al., Medical Physics 39, 2012).
    """
    slope = 2 * np.pi / period
    line = np.exp(-((band_field(rng, shape, period, stretch) / np.float32(width * slope)) ** 2))
    return line * np.clip(0.5 + 0.5 * band_field(rng, shape, 3 * period, stretch), 0, 1)


def tissue(dense_share: float, half_height: float, distance, nipple, mm: float, rng) -> np.ndarray:
    """Fat, a glandular cone behind the nipple, and the ligaments in both; float32 (height, width).

    `dense_share` of the tissue under the skin is glandular; `distance` is that to the skin, in pixels.
    """
    shape = distance.shape
    cloud = power_law_field(rng, shape)
    comb = Comb(cloud, nipple, mm, rng)
    strands = comb(power_law_field(rng, comb.shape, 2.9, stretch=2.5))
    lobules = comb(band_field(rng, comb.shape, 11 * mm, 1.8))
    web = comb(
        np.maximum(
            filaments(rng, comb.shape, 17 * mm, 0.55 * mm, 2.0),
            0.6 * filaments(rng, comb.shape, 5 * mm, 0.28 * mm, 2.5),
        )
    )
    web = np.maximum(web, 0.5 * filaments(rng, shape, 13 * mm, 0.4 * mm))

    wish = 0.7 * cloud + 0.3 * strands + 1.4 * _cone(shape, half_height, nipple, rng)
    cut = np.float32(np.quantile(wish[distance > 5 * mm][::7], 1 - dense_share))
    gland = 0.5 + 0.5 * np.tanh((wish - cut) / np.float32(0.7))
    gland *= np.clip((distance - 3 * mm) / (7 * mm), 0, 1)  # fat under the skin
    dense = gland * (0.62 + 0.16 * strands + 0.10 * cloud - 0.22 * np.clip(lobules, -0.3, 1.5) + 0.35 * web)
    fat = 0.27 + 0.015 * (cloud + strands)
    return fat + 0.30 * dense + 0.075 * web * (1 - 0.5 * gland)


def _cone(shape, half_height: float, nipple, rng) -> np.ndarray:
    """How much glandular tissue likes to be there, in [-1, 1]: a cone with its tip at the nipple."""
    row = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(nipple[0])
    back = 1 - np.arange(shape[1], dtype=np.float32) / np.float32(nipple[1])  # 0 at the nipple, 1 at the chest wall
    lean = np.float32(rng.normal(-0.03, 0.05) * shape[0])
    width = half_height * (0.28 + 0.62 * np.clip(back / 0.65, 0, 1) ** 0.7)
    across = np.abs((row - lean * back) / width)
    ends = np.clip((0.25 - back) / 0.5, 0, 2) ** 2 + 0.8 * np.clip((back - 0.62) / 0.38, 0, 1) ** 2
    return np.clip(1 - across * across * np.sqrt(across) - ends, -1, 1)


class Comb:
    """Draws fields out towards the nipple: their rows become distance from it, their columns direction.

    `rough`, a noise of the image's shape, frays what would be too smooth.
    """

    def __init__(self, rough, nipple, mm: float, rng):
        shape = rough.shape
        row = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(nipple[0])
        before = np.float32(nipple[1] + 15 * mm) - np.arange(shape[1], dtype=np.float32)
        bend = band_field(rng, shape, 70 * mm)
        radius = np.hypot(row, before) + np.float32(3 * mm) * np.roll(bend, shape[0] // 3, axis=0)
        angle = np.arctan2(row, before) + np.float32(0.035) * bend + np.float32(0.012) * rough
        self.shape = fft.next_fast_len(int(radius.max()) + 2), fft.next_fast_len(int(1.3 * shape[0]))
        down = np.clip(radius, 0, self.shape[0] - 1).astype(np.int32)
        across = np.clip((angle / np.float32(np.pi) + 0.5) * self.shape[1], 0, self.shape[1] - 1).astype(np.int32)
        self.index = down * self.shape[1] + across

    def __call__(self, field: np.ndarray) -> np.ndarray:
        """float32 of the image's shape from a field of `self.shape`."""
        return field.ravel()[self.index]


def _field(rng, shape, stretch: float, highest: float, amplitude) -> np.ndarray:
    """Gaussian noise with `amplitude(frequency)` up to the `highest` frequency, in cycles a pixel, and none above."""
    rows = min(shape[0] // 2, int(highest * shape[0] / stretch) + 1)
    columns = min(shape[1] // 2 + 1, int(highest * shape[1]) + 2)
    down = np.arange(-rows, rows, dtype=np.float32)[:, None] * np.float32(stretch / shape[0])
    frequency = np.hypot(down, np.arange(columns, dtype=np.float32) / np.float32(shape[1]))
    noise = rng.standard_normal((*frequency.shape, 2), dtype=np.float32)
    spectrum = np.zeros((shape[0], shape[1] // 2 + 1), np.complex64)
    part = noise.view(np.complex64)[..., 0] * amplitude(frequency)
    spectrum[:rows, :columns], spectrum[shape[0] - rows :, :columns] = part[rows:], part[:rows]
    spectrum[0, 0] = 0
    field = fft.irfft2(spectrum, s=shape, overwrite_x=True)
    return field / field.std()
