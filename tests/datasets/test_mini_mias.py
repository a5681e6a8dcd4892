import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mammo
from mammo.datasets import mini_mias

INFO = """              MAMMOGRAPHIC IMAGE ANALYSIS SOCIETY

   represents the left (even filename numbers) and right mammograms
   Coordinate system origin is the bottom-left corner.
=================================================================

mdb001 G CIRC B 535 425 197
mdb002 G NORM 
mdb003 F CIRC B 477 133 30
mdb003 F SPIC M 500 168 26
mdb004 D CALC M *NOTE 3* 
mdb005 F CIRC B

=================================================================
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Five films of three patients, as the archive unpacks."""
    (tmp_path / "Info.txt").write_text(INFO)
    pixels = np.tile(np.arange(1024, dtype=np.uint16) // 4, (1024, 1)).astype(np.uint8)
    for number in range(1, 6):
        Image.fromarray(pixels).save(tmp_path / f"mdb{number:03d}.pgm")
    counts = {"films": 5, "patients": 3, "normal films": 1, "benign films": 2, "malignant films": 2}
    monkeypatch.setattr(mini_mias, "PUBLISHED", counts)
    return tmp_path


def test_the_films_pair_up_and_y_counts_down(root):
    table = mini_mias.manifest(root)
    assert table["patient_id"].tolist() == ["mias_001", "mias_001", "mias_002", "mias_002", "mias_003"]
    assert table["laterality"].tolist() == ["L", "R", "L", "R", "L"], "odd films carry the marker L"
    assert table["label"].tolist() == ["benign", "normal", "malignant", "malignant", "benign"]
    assert table["lesions"].tolist() == [1, 0, 2, 1, 1]
    assert table.loc[0, ["x", "y", "radius"]].tolist() == [535, 1024 - 425, 197]
    assert "split" not in table
    assert mammo.read_mammogram(table["path"][0]).format == "PGM"


def test_the_copy_on_kaggle_has_the_films_in_a_folder(root):
    before = mini_mias.manifest(root)
    (root / "all-mias").mkdir()
    for film in root.glob("*.pgm"):
        film.rename(root / "all-mias" / film.name)
    (root / "all_mias_scans.h5").write_bytes(b"the same films once more")
    pd.testing.assert_frame_equal(mini_mias.manifest(root).drop(columns="path"), before.drop(columns="path"))


def test_of_several_lesions_the_gravest_stands_for_the_film(root):
    table, lesions = mini_mias.manifest(root), mini_mias.lesions(root)
    assert table.loc[2, ["x", "y"]].tolist() == [500, 1024 - 168]
    assert table.loc[2, "lesion_type"] == "spiculated mass"
    assert lesions["label"].tolist() == ["benign", "benign", "malignant", "malignant", "benign"]
    assert lesions["path"].nunique() == 4
    assert lesions["x"].isna().tolist() == [False, False, False, True, True], "two have no place in Info.txt"


def test_missing_and_unknown_films_are_named(root):
    (root / "mdb002.pgm").rename(root / "mdb900.pgm")
    with pytest.raises(mammo.MammoError, match=r"mdb002\.pgm.*mdb900\.pgm"):
        mini_mias.manifest(root)
    with pytest.warns(UserWarning, match=r"mdb002\.pgm.*mdb900\.pgm"):
        table = mini_mias.manifest(root, partial=True)
    assert len(table) == 4
    (root / "mdb003.pgm").unlink()
    with pytest.raises(mammo.MammoError, match=r"mdb003\.pgm"):
        mini_mias.lesions(root)
    with pytest.warns(UserWarning, match=r"mdb003\.pgm"):
        assert mini_mias.lesions(root, partial=True)["path"].nunique() == 3


def test_counts_are_held_against_the_published_ones(root, monkeypatch):
    monkeypatch.setattr(mini_mias, "PUBLISHED", {"films": 322})
    with pytest.raises(mammo.MammoError, match="322 films were published, 5 found"):
        mini_mias.manifest(root)


@pytest.mark.parametrize("line", ["mdb001 G CIRC X 535 425 197", "mdb001 G CIRC B five 425 197", "mdb001 G"])
def test_a_damaged_line_is_shown(root, line):
    (root / "Info.txt").write_text(INFO.replace("mdb001 G CIRC B 535 425 197", line))
    with pytest.raises(mammo.MammoError, match=line):
        mini_mias.manifest(root)


def test_without_info_there_is_nothing_to_say(root):
    (root / "Info.txt").write_text("nothing\n")
    with pytest.raises(mammo.MammoError, match="no line about a film"):
        mini_mias.manifest(root)
    (root / "Info.txt").unlink()
    with pytest.raises(mammo.MammoError, match=r"Info\.txt is missing"):
        mini_mias.manifest(root)


def test_what_other_programs_leave_is_no_data(root, leave_junk):
    before = mini_mias.manifest(root)
    leave_junk(root)
    pd.testing.assert_frame_equal(mini_mias.manifest(root), before)


def test_circles_are_scaled_to_a_square_copy_and_to_no_other(root):
    expected = mini_mias.lesions(root)
    for path, size in ((root / "mdb001.pgm", (512, 512)), (root / "mdb003.pgm", (400, 512))):
        Image.open(path).resize(size).save(path)
    with (
        pytest.warns(UserWarning, match=r"another size with the same aspect.*mdb001"),
        pytest.warns(UserWarning, match=r"another aspect.*mdb003"),
    ):
        lesions = mini_mias.lesions(root)
    assert lesions.loc[0, ["x", "y", "radius"]].tolist() == pytest.approx([267.2, 299.2, 98.5], abs=0.1)
    assert lesions.loc[1:, "x"].isna().all()
    assert lesions["label"].equals(expected["label"])


@pytest.mark.parametrize("place", ["", "Info.txt"])
def test_what_may_not_be_read_is_said(root, lock, place):
    lock(root / place)
    for reader in (mini_mias.manifest, mini_mias.lesions):
        with pytest.raises(mammo.MammoError, match=rf"{place} may not be read \(Permission denied\)"):
            reader(root)
