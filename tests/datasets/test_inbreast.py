import plistlib
import shutil

import numpy as np
import pandas as pd
import pytest
from files import write_dicom
from PIL import Image

import mammo
from mammo.datasets import inbreast

TABLE = """Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads
removed;removed;R;CC;201001;20586908;4;2
removed;removed;R;MLO;201001;20586960;4;2
removed;removed;L;CC;201001;22613650;     ;5
removed;removed;L;MLO;201001;22613702;1;4a
removed;removed;R;FB;201001;24055149;2;1
"""
FILES = [
    "20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm",
    "20586960_6c613a14b80a8591_MG_R_ML_ANON.dcm",
    "22613650_fe7d005dcbbfb46d_MG_L_CC_ANON.dcm",
    "22613702_fe7d005dcbbfb46d_MG_L_ML_ANON.dcm",
    "24055149_d8205a09c8173f44_MG_R_FB_ANON.dcm",
]
STORED = (np.arange(150 * 120).reshape(150, 120) % 4096).astype(np.uint16)


def region(name, points):
    text = [f"({x:.6f}, {y:.6f})" for x, y in points]
    return {"Area": 1.0, "Name": name, "NumberOfPoints": len(text), "Point_px": text, "Type": 15}


@pytest.fixture
def release(tmp_path, monkeypatch):
    root = tmp_path / "INbreast Release 1.0"
    (root / "AllDICOMs").mkdir(parents=True)
    (root / "AllXML").mkdir()
    (root / "INbreast.csv").write_text(TABLE)
    for name in FILES:
        write_dicom(root / "AllDICOMs" / name, STORED, 14)
    box, square = [(10, 10), (30, 10), (30, 50), (10, 50)], [(10, 10), (30, 10), (30, 30), (10, 30)]
    outlines = {
        "20586908": [region("Calcification", [(30, 40)]), region("Assymetry", box)],
        "22613650": [region("Espiculated Region", square), region("Point 1", [(5, 6)])],
    }
    for image, regions in outlines.items():
        content = {"Images": [{"ImageIndex": 0, "NumberOfROIs": len(regions), "ROIs": regions}]}
        (root / "AllXML" / f"{image}.xml").write_bytes(plistlib.dumps(content))
    counts = {"BI-RADS 1": 1, "BI-RADS 2": 2, "BI-RADS 4": 1, "BI-RADS 5": 1}
    monkeypatch.setattr(inbreast, "PUBLISHED", counts)
    monkeypatch.setattr(inbreast, "SIZES", (STORED.shape, inbreast.SIZES[1]))
    return root


def test_birads_becomes_a_label_and_names_of_files_the_patient(release):
    table = inbreast.manifest(release)
    assert table["label"].tolist() == ["benign", "benign", "malignant", "malignant", "normal"]
    assert table["birads"].tolist() == ["2", "2", "5", "4a", "1"]
    assert table["patient_id"].nunique() == 3
    assert table["view"].tolist() == ["CC", "MLO", "CC", "MLO", "FB"]
    assert table["lesions"].tolist() == [2, 0, 2, 0, 0]
    assert "split" not in table
    assert mammo.read_mammogram(table["path"][0]).image.shape == STORED.shape


def test_outlines_are_located_and_their_names_brought_together(release):
    lesions = inbreast.lesions(release)
    assert lesions["lesion_type"].tolist() == ["calcification", "asymmetry", "spiculated region", "calcification"]
    assert lesions["label"].tolist() == ["benign", "benign", "malignant", "malignant"]
    assert lesions.loc[0, ["x", "y", "radius"]].tolist() == [30, 40, 0]
    assert lesions.loc[1, ["x", "y"]].tolist() == [20, 30]
    assert lesions["radius"][1] == pytest.approx(np.sqrt(20 * 40 / np.pi), abs=0.1)


def test_missing_and_unknown_images_are_named(release):
    (release / "AllDICOMs" / FILES[1]).rename(release / "AllDICOMs" / "99999999_x_MG_R_ML_ANON.dcm")
    for table in (inbreast.manifest, inbreast.lesions):
        with pytest.raises(mammo.MammoError, match=r"20586960.*99999999"):
            table(release)
        with pytest.warns(UserWarning, match=r"20586960.*99999999"):
            assert len(table(release, partial=True)) == 4
    (release / "AllDICOMs" / FILES[0]).unlink()
    with pytest.warns(UserWarning, match="20586908"):
        assert inbreast.lesions(release, partial=True)["lesion_type"].tolist() == ["spiculated region", "calcification"]


