"""Radiomics measure texture, and nothing beside the breast."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mammo.research.radiomics import VALUES, radiomics


def texture(seed, sigma):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((64, 48)), sigma)
    image = np.zeros((96, 64, 1), np.float32)
    image[:64, :48, 0] = 0.5 + 0.15 * noise / noise.std()
    return np.clip(image, 0, 1)


def test_every_input_has_the_same_number_of_features():
    for x in (texture(0, 1), np.zeros((32, 32, 1), np.float32), np.full((32, 32, 1), 0.5, np.float32)):
        found = radiomics(x)
        assert found.shape == (VALUES,)
        assert np.isfinite(found).all()


def test_the_same_grey_levels_in_another_arrangement_are_told_apart():
    coarse = texture(0, 4)
    shuffled = coarse.copy()
    inside = shuffled[:64, :48, 0]
    shuffled[:64, :48, 0] = np.random.default_rng(1).permutation(inside.ravel()).reshape(inside.shape)
    one, two = radiomics(coarse), radiomics(shuffled)
    np.testing.assert_allclose(one[:12], two[:12], rtol=1e-4)
    assert abs(one[12] - two[12]) > 1, "contrast of neighbours"


@pytest.mark.parametrize("pad", [0, 40])
def test_what_lies_beside_the_breast_changes_no_texture(pad):
    x = texture(2, 1)
    wider = np.pad(x, ((0, pad), (0, pad), (0, 0)))
    np.testing.assert_allclose(radiomics(wider)[:47], radiomics(x)[:47], rtol=0.02, atol=0.02)
