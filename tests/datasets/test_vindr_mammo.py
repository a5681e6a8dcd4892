import numpy as np
import pandas as pd
import pytest
from files import write_dicom

import mammo
from mammo.datasets import vindr_mammo

STORED = (np.arange(260 * 200) % 16_000).astype(np.uint16).reshape(260, 200)
HEAD = "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density"
BREASTS = f"""{HEAD},split
s1,r1,a,L,CC,260,200,BI-RADS 1,DENSITY C,training
s1,r1,b,L,MLO,260,200,BI-RADS 1,DENSITY C,training
s2,r2,c,R,CC,260,200,BI-RADS 5,DENSITY B,test
s2,r2,d,R,MLO,260,200,BI-RADS 5,DENSITY B,test
s3,r3,e,L,CC,260,200,BI-RADS 3,DENSITY D,training
"""
FINDINGS = f"""{HEAD},finding_categories,finding_birads,xmin,ymin,xmax,ymax,split
s1,r1,a,L,CC,260,200,BI-RADS 1,DENSITY C,['No Finding'],,,,,,training
s2,r2,c,R,CC,260,200,BI-RADS 5,DENSITY B,"['Suspicious Calcification', 'Mass']",BI-RADS 3,10.0,20.0,30.0,60.0,test
s2,r2,c,R,CC,260,200,BI-RADS 5,DENSITY B,['Mass'],BI-RADS 5,100.5,200.0,120.5,220.0,test
s2,r2,d,R,MLO,260,200,BI-RADS 5,DENSITY B,['Nipple Retraction'],,5.0,5.0,9.0,9.0,test
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "breast-level_annotations.csv").write_text(BREASTS)
    (tmp_path / "finding_annotations.csv").write_text(FINDINGS)
    for study, image in [("s1", "a"), ("s1", "b"), ("s2", "c"), ("s2", "d"), ("s3", "e")]:
        (tmp_path / "images" / study).mkdir(parents=True, exist_ok=True)
        write_dicom(tmp_path / "images" / study / f"{image}.dicom", STORED, 14)
    counts = {"images": 5, "examinations": 3, "training images": 3, "test images": 2}
    monkeypatch.setattr(vindr_mammo, "PUBLISHED", counts)
    return tmp_path


def test_birads_becomes_a_label_and_the_official_split_is_kept(root):
    table = vindr_mammo.manifest(root)
    assert table["label"].tolist() == ["normal", "normal", "malignant", "malignant", "benign"]
    assert table["split"].tolist() == ["train", "train", "test", "test", "train"]
    assert table["patient_id"].tolist() == ["s1", "s1", "s2", "s2", "s3"]
    assert table["density"].tolist() == ["C", "C", "B", "B", "D"]
    assert table["lesions"].tolist() == [0, 0, 2, 1, 0]
    assert table.loc[2, ["x", "y", "radius"]].tolist() == [110.5, 210.0, 10.0], "of the gravest box"
    assert mammo.read_mammogram(table["path"][0]).format == "DICOM"


def test_every_box_is_a_lesion_with_its_own_birads(root):
    lesions = vindr_mammo.lesions(root)
    assert lesions["label"].tolist()[:2] == ["benign", "malignant"]
    assert lesions["label"].isna().tolist() == [False, False, True], "a box without BI-RADS has no label"
    assert lesions["lesion_type"][0] == "suspicious calcification, mass"
    assert lesions.loc[0, ["x", "y", "xmin", "ymax"]].tolist() == [20, 40, 10, 60]
    assert set(lesions["path"]) <= set(vindr_mammo.manifest(root)["path"])


def test_images_may_lie_elsewhere(root, tmp_path_factory):
    """20,000 images are seldom where the tables are; datalad links each of them."""
    store = tmp_path_factory.mktemp("store")
    (root / "images" / "s2").rename(store / "s2")
    (root / "images" / "s2").symlink_to(store / "s2")
    (root / "images" / "s1" / "a.dicom").rename(store / "content")
    (root / "images" / "s1" / "a.dicom").symlink_to(store / "content")
    assert vindr_mammo.manifest(root)["lesions"].tolist() == [0, 0, 2, 1, 0]
    assert len(vindr_mammo.lesions(root)) == 3


def test_missing_and_unknown_images_are_named(root):
    (root / "images" / "s1" / "b.dicom").rename(root / "images" / "s1" / "z.dicom")
    with pytest.raises(mammo.MammoError, match=r"s1/b.*s1/z"):
        vindr_mammo.manifest(root)
    with pytest.warns(UserWarning, match=r"s1/b.*s1/z"):
        assert len(vindr_mammo.manifest(root, partial=True)) == 4
    (root / "images" / "s2" / "d.dicom").unlink()
    with pytest.raises(mammo.MammoError, match="s2/d"):
        vindr_mammo.lesions(root)
    with pytest.warns(UserWarning, match="s2/d"):
        assert vindr_mammo.lesions(root, partial=True)["xmin"].tolist() == [10, 100.5], "the boxes of s2/c"


def test_damaged_tables_are_refused(root, monkeypatch):
    breasts, findings = root / "breast-level_annotations.csv", root / "finding_annotations.csv"
    for path, text, message in [
        (breasts, BREASTS.replace("BI-RADS 3", "BI-RADS 9"), "says BI-RADS 9"),
        (breasts, BREASTS.replace("breast_birads", "birads"), "no column breast_birads"),
        (breasts, BREASTS.replace("s3,r3,e", ",r3,e"), "no study_id in 1 rows"),
        (findings, FINDINGS.replace("10.0,20.0", "ten,20.0"), "cannot be read"),
        (findings, FINDINGS.replace("s2,r2,c", ",r2,c"), "no study_id in 2 rows"),
        (breasts, BREASTS.replace("training", "training,"), "more cells than the table has columns"),
    ]:
        good = path.read_text()
        path.write_text(text)
        with pytest.raises(mammo.MammoError, match=message):
            vindr_mammo.manifest(root)
        path.write_text(good)
    monkeypatch.setattr(vindr_mammo, "PUBLISHED", {"images": 20_000})
    with pytest.raises(mammo.MammoError, match="20,000 images were published, 5 found"):
        vindr_mammo.manifest(root)


def test_what_other_programs_leave_is_no_data(root, leave_junk):
    before = vindr_mammo.manifest(root)
    leave_junk(root)
    pd.testing.assert_frame_equal(vindr_mammo.manifest(root), before)


def test_boxes_are_scaled_to_a_smaller_copy(root):
    write_dicom(root / "images" / "s2" / "c.dicom", STORED[::2, ::2], 14)
    write_dicom(root / "images" / "s2" / "d.dicom", STORED[:, ::2], 14)
    with (
        pytest.warns(UserWarning, match=r"scaled to the image: s2/c"),
        pytest.warns(UserWarning, match=r"another aspect.*: s2/d"),
    ):
        lesions = vindr_mammo.lesions(root)
    assert lesions.loc[1, ["x", "y", "radius", "xmin", "ymax"]].tolist() == pytest.approx([55, 104.8, 5, 50, 109.8])
    assert lesions.loc[2, ["x", "y", "radius", "xmin", "ymax"]].isna().all()


def test_without_the_table_of_findings_there_are_no_boxes(root):
    (root / "finding_annotations.csv").unlink()
    with pytest.raises(mammo.MammoError, match=r"finding_annotations\.csv: this table is missing"):
        vindr_mammo.manifest(root)
    with pytest.warns(UserWarning, match=r"tables are missing: finding_annotations\.csv"):
        table = vindr_mammo.manifest(root, partial=True)
    assert table["lesions"].tolist() == [0] * 5
    assert table["label"][2] == "malignant"


def test_a_folder_that_may_not_be_read_is_said(root, lock):
    lock(root)
    for reader in (vindr_mammo.manifest, vindr_mammo.lesions):
        with pytest.raises(mammo.MammoError, match=r"(csv|xlsx) may not be read \(Permission denied\)"):
            reader(root)