def test_damaged_tables_and_outlines_are_refused(release, monkeypatch):
    table = release / "INbreast.csv"
    for text, message in [
        (TABLE.replace("4a", "7"), "says 7"),
        (TABLE.replace("Bi-Rads", "BIRADS"), "no column Bi-Rads"),
        (TABLE.replace(";2\n", ";\n", 1), "no Bi-Rads in 1 rows"),
    ]:
        table.write_text(text)
        with pytest.raises(mammo.MammoError, match=message):
            inbreast.manifest(release)
    table.write_text(TABLE)
    (release / "AllXML" / "20586908.xml").write_text("<plist><dict>")
    with pytest.raises(mammo.MammoError, match=r"20586908\.xml cannot be read"):
        inbreast.lesions(release)
    (release / "AllXML" / "20586908.xml").unlink()
    monkeypatch.setattr(inbreast, "PUBLISHED", {"BI-RADS 2": 220})
    with pytest.raises(mammo.MammoError, match="220 BI-RADS 2 were published, 2 found"):
        inbreast.manifest(release)


OWN = """file,label,patient_id,view,laterality,abnormality,image_id,birads,acr_density
images/a.webp,malignant,p1,CC,RIGHT,mass,1,4c,2.0
images/b.webp,normal,p2,MLO,LEFT,,2,1,3.0
"""
BOXES = """file,image_id,patient_id,label,birads,view,laterality,type,x1,y1,x2,y2
images/a.webp,1,p1,malignant,4c,CC,RIGHT,mass,10.5,20.0,30.5,60.0
images/a.webp,1,p1,malignant,4c,CC,RIGHT,calcification,5,5,9,9
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.csv").write_text(OWN)
    (tmp_path / "lesion_boxes.csv").write_text(BOXES)
    for name in "ab":
        Image.fromarray((STORED // 16).astype(np.uint8)).save(tmp_path / "images" / f"{name}.webp", lossless=True)
    return tmp_path


def test_any_images_with_a_table_can_be_read(own):
    table, lesions = inbreast.manifest(own), inbreast.lesions(own)
    assert table["label"].tolist() == ["malignant", "normal"]
    assert table["laterality"].tolist() == ["R", "L"]
    assert table["density"].tolist() == ["2", "3"]
    assert table["lesions"].tolist() == [2, 0]
    assert lesions["lesion_type"].tolist() == ["mass", "calcification"]
    assert lesions.loc[0, ["x", "y", "x1", "y2"]].tolist() == [20.5, 40, 10.5, 60]
    assert mammo.read_mammogram(table["path"][1]).format == "WEBP"
    (own / "lesion_boxes.csv").unlink()
    assert inbreast.manifest(own)["lesions"].tolist() == [0, 0]


def test_boxes_of_files_that_nobody_names_are_refused_and_no_boxes_are_none(own):
    (own / "lesion_boxes.csv").write_text(BOXES.replace("images/a.webp", "a.webp"))
    with pytest.raises(mammo.MammoError, match=r"boxes in 1 files that labels\.csv does not name, first a\.webp"):
        inbreast.lesions(own)
    (own / "lesion_boxes.csv").write_text(BOXES.splitlines()[0] + "\n")
    assert inbreast.lesions(own).loc[:, ["x", "y", "radius"]].empty


def test_images_may_be_links(own, tmp_path_factory):
    content = tmp_path_factory.mktemp("store") / "content.webp"
    (own / "images" / "b.webp").rename(content)
    (own / "images" / "b.webp").symlink_to(content)
    assert len(inbreast.manifest(own)) == 2


def test_a_label_that_contradicts_its_birads_is_refused(own):
    (own / "labels.csv").write_text(OWN.replace("webp,malignant", "webp,benign"))
    with pytest.raises(mammo.MammoError, match=r"a\.webp benign at BI-RADS 4c"):
        inbreast.manifest(own)


def test_images_without_a_row_and_rows_without_an_image_are_named(own):
    (own / "images" / "b.webp").rename(own / "images" / "c.webp")
    with pytest.raises(mammo.MammoError, match=r"images/b\.webp.*c\.webp"):
        inbreast.manifest(own)


def test_what_other_programs_leave_is_no_data(release, leave_junk):
    before = inbreast.manifest(release)
    leave_junk(release)
    pd.testing.assert_frame_equal(inbreast.manifest(release), before)


def write_regions(release, image, regions):
    (release / "AllXML" / f"{image}.xml").write_bytes(plistlib.dumps({"Images": [{"ROIs": regions}]}))


def test_outlines_without_points_are_lesions_without_a_place(release):
    broken = [{"Name": "Mass", "NumberOfPoints": 0}, {"Name": "Mass", "Point_px": []}]
    broken += [{"Name": "Mass", "Point_px": [text]} for text in ("(a, b)", "(nan, 1)", "", 5)]
    write_regions(release, "20586908", [*broken, region("Mass", [(10, 10), (30, 10), (30, 50), (10, 50)])])
    with pytest.warns(UserWarning, match="outlines that are empty or missing, and that get no place: 20586908"):
        lesions = inbreast.lesions(release)
    assert lesions.loc[lesions["label"] == "benign", "x"].isna().tolist() == [True] * 6 + [False]
    with pytest.warns(UserWarning, match="20586908"):
        assert inbreast.manifest(release)["lesions"].tolist() == [7, 0, 2, 0, 0]


def test_outlines_belong_to_the_images_as_published(release):
    """A copy of the same aspect as a plate is scaled; an outline outside its image makes them all doubtful."""
    write_dicom(release / "AllDICOMs" / FILES[0], STORED[:130, :100], 14)
    write_regions(release, "20586908", [region("Mass", [(1000, 2000), (1200, 2000), (1200, 2200), (1000, 2200)])])
    write_regions(release, "22613650", [region("Mass", [(5, 5), (9, 9)]), region("Mass", [(1000, 2000), (1200, 2200)])])
    with (
        pytest.warns(UserWarning, match=r"scaled to the image: 20586908"),
        pytest.warns(UserWarning, match=r"outside them.*: 22613650"),
    ):
        lesions = inbreast.lesions(release)
    assert lesions.loc[0, ["x", "y"]].tolist() == pytest.approx([1100 / 25.6, 2100 / 25.6], abs=0.6)
    assert lesions.loc[1:, "x"].isna().all()


def test_outlines_have_no_place_in_an_image_of_another_aspect(release):
    write_dicom(release / "AllDICOMs" / FILES[0], STORED[:, :110], 14)
    with pytest.warns(UserWarning, match=r"outlines of another aspect, which get no place: 20586908"):
        lesions = inbreast.lesions(release)
    assert lesions["x"].isna().tolist() == [True, True, False, False]


def test_in_part_files_may_have_any_names_and_outlines_may_be_missing(release):
    (release / "AllDICOMs" / FILES[0]).rename(release / "AllDICOMs" / "20586908.dcm")
    shutil.rmtree(release / "AllXML")
    with pytest.raises(mammo.MammoError, match=r"20586908, AllXML;.*20586908\.dcm"):
        inbreast.manifest(release)
    with pytest.warns(UserWarning, match=r"20586908, AllXML;.*20586908\.dcm"):
        assert inbreast.manifest(release, partial=True)["lesions"].tolist() == [0] * 4


def test_names_in_the_table_may_have_another_unicode_form(own):
    (own / "images" / "a.webp").rename(own / "images" / "u\u0308.webp")
    for name, text in (("labels.csv", OWN), ("lesion_boxes.csv", BOXES)):
        (own / name).write_text(text.replace("a.webp", "\u00fc.webp"), encoding="utf-8")
    assert inbreast.manifest(own)["lesions"].tolist() == [2, 0]


def test_boxes_must_be_numbers_and_lie_in_their_image(own):
    (own / "lesion_boxes.csv").write_text(BOXES.replace("10.5,", "ten,"))
    with pytest.raises(mammo.MammoError, match="no number"):
        inbreast.lesions(own)
    (own / "lesion_boxes.csv").write_text(BOXES.replace("10.5,20.0,30.5,60.0", "1000,2000,1200,2200"))
    with pytest.warns(UserWarning, match=r"boxes outside them.*images/a\.webp"):
        assert inbreast.lesions(own)[["x", "x1"]].isna().all(axis=None)


@pytest.mark.parametrize("place", ["", "INbreast.csv", "AllDICOMs", "AllXML"])
def test_what_may_not_be_read_is_said(release, lock, place):
    lock(release / place)
    for reader in (inbreast.manifest, inbreast.lesions):
        with pytest.raises(
            mammo.MammoError, match=rf"{place}.*(may not be read|cannot be opened) \(Permission denied\)"
        ):
            reader(release)


def test_an_image_with_two_rows_is_named(own, release):
    for root, name, text, line in ((own, "labels.csv", OWN, 1), (release, "INbreast.csv", TABLE, 3)):
        (root / name).write_text(text + text.splitlines()[line] + "\n")
        for reader in (inbreast.manifest, inbreast.lesions):
            with pytest.raises(mammo.MammoError, match=r"has 1 images twice, first (images/a\.webp|22613650)\. Remove"):
                reader(root)
