"""A patient, and one view of her breast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mammo.synthetic.breast import HEIGHT_MM, detector, distance_to_skin, outline, with_pectoral_muscle
from mammo.synthetic.lesions import mass, put
from mammo.synthetic.texture import tissue

VIEWS = ("CC", "MLO")
# Share of the breast that is glandular, by BI-RADS density: near the middle of each quarter of the
# fourth edition (< 25, 25-50, 51-75, > 75 %), lowered because the rim is always fat.
DENSE_SHARE = {"a": 0.08, "b": 0.22, "c": 0.42, "d": 0.65}
DENSITY_FREQUENCY = (0.1, 0.4, 0.4, 0.1)  # of screened women in the US: Sprague et al., JNCI 106, 2014


@dataclass(frozen=True)
class Patient:
    """What both views of a breast share. Lengths in mm, areas in mm2."""

    label: str
    laterality: str
    density: str
    depth: float
    """Chest wall to nipple."""
    half_height: float
    lesion_area: float
    """Shadow of a smooth ball that adds as much brightness in all."""
    lesion_contrast: float
    """Brightness that the mass adds where it is thickest; full scale is 1."""
    lesion_depth: float
    """Distance from the chest wall as a share of `depth`."""
    lesion_offset: tuple[float, float]
    """Above (-) or below the nipple in CC and in MLO, as a share of the breast there."""


def draw_patient(rng: np.random.Generator, label: str, difficulty: float) -> Patient:
    """A patient with everything but the label drawn from distributions that do not depend on it."""
    contrast = 0.42 * (1 - difficulty)
    return Patient(
        label=label,
        laterality=str(rng.choice(["L", "R"])),
        density=str(rng.choice(list(DENSE_SHARE), p=DENSITY_FREQUENCY)),
        depth=rng.uniform(75, 120),
        half_height=rng.uniform(75, 105),
        lesion_area=np.pi * rng.uniform(7, 15) ** 2,
        lesion_contrast=rng.uniform(0.75, 1.25) * contrast,
        lesion_depth=rng.uniform(0.25, 0.75),
        lesion_offset=tuple(rng.uniform(-0.5, 0.5, 2)),
    )


def phantom(patient: Patient, view: str, image_size, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One view: the image, float32 (height, width) in [0, 1], and the mask of its mass, bool; chest wall left."""
    mm = image_size[0] / HEIGHT_MM
    skin, nipple = outline(view, patient.depth * mm, patient.half_height * mm, image_size[0], rng)
    skin = np.minimum(skin, 0.97 * image_size[1])
    distance = distance_to_skin(skin, image_size)
    inside = distance > 0
    # Compressed between two plates the breast is evenly thick but for a rounded rim.
    thickness = np.sqrt(np.clip(1 - (1 - np.clip(distance / (14 * mm), 0, 1)) ** 2, 0, 1))
    image = tissue(DENSE_SHARE[patient.density], patient.half_height * mm, distance, nipple, mm, rng) * (
        0.25 + 0.75 * thickness
    )
    if view == "MLO":
        image = with_pectoral_muscle(image, thickness, mm, rng)
    mask = np.zeros(image_size, bool)
    if patient.label != "normal":
        image, mask = with_mass(image, patient, view, skin, nipple, mm, rng)
    image = image + 0.10 * np.exp(-(((distance - 1.2 * mm) / (0.9 * mm)) ** 2))  # the skin, seen edge-on
    return detector(image * inside, inside, rng), mask & inside


def with_mass(image, patient: Patient, view: str, skin, nipple, mm: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """The image with the patient's mass in it, and the mask of the mass."""
    column = patient.lesion_depth * nipple[1]
    wide = np.flatnonzero(skin > column)
    offset = patient.lesion_offset[VIEWS.index(view)]
    row = nipple[0] + offset * min(nipple[0] - wide[0], wide[-1] - nipple[0])
    added, mask = mass(patient.label, patient.lesion_area * mm**2, mm, rng)
    at = int(row), int(column)
    return put(image, patient.lesion_contrast * added, *at), put(np.zeros(image.shape, bool), mask, *at)
