import re
import shutil

import pandas as pd
import pytest

import mammo
from mammo.datasets import folder


@pytest.fixture
def mine(tmp_path, demo):
    """The demo images, sorted into folders as somebody's own would be."""
    for row in demo.itertuples():
        target = tmp_path / "mine" / row.label / f"{row.patient_id}_{row.laterality}_{row.view}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(row.path, target)
    return tmp_path / "mine"


def test_a_folder_becomes_a_manifest_that_can_be_split(mine, demo):
    table = folder.manifest(mine, patient_pattern=r"(S\d+-\d+)_")
    assert len(table) == len(demo)
    assert set(table.patient_id) == set(demo.patient_id)
    assert (table.label == "malignant").sum() == (demo.label == "malignant").sum()
    assert mammo.split_by_patient(table).groupby("patient_id").split.nunique().max() == 1
    assert set(table.source) == {"mine"}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"patient(\d+)", "finds no patient in"),
        (r"S\d+", "has no group"),
        (r"(S", "no regular expression"),
        (None, "no regular"),
    ],
)
def test_patients_are_not_guessed(mine, pattern, message):
    with pytest.raises(mammo.MammoError, match=message):
        folder.manifest(mine, patient_pattern=pattern)


def test_strange_files_and_missing_folders_are_named(mine):
    (mine / "benign" / "Thumbs.db").touch()
    (mine / "benign" / "DICOMDIR").touch()
    folder.manifest(mine, patient_pattern=r"(S\d+-\d+)_")
    (mine / "benign" / "notes.docx").touch()
    with pytest.raises(mammo.MammoError, match=re.escape("notes.docx")):
        folder.manifest(mine, patient_pattern=r"(S\d+-\d+)_")
    shutil.rmtree(mine / "malignant")
    with pytest.raises(mammo.MammoError, match="no sub-folder malignant"):
        folder.manifest(mine, patient_pattern=r"(S\d+-\d+)_")


def test_what_other_programs_leave_is_no_data(mine, leave_junk):
    before = folder.manifest(mine, r"(S\d+-\d+)_")
    leave_junk(mine)
    pd.testing.assert_frame_equal(folder.manifest(mine, r"(S\d+-\d+)_"), before)


def test_the_pattern_finds_letters_in_either_unicode_form(mine):
    for path in list(mine.glob("*/*.png")):
        path.rename(path.with_name(f"Mu\u0308ller{path.name}"))
    assert set(folder.manifest(mine, "(M\u00fcllerS[^_]+)_")["patient_id"].str[:6]) == {"M\u00fcller"}


def test_every_format_that_is_read_is_taken_and_the_source_has_a_name(mine, monkeypatch):
    (mine / "benign" / "S9-9_L_CC.jp2").touch()
    monkeypatch.chdir(mine)
    table = folder.manifest(".", patient_pattern=r"(S\d+-\d+)_")
    assert "S9-9" in set(table.patient_id)
    assert set(table.source) == {"mine"}


def test_label_folders_may_have_capitals_and_other_places_are_named(mine, tmp_path):
    before = folder.manifest(mine, r"(S\d+-\d+)_")
    for label in ("benign", "malignant", "normal"):
        (mine / label).rename(mine / label.capitalize())
    for name in ("unknown/a.png", "unknown/old/b.dcm", "c.png", "notes.txt", "papers/d.txt"):
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).touch()
    with pytest.warns(UserWarning, match=r"2 places .* no row, .*: beside the sub-folders \(1\), unknown \(2\)\.$"):
        table = folder.manifest(mine, r"(S\d+-\d+)_")
    pd.testing.assert_frame_equal(table.drop(columns="path"), before.drop(columns="path"))
    assert "Benign" in table["path"][0]


def test_the_folders_that_are_there_are_named(mine):
    (mine / "benign").rename(mine / "begnin")
    with pytest.raises(mammo.MammoError, match=r"no sub-folder benign with files; .* are: begnin, malignant, normal"):
        folder.manifest(mine, r"(S\d+-\d+)_")
    with pytest.raises(mammo.MammoError, match="does not exist"):
        folder.manifest(mine / "none", r"(S\d+-\d+)_")


@pytest.mark.parametrize("place", ["", "benign"])
def test_a_folder_that_may_not_be_read_is_said(mine, lock, place):
    lock(mine / place)
    with pytest.raises(mammo.MammoError, match=rf"{place} cannot be opened \(Permission denied\)"):
        folder.manifest(mine, r"(S\d+-\d+)_")
