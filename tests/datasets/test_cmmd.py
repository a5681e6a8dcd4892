import numpy as np
import pandas as pd
import pytest
from files import write_dicom
from pydicom.dataset import Dataset

import mammo
from mammo.datasets import cmmd

TABLE = pd.DataFrame(
    [
        ("D1-0001", "R", 44, 2, "calcification", "Benign", None),
        ("D1-0002", "L", 40, 2, "both", "Malignant", None),
        ("D2-0001", "L", 61, 2, "mass", "Malignant", "Luminal A"),
        ("D2-0001", "R", 61, 2, "mass", "Benign", None),
    ],
    columns=["ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype"],
)
CODES = {"CC": "399162004", "MLO": "399368009"}


def write(path, side, view):
    code = Dataset()
    code.CodeValue = CODES[view]
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = (np.arange(120 * 130).reshape(120, 130) % 251).astype(np.uint8)
    write_dicom(path, stored, 8, ImageLaterality=side, ViewCodeSequence=[code])


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Three patients as TCIA lays them out; the first has images of both breasts, and a row for one."""
    TABLE.to_excel(tmp_path / "CMMD_clinicaldata_revision.xlsx", index=False)
    series = "07-18-2010-NA-NA-79377/1.000000-NA-70244"
    images = {"D1-0001": ("LR"), "D1-0002": ("L"), "D2-0001": ("RL")}
    for patient, sides in images.items():
        order = [(side, view) for side in sides for view in ("CC", "MLO")]
        for number, (side, view) in enumerate(order, 1):
            write(tmp_path / "CMMD" / patient / series / f"1-{number}.dcm", side, view)
    monkeypatch.setattr(cmmd, "PUBLISHED", {"patients": 3, "images": 10})
    return tmp_path


def test_side_and_view_come_from_the_header(root):
    with pytest.warns(UserWarning, match=r"2 images.*no row for the breast: D1-0001 L CC, D1-0001 L MLO\.$"):
        table = cmmd.manifest(root)
    assert len(table) == 8
    found = table.set_index(["patient_id", "laterality", "view"])
    assert found.loc[("D1-0001", "R", "CC"), "path"].endswith("1-3.dcm")
    assert found.loc[("D2-0001", "L", "MLO"), "label"] == "malignant"
    assert found.loc[("D2-0001", "R", "MLO"), "label"] == "benign"
    assert found.loc[("D2-0001", "L", "CC"), "subtype"] == "Luminal A"
    assert found.loc[("D1-0002", "L", "CC"), "lesion_type"] == "mass, calcification"
    assert "split" not in table
    assert mammo.read_mammogram(table["path"][0]).laterality == "R"


def test_the_other_breast_is_normal_only_where_you_say_so(root):
    table = cmmd.manifest(root, other_breast="normal")
    assert len(table) == 10
    assert table.loc[table["label"] == "normal", "patient_id"].unique().tolist() == ["D1-0001"]
    with pytest.raises(mammo.MammoError, match="healthy"):
        cmmd.manifest(root, other_breast="healthy")


def test_missing_and_unknown_patients_are_named(root):
    (root / "CMMD" / "D1-0002").rename(root / "CMMD" / "D1-9999")
    with pytest.raises(mammo.MammoError, match=r"D1-0002.*D1-9999"):
        cmmd.manifest(root, other_breast="normal")
    with pytest.warns(UserWarning, match=r"D1-0002.*D1-9999"):
        assert len(cmmd.manifest(root, other_breast="normal", partial=True)) == 8


def test_counts_and_tables_are_checked(root, monkeypatch):
    monkeypatch.setattr(cmmd, "PUBLISHED", {"patients": 1775, "images": 5202})
    with pytest.raises(mammo.MammoError, match="5,202 images were published, 10 found"):
        cmmd.manifest(root)
    (root / "CMMD_clinicaldata_revision.xlsx").write_bytes(b"PK damaged")
    with pytest.raises(mammo.MammoError, match="cannot be read as a table"):
        cmmd.manifest(root)
    (root / "CMMD_clinicaldata_revision.xlsx").unlink()
    with pytest.raises(mammo.MammoError, match=r"1772 files that its tables name are not there: D1-0003"):
        cmmd.manifest(root)  # by the table of this package
    TABLE.replace("Benign", "Benignant").to_csv(root / "CMMD_clinicaldata_revision.csv", index=False)
    with pytest.raises(mammo.MammoError, match="says Benignant"):
        cmmd.manifest(root)


def test_a_file_that_is_no_dicom_is_named(root):
    path = next((root / "CMMD").rglob("1-2.dcm"))
    path.write_bytes(b"not found")
    with pytest.raises(mammo.MammoError, match=path.name):
        cmmd.manifest(root, other_breast="normal")


def test_what_other_programs_leave_is_no_data(root, leave_junk):
    before = cmmd.manifest(root, other_breast="normal")
    leave_junk(root)
    pd.testing.assert_frame_equal(cmmd.manifest(root, other_breast="normal"), before)


def test_a_file_that_does_not_say_its_breast_is_named_as_such(root, monkeypatch):
    write(root / "CMMD" / "D1-0002" / "study" / "1-9.dcm", "", "CC")
    (root / "CMMD" / "D1-0001" / "broken.dcm").write_bytes(b"no DICOM")
    monkeypatch.setattr(cmmd, "PUBLISHED", {"patients": 3, "images": 12})
    with pytest.raises(mammo.MammoError, match=r"broken\.dcm"):
        cmmd.manifest(root, other_breast="normal")
    with pytest.warns(UserWarning, match="not in the manifest") as caught:
        assert len(cmmd.manifest(root, partial=True)) == 8
    said = "\n".join(str(w.message) for w in caught)
    assert "header does not say which breast they show: CMMD/D1-0002/study/1-9.dcm" in said
    assert "cannot be read: CMMD/D1-0001/broken.dcm" in said
    assert "1-9.dcm" not in said.split("header does not say")[0], "nobody says that it has no row"


def test_sides_may_be_written_in_full_and_another_word_is_named(root):
    table = root / "CMMD_clinicaldata_revision.xlsx"
    TABLE.assign(LeftRight=["Right", "l", "LEFT", "r"]).to_excel(table, index=False)
    with pytest.warns(UserWarning, match="no row for the breast"):
        assert cmmd.manifest(root)["laterality"].tolist() == ["R", "R", "L", "L", "R", "R", "L", "L"]
    TABLE.assign(LeftRight=["R", "links", "L", "R"]).to_excel(table, index=False)
    with pytest.raises(mammo.MammoError, match=r"revision\.xlsx says LINKS; known are LEFT, RIGHT, L, R"):
        cmmd.manifest(root)


def test_a_folder_that_may_not_be_read_is_said(root, lock):
    lock(root)
    for reader in (cmmd.manifest, cmmd.download):
        with pytest.raises(mammo.MammoError, match=r"revision\.xlsx may not be read \(Permission denied\)"):
            reader(root)
