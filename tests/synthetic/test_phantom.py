"""One view of one breast."""

from dataclasses import replace

import numpy as np
import pytest

import mammo
from mammo.synthetic import draw_patient, phantom

SIZE = (192, 144)


def test_the_other_breast_is_healthy():
    patient = draw_patient(np.random.default_rng(5), "malignant", 0.2)
    other = "LR".replace(patient.side, "")
    _, mask = phantom(patient, other, "CC", SIZE, np.random.default_rng(6))
    assert not mask.any()


def test_no_lesion_is_cut_off_at_the_skin_or_the_chest_wall():
    """The area is exact wherever the lesion lies; a malignant one, which reaches further, must not lose more."""
    for number in range(60):
        rng = np.random.default_rng(number)
        patient = draw_patient(rng, "malignant", 0.3)
        wanted = replace(patient.lesion, kind="architectural distortion", area=600.0, depth=(0.25, 0.75)[number % 2])
        patient = replace(patient, lesion=wanted)
        image, mask = phantom(patient, patient.side, ("CC", "MLO")[number % 2], (256, 192), rng)
        assert mask.sum() == round(600 * (256 / 240) ** 2)
        assert image[mask].min() > 0.02, "it stays in the breast"


@pytest.mark.parametrize(("look", "difference"), [("film", 0.2), ("digital", 0.1)])
def test_dense_breasts_are_denser(look, difference):
    """Digital processing stretches the grey scale of each image, so that it shows less of the difference."""

    def gland(density):
        shares = []
        for number in range(6):
            rng = np.random.default_rng(number)
            patient = replace(draw_patient(rng, "normal", 0, look), density=density)
            image, _ = phantom(patient, "L", "CC", (256, 192), rng)
            fat = np.percentile(image[image > 0.1], 5)
            shares.append((image > fat + 0.12).sum() / (image > 0.1).sum())
        return np.mean(shares)

    shares = [gland(density) for density in "abcd"]
    assert shares == sorted(shares)
    assert shares[3] > shares[0] + difference


@pytest.mark.parametrize("size", [(128, 100), (131, 200), (640, 384)])
def test_any_size_and_any_patient(size):
    for number in range(12):
        rng = np.random.default_rng(number)
        patient = draw_patient(rng, mammo.CLASS_NAMES[number % 2], rng.uniform(0, 1))
        image, mask = phantom(patient, patient.side, ("CC", "MLO")[number % 2], size, rng)
        assert image.shape == mask.shape == size
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
        assert image.min() >= 0
        assert image.max() <= 1
        assert mask.any()
