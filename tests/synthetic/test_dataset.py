"""A folder of synthetic images: one seed, one set; interrupted and completed; what the manifest says."""

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

import mammo
from mammo.core.files import MACHINE
from mammo.synthetic import _folders
from mammo.synthetic.lesions import CALCIFICATIONS, DESCRIPTIONS, MASSES

SIZE = (192, 144)
LABEL_OF = {kind: label for group in (MASSES, CALCIFICATIONS) for label, kinds in group.items() for kind in kinds}


def digests(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def small(folder, **settings):
    return mammo.generate_dataset(
        folder, **({"patients": 20, "seed": 1, "image_size": SIZE, "processes": 1} | settings)
    )


def test_same_seed_same_bytes_however_many_processes(tmp_path):
    small(tmp_path / "one", processes=1)
    small(tmp_path / "two", processes=2)
    small(tmp_path / "other", seed=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert digests(tmp_path / "one") != digests(tmp_path / "other")


def test_a_patient_does_not_depend_on_the_others(tmp_path):
    few, many = small(tmp_path / "few"), small(tmp_path / "many", patients=25)
    for a, b in zip(few.path, many.path[: len(few)], strict=True):
        assert Path(a).read_bytes() == Path(b).read_bytes()


def test_what_the_manifest_says_is_in_the_images(demo):
    assert set(demo.label) == {"benign", "malignant", "normal"}
    views = demo.groupby("patient_id")
    for _, rows in views:
        assert sorted(rows.laterality + rows["view"]) == ["LCC", "LMLO", "RCC", "RMLO"]
    assert views[["density", "look", "file_format", "compressed_mm"]].nunique().max().max() == 1
    kinds_of_patients = views.label.agg(lambda labels: tuple(sorted(labels))).value_counts()
    assert kinds_of_patients[("benign", "benign", "normal", "normal")] == 8
    assert kinds_of_patients[("malignant", "malignant", "normal", "normal")] == 8
    assert kinds_of_patients[("normal",) * 4] == 4
    for row in demo.itertuples():
        image = mammo.read_mammogram(row.path).image
        half = image.shape[1] // 2
        assert (image[:, :half].mean() > image[:, half:].mean()) == (row.laterality == "L")
        if row.label == "normal":
            assert pd.isna([row.mask_path, row.lesion_type, row.contrast, row.x]).all()
            continue
        mask = mammo.read_mammogram(row.mask_path).image > 0.5
        assert image.shape == mask.shape
        assert image[mask].min() > 0.05, "the lesion lies in the breast"
        assert (row.y, row.x) == pytest.approx(np.argwhere(mask).mean(axis=0), abs=0.1)
        assert np.pi * row.radius**2 == pytest.approx(mask.sum(), rel=0.1)
        assert np.pi * (row.lesion_mm / row.pixel_mm / 2) ** 2 == pytest.approx(mask.sum(), rel=0.01, abs=1)
        assert LABEL_OF[row.lesion_type] == row.label
        assert DESCRIPTIONS[row.lesion_type] == row.description
        assert 0.7 * 0.7 * 3 < row.contrast < 0.7 * 1.3 * 8


def test_both_views_show_one_lesion(demo):
    width = SIZE[1]
    for _, views in demo[demo.label != "normal"].groupby("patient_id"):
        assert len(views) == 2
        assert len(views[["lesion_type", "lesion_mm", "contrast", "laterality"]].drop_duplicates()) == 1
        depth = [row.x if row.laterality == "L" else width - 1 - row.x for row in views.itertuples()]
        assert abs(depth[0] - depth[1]) < 0.09 * width


def test_what_a_dicom_says(tmp_path):
    table = small(tmp_path / "d", formats=["dicom12", "dicom14"])
    headers = [pydicom.dcmread(path) for path in table.path]
    assert {header.BitsStored for header in headers} == {12, 14}
    assert {header.PhotometricInterpretation for header in headers} == {"MONOCHROME1", "MONOCHROME2"}
    assert len({header.SOPInstanceUID for header in headers}) == len(table)
    assert len({header.StudyInstanceUID for header in headers}) == 20
    for header, row in zip(headers, table.itertuples(), strict=True):
        assert header.PresentationIntentType == "FOR PRESENTATION"
        assert (header.ImageLaterality, header.ViewPosition) == (row.laterality, row.view)
        assert header.PatientID == row.patient_id
        assert str(header.PatientName) == f"Synthetic^{row.patient_id}"
        assert header.PixelSpacing[0] == pytest.approx(240 / 192)
        assert header.BodyPartThickness == pytest.approx(row.compressed_mm)
        assert row.label not in str(header)
        assert header.WindowWidth > 1
        orientation = {"LCC": ["A", "R"], "RCC": ["P", "L"], "LMLO": ["A", "FR"], "RMLO": ["P", "FL"]}
        assert list(header.PatientOrientation) == orientation[row.laterality + row.view]


def test_an_interrupted_set_is_completed(tmp_path):
    small(tmp_path / "a")
    whole = digests(tmp_path / "a")
    (tmp_path / "a" / "manifest.csv").unlink()
    for path in sorted((tmp_path / "a" / "images").iterdir())[6:]:
        path.unlink()
    half = tmp_path / "a" / "images" / f"S1-00003_L_CC.png.{MACHINE}-{2**22 + 1}-00000000.partial"
    half.write_bytes(b"half")
    other = tmp_path / "a" / "masks" / f"S1-00003_L_CC.png.{MACHINE}-{os.getpid()}-00000000.partial"
    other.write_bytes(b"half")  # of a process that is at work
    (tmp_path / "a" / "truth" / "00009.json").unlink()
    kept = sorted((tmp_path / "a" / "images").glob("S1-00000*"))[0]
    before = kept.stat().st_mtime_ns
    small(tmp_path / "a")
    assert other.is_file()
    other.unlink()
    assert digests(tmp_path / "a") == whole
    assert kept.stat().st_mtime_ns == before, "what was there is not made again"


def test_a_killed_run_leaves_whole_files_only_and_a_rerun_completes_it(tmp_path):
    code = (
        "import mammo; mammo.generate_dataset(r'{}', patients=60, seed=1, image_size=(192, 144), processes=2, "
        "formats=['png8', 'dicom12'])"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code.format(tmp_path / "a")], start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("a/truth/*.json"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    with contextlib.suppress(ProcessLookupError):  # children die later; till then their parts stay
        while time.monotonic() < deadline:
            os.killpg(running.pid, 0)
            time.sleep(0.02)
    done = list(tmp_path.glob("a/truth/*.json"))
    assert 5 <= len(done) < 60
    assert not (tmp_path / "a" / "manifest.csv").exists()
    files = [path for part in ("images", "masks") for path in (tmp_path / "a" / part).iterdir()]
    for path in files:
        if path.suffix != ".partial":
            mammo.read_mammogram(path)
    assert {row["path"] for truth in done for row in json.loads(truth.read_text())} <= {
        path.relative_to(tmp_path / "a").as_posix() for path in files
    }
    small(tmp_path / "a", patients=60, formats=["png8", "dicom12"])
    small(tmp_path / "b", patients=60, formats=["png8", "dicom12"])
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


@pytest.mark.parametrize("kept", ["nothing", "card", "images"])
def test_a_replacement_that_was_interrupted_can_be_repeated(tmp_path, kept, monkeypatch):
    small(tmp_path / "a", seed=2)
    remove = _folders.remove_drawn

    def stops(folder, layout):
        if kept == "card":
            remove(folder, replace(layout, parts=layout.parts[:1]))
        raise KeyboardInterrupt

    def writes_nothing(path, write):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if kept == "nothing":
            patch.setattr(_folders, "write_atomically", writes_nothing)
        else:
            patch.setattr(_folders, "remove_drawn", stops)
        with pytest.raises(KeyboardInterrupt):
            small(tmp_path / "a")
    small(tmp_path / "a")
    small(tmp_path / "b")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_a_start_that_was_interrupted_can_be_repeated(tmp_path):
    (tmp_path / "dataset.json.77.partial").write_text("{")
    assert len(small(tmp_path)) == 80


def test_a_finished_set_is_not_made_again(tmp_path):
    small(tmp_path / "a")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*")}
    small(tmp_path / "a")
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*")}


def test_other_settings_replace_the_set_but_foreign_files_are_safe(tmp_path):
    small(tmp_path / "a")
    (tmp_path / "a" / "notes.txt").write_text("mine too")
    assert len(small(tmp_path / "a", patients=25)) == 100
    assert (tmp_path / "a" / "notes.txt").exists()
    assert len(list((tmp_path / "a" / "images").iterdir())) == 100
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(mammo.MammoError, match=r"mine holds other files and is not touched, such as thesis\.txt"):
        small(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def noise(folder, images=20, **settings):
    return mammo.noise_dataset(folder, images, **({"image_size": (128, 128), "processes": 1} | settings))


@pytest.mark.parametrize("make", [small, noise])
@pytest.mark.parametrize("name", ["images/notes.txt", "images/mine/a.csv", "masks/S1-00000_L_CC.txt", "truth/my.json"])
def test_files_of_ones_own_among_the_images_keep_the_set_as_it_is(tmp_path, make, name):
    make(tmp_path / "a")
    own = tmp_path / "a" / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("mine")
    before = digests(tmp_path / "a")
    with pytest.raises(mammo.MammoError, match=f"holds other files and is not touched, such as {name}"):
        make(tmp_path / "a", seed=7)
    assert digests(tmp_path / "a") == before
    make(tmp_path / "a"), "with the same settings nothing is removed"
    assert digests(tmp_path / "a") == before


def test_a_link_to_a_folder_is_not_followed(tmp_path):
    small(tmp_path / "a")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "S1-00000_L_CC.png").write_text("mine")
    (tmp_path / "a" / "images" / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(mammo.MammoError, match="such as images/link"):
        small(tmp_path / "a", seed=7)


def test_what_other_programs_leave_is_no_obstacle_and_stays(tmp_path):
    small(tmp_path / "a")
    left = [tmp_path / "a" / "images" / name for name in (".DS_Store", "Thumbs.db", ".ipynb_checkpoints/a.png")]
    left[2].parent.mkdir()
    for path in left:
        path.write_text("left")
    assert len(list(small(tmp_path / "a", seed=7)["path"])) == 80
    assert all(path.read_text() == "left" for path in left)
    assert not list((tmp_path / "a").glob("*/S1-*"))


def test_parts_in_a_folder_of_others_stay(tmp_path):
    part = tmp_path / "images" / "mine.partial"
    part.parent.mkdir()
    part.touch()
    os.utime(part, (0, 0))
    with pytest.raises(mammo.MammoError, match="holds other files"):
        small(tmp_path)
    assert part.exists()


def test_somebody_elses_dataset_json_is_no_claim(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "scan.png").touch()
    (tmp_path / "dataset.json").write_text('{"name": "another program"}')
    with pytest.raises(mammo.MammoError, match="other files"):
        small(tmp_path)
    assert (tmp_path / "images" / "scan.png").exists()


def test_a_lost_image_is_drawn_again(tmp_path):
    table = small(tmp_path / "a")
    whole = digests(tmp_path / "a")
    Path(table.path[3]).unlink()
    small(tmp_path / "a")
    assert digests(tmp_path / "a") == whole


def test_every_shape_that_is_allowed_can_be_drawn(tmp_path):
    small(tmp_path / "narrow", patients=40, image_size=(200, 120))


@pytest.mark.parametrize(
    "settings",
    [
        {"patients": 19},
        {"difficulty": 1.5},
        {"formats": ["gif"]},
        {"formats": [["png8"]]},
        {"formats": "png8"},
        {"looks": []},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": "a"},
        {"seed": 1.9},
        {"patients": 20.5},
        {"patients": "20"},
        {"difficulty": "0.3"},
        {"difficulty": float("nan")},
        {"processes": 0},
        {"processes": "a"},
        {"processes": 1.5},
        {"image_size": 192},
        {"image_size": (192.5, 144)},
        {"image_size": (128, 77)},
        {"image_size": (64, 64)},
        {"image_size": (512, 128)},
    ],
)
def test_impossible_settings_are_refused_by_name(tmp_path, settings):
    name, value = next(iter(settings.items()))
    named = "width" if value == (512, 128) else f"{name} (is|must be) .*not {re.escape(repr(value))}"
    with pytest.raises(mammo.MammoError, match=named):
        small(tmp_path / "a", **settings)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("settings", [{"images": 20.5}, {"seed": 1.9}, {"processes": 0}, {"image_size": "ab"}])
def test_impossible_settings_of_noise_are_refused(tmp_path, settings):
    with pytest.raises(mammo.MammoError, match=next(iter(settings))):
        noise(tmp_path / "a", **settings)
    assert not (tmp_path / "a").exists()


def test_noise_is_noise(tmp_path):
    table = mammo.noise_dataset(tmp_path / "noise", images=60, seed=0, image_size=(128, 128), processes=1)
    assert set(table.source) == {"noise"}
    assert table.patient_id.is_unique
    pixels = np.stack([mammo.read_mammogram(path).image for path in table.path])
    assert pixels.mean() == pytest.approx(0.5, abs=0.01)
    assert pixels.std() == pytest.approx(12**-0.5, abs=0.01)
    assert (table.label == "malignant").mean() == 0.5
