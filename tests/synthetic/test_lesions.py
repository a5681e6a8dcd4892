"""The truth about a lesion: its mask, its kind, its contrast."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from mammo.synthetic import draw_patient, phantom
from mammo.synthetic.lesions import CALCIFICATIONS, DESCRIPTIONS, MASSES, Lesion, draw_lesion, render

MM = 2.13


def lesion(kind, seed=0, area=None):
    calcium = "calc" in kind
    return Lesion(kind, area or (7.0 if calcium else 250.0), 1.0, 0.5, (0.0, 0.0), seed)


@pytest.mark.parametrize("kind", ["oval mass", "spiculated mass", "fine pleomorphic calcifications"])
def test_the_lesion_is_what_the_mask_says(kind):
    """The same breast with and without its lesion: as much brighter in the mask as said, and the same elsewhere."""
    patient = draw_patient(np.random.default_rng(5), "malignant", 0.3, "digital")
    patient = replace(patient, lesion=replace(lesion(kind, 3), contrast=1.5, depth=0.5))
    shown, mask = phantom(patient, patient.side, "CC", (384, 288), np.random.default_rng(6))
    healthy, none = phantom(replace(patient, lesion=None), patient.side, "CC", (384, 288), np.random.default_rng(6))
    difference = shown - healthy
    row, column = np.argwhere(mask).mean(axis=0).astype(int)
    reach = round(12 * 384 / 240)
    around = healthy[row - reach : row + reach + 1, column - reach : column + reach + 1]
    assert not none.any()
    assert difference[mask].mean() == pytest.approx(1.5 * around.std(), rel=0.15)
    assert np.abs(difference[~mask]).max() < 1e-6


@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_all_kinds_have_the_same_area_and_add_the_same_grey_levels(kind, view):
    """Only how they are arranged may tell the classes apart."""
    reference, outline = render(lesion("coarse calcifications" if "calc" in kind else "round mass"), "CC", MM)
    for seed in range(5):
        added, mask = render(lesion(kind, seed), view, MM)
        assert mask.sum() == outline.sum() == round((7.0 if "calc" in kind else 250.0) * MM**2)
        assert not added[~mask].any()
        np.testing.assert_array_equal(np.sort(added[mask]), np.sort(reference[outline]))
        assert added[mask].mean() == pytest.approx(1, abs=1e-5)


def test_a_lesion_is_one_body_seen_from_two_sides(monkeypatch):
    """Turned by nothing it is the same picture, turned by 50 degrees another one of the same body."""
    from mammo.synthetic import lesions

    cranial, _ = render(lesion("irregular mass"), "CC", MM)
    oblique, _ = render(lesion("irregular mass"), "MLO", MM)
    assert np.abs(cranial - oblique).max() > 0.2
    overlap = ((cranial > 0) & (oblique > 0)).sum() / (cranial > 0).sum()
    assert overlap > 0.6
    monkeypatch.setitem(lesions.ANGLE, "MLO", 0.0)
    np.testing.assert_array_equal(render(lesion("irregular mass"), "MLO", MM)[0], cranial)


def test_shape_and_margin_follow_the_lexicon():
    def roughness(mask):
        return (mask & ~ndimage.binary_erosion(mask)).sum() ** 2 / mask.sum()

    def pieces(mask):
        return ndimage.label(mask, np.ones((3, 3)))[1]

    def masks(kind):
        return [render(lesion(kind, seed), "CC", 6.0)[1] for seed in range(15)]

    rough = {kind: [roughness(mask) for mask in masks(kind)] for group in MASSES.values() for kind in group}
    assert max(rough["round mass"] + rough["oval mass"]) < min(rough["irregular mass"])
    assert max(rough["irregular mass"]) < min(rough["spiculated mass"] + rough["architectural distortion"])
    count = {kind: [pieces(mask) for mask in masks(kind)] for group in CALCIFICATIONS.values() for kind in group}
    coarse = count["coarse calcifications"] + count["rim calcification"]
    assert max(coarse) <= 8
    assert min(count["fine pleomorphic calcifications"]) >= 5, "a group has at least five"
    assert np.median(count["fine linear calcifications"]) > np.median(coarse)
    hollow = [(ndimage.binary_fill_holes(mask) & ~mask).any() for mask in masks("rim calcification")]
    assert all(hollow)
    assert np.median(count["popcorn calcification"]) <= 3


def test_difficulty_takes_the_contrast_away_and_nothing_else():
    drawn = [draw_lesion(np.random.default_rng(0), "benign", d) for d in (0, 0.3, 0.6, 1)]
    contrast = [one.contrast for one in drawn]
    assert contrast == sorted(contrast, reverse=True)
    assert contrast[3] == 0
    assert len({replace(one, contrast=0) for one in drawn}) == 1
