import shutil

import imagecodecs
import numpy as np
import pandas as pd
import pytest
from skimage.draw import polygon2mask

import mammo
from mammo.datasets import ddsm

HEIGHT, WIDTH = 150, 120
FILM = ((np.arange(WIDTH) * 29 + np.arange(HEIGHT)[:, None] * 7) % 4096).astype(np.uint16)
VIEWS = ("LEFT_CC", "LEFT_MLO", "RIGHT_CC", "RIGHT_MLO")
SQUARE = " ".join("2" * 20 + "4" * 20 + "6" * 20 + "0" * 20)
MASS = "LESION_TYPE MASS SHAPE IRREGULAR MARGINS SPICULATED"
CALCIFICATION = "LESION_TYPE CALCIFICATION TYPE FINE_LINEAR_BRANCHING DISTRIBUTION LINEAR"


def abnormality(number, kinds, pathology, x, y, core=False):
    outlines = f"BOUNDARY\n{x} {y} {SQUARE} # \n" + (f"\tCORE\n{x + 5} {y + 5} 2 4 6 0 # \n" if core else "")
    facts = f"ASSESSMENT 4\nSUBTLETY 5\nPATHOLOGY {pathology}\nTOTAL_OUTLINES {1 + core} \n"
    return f"ABNORMALITY {number} \n" + "\n".join(kinds) + f"\n{facts}{outlines}"


def write_case(folder, letter, number, lesions):
    """A case folder as it was on the owner's server; `lesions` are texts of abnormalities by view."""
    folder.mkdir(parents=True)
    name = f"{letter}_{number}_1"
    views = [
        f"{view} LINES {HEIGHT} PIXELS_PER_LINE {WIDTH} BITS_PER_PIXEL 12 RESOLUTION 50 "
        + ("OVERLAY" if lesions.get(view) else "NON_OVERLAY")
        for view in VIEWS
    ]
    facts = "PATIENT_AGE 66\nFILM \nFILM_TYPE REGULAR\nDENSITY 3\nDIGITIZER LUMISYS LASER\nSEQUENCE"
    text = f"ics_version 1.0\nfilename {letter}-{number}-1\n{facts}\n"
    (folder / f"{name.replace('_', '-')}.ics").write_text(text + "\n".join(views) + "\n")
    for view in VIEWS:
        data = imagecodecs.jpeg8_encode(FILM, lossless=True, predictor=1, bitspersample=12)
        (folder / f"{name}.{view}.LJPEG").write_bytes(data)
        if found := lesions.get(view):
            overlay = f"TOTAL_ABNORMALITIES {len(found)}\n" + "".join(found)
            (folder / f"{name}.{view}.OVERLAY").write_text(overlay)


@pytest.fixture
def root(tmp_path, monkeypatch):
    cases = tmp_path / "cases"
    several = [
        abnormality(1, [MASS], "BENIGN", 10, 20),
        abnormality(2, [CALCIFICATION, MASS], "MALIGNANT", 60, 90, core=True),
    ]
    write_case(cases / "cancers" / "cancer_01" / "case1112", "C", "1112", {"LEFT_CC": several})
    unproven = {"RIGHT_CC": [abnormality(1, [MASS], "UNPROVEN", 10, 20)]}
    unproven["LEFT_MLO"] = [abnormality(1, [MASS], "BENIGN_WITHOUT_CALLBACK", 30, 40)]
    write_case(cases / "benigns" / "benign_04" / "case0334", "C", "0334", unproven)
    write_case(cases / "normals" / "normal_01" / "case0002", "B", "0002", {})
    monkeypatch.setattr(ddsm, "PUBLISHED", {"cases": 3, "films": 12})
    return cases


def test_the_label_is_the_breasts(root):
    with pytest.warns(UserWarning, match=r"nothing in the breast was proven: C_0334_1\.RIGHT_CC"):
        table = ddsm.manifest(root)
    found = table.set_index(["patient_id", "laterality", "view"])
    assert len(table) == 10, "all but the unproven breast"
    assert found.loc[("C_1112", "L", "CC"), "label"] == "malignant"
    assert found.loc[("C_1112", "L", "MLO"), "label"] == "malignant", "the same breast, though outlined in CC only"
    assert not found.loc[("C_1112", "L", "MLO"), "outlined"]
    assert found.loc[("C_1112", "R", "CC"), "label"] == "normal", "the other breast of a case with cancer"
    assert found.loc[("C_1112", "R", "CC"), "volume"] == "cancer_01"
    assert found.loc[("C_0334", "L", "CC"), "label"] == "benign"
    assert found.loc[("C_0334", "L", "MLO"), "pathology"] == "BENIGN_WITHOUT_CALLBACK"
    assert set(table.loc[table["patient_id"] == "B_0002", "label"]) == {"normal"}
    assert found.loc[("C_1112", "L", "CC"), ["lesions", "x", "y"]].tolist() == [2, 70, 100], "of the malignant one"


@pytest.mark.filterwarnings("ignore:DDSM")
def test_the_films_are_read_with_the_size_that_the_case_says(root):
    film = mammo.read_mammogram(ddsm.manifest(root)["path"][0])
    assert film.image.shape == (HEIGHT, WIDTH)
    assert (film.laterality, film.view) == ("L", "CC")


