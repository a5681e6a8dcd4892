"""The synthetic folder is read as the real one is: same tables, same folders, same traps."""

import numpy as np
import pandas as pd
import pydicom
import pytest

import mammo
from mammo.datasets import cbis_ddsm
from mammo.io.headers_and_masks import read_mask
from mammo.synthetic import cbis_ddsm_folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return cbis_ddsm_folder(tmp_path_factory.mktemp("cbis") / "data", 20, seed=1, image_size=(192, 144), processes=1)


def test_it_is_read_by_the_reader_of_the_real_one(root):
    with pytest.raises(mammo.MammoError, match="is not complete"):
        cbis_ddsm.manifest(root)
    table = cbis_ddsm.manifest(root, partial=True)
    assert len(table) == 40
    assert table.groupby("patient_id").size().eq(2).all()
    assert table.groupby(["split", "label"])["patient_id"].nunique().to_dict() == {
        ("train", "benign"): 8,
        ("train", "malignant"): 8,
        ("test", "benign"): 2,
        ("test", "malignant"): 2,
    }
    assert (table["split"] == table["official_split"]).all()
    assert set(table["lesion_type"]) == {"mass", "calcification"}
    film = mammo.read_mammogram(table["path"][0])
    assert (film.laterality, film.view) == tuple(table.loc[0, ["laterality", "view"]])


def test_masks_and_crops_are_where_the_lesion_is(root):
    lesions = cbis_ddsm.lesions(root, partial=True, locate=True)
    assert lesions[["x", "y", "radius"]].notna().all(axis=None)
    for row in lesions[lesions["lesion_type"] == "mass"].head(4).itertuples():
        image, mask = mammo.read_mammogram(row.path).image, read_mask(row.mask_path)
        crop = pydicom.dcmread(row.crop_path).pixel_array  # too small for a mammogram
        assert mask.shape == image.shape
        assert mask[round(row.y) - 9 : round(row.y) + 9, round(row.x) - 9 : round(row.x) + 9].any()
        assert crop.shape < image.shape
        rows = np.flatnonzero(mask.any(axis=1))
        assert crop.shape[0] >= rows[-1] - rows[0] + 1
    first = lesions["mask_path"].str.endswith("1-1.dcm")
    assert 0 < first.mean() < 1, "the mask is the first file, or the second"


def test_the_tables_have_the_owners_columns(root):
    mass = pd.read_csv(root / "mass_case_description_train_set.csv", nrows=0).columns
    calc = pd.read_csv(root / "calc_case_description_test_set.csv", nrows=0).columns
    assert list(mass[:2]) == ["patient_id", "breast_density"]
    assert list(calc[:2]) == ["patient_id", "breast density"]
    assert list(calc[6:8]) == ["calc type", "calc distribution"]
    assert list(mass[-3:]) == ["image file path", "cropped image file path", "ROI mask file path"]
