"""Tissue: power-law noise and webs of ligaments, partly combed towards the nipple."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Pattern:
    """How the tissue of one patient is laid out; ranges chosen by eye."""

    comb: float
    """Share of the structure that is drawn out towards the nipple, in [0, 1]."""
    focus_mm: float
    """How far in front of the nipple the drawn-out lines would meet."""
    disc: float
    """How strongly glandular tissue keeps to a disc behind the nipple."""
    centre: float
    """Of the disc: distance behind the nipple, as a share of the breast's depth."""
    size: tuple[float, float]
    """Half the height and half the depth of the disc, as shares of the breast's."""
    softness: float
    """Of the border between glandular tissue and fat."""
    mottle: float
    """Contrast within the glandular tissue."""
    lobule_mm: float
    """Distance between lobules of fat."""
    subcutaneous_mm: float
    """Depth of the fat under the skin, where the tissue behind it is glandular."""
    scallop: float
    """How far lobules of fat reach into its border."""
    ligaments: float
    """Brightness of Cooper's ligaments."""


def draw_pattern(rng) -> Pattern:
    """The layout of one patient's tissue."""
    return Pattern(
        comb=rng.uniform(0.4, 1.0),
        focus_mm=float(np.exp(rng.uniform(np.log(20), np.log(200)))),
        disc=float(np.exp(rng.uniform(np.log(0.7), np.log(3)))),
        centre=rng.uniform(0.35, 0.6),
        size=(rng.uniform(0.5, 1.0), rng.uniform(0.35, 0.65)),
        softness=rng.uniform(0.4, 1.2),
        mottle=rng.uniform(0.4, 1.3),
        lobule_mm=rng.uniform(8, 18),
        subcutaneous_mm=rng.uniform(5, 18),
        scallop=rng.uniform(0.0, 1.0),
        ligaments=rng.uniform(0.6, 1.5),
    )


def tissue(
    dense_share: float, half_height: float, distance, nipple, pattern: Pattern, mm: float, rng
) -> tuple[np.ndarray, np.ndarray]:
    """Fat, a glandular disc behind the nipple, and the ligaments in both; and where it is glandular, in [0, 1].

    Both float32 (height, width). `dense_share` of the tissue under the skin is glandular; `distance` is that to
    the skin, in pixels.
    """
    shape = distance.shape
    cloud, mixed = power_law_field(rng, shape), power_law_field(rng, shape, 2.6)
    comb = Comb(cloud, nipple, pattern.focus_mm, mm, rng)
    strands = comb(power_law_field(rng, comb.shape, 2.7, stretch=2.5))
    combed = np.float32(pattern.comb)
    structure = combed * strands + np.sqrt(1 - combed * combed) * mixed
    lobules = comb(band_field(rng, comb.shape, pattern.lobule_mm * mm, 1.4))
    fine = np.clip(power_law_field(rng, comb.shape, 2.0, 4.0), 0, None)
    web = comb(np.maximum(0.7 * filaments(rng, comb.shape, 9 * mm, 0.3 * mm, 6.0), 0.22 * fine))

    wish = 0.65 * cloud + 0.3 * structure + np.float32(pattern.disc) * _disc(shape, half_height, nipple, pattern, rng)
    wish -= np.float32(0.35 * pattern.scallop) * np.clip(lobules, -1, 2)
    cut = np.float32(np.quantile(wish[distance > 5 * mm][::7], 1 - dense_share))
    fat_depth = pattern.subcutaneous_mm * mm
    under_skin = np.clip((distance - 0.4 * fat_depth) / (0.8 * fat_depth), 0, 1)
    gland, near = (
        under_skin * (0.5 + 0.5 * np.tanh((wish - cut + wider) / np.float32(softness)))
        for wider, softness in ((0, pattern.softness), (0.7, 1))
    )
    inner = 0.17 * structure + 0.1 * cloud - 0.12 * np.clip(lobules, -0.3, 1.5)
    web *= np.float32(pattern.ligaments)
    dense = gland * (0.6 + np.float32(pattern.mottle) * inner + 0.25 * web)
    fat = 0.27 + 0.012 * (cloud + structure)
    return fat + 0.30 * dense + web * (0.055 + 0.085 * near - 0.08 * gland), gland


def _disc(shape, half_height: float, nipple, pattern: Pattern, rng) -> np.ndarray:
    """How much glandular tissue likes to be there, in [-1, 1]: a disc, with a cone from it to the nipple."""
    row = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(nipple[0])
    back = 1 - np.arange(shape[1], dtype=np.float32) / np.float32(nipple[1])  # 0 at the nipple, 1 at the chest wall
    lean = np.float32(rng.normal(-0.05, 0.06) * shape[0])
    across = (row - lean * back) / np.float32(half_height * pattern.size[0])
    along = (back - np.float32(pattern.centre)) / np.float32(pattern.size[1])
    cone = np.exp(-((row / np.float32(0.2 * half_height)) ** 2)) * np.clip(1 - back / np.float32(pattern.centre), 0, 1)
    return np.clip(1 - across * across - along * along + 0.8 * cone, -1, 1)


class Comb:
    """Draws fields out towards a point in front of the nipple: rows become distance from it, columns direction.

    `rough`, a noise of the image's shape, frays what would be too smooth.
    """

    def __init__(self, rough, nipple, focus_mm: float, mm: float, rng):
        shape = rough.shape
        row = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(nipple[0])
        before = np.float32(nipple[1] + focus_mm * mm) - np.arange(shape[1], dtype=np.float32)
        bend = band_field(rng, shape, 70 * mm)
        radius = np.hypot(row, before) + np.float32(3 * mm) * np.roll(bend, shape[0] // 3, axis=0)
        middle = np.float32(focus_mm * mm + 0.5 * nipple[1])  # where a column is as wide as a pixel
        across = middle * np.arctan2(row, before) + np.float32(2 * mm) * bend + np.float32(1.2 * mm) * rough
        down, across = ((values - values.min()).astype(np.int32) for values in (radius, across))
        self.shape = fft.next_fast_len(int(down.max()) + 1), fft.next_fast_len(int(across.max()) + 1)
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
