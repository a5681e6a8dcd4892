"""Data sets by name, and folds that share no patient and no file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mammo
from mammo.data.image_loader import ImageLoader
from mammo.research import benchmark_data
from mammo.research.benchmark_data import load, make_folds


@pytest.fixture
def rows(demo):
    """20 patients, a lesion in both views of one breast; without splits."""
    return demo[demo["label"] != "normal"].drop(columns="split").reset_index(drop=True)


@pytest.fixture
def halves(rows):
    """The same in two tables: 8 patients, and the others."""
    first = rows["patient_id"].isin(rows["patient_id"].unique()[:8])
    return rows[first].reset_index(drop=True), rows[~first].reset_index(drop=True)


@pytest.fixture
def three_inner_folds(monkeypatch):
    monkeypatch.setattr("mammo.research.cross_validation.FOLDS", 3)


def test_lesions_are_squares_around_their_places(rows, tmp_path):
    squares = load(str(mammo.save_manifest(rows, tmp_path / "manifest.csv")), lesions=True, margin=1.5)
    np.testing.assert_allclose(squares["patch_size"], np.maximum(3 * squares["radius"], 32))


def test_synthetic_images_are_drawn_in_the_cache(tmp_path, monkeypatch):
    def draw(folder, **_):
        raise mammo.MammoError(f"drawn in {folder}")

    monkeypatch.setattr(benchmark_data, "generate_dataset", draw)
    with pytest.raises(mammo.MammoError) as error:
        load("synthetic", cache=tmp_path)
    assert str(error.value) == f"drawn in {tmp_path / 'synthetic'}"


def test_data_sets_come_by_name(tmp_path):
    with pytest.raises(mammo.MammoError, match="no data set 'minimias'"):
        load("minimias")
    with pytest.raises(mammo.MammoError, match="Where is mini_mias"):
        load("mini_mias")
    with pytest.raises(mammo.MammoError, match="does not say where its lesions are"):
        load("cmmd", tmp_path, lesions=True)
    with pytest.raises(mammo.MammoError, match=r"Info\.txt is missing"):
        load("mini_mias", tmp_path, partial=True)


def test_a_test_table_with_one_class_is_refused(rows):
    malignant = rows[rows["label"] == "malignant"]
    with pytest.raises(mammo.MammoError, match="In test all images are malignant"):
        make_folds(rows[~rows["patient_id"].isin(malignant["patient_id"].iloc[:1])], malignant.head(1))


def test_another_table_is_tested(halves, three_inner_folds):
    table, (((train, test),),) = make_folds(*halves)
    assert len(table) == len(halves[0]) + len(halves[1])
    assert table["path"].iloc[train].tolist() == halves[0]["path"].tolist()
    assert table["path"].iloc[test].tolist() == halves[1]["path"].tolist()


def test_shared_patients_are_refused(rows, halves):
    with pytest.raises(mammo.MammoError, match="8 patients are in training and in test, first S3-"):
        make_folds(halves[0], rows)


def test_the_same_file_under_another_name_is_refused(halves, tmp_path, three_inner_folds):
    one, other = halves
    copy = tmp_path / "copy.png"
    copy.write_bytes(Path(one["path"][0]).read_bytes())
    other.loc[0, "path"] = str(copy)
    with pytest.raises(mammo.MammoError, match="under two names"):
        make_folds(one, other)


def test_the_same_file_of_two_patients_is_refused_in_folds_too(rows, tmp_path):
    copy = tmp_path / "copy.png"
    copy.write_bytes(Path(rows["path"][0]).read_bytes())
    rows.loc[len(rows) - 1, "path"] = str(copy)
    with pytest.raises(mammo.MammoError, match="1 files could be in training and in test under two names"):
        make_folds(rows)


def test_too_few_training_patients_are_refused(rows):
    malignant = rows.loc[rows["label"] == "malignant", "patient_id"].unique()
    train = rows["patient_id"].isin(malignant[:2]) | (rows["label"] != "malignant") & (rows.index < 20)
    with pytest.raises(mammo.MammoError, match="2 training patients of one class are too few: 5 are needed"):
        make_folds(rows[train], rows[~train])


def test_the_owners_split_is_used_or_missing(rows, demo):
    with pytest.raises(mammo.MammoError, match="no official split"):
        make_folds(rows, official=True)
    _, (((train, test),),) = make_folds(demo, official=True)
    np.testing.assert_array_equal(test, np.flatnonzero(demo["split"] == "test"))
    assert len(train) + len(test) == len(demo)


def test_a_lesion_is_found_again_in_the_mirrored_breast(tmp_path):
    """A bright spot in a breast whose chest wall is on the right; the cut around it must be bright in its middle."""
    rows, columns = np.mgrid[0:400, 0:300]
    image = np.where(np.hypot(rows - 200, columns - 299) < 180, 90, 0).astype(np.uint8)
    image[85:105, 235:255] = 250
    Image.fromarray(image).save(tmp_path / "right.png")
    lesion = {
        "path": str(tmp_path / "right.png"),
        "x": 245,
        "y": 95,
        "radius": 10,
        "label": "benign",
        "patient_id": "1",
    }
    squares = mammo.lesion_patches(pd.DataFrame([lesion, lesion | {"y": 200}, lesion | {"x": None}]))
    assert squares["patch_size"].tolist() == [40, 40]
    spot, tissue = ImageLoader(squares, (80, 80))[[0, 1]]
    assert spot[36:44, 36:44].mean() > 1.5 * spot[:20].mean()
    assert tissue.std() < 0.1
    assert len(set(ImageLoader(squares, (80, 80)).keys)) == 2
