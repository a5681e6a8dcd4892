"""Lesion cells are learned from training patients only."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import mammo
from mammo.core.backend import keras
from mammo.data.preprocessing import CELL, mask_on_breast, model_input, prepare
from mammo.io import read_mammogram
from mammo.research import lesion_cells
from mammo.research.cross_validation import LinearClassifier, cross_validate, patient_folds
from mammo.research.cv_metrics import cv_metrics
from mammo.research.frozen_features import build_mobilenet
from mammo.research.lesion_cells import (
    BENIGN,
    IGNORED,
    MALIGNANT,
    MOBILENET_OFFSET,
    CellLabels,
    LesionCellClassifier,
    label_cells,
)

SIZE = (192, 144)
PATIENTS = np.repeat([f"P{number:02d}" for number in range(40)], 2)
TRUTH = np.repeat(np.arange(40) % 2, 2)


@pytest.fixture(scope="module")
def with_lesions(demo):
    return demo[demo["label"] != "normal"].reset_index(drop=True)


def test_labels_are_where_the_masks_are(with_lesions):
    cells = label_cells(with_lesions, with_lesions, SIZE)
    assert cells.inside.shape == (2, len(with_lesions), 6, 5)
    assert cells.lesion.shape == (len(with_lesions), 6, 5)
    kinds = {"benign": BENIGN, "malignant": MALIGNANT}
    for row, lesion, inside in zip(with_lesions.itertuples(), cells.lesion, cells.inside[0], strict=True):
        assert set(np.unique(lesion)) - {0, IGNORED} == {kinds[row.label]}
        assert (IGNORED in lesion) == (row.label == "malignant")
        prepared = prepare(row.path, SIZE)
        mask = read_mammogram(row.mask_path).image > 0.5
        seen = model_input(mask_on_breast(prepared.breast, mask), SIZE)[..., 0]
        centre = np.average(np.indices(SIZE), axis=(1, 2), weights=np.broadcast_to(seen, (2, *SIZE)))
        cell = np.abs(np.argwhere(lesion == kinds[row.label]) * CELL - centre).max(axis=1)
        assert cell.min() <= CELL / 2 + 3  # the cell that the middle of the lesion lies in, but for rounding
        found = model_input(mask_on_breast(prepared.breast, prepared.breast.mask), SIZE)
        assert (found > 0).mean() == pytest.approx(inside.mean(), abs=0.2)


def test_a_lesion_without_a_label_is_ignored(with_lesions):
    film = with_lesions[with_lesions["label"] == "malignant"].head(1)
    unnamed = film.assign(label=None, x=film["x"] + 30, radius=200.0)
    alone, both = (
        label_cells(film, lesions, SIZE).lesion[0] for lesions in (film, pd.concat([film, unnamed], ignore_index=True))
    )
    assert ((both == MALIGNANT) == (alone == MALIGNANT)).all()
    assert (both == IGNORED).sum() > (alone == IGNORED).sum()
    assert BENIGN not in both


@pytest.fixture
def taught(monkeypatch):
    """What the pipeline is fitted on: features and labels of cells."""
    given = {}

    def fit(self, features, malignant):
        given.update(features=features, malignant=malignant)
        return self

    monkeypatch.setattr("sklearn.pipeline.Pipeline.fit", fit)
    return given


def numbered(lesion) -> tuple:
    """Maps whose only value is the number of the cell, and labels."""
    images, rows, columns = lesion.shape
    maps = np.arange(lesion.size, dtype=np.float32).reshape(images, rows, columns, 1) ** 2
    return maps, CellLabels(np.ones((2, *lesion.shape), bool), lesion)


def test_cells_near_a_malignant_lesion_are_not_taught(taught):
    """Image 0 has a lesion of one cell, and what lies around it is neither healthy nor known to be malignant."""
    lesion = np.zeros((2, 4, 4), np.int8)
    lesion[0, :3, :3] = IGNORED
    lesion[0, 1, 1], lesion[1, 2, 2] = MALIGNANT, BENIGN
    maps, cells = numbered(lesion)
    LesionCellClassifier([maps], cells, [1, 0], ["a", "b"]).fit(np.arange(2), 0)
    numbers = taught["features"][:, 0].round().astype(int)
    assert set(numbers) == set(range(32)) - {0, 1, 2, 4, 6, 8, 9, 10}
    assert numbers[taught["malignant"]].tolist() == [5]
    assert 16 + 10 in numbers[~taught["malignant"]], "a benign lesion is taught as not malignant"


def test_a_malignant_image_whose_lesion_has_no_place_is_not_taught(taught):
    """Its lesion could be in any cell, so none of them is known to be healthy. A benign image has no such cell."""
    lesion = np.zeros((3, 4, 4), np.int8)
    lesion[0, 1, 1] = MALIGNANT
    maps, cells = numbered(lesion)
    LesionCellClassifier([maps], cells, [1, 1, 0], ["a", "b", "c"]).fit(np.arange(3), 0)
    numbers = taught["features"][:, 0].round().astype(int)
    assert set(numbers) == {*range(16), *range(32, 48)}


def test_cells_of_other_images_and_beside_the_breast_are_not_taught(taught):
    lesion = np.zeros((3, 4, 4), np.int8)
    lesion[:, 1, 1] = MALIGNANT
    maps, cells = numbered(lesion)
    cells.inside[0, :, 0] = False
    LesionCellClassifier([maps], cells, [1, 1, 1], ["a", "b", "c"]).fit(np.array([0, 2]), 0)
    numbers = taught["features"][:, 0].round().astype(int)
    assert set(numbers) == {*range(4, 16), *range(36, 48)}


def test_training_images_without_a_malignant_cell_are_refused(seen):
    train, _ = patient_folds(TRUTH, PATIENTS)[0][0]
    seen.cells.lesion[train] = np.where(seen.cells.lesion[train] == MALIGNANT, IGNORED, seen.cells.lesion[train])
    with pytest.raises(mammo.MammoError, match="no cell is in a located malignant lesion"):
        LesionCellClassifier([seen.maps], seen.cells, TRUTH, PATIENTS).fit(train, 0)


def test_lesions_that_are_not_located_are_refused(with_lesions):
    for lesions in (with_lesions[with_lesions["label"] == "benign"], with_lesions.drop(columns=["x", "y"])):
        with pytest.raises(mammo.MammoError, match="No malignant lesion has x and y"):
            label_cells(with_lesions, lesions, SIZE)


@pytest.fixture
def seen():
    """Maps in which a malignant cell differs in one channel; in the mean over the image the difference is lost."""
    rng = np.random.default_rng(0)
    maps = rng.uniform(0, 1, (80, 8, 8, 6)).astype(np.float32)
    lesion = np.zeros((80, 8, 8), np.int8)
    for image, (row, column) in enumerate(rng.integers(1, 7, (80, 2))):
        if TRUTH[image]:
            lesion[image, row - 1 : row + 2, column - 1 : column + 2] = IGNORED
            maps[image, row, column, 2] += 1.5
        lesion[image, row, column] = MALIGNANT if TRUTH[image] else BENIGN
    return SimpleNamespace(maps=maps, cells=CellLabels(np.ones((2, 80, 8, 8), bool), lesion))


def auc(classifier):
    folds = patient_folds(TRUTH, PATIENTS, repeats=1)
    return cv_metrics(TRUTH, cross_validate(classifier, folds, 80), PATIENTS)["auc"]


def test_what_is_lost_in_the_mean_is_found_in_a_cell(seen):
    found = auc(LesionCellClassifier([seen.maps], seen.cells, TRUTH, PATIENTS))
    assert found > 0.95
    assert auc(LinearClassifier(seen.maps.mean(axis=(1, 2)), TRUTH, PATIENTS)) < found - 0.1


def test_the_lesions_of_test_patients_do_not_matter(seen):
    train, test = patient_folds(TRUTH, PATIENTS)[0][0]
    first = LesionCellClassifier([seen.maps], seen.cells, TRUTH, PATIENTS).fit(train, 0)
    of_test = np.isin(np.arange(80), test)[:, None, None]
    without = CellLabels(seen.cells.inside, np.where(of_test, 0, seen.cells.lesion))
    second = LesionCellClassifier([seen.maps], without, TRUTH, PATIENTS).fit(train, 0)
    np.testing.assert_array_equal(first.decision_function(test), second.decision_function(test))
    inner = first.out_of_fold_scores(train, 0)
    assert np.isnan(inner[test]).all()
    assert np.isfinite(inner[train]).all()


def test_out_of_fold_scores_come_from_a_classifier_that_has_not_learned_from_the_patient(seen):
    """Each patient has a channel of their own: only a classifier that knew the patient could tell."""
    maps = np.zeros((80, 8, 8, 40), np.float32)
    for image, lesion in enumerate(seen.cells.lesion):
        maps[image, ..., image // 2][(lesion == MALIGNANT) | (lesion == BENIGN)] = 1
    train, _ = patient_folds(TRUTH, PATIENTS)[0][0]
    inner = LesionCellClassifier([maps], seen.cells, TRUTH, PATIENTS).fit(train, 0).out_of_fold_scores(train, 0)
    assert roc_auc_score(TRUTH[train], inner[train]) < 0.7


def test_cells_beside_the_breast_do_not_count(seen):
    seen.maps[:, 0, 0, 2] = 9  # a label in the corner, as suspicious as can be
    inside = seen.cells.inside.copy()
    inside[:, :, 0, 0] = False
    lesion = seen.cells.lesion.copy()
    lesion[:, 0, 0] = 0
    found = auc(LesionCellClassifier([seen.maps], CellLabels(inside, lesion), TRUTH, PATIENTS))
    assert found > 0.95


def test_an_image_without_a_breast_is_the_least_suspicious(seen):
    inside = seen.cells.inside.copy()
    inside[:, 7] = False
    everyone = np.arange(80)
    train, test = everyone[8:], everyone[:8]
    classifier = LesionCellClassifier([seen.maps], CellLabels(inside, seen.cells.lesion), TRUTH, PATIENTS)
    score = classifier.fit(train, 0).decision_function(test)
    assert np.argmin(score) == 7
    assert np.isfinite(score).all()


def test_the_image_and_the_same_upside_down_are_averaged(seen):
    train, test = patient_folds(TRUTH, PATIENTS)[0][0]
    turned = 0.5 * seen.maps[:, ::-1]
    test_turned = np.where(
        np.isin(np.arange(80), test)[:, None, None, None], turned, seen.maps
    )  # training images stay upright
    upright, both, alone = (
        LesionCellClassifier(flips, seen.cells, TRUTH, PATIENTS).fit(train, 0).decision_function(test)
        for flips in ([seen.maps], [seen.maps, turned], [test_turned])
    )
    np.testing.assert_allclose(both, (upright + alone) / 2, rtol=1e-5)
    assert not np.allclose(upright, alone)


def test_a_share_of_a_cell_is_counted_around_its_centre():
    mask = np.zeros((64, 70), bool)
    mask[16:48, 16:48] = True  # all of cell 1, 1
    np.testing.assert_array_equal(lesion_cells._cell_coverage(mask), np.array([[0, 0, 0], [0, 1, 0]], np.float32))


def test_cells_of_another_network_may_be_centred_elsewhere(with_lesions):
    mask = np.zeros((64, 64), bool)
    mask[15:47, 15:47] = True  # around pixel 31
    np.testing.assert_array_equal(lesion_cells._cell_coverage(mask, 31), np.array([[1, 0], [0, 0]], np.float32))
    table, apart = with_lesions[with_lesions["label"] == "malignant"], []
    here, there = (label_cells(table, table, SIZE, first).lesion == MALIGNANT for first in (0, 31))
    for one, other in zip(here, there, strict=True):  # both lie within half a cell of the lesion's middle
        apart.append(CELL * np.argwhere(one).mean(axis=0) - CELL * np.argwhere(other).mean(axis=0) - 31)
    assert np.abs(apart).max() <= CELL
    assert np.abs(np.mean(apart, axis=0)).max() < CELL / 4


def test_a_cell_of_mobilenet_is_centred_where_label_cells_says(looks_at, tmp_path):
    """Where a change of the input moves the cell most, as for ResNet50 in test_gradcam."""
    keras.utils.set_random_seed(0)
    plain = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(256, 256, 3))
    plain.save_weights(tmp_path / "mobilenet.weights.h5")
    network, cell = build_mobilenet(tmp_path / "mobilenet.weights.h5", (256, 256)), (2, 5)
    np.testing.assert_allclose(looks_at(network, cell), np.array(cell) * CELL + MOBILENET_OFFSET, atol=5)
