import hashlib
import os
import time
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mammo
from mammo.core.files import (
    LEFT_AFTER_S,
    LONGEST_NAME,
    MACHINE,
    absolute,
    as_path,
    find_files,
    fitting_name,
    is_abandoned,
    list_files,
    read_arrays,
    sha256_of,
    write_arrays,
    write_atomically,
)

NOBODY = 2**22 + 1  # no process has this number


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    def fails_halfway(path):
        assert path.parent == tmp_path
        path.write_bytes(b"half")
        assert not (tmp_path / "file").exists(), "it is not there before it is whole"
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_atomically(tmp_path / "file", fails_halfway)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "new" / "file"
    write_atomically(path, lambda part: part.write_text("first"))
    write_atomically(path, lambda part: part.write_text("second"))
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, lambda part: part.write_text(str(1 / 0)))
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_vanishes_leaves_no_part_behind(tmp_path):
    """Another program puts a file in its place; the error is that of the renaming."""

    def then_gone(part):
        part.write_text("whole")
        part.unlink()
        part.parent.rmdir()
        part.parent.touch()

    with pytest.raises(NotADirectoryError) as error:
        write_atomically(tmp_path / "folder" / "file", then_gone)
    assert error.value.filename2 == str(tmp_path / "folder" / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_part_lies_beside_its_file_whatever_the_names_mean_to_a_library(tmp_path, monkeypatch):
    """pandas takes a relative name that begins with a tilde to the home folder."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    write_atomically(Path("~/x.csv"), lambda part: pd.DataFrame({"a": [1]}).to_csv(part))
    assert [path.name for path in (tmp_path / "work" / "~").iterdir()] == ["x.csv"]
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [("~", ""), ("~/films/a.dcm", "films/a.dcm"), (Path("~/films"), "films"), ("~$lock.xlsx", None), ("a/~/b", None)],
)
def test_a_tilde_in_front_is_the_home_folder(tmp_path, monkeypatch, given, expected):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert as_path(given) == (Path(given) if expected is None else tmp_path / expected)


def test_what_is_no_path_is_refused(monkeypatch):
    for wrong in (None, 3, b"a.dcm", ["a.dcm"]):
        with pytest.raises(mammo.MammoError, match=f"{type(wrong).__name__} is no path"):
            as_path(wrong)
    with pytest.raises(mammo.MammoError, match=r"'a.x00\.png' is no name of a file"):
        as_path("a\0.png")
    monkeypatch.setattr("os.path.expanduser", str)  # as in an account without a home folder
    with pytest.raises(mammo.MammoError, match="no home folder"):
        as_path("~/films")
    assert as_path("films") == Path("films")


@pytest.mark.parametrize(
    ("name", "age", "expected"),
    [
        (f"a.png.{MACHINE}-{NOBODY}-00000000.partial", 0, True),
        (f"a.png.{MACHINE}-{os.getpid()}-00000000.partial", 2 * LEFT_AFTER_S, False),
        ("a.png.00000000-1-00000000.partial", 0, False),  # of another machine: nobody here knows its process
        ("a.png.00000000-1-00000000.partial", LEFT_AFTER_S + 60, True),
        ("a.png", 2 * LEFT_AFTER_S, False),
    ],
    ids=["its process is gone", "its process lives", "elsewhere and young", "elsewhere and old", "no part"],
)
def test_a_part_is_abandoned_when_its_process_is_gone(tmp_path, name, age, expected):
    path = tmp_path / name
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    assert is_abandoned(path) == expected
    path.unlink()
    assert not is_abandoned(tmp_path / "gone.partial")


def test_the_name_of_a_part_tells_its_process(tmp_path):
    seen = []
    write_atomically(tmp_path / "file", lambda part: seen.append(part) or part.touch())
    assert not is_abandoned(seen[0])
    assert seen[0].name.startswith(f"file.{MACHINE}-{os.getpid()}-")


def test_arrays_and_checksums(tmp_path):
    write_arrays(tmp_path / "x.npz", {"a": np.arange(3), "b": np.eye(2)})
    with np.load(tmp_path / "x.npz") as stored:
        np.testing.assert_array_equal(stored["a"], np.arange(3))
        np.testing.assert_array_equal(stored["b"], np.eye(2))
    content = bytes(range(256)) * 9000  # more than one block
    (tmp_path / "large").write_bytes(content)
    assert sha256_of(tmp_path / "large") == hashlib.sha256(content).hexdigest()


def test_damaged_arrays_are_none_whatever_is_damaged(tmp_path):
    path, rng = tmp_path / "x.npz", np.random.default_rng(0)
    write_arrays(path, {"a": np.arange(30.0)})
    whole = path.read_bytes()
    assert read_arrays(path)["a"].tolist() == list(range(30))
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(1, len(damaged)) if rng.random() < 0.2 else None])
        read = read_arrays(path)
        assert "a" not in read or read["a"].tolist() == list(range(30))
    assert read_arrays(tmp_path / "none.npz") == read_arrays(tmp_path) == {}


@pytest.mark.parametrize("stem", ["film", "x" * 400, "\u00fc" * 200, "\U0001f5bc" * 70 + "end"])
def test_long_names_are_cut_and_keep_their_suffix(tmp_path, stem):
    name = fitting_name(stem, ".png")
    assert name.endswith(".png")
    assert stem.startswith(name.removesuffix(".png"))
    assert len(name.encode()) <= LONGEST_NAME
    assert len(name) == 8 or len(name.encode()) > LONGEST_NAME - 4, "no more is cut than needed"
    (tmp_path / name).touch()


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("x" * (LONGEST_NAME - 4) + ".csv")
    write_atomically(path, lambda part: part.write_text("whole"))
    assert path.read_text() == "whole"


@pytest.fixture
def folder(tmp_path):
    """A folder below a hidden one, with two images and what other programs leave behind."""
    root = tmp_path / ".cache" / "films"
    junk = [".hidden", "._1.dcm", ".DS_Store", "~$table.xlsx", "DICOMDIR", "Thumbs.db", "thumbs.db", "Desktop.ini"]
    junk += [
        ".ipynb_checkpoints/1-checkpoint.dcm",
        "__MACOSX/._1.dcm",
        "@eaDir/1.dcm/THUMB.jpg",
        ".Trash-0/files/1.dcm",
    ]
    junk += ["#recycle/1.dcm", "$RECYCLE.BIN/1.dcm", "System Volume Information/1.dcm", ".git/annex/1.dcm"]
    for name in ("b/2.PNG", "a/1.dcm", *junk, *(f"a/{name}" for name in junk)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_files_that_are_no_data_are_not_listed(folder):
    assert list_files(folder) == [folder / "a/1.dcm", folder / "b/2.PNG"]
    assert list_files(folder, ".png", ".jpg") == [folder / "b/2.PNG"]


def test_names_are_in_the_order_of_their_folders(tmp_path):
    for name in ("a.png", "a/2.png", "a/10.png", "a-b/1.png", "B.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_files(tmp_path) == sorted(tmp_path / n for n in ("a.png", "a/2.png", "a/10.png", "a-b/1.png", "B.png"))


def test_links_are_followed_once_and_those_that_lead_nowhere_are_named(folder, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "3.dcm").touch()
    (folder / "c").symlink_to(tmp_path / "store")
    (folder / "a" / "back").symlink_to(folder)
    (folder / "a" / "self.dcm").symlink_to("self.dcm")
    with pytest.warns(UserWarning, match="1 links .* lead nowhere, first .*a/self"):
        assert list_files(folder, ".dcm") == [folder / "a/1.dcm", folder / "c/3.dcm"]
    (folder / "a" / "self.dcm").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list_files(folder, ".dcm") == [folder / "a/1.dcm", folder / "c/3.dcm"]
    (tmp_path / "store" / "3.dcm").rename(tmp_path / "gone")
    (folder / "b" / "3.dcm").symlink_to(tmp_path / "store" / "3.dcm")
    with pytest.warns(UserWarning, match=r"1 links .* lead nowhere, first .*b/3\.dcm"):
        assert list_files(folder, ".dcm") == [folder / "a/1.dcm"]


def test_a_folder_that_cannot_be_opened_is_an_error(folder, monkeypatch):
    scandir = os.scandir

    def refused(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(mammo.MammoError, match=r"films/b cannot be opened \(Permission denied\)"):
        list_files(folder)
    monkeypatch.setattr(os, "listdir", lambda path: refused(f"{path}/b"))
    with pytest.raises(mammo.MammoError, match=r"cannot be opened \(Permission denied\)"):
        find_files([folder / "c.png"])
    with pytest.raises(mammo.MammoError, match=r"no files in .*nowhere does not exist"):
        list_files(folder / "nowhere")
    with pytest.raises(mammo.MammoError, match="cannot be opened"):
        list_files(folder / "a" / "1.dcm")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_in_another_unicode_form_is_the_same_name(tmp_path, forms):
    asked, there = (unicodedata.normalize(form, "M\u00fcller/\u00e9.png") for form in forms)
    (tmp_path / there).parent.mkdir()
    (tmp_path / there).touch()
    assert find_files([tmp_path / asked, tmp_path / "other.png"]) == [tmp_path / there, tmp_path / "other.png"]
    (tmp_path / asked).parent.mkdir()
    (tmp_path / asked).touch()
    assert find_files([tmp_path / asked, tmp_path / there]) == [tmp_path / asked, tmp_path / there]


def test_a_suffix_that_is_too_long_alone_is_cut():
    name = fitting_name("1", "." + "\u5de6" * 90)
    assert name.startswith(".\u5de6")
    assert LONGEST_NAME - 3 < len(name.encode()) <= LONGEST_NAME


def test_a_link_keeps_its_name_and_its_folder_is_the_real_one(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "objects").touch()
    (tmp_path / "real" / "film.ljpeg").symlink_to(tmp_path / "objects")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert absolute(tmp_path / "link" / "film.ljpeg") == os.path.realpath(tmp_path / "real") + os.sep + "film.ljpeg"
