"""Patches and whole images that the demo weights learn from."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from mammo.research import pretraining, pretraining_data

pytestmark = pytest.mark.training


def test_a_number_determines_its_sample():
    for make in (stage.make for stage in pretraining.STAGES):
        (first, classes), (again, _), (other, _) = make(5), make(5), make(7)
        np.testing.assert_array_equal(first, again)
        assert first.dtype == np.uint8
        assert len(first) == len(classes)
        assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("stage", pretraining.STAGES[:2], ids=lambda stage: stage.name)
def test_patches_show_all_kinds(stage):
    made = [stage.make(number) for number in range(40)]
    images, classes = (np.concatenate(part) for part in zip(*made, strict=True))
    assert set(classes) == set(range(len(pretraining_data.KINDS)))
    assert images.shape[1:] == stage.image_size
    assert (images.std(axis=(1, 2)) > 1).all()


def around_each_cell(image):
    """Mean brightness of the 32 x 32 pixels around the centre of each cell."""
    return ndimage.uniform_filter(image.astype(float), 32)[::32, ::32]


def test_the_labelled_cells_of_a_whole_image_are_those_of_the_lesion():
    """Something is brighter there than it would be without the lesion, and the image is malignant if the cells are."""
    labelled = 0
    for number in range(60):
        images, truth = pretraining_data.whole(number)
        assert images.shape == (1, *pretraining_data.WHOLE)
        kinds = set(truth[0, 1:]) - {-1, 0}
        assert len(kinds) <= 1
        assert truth[0, 0] == int(any(kind >= pretraining_data.MALIGNANT_FROM for kind in kinds))
        labelled += bool(kinds)
        cells = truth[0, 1:].reshape(12, 9)
        in_breast = around_each_cell(images[0]) > 5
        assert in_breast[cells > 0].all(), "no lesion lies beside the breast"
    assert labelled > 30


@pytest.mark.parametrize("varied", [False, True])
def test_cells_move_with_the_image(monkeypatch, varied):
    """A very bright lesion: its cells must be brighter than those that lie there upside down, either way up."""
    draw = pretraining_data.draw_lesion

    def bright_lesion(rng, label, difficulty):
        return replace(draw(rng, label, difficulty), contrast=40.0, area=120.0, kind="irregular mass")

    monkeypatch.setattr(pretraining_data, "draw_lesion", bright_lesion)
    is_brighter = []
    for number in range(20):
        images, truth = pretraining_data.whole(number, varied=varied)
        cells = truth[0, 1:].reshape(12, 9) > 0
        if cells.any():
            bright = around_each_cell(images[0])
            is_brighter.append(bright[cells].mean() > bright[cells[::-1]].mean())
    assert len(is_brighter) > 10
    assert np.mean(is_brighter) > 0.85


def test_an_image_of_several_lesions_is_malignant_if_one_of_them_is():
    counts, mixed = [], 0
    for number in range(30):
        _, truth = pretraining.STAGES[3].make(number)
        kinds = truth[0, 1:][truth[0, 1:] > 0]
        malignant = kinds >= pretraining_data.MALIGNANT_FROM
        assert truth[0, 0] == malignant.any()
        counts.append(len(set(kinds)))
        mixed += malignant.any() and not malignant.all()
    assert max(counts) > 2
    assert mixed > 5
