"""A patient, and one view of one breast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from mammo.synthetic.acquisition import Acquisition, develop, draw_acquisition, expose
from mammo.synthetic.breast import (
    HEIGHT_MM,
    distance_to_skin,
    outline,
    skin_edge_on,
    thickness,
    with_folds,
    with_pectoral_muscle,
)
from mammo.synthetic.incidental import incidental_findings
from mammo.synthetic.lesions import Lesion, draw_lesion, with_lesion
from mammo.synthetic.texture import Pattern, draw_pattern, tissue
from mammo.synthetic.vessels import vessels

# How much brighter than fat, whose brightness is 0.27; chosen by eye.
VESSEL, ARTERY_CALCIUM, FINDING = np.float32(0.07), np.float32(0.22), np.float32(0.35)
CALCIFIED_ARTERIES = 0.13  # share of women: Hendriks et al., Atherosclerosis 239, 2015
VIEWS = ("CC", "MLO")
SIDES = ("L", "R")
# Share of the tissue under the skin that is glandular, by BI-RADS density; chosen by eye.
DENSE_SHARE = {"a": 0.06, "b": 0.2, "c": 0.4, "d": 0.65}
# Of densities a to d: 43 % dense, as of screened women in the US: Sprague et al., JNCI 106, 2014.
DENSITY_FREQUENCY = (0.1, 0.47, 0.36, 0.07)


@dataclass(frozen=True)
class Patient:
    """What the four views of a patient share. Lengths in mm."""

    label: str
    side: str
    """The breast with the lesion, if there is one: L or R."""
    density: str
    depth: float
    """Chest wall to nipple."""
    half_height: float
    compressed: float
    """Thickness between the plates."""
    lesion: Lesion | None
    unit: Acquisition
    pattern: Pattern
    calcified_arteries: bool


def draw_patient(rng: np.random.Generator, label: str, difficulty: float, look: str | None = None) -> Patient:
    """A patient with everything but the label drawn from distributions that do not depend on it.

    The compressed thickness is 59 mm with a standard deviation of 16 (Yaffe et al., Medical Physics 36, 2009).
    """
    density = "abcd"[rng.choice(4, p=DENSITY_FREQUENCY)]
    side = SIDES[rng.integers(2)]
    half_height = rng.uniform(58, 98)
    depth = half_height * rng.uniform(1, 1.65)
    compressed = float(np.clip(rng.normal(59, 16), 25, 95))
    unit, pattern = draw_acquisition(rng, look), draw_pattern(rng)
    calcified = bool(rng.random() < CALCIFIED_ARTERIES)
    lesion = None if label == "normal" else draw_lesion(rng, label, difficulty)
    return Patient(label, side, density, depth, half_height, compressed, lesion, unit, pattern, calcified)


def phantom(patient: Patient, side: str, view: str, image_size, rng) -> tuple[np.ndarray, np.ndarray]:
    """One view of one breast: float32 (height, width) in [0, 1], chest wall left, and the mask of its lesion, bool.

    What the breasts and views of a patient share is in `patient`, what they do not comes from `rng`.
    """
    mm = image_size[0] / HEIGHT_MM
    skin, nipple, fold = outline(
        view, patient.depth * mm * rng.uniform(0.95, 1.05), patient.half_height * mm, image_size[0], rng
    )
    skin = np.minimum(skin, 0.97 * image_size[1])
    columns = min(image_size[1], fft.next_fast_len(int(skin.max()) + 3))  # no tissue is drawn where there is none
    distance = distance_to_skin(skin, columns)
    inside = distance > 0
    image, gland = tissue(
        DENSE_SHARE[patient.density], patient.half_height * mm, distance, nipple, patient.pattern, mm, rng
    )
    blood, calcium = vessels(image.shape, nipple, patient.calcified_arteries, mm, rng)
    image += VESSEL * blood * (1 - 0.7 * gland) + ARTERY_CALCIUM * calcium
    image = with_pectoral_muscle(image, view, mm, rng)
    image += FINDING * incidental_findings(skin, columns, view, mm, rng)
    image = with_folds(image, skin, fold, view, mm, rng)
    image += np.float32(patient.unit.skin) * skin_edge_on(distance, nipple, mm, rng)
    image = develop(image * inside, thickness(distance, patient.compressed * mm), patient.unit, mm)
    mask = np.zeros(image.shape, bool)
    if patient.lesion is not None and side == patient.side:
        at = _place(patient.lesion, view, skin, nipple)
        image, mask = with_lesion(image, inside, patient.lesion, view, at, mm)
    image = expose(image, inside, patient.unit, image_size[1], rng)
    return image, np.pad(mask, ((0, 0), (0, image_size[1] - columns)))


def _place(lesion: Lesion, view: str, skin, nipple) -> tuple[float, float]:
    """Row and column of the lesion's middle, which is not that of a pixel."""
    column = lesion.depth * nipple[1]
    wide = np.flatnonzero(skin > column)
    offset = lesion.offset[VIEWS.index(view)]
    return float(nipple[0] + offset * min(nipple[0] - wide[0], wide[-1] - nipple[0])), float(column)
