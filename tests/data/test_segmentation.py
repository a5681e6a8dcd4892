from contextlib import suppress

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_otsu

import mammo
from mammo.data.preprocessing import find_breast
from mammo.data.segmentation import _otsu, breast_mask
from mammo.synthetic import draw_patient, phantom


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.fixture(scope="module")
def film():
    """A digitised film: its fat is not black, as that of a strongly processed digital image may be."""
    rng = np.random.default_rng(0)
    view, _ = phantom(draw_patient(rng, "malignant", 0.2, "film"), "R", "MLO", (256, 192), rng)
    return np.ascontiguousarray(view[:, ::-1])


def test_the_breast_is_found(image):
    assert overlap(breast_mask(image), image > 0.06) > 0.95


@pytest.mark.parametrize("dim", [1, 0.2])
@pytest.mark.parametrize("side", [40, 60])
def test_a_large_label_is_not_the_breast(side, dim, image):
    """It covers 3 to 7 % of the image, and is up to six times as white as the breast."""
    labelled = image * np.float32(dim)
    labelled[:side, :side] = 1
    assert overlap(breast_mask(labelled), breast_mask(image)) > 0.95


def test_the_threshold_is_scikit_images(image):
    for values in (image[::8, ::8], np.sqrt(image[::8, ::8]), np.random.default_rng(0).random((50, 40)) ** 3):
        assert _otsu(values) == pytest.approx(float(threshold_otsu(values)), abs=1e-6)
    for grey in (0.0, 0.5):
        assert _otsu(np.full((50, 40), grey)) == grey
    with pytest.raises(mammo.MammoError, match="No breast was found"):
        find_breast(np.zeros((300, 200), np.float32))


@pytest.mark.parametrize("background", [0.03, 0.08])
def test_a_background_that_is_not_zero(image, background):
    rng = np.random.default_rng(1)
    noisy = np.clip(np.maximum(image, background) + rng.normal(0, 0.01, image.shape), 0, 1).astype(np.float32)
    assert overlap(breast_mask(noisy), breast_mask(image)) > 0.95


def test_labels_are_not_breast(image):
    labelled = image.copy()
    labelled[8:24, 6:50] = 1.0
    mask = breast_mask(labelled)
    assert not mask[8:24, 6:50].any()
    assert overlap(mask, breast_mask(image)) > 0.98


@pytest.mark.parametrize("size", [(16, 40), (24, 50)])
def test_a_label_far_brighter_than_a_dim_breast_hides_it_not(image, size):
    labelled = image * 0.06
    labelled[4 : 4 + size[0], 4 : 4 + size[1]] = 1.0
    assert overlap(breast_mask(labelled), breast_mask(image)) > 0.9


def test_noise_beside_a_label_is_no_breast():
    noise = np.random.default_rng(0).uniform(0, 0.02, (800, 600)).astype(np.float32)
    noise[20:80, 420:580] = 1
    with pytest.raises(mammo.MammoError, match="No breast was found"):
        find_breast(noise)


def implant(image, breast, fraction):
    """The middle of the breast as bright as silicone."""
    depth = ndimage.distance_transform_edt(np.pad(breast, 1, constant_values=True))[1:-1, 1:-1]
    return np.where(breast & (depth >= np.quantile(depth[breast], 1 - fraction)), np.float32(0.97), image)


def raised(image, level):
    grain = np.random.default_rng(1).normal(0, 0.01, image.shape)
    return np.clip(level + (1 - level) * image + grain, 0, 1).astype(np.float32)


HARD = {
    "an implant": lambda image, breast: implant(image, breast, 0.35),
    "nothing but implant": lambda image, breast: implant(image, breast, 0.8),
    "very dense": lambda image, breast: np.where(breast, 0.75 + 0.2 * (image - np.median(image[breast])), image),
    "a narrow window": lambda image, breast: np.clip(1.1 * image / np.median(image[breast]), 0, 1),
    "grey background": lambda image, breast: raised(image, 0.1),
    "very grey background": lambda image, breast: raised(image, 0.25),
}


@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("kind", HARD)
def test_breasts_that_are_hard_to_find(kind, view):
    for seed in range(4):
        patient = draw_patient(np.random.default_rng(seed), "benign", 0.3)
        image, _ = phantom(patient, patient.side, view, (512, 384), np.random.default_rng(seed))
        breast = breast_mask(image)
        assert overlap(breast_mask(HARD[kind](image, breast).astype(np.float32)), breast) > 0.9


@pytest.mark.parametrize("size", [(4000, 100), (100, 4000), (100, 100), (2500, 110)])
def test_strips_end_in_a_breast_or_in_a_sentence(size):
    rng = np.random.default_rng(0)
    for white in (np.s_[:, -size[1] // 4 :], np.s_[-size[0] // 4 :], np.s_[:]):
        strip = rng.uniform(0, 0.3, size).astype(np.float32)
        strip[white] = 1 - 0.1 * strip[white]
        with suppress(mammo.MammoError):
            assert find_breast(strip).image.max() <= 1


def test_a_crop_that_is_all_tissue_is_kept_whole(film):
    depth = ndimage.distance_transform_edt(breast_mask(film))
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    reach = int(0.6 * depth.max())
    assert breast_mask(film[row - reach : row + reach, column - reach : column + reach]).all()


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_white_film_borders_are_not_breast(film, side):
    bordered = film.copy()
    strip = {"top": np.s_[:5], "bottom": np.s_[-5:], "left": np.s_[:, :5], "right": np.s_[:, -5:]}[side]
    bordered[strip] = 1.0
    found, expected = breast_mask(bordered), breast_mask(film)
    expected[strip] = False
    assert found[strip].mean() < 0.05
    assert overlap(found, expected) > 0.9


def test_of_a_thin_border_at_the_chest_wall_no_pixel_is_left():
    """The breast is found on an image of half the size, where an odd border ends within a pixel."""
    rng = np.random.default_rng(0)
    film, _ = phantom(draw_patient(rng, "normal", 0.3, "film"), "L", "MLO", (512, 384), rng)
    for width in range(2, 8):
        for white in (0.85, 0.97):
            bordered = film.copy()
            bordered[:, :width] = white
            assert width <= find_breast(bordered).box[1] <= width + 3
