import shutil

import pandas as pd
import pytest
from PIL import Image

import mammo
from mammo.datasets import breakhis

NAMES = [
    "benign/SOB/adenosis/SOB_B_A_14-22549AB/40X/SOB_B_A-14-22549AB-40-001.png",
    "benign/SOB/adenosis/SOB_B_A_14-22549CD/100X/SOB_B_A-14-22549CD-100-001.png",
    "benign/SOB/fibroadenoma/SOB_B_F_14-21998CD/40X/SOB_B_F-14-21998CD-40-003.png",
    "benign/SOB/phyllodes_tumor/SOB_B_PT_14-21998AB/40X/SOB_B_PT-14-21998AB-40-039.png",
    "malignant/SOB/ductal_carcinoma/SOB_M_DC_14-13412/100X/SOB_M_DC-14-13412-100-026.png",
    "malignant/SOB/lobular_carcinoma/SOB_M_LC_14-13412/100X/SOB_M_LC-14-13412-100-026.png",
    "malignant/SOB/papillary_carcinoma/SOB_M_PC_15-190EF/400X/SOB_M_PC-15-190EF-400-014.png",
]


@pytest.fixture
def root(tmp_path):
    for name in NAMES:
        path = tmp_path / "BreaKHis_v1" / "histology_slides" / "breast" / name
        path.parent.mkdir(parents=True)
        Image.new("RGB", (140, 120), (200, 90, 160)).save(path)
    return tmp_path / "BreaKHis_v1"


def test_parts_of_one_case_are_one_patient(root):
    table = breakhis.manifest(root, partial=True)
    assert len(table) == 7
    assert set(table["patient_id"]) == {"14-22549", "14-21998", "14-13412", "15-190"}
    assert table["slide"].nunique() == 7, "what the owner counts as patients"
    assert table["label"].value_counts().to_dict() == {"benign": 4, "malignant": 3}
    assert set(table.loc[table["patient_id"] == "14-21998", "lesion_type"]) == {"fibroadenoma", "phyllodes tumor"}


def test_one_magnification_can_be_chosen(root):
    assert set(breakhis.manifest(root, 40, partial=True)["magnification"]) == {40}
    with pytest.raises(mammo.MammoError, match="not 50"):
        breakhis.manifest(root, 50)


def test_what_is_short_is_counted_and_what_is_strange_named(root):
    with pytest.raises(mammo.MammoError, match="2,480 benign pictures were published, 4 found"):
        breakhis.manifest(root)
    (root / "holiday.png").touch()
    with pytest.raises(mammo.MammoError, match=r"holiday\.png"):
        breakhis.manifest(root)
    with pytest.warns(UserWarning, match=r"holiday\.png"):
        assert len(breakhis.manifest(root, partial=True)) == 7
    with pytest.raises(mammo.MammoError, match="no files in"):
        breakhis.manifest(root / "nowhere")
    shutil.rmtree(root / "histology_slides")
    with pytest.raises(mammo.MammoError, match="no picture of BreakHis"), pytest.warns(UserWarning, match="holiday"):
        breakhis.manifest(root, partial=True)


def test_these_are_no_mammograms_and_are_refused_as_such(root):
    with pytest.raises(mammo.MammoError, match="colour"):
        mammo.read_mammogram(breakhis.manifest(root, partial=True)["path"][0])


def test_what_other_programs_leave_is_no_data(root, leave_junk):
    before = breakhis.manifest(root, partial=True)
    leave_junk(root)
    pd.testing.assert_frame_equal(breakhis.manifest(root, partial=True), before)
