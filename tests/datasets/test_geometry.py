import numpy as np
import pytest

from mammo.datasets._geometry import circle_of_box, circle_of_mask, circle_of_outline, follow_chain, mask_of_outline

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
    mask = circle_of_mask(mask_of_outline(points, 100, 90))
    assert mask["x"] == pytest.approx(circle["x"], abs=1)
    assert mask["y"] == pytest.approx(circle["y"], abs=1)
    assert circle_of_box(*low, *high) == {"x": circle["x"], "y": circle["y"], "radius": 5.0}


def test_a_point_has_no_radius_and_an_empty_mask_no_place():
    assert circle_of_outline([(7.5, 3)]) == {"x": 7.5, "y": 3.0, "radius": 0.0}
    assert circle_of_outline([(0, 0), (6, 8)]) == {"x": 3.0, "y": 4.0, "radius": 5.0}
    assert np.isnan(list(circle_of_mask(np.zeros((4, 4), bool)).values())).all()
