import numpy as np
import pytest
from files import write_dicom

import mammo
from mammo.datasets import vindr_mammo

HEAD = "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density"
BREASTS = f"""{HEAD},split
s1,r1,a,L,CC,3518,2800,BI-RADS 1,DENSITY C,training
s1,r1,b,L,MLO,3518,2800,BI-RADS 1,DENSITY C,training
s2,r2,c,R,CC,3518,2800,BI-RADS 5,DENSITY B,test
s2,r2,d,R,MLO,3518,2800,BI-RADS 5,DENSITY B,test
s3,r3,e,L,CC,3518,2800,BI-RADS 3,DENSITY D,training
"""
FINDINGS = f"""{HEAD},finding_categories,finding_birads,xmin,ymin,xmax,ymax,split
s1,r1,a,L,CC,3518,2800,BI-RADS 1,DENSITY C,['No Finding'],,,,,,training
s2,r2,c,R,CC,3518,2800,BI-RADS 5,DENSITY B,"['Suspicious Calcification', 'Mass']",BI-RADS 3,10.0,20.0,30.0,60.0,test
s2,r2,c,R,CC,3518,2800,BI-RADS 5,DENSITY B,['Mass'],BI-RADS 5,100.5,200.0,120.5,220.0,test
s2,r2,d,R,MLO,3518,2800,BI-RADS 5,DENSITY B,['Nipple Retraction'],,5.0,5.0,9.0,9.0,test
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "breast-level_annotations.csv").write_text(BREASTS)
    (tmp_path / "finding_annotations.csv").write_text(FINDINGS)
    for study, image in [("s1", "a"), ("s1", "b"), ("s2", "c"), ("s2", "d"), ("s3", "e")]:
        (tmp_path / "images" / study).mkdir(parents=True, exist_ok=True)
        stored = np.arange(120 * 130, dtype=np.uint16).reshape(120, 130)
        write_dicom(tmp_path / "images" / study / f"{image}.dicom", stored, 14)
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
    ]:
        good = path.read_text()
        path.write_text(text)
        with pytest.raises(mammo.MammoError, match=message):
            vindr_mammo.manifest(root)
        path.write_text(good)
    monkeypatch.setattr(vindr_mammo, "PUBLISHED", {"images": 20_000})
    with pytest.raises(mammo.MammoError, match="20,000 images were published, 5 found"):
        vindr_mammo.manifest(root)