def test_every_abnormality_is_a_lesion_with_its_outline(root):
    lesions = ddsm.lesions(root)
    assert lesions["pathology"].tolist() == ["BENIGN_WITHOUT_CALLBACK", "UNPROVEN", "BENIGN", "MALIGNANT"]
    assert lesions["label"].isna().tolist() == [False, True, False, False]
    both = lesions.iloc[3]
    assert both["lesion_type"] == "calcification, mass"
    assert (both["x"], both["y"]) == (70, 100)
    assert both["radius"] == pytest.approx(np.sqrt(400 / np.pi), abs=0.1)
    mask = polygon2mask((HEIGHT, WIDTH), both["outline"][:, ::-1])
    assert mask[100, 70]
    assert not mask[60, 70]


@pytest.mark.filterwarnings("ignore:DDSM. . images")
def test_missing_and_unknown_files_are_named(root):
    case = root / "normals" / "normal_01" / "case0002"
    (case / "B_0002_1.LEFT_CC.LJPEG").rename(case / "B_0003_1.LEFT_CC.LJPEG")
    (root / "cancers" / "cancer_01" / "case1112" / "C_1112_1.LEFT_CC.OVERLAY").unlink()
    names = r"B_0002_1\.LEFT_CC\.LJPEG, C_1112_1\.LEFT_CC\.OVERLAY.*B_0003_1\.LEFT_CC\.LJPEG"
    with pytest.raises(mammo.MammoError, match=names):
        ddsm.manifest(root)
    with pytest.warns(UserWarning, match=names):
        table = ddsm.manifest(root, partial=True)
    assert len(table) == 7, "nobody knows what the missing overlay says of the breast"
    assert not ((table["patient_id"] == "C_1112") & (table["laterality"] == "L")).any()


@pytest.mark.filterwarnings("ignore:DDSM")
def test_what_is_outlined_on_a_missing_film_counts_for_the_breast(root):
    (root / "cancers" / "cancer_01" / "case1112" / "C_1112_1.LEFT_CC.LJPEG").unlink()
    (root / "benigns" / "benign_04" / "case0334" / "C_0334_1.RIGHT_CC.LJPEG").unlink()
    table = ddsm.manifest(root, partial=True).set_index(["patient_id", "laterality", "view"])
    assert table.loc[("C_1112", "L", "MLO"), "label"] == "malignant"
    assert ("C_0334", "R", "MLO") not in table.index, "the breast is unproven still"
    assert len(table) == 9
    assert len(ddsm.lesions(root, partial=True)) == 1, "lesions of films that are there"


@pytest.mark.filterwarnings("ignore:DDSM")
def test_counts_are_held_against_the_published_ones(root, monkeypatch):
    monkeypatch.setattr(ddsm, "PUBLISHED", {"cases": 2620})
    with pytest.raises(mammo.MammoError, match="2,620 cases were published, 3 found"):
        ddsm.manifest(root)
    shutil.rmtree(root / "normals")
    with pytest.raises(mammo.MammoError, match="no files in"):
        ddsm.manifest(root / "nowhere")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("TOTAL_ABNORMALITIES 2", "TOTAL_ABNORMALITIES 3", "announces 3 abnormalities and holds 2"),
        ("PATHOLOGY MALIGNANT\n", "", "no kind, pathology or outline"),
        (SQUARE + " # \n\tCORE", SQUARE[:30], "no kind, pathology or outline"),
        ("PATHOLOGY MALIGNANT", "PATHOLOGY MALIGN", "says MALIGN"),
    ],
)
def test_a_damaged_overlay_is_refused(root, old, new, message):
    path = root / "cancers" / "cancer_01" / "case1112" / "C_1112_1.LEFT_CC.OVERLAY"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(mammo.MammoError, match=message):
        ddsm.lesions(root)


@pytest.mark.filterwarnings("ignore:DDSM")
def test_what_other_programs_leave_is_no_data(root, leave_junk):
    before = ddsm.manifest(root)
    leave_junk(root)
    pd.testing.assert_frame_equal(ddsm.manifest(root), before)


@pytest.mark.filterwarnings("ignore:DDSM")
def test_a_case_with_another_name_is_named(root):
    (root / "normals" / "normal_01" / "case0002" / "B-0002-1.ics").rename(root / "other.ics")
    with pytest.raises(mammo.MammoError, match=r"B_0002_1\.LEFT_CC\.LJPEG.*other\.ics"):
        ddsm.manifest(root)
    assert len(ddsm.manifest(root, partial=True)) == 6


def test_outlines_of_another_film_get_no_place(root):
    ics = root / "cancers" / "cancer_01" / "case1112" / "C-1112-1.ics"
    ics.write_text(ics.read_text().replace("LINES 150 PIXELS_PER_LINE 120", "LINES 90 PIXELS_PER_LINE 200"))
    with pytest.warns(UserWarning, match=r"outlines outside them.*C_1112_1\.LEFT_CC"):
        lesions = ddsm.lesions(root)
    assert lesions["x"].isna().tolist() == [False, False, True, True]
    assert lesions["outline"].notna().all(), "the owner's word is kept"
