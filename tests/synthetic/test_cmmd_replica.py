"""The synthetic folder is read as the real one is: same table, same folders."""

import pandas as pd
import pytest

import mammo
from mammo.datasets import cmmd
from mammo.datasets._tables import PACKAGED
from mammo.synthetic import cmmd_folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return cmmd_folder(tmp_path_factory.mktemp("cmmd") / "data", 20, seed=1, image_size=(192, 144), processes=1)


def test_it_is_read_by_the_reader_of_the_real_one(root):
    with pytest.raises(mammo.MammoError, match="is not complete"):
        cmmd.manifest(root)
    table = cmmd.manifest(root, partial=True)
    assert len(table) == 40
    assert table.groupby("patient_id")["view"].agg(set).map(sorted).tolist() == [["CC", "MLO"]] * 20
    assert table.groupby("label")["patient_id"].nunique().to_dict() == {"benign": 10, "malignant": 10}
    assert set(table["lesion_type"]) == {"mass", "calcification"}
    assert table["age"].between(25, 80).all()
    image = mammo.read_mammogram(table["path"][0])
    assert (image.laterality, image.view) == tuple(table.loc[0, ["laterality", "view"]])


def test_the_table_has_the_owners_columns(root):
    own, real = (
        pd.read_csv(path, nrows=0).columns for path in (root / cmmd.TABLES[1], PACKAGED / f"{cmmd.TABLES[1]}.gz")
    )
    assert list(own) == list(real)
