import warnings

import numpy as np
import pandas as pd
import pytest
from skimage.draw import polygon2mask

from mammo.datasets._geometry import (
    circle_of_box,
    circle_of_mask,
    circle_of_outline,
    follow_chain,
    place_in_images,
)

SQUARE = [2] * 10 + [4] * 10 + [6] * 10 + [0] * 9  # right, down, left, up


def test_a_chain_code_is_followed_clockwise_from_up():
    assert follow_chain(5, 7, [0, 1, 2, 3, 4, 5, 6, 7]).tolist() == [
        [5, 7],
        [5, 6],
        [6, 5],
        [7, 5],
        [8, 6],
        [8, 7],
        [7, 8],
        [6, 8],
        [5, 7],
    ]


@pytest.mark.parametrize("code", [SQUARE, [(c + 4) % 8 for c in reversed(SQUARE)]], ids=["clockwise", "the other way"])
def test_an_outline_its_mask_and_its_box_agree(code):
    points = follow_chain(50, 20, code)
    circle = circle_of_outline(points)
    low, high = points.min(axis=0), points.max(axis=0)
    assert (circle["x"], circle["y"]) == tuple((low + high) / 2)
    assert circle["radius"] == pytest.approx(np.sqrt(100 / np.pi), abs=0.1)
    mask = circle_of_mask(polygon2mask((100, 90), points[:, ::-1]))
    assert mask["x"] == pytest.approx(circle["x"], abs=1)
    assert mask["y"] == pytest.approx(circle["y"], abs=1)
    assert circle_of_box(*low, *high) == {"x": circle["x"], "y": circle["y"], "radius": 5.0}


def test_a_point_has_no_radius_and_an_empty_mask_no_place():
    assert circle_of_outline([(7.5, 3)]) == {"x": 7.5, "y": 3.0, "radius": 0.0}
    assert circle_of_outline([(0, 0), (6, 8)]) == {"x": 3.0, "y": 4.0, "radius": 5.0}
    assert np.isnan(list(circle_of_mask(np.zeros((4, 4), bool)).values())).all()


@pytest.mark.parametrize(
    ("drawn", "size", "expected", "said"),
    [
        ((100, 80), (100, 80), (20, 30, 4), None),
        (None, (100, 80), (20, 30, 4), None),
        ((100, 80), (200, 160), (40.5, 60.5, 8), "of another size"),
        ((4386, 1789), (5041, 2056), (23.1, 34.6, 4.6), "of another size"),
        ((100, 80), (50, 40), (9.8, 14.8, 2), "of another size"),
        ((100, 80), (100, 90), None, "of another aspect"),
        ((100, 80), (80, 100), None, "of another aspect"),
        ((100, 80), None, None, "do not say their size"),
        (None, (100, 19), None, "outside them"),
    ],
)
def test_a_place_is_in_pixels_of_the_image_or_it_is_none(drawn, size, expected, said):
    drawing = pd.DataFrame({"x": [20], "y": [30], "radius": [4], "kind": "mass"}, index=[7])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        placed = place_in_images(drawing, [drawn], [size], ["film 1"], "Set", "masks")
    if expected:
        assert placed[["x", "y", "radius"]].to_numpy()[0] == pytest.approx(expected, abs=0.06)
    else:
        assert placed[["x", "y", "radius"]].isna().all(axis=None)
    assert placed["kind"].tolist() == ["mass"]
    assert placed.index.tolist() == [7]
    assert [said in str(w.message) and str(w.message).endswith(": film 1.") for w in caught] == [True] * bool(said)


def test_a_scaled_mask_is_where_it_was_drawn():
    """The same square at two sizes: its middle lies in the same part of the image."""
    mask = np.zeros((60, 40), bool)
    mask[10:20, 30:36] = True
    large = circle_of_mask(np.kron(mask, np.ones((3, 3), bool)))
    with pytest.warns(UserWarning, match="scaled"):
        small = place_in_images(pd.DataFrame([circle_of_mask(mask)]), [(60, 40)], [(180, 120)], ["a"], "Set", "masks")
    assert small.loc[0].to_dict() == pytest.approx(large, abs=0.2)


def test_one_place_outside_its_image_makes_all_of_this_image_doubtful():
    circles = pd.DataFrame({"x": [10, 500, 10, np.nan], "y": [10] * 4, "radius": [2] * 4})
    circles = circles.assign(left=circles["x"] - 2, up=8, right=circles["x"] + 2, down=12)
    box = ("left", "up", "right", "down")
    with pytest.warns(UserWarning, match="no place") as caught:
        placed = place_in_images(circles, [None] * 4, [(100, 80)] * 4, ["a", "a", "b", "c"], "Set", "boxes", box)
    assert placed["x"].isna().tolist() == placed["down"].isna().tolist() == [True, True, False, True]
    assert placed.loc[2, list(box)].tolist() == [8, 8, 12, 12]
    assert [str(w.message) for w in caught] == [
        "Set: 1 images have boxes that are empty or missing, and that get no place: c.",
        "Set: 1 images have boxes outside them, and all boxes of these images get no place: a.",
    ]
