import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mammo
from mammo.datasets import mini_ddsm

MASK = np.zeros((150, 120), np.uint8)
MASK[30:51, 60:81] = 255
FILM = np.tile(np.arange(120, dtype=np.uint8) * 2, (150, 1))


def case(status, letter, number, masks):
    for name in ("LEFT_CC", "LEFT_MLO", "RIGHT_CC", "RIGHT_MLO"):
        stem = f"{status}\\{number}\\{letter}_{number}_1.{name}"
        side, view = name.split("_")
        first = f"{stem}_Mask.jpg" if masks.get(name) else "-"
        second = f"{stem}_MASK2.jpg" if masks.get(name, 0) > 1 else "-"
        yield f"{stem}.jpg", f"{letter}_{number}_1.{name}.jpg", view, side, status, first, second, 66.0, 3


TABLE = pd.DataFrame(
    [
        *case("Benign", "C", "0029", {"LEFT_CC": 1, "LEFT_MLO": 2}),
        *case("Cancer", "C", "0115", {"RIGHT_MLO": 1}),
        *case("Normal", "A", "0115", {}),
    ],
    columns=["fullPath", "fileName", "View", "Side", "Status", "Tumour_Contour", "Tumour_Contour2", "Age", "Density"],
)


@pytest.fixture(params=["jpg", "png"])
def root(request, tmp_path, monkeypatch):
    TABLE.to_excel(tmp_path / "DataWMask.xlsx", sheet_name="Data", index=False)
    for column in ("fullPath", "Tumour_Contour", "Tumour_Contour2"):
        for name in TABLE[column][TABLE[column] != "-"]:
            path = (tmp_path / name.replace("\\", "/")).with_suffix(f".{request.param}")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(FILM if column == "fullPath" else MASK).save(path)
    counts = {"films": 12, "Cancer cases": 1, "Benign cases": 1, "Normal cases": 1}
    monkeypatch.setattr(mini_ddsm, "PUBLISHED", counts)
    return tmp_path


def test_the_label_is_the_breasts_and_not_the_cases(root):
    table = mini_ddsm.manifest(root)
    assert table["label"].tolist() == ["benign"] * 2 + ["normal"] * 4 + ["malignant"] * 2 + ["normal"] * 4
    assert table["status"].value_counts().to_dict() == {"Benign": 4, "Cancer": 4, "Normal": 4}
    assert table["lesions"].tolist() == [1, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert mammo.read_mammogram(table["path"][0]).image.shape == (150, 120)


def test_one_number_under_two_letters_is_two_patients(root):
    assert mini_ddsm.manifest(root)["patient_id"].unique().tolist() == ["C_0029", "C_0115", "A_0115"]


def test_every_mask_is_a_lesion(root):
    lesions = mini_ddsm.lesions(root, locate=True)
    assert lesions["label"].tolist() == ["benign"] * 3 + ["malignant"]
    assert lesions["path"].nunique() == 3
    assert lesions[["x", "y"]].to_numpy() == pytest.approx(np.tile([70, 40], (4, 1)), abs=0.5)


def test_missing_and_unknown_films_are_named(root):
    path = next(root.glob("Cancer/0115/*LEFT_CC.*"))
    path.rename(path.with_stem("C_0999_1.LEFT_CC"))
    with pytest.raises(mammo.MammoError, match=r"Cancer/0115/C_0115_1\.LEFT_CC.*C_0999_1"):
        mini_ddsm.manifest(root)
    with pytest.warns(UserWarning, match=r"C_0115_1\.LEFT_CC.*C_0999_1"):
        assert len(mini_ddsm.manifest(root, partial=True)) == 11


def test_counts_and_tables_are_checked(root, monkeypatch):
    monkeypatch.setattr(mini_ddsm, "PUBLISHED", {"films": 7808})
    with pytest.raises(mammo.MammoError, match="7,808 films were published, 12 found"):
        mini_ddsm.manifest(root)
    (root / "DataWMask.xlsx").unlink()
    TABLE.drop(columns="Status").to_csv(root / "DataWMask.csv", index=False)
    with pytest.raises(mammo.MammoError, match="no column Status"):
        mini_ddsm.manifest(root)


def test_what_other_programs_leave_is_no_data(root, leave_junk):
    before = mini_ddsm.manifest(root)
    leave_junk(root)
    pd.testing.assert_frame_equal(mini_ddsm.manifest(root), before)


@pytest.mark.filterwarnings("ignore:Mini-DDSM")
def test_masks_of_another_size_are_scaled_and_of_another_aspect_are_no_place(root):
    scaled, other, unreadable = sorted(
        [*root.glob("Benign/0029/*Mask*"), *root.glob("Benign/0029/*MASK*")], key=lambda path: path.name
    )
    Image.fromarray(MASK).resize((60, 75), Image.NEAREST).save(scaled)
    Image.fromarray(MASK).resize((75, 60), Image.NEAREST).save(other)
    with (
        pytest.warns(UserWarning, match=r"scaled to the image.*LEFT_CC_Mask"),
        pytest.warns(UserWarning, match=r"another aspect.*LEFT_MLO"),
    ):
        lesions = mini_ddsm.lesions(root, locate=True)
    assert lesions.loc[0, ["x", "y"]].tolist() == pytest.approx([70, 40], abs=1.5)
    assert lesions["x"].isna().tolist() == [path == str(other) for path in lesions["mask_path"]]
    unreadable.write_bytes(b"no image")
    with pytest.raises(mammo.MammoError, match=unreadable.name):
        mini_ddsm.lesions(root, locate=True)
    with pytest.warns(UserWarning, match=rf"empty or missing.*{unreadable.name}"):
        assert mini_ddsm.lesions(root, partial=True, locate=True)["x"].isna().sum() == 2


def test_a_folder_that_may_not_be_read_is_said(root, lock):
    lock(root)
    for reader in (mini_ddsm.manifest, mini_ddsm.lesions):
        with pytest.raises(mammo.MammoError, match=r"(csv|xlsx) may not be read \(Permission denied\)"):
            reader(root)
