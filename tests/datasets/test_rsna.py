import numpy as np
import pandas as pd
import pytest
from files import write_dicom
from PIL import Image

import mammo
from mammo.datasets import rsna

HEAD = "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density,machine_id"
TABLE = f"""{HEAD},difficult_negative_case
2,10006,462822612,L,CC,61.0,0,0,0,,0,,29,False
2,10006,1459541791,L,MLO,61.0,0,0,0,,0,,29,False
1,10011,220375232,R,CC,55.0,1,1,1,0.0,0,C,49,False
1,10011,541722628,R,MLO,55.0,1,1,1,0.0,0,C,49,False
1,10011,270344397,L,AT,55.0,0,0,0,1.0,0,C,49,True
1,10130,388811999,R,MLO,,0,1,0,0.0,1,B,21,False
"""
IMAGES = [line.split(",")[1:3] for line in TABLE.splitlines()[1:]]
STORED = (np.arange(150 * 120) % 4096).astype(np.uint16).reshape(150, 120)


def write_copy(path, size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((STORED // 16).astype(np.uint8)).resize(size).save(path)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder as Kaggle gives it out, with one image of the test set; machine 29 stores its images inverted."""
    (tmp_path / "train.csv").write_text(TABLE)
    for line, (patient, image) in zip(TABLE.splitlines()[1:], IMAGES, strict=True):
        inverted = line.split(",")[12] == "29"
        path = tmp_path / "train_images" / patient / f"{image}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        photometric = "MONOCHROME1" if inverted else "MONOCHROME2"
        write_dicom(path, 4095 - STORED if inverted else STORED, 12, PhotometricInterpretation=photometric)
    (tmp_path / "test.csv").write_text("site_id,patient_id,image_id\n2,10008,736471439\n")
    (tmp_path / "test_images" / "10008").mkdir(parents=True)
    write_dicom(tmp_path / "test_images" / "10008" / "736471439.dcm", STORED, 12)
    monkeypatch.setattr(rsna, "PUBLISHED", {"images": 6, "patients": 3, "images with cancer": 2})
    return tmp_path


@pytest.fixture(params=["{patient}_{image}.png", "{patient}/{image}.png", "copies/{patient}_{image}.JPG"])
def copies(request, root, tmp_path_factory):
    """The same images as the copies that people train on."""
    folder = tmp_path_factory.mktemp("copies")
    (folder / "train.csv").write_text(TABLE)
    for patient, image in IMAGES:
        write_copy(folder / request.param.format(patient=patient, image=image))
    return folder


def test_cancer_is_malignant_another_biopsy_benign_and_the_rest_normal(root):
    table = rsna.manifest(root)
    assert table["label"].tolist() == ["normal", "normal", "malignant", "malignant", "normal", "benign"]
    assert table["laterality"].tolist() == ["L", "L", "R", "R", "L", "R"]
    assert table["view"].tolist() == ["CC", "MLO", "CC", "MLO", "AT", "MLO"]
    assert table["patient_id"].tolist() == [patient for patient, _ in IMAGES]
    assert set(table["source"]) == {"RSNA"}
    assert "split" not in table


def test_what_the_table_says_of_an_image_is_kept(root):
    table = rsna.manifest(root)
    row = table.loc[4]
    assert row[["machine_id", "site_id", "density", "birads"]].tolist() == ["49", "1", "C", "1"]
    assert (row["age"], row["implant"], row["difficult_negative_case"]) == (55.0, False, True)
    assert table.loc[5, ["implant", "biopsy", "invasive"]].tolist() == [True, True, False]
    assert table["birads"].isna().tolist() == [True, True, False, False, False, False]
    assert np.isnan(table["age"][5])


def test_inverted_machines_are_turned_round(root):
    table = rsna.manifest(root)
    inverted, other = (mammo.read_mammogram(table["path"][row]) for row in (0, 2))
    assert inverted.inverted
    assert not other.inverted
    np.testing.assert_allclose(inverted.image, other.image, atol=1e-6)


def test_copies_at_any_size_give_the_same_manifest(copies, root):
    expected = rsna.manifest(root).drop(columns="path")
    table = rsna.manifest(copies)
    pd.testing.assert_frame_equal(table.drop(columns="path"), expected)
    assert all(row.image_id in row.path for row in table.itertuples())


def test_copies_beside_the_published_folder_are_another_data_set(root):
    write_copy(root / "copies" / "10006_462822612.png")
    assert rsna.manifest(root)["path"][0].endswith(".dcm")


def test_missing_and_unknown_images_are_named(root):
    folder = root / "train_images" / "10011"
    (folder / "220375232.dcm").rename(folder / "1.dcm")
    with pytest.raises(mammo.MammoError, match=r"10011/220375232.*10011/1\b"):
        rsna.manifest(root)
    with pytest.warns(UserWarning, match=r"10011/220375232.*10011/1\b"):
        assert len(rsna.manifest(root, partial=True)) == 5


def test_of_two_files_of_an_image_the_dicom_is_taken_in_part(root):
    write_copy(root / "train_images" / "10006" / "10006_462822612.png")
    with pytest.raises(mammo.MammoError, match=r"more than once, first train_images/10006/10006_462822612\.png"):
        rsna.manifest(root)
    with pytest.warns(UserWarning, match=r"further copies.*10006_462822612\.png"):
        assert rsna.manifest(root, partial=True)["path"][0].endswith("462822612.dcm")


def test_counts_and_tables_are_checked(root, monkeypatch):
    for text, message in [
        (TABLE.replace("machine_id", "machine"), "no column machine_id"),
        (TABLE.replace("55.0,1,1", "55.0,yes,1"), "says yes"),
        (TABLE.replace("55.0,1,1", "55.0,,1"), "no cancer in 2 rows"),
        (TABLE.replace("61.0", "old"), "age that is no number"),
        (TABLE.replace(",L,", ",B,"), "says B"),
    ]:
        (root / "train.csv").write_text(text)
        with pytest.raises(mammo.MammoError, match=message):
            rsna.manifest(root)
    (root / "train.csv").write_text(TABLE)
    monkeypatch.setattr(rsna, "PUBLISHED", {"images": 54_706})
    with pytest.raises(mammo.MammoError, match="54,706 images were published, 6 found"):
        rsna.manifest(root)
    assert len(rsna.manifest(root, partial=True)) == 6
    (root / "train_images").rename(root / "test_images" / "elsewhere")
    with pytest.raises(mammo.MammoError, match="none of the images"), pytest.warns(UserWarning, match="6 files"):
        rsna.manifest(root, partial=True)
    (root / "train.csv").unlink()
    with pytest.raises(mammo.MammoError, match=r"train\.csv: this table is missing"):
        rsna.manifest(root)


def test_what_other_programs_leave_is_no_data(root, leave_junk):
    before = rsna.manifest(root)
    leave_junk(root)
    pd.testing.assert_frame_equal(rsna.manifest(root), before)


def test_a_table_with_zeros_in_its_text_is_refused(root):
    (root / "train.csv").write_bytes(TABLE.encode().replace(b"10130,", b"10\x00130,"))
    with pytest.raises(mammo.MammoError, match="holds zeros in its text"):
        rsna.manifest(root)


@pytest.mark.parametrize("place", ["", "train.csv", "train_images", "train_images/10006"])
def test_what_may_not_be_read_is_said(root, lock, place):
    lock(root / place)
    with pytest.raises(mammo.MammoError, match=rf"{place}.*(may not be read|cannot be opened) \(Permission denied\)"):
        rsna.manifest(root)
