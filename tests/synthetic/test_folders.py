"""Folders in the layouts of CBIS-DDSM and CMMD: kept, made anew or left alone."""

import re
from pathlib import Path

import pytest

import mammo
from mammo.datasets import cbis_ddsm, cmmd
from mammo.synthetic import cbis_ddsm_folder, cmmd_folder


@pytest.mark.parametrize(("draw", "reader"), [(cbis_ddsm_folder, cbis_ddsm), (cmmd_folder, cmmd)])
def test_a_folder_is_kept_made_anew_or_left_alone(tmp_path, draw, reader):
    root = draw(tmp_path / "data", 20, seed=1, image_size=(192, 144), processes=1)
    assert all(mammo.read_mammogram(path).synthetic for path in reader.manifest(root, partial=True)["path"])
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*.dcm")}
    draw(root, 20, seed=1, image_size=(192, 144), processes=1)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.dcm")} == stamps
    other = draw(tmp_path / "new", 20, seed=1, image_size=(192, 144), processes=1)
    assert [p.read_bytes() for p in sorted(other.rglob("*.dcm"))] == [p.read_bytes() for p in sorted(stamps)]
    draw(other, 10, seed=2, image_size=(192, 144), difficulty=1.0, processes=1)
    assert len(reader.manifest(other, partial=True)) == 20
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("two years")
    with pytest.raises(mammo.MammoError, match="holds other files"):
        draw(tmp_path / "mine", 20)


@pytest.mark.parametrize(("draw", "images"), [(cbis_ddsm_folder, "CBIS-DDSM"), (cmmd_folder, "cmmd")])
def test_files_of_ones_own_among_the_images_keep_the_folder_as_it_is(tmp_path, draw, images):
    root = draw(tmp_path, 10, seed=1, image_size=(192, 144), processes=1)
    film = next(root.rglob("*.dcm"))
    own = film.with_name("notes.txt")
    own.write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    with pytest.raises(mammo.MammoError, match=rf"not touched, such as {images}/.*notes\.txt"):
        draw(root, 10, seed=2, image_size=(192, 144), processes=1)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    own.unlink()
    drawn = set(root.rglob("*.dcm"))
    draw(root, 4, seed=2, image_size=(192, 144), processes=1)
    assert len(set(root.rglob("*.dcm"))) < len(drawn), "nothing of the former is left"
    assert all(list(path.iterdir()) for path in root.rglob("*") if path.is_dir()), "nor an empty folder"


@pytest.mark.parametrize("draw", [cbis_ddsm_folder, cmmd_folder])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patients", 1),
        ("patients", "20"),
        ("patients", 20.5),
        ("seed", -1),
        ("difficulty", 1.5),
        ("image_size", (64, 64)),
        ("image_size", 512),
        ("processes", 0),
        ("processes", None),
    ],
)
def test_impossible_settings_are_refused_by_name(tmp_path, draw, name, value):
    with pytest.raises(mammo.MammoError, match=rf"{name} is .*not {re.escape(repr(value))}"):
        draw(tmp_path / "data", **{name: value})
    with pytest.raises(mammo.MammoError, match="width of at least"):
        draw(tmp_path / "data", image_size=(512, 200))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("draw", "table"), [(cbis_ddsm_folder, "mass_case_description_train_set.csv"), (cmmd_folder, cmmd.TABLES[1])]
)
def test_a_folder_that_was_half_removed_is_not_taken_for_whole(tmp_path, draw, table, monkeypatch):
    settings = {"image_size": (192, 144), "processes": 1}
    root = draw(tmp_path / "data", 4, seed=1, **settings)
    drawn = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    unlink, removed = Path.unlink, []

    def stops(path, **options):
        if len(removed) == 4:
            raise KeyboardInterrupt
        removed.append(path)
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stops)
        with pytest.raises(KeyboardInterrupt):
            draw(root, 4, seed=2, **settings)
    assert root / table in removed
    draw(root, 4, seed=1, **settings)
    assert {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()} == drawn


@pytest.mark.parametrize("draw", [cbis_ddsm_folder, cmmd_folder])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path, draw):
    (tmp_path / "file").write_text("x")
    with pytest.raises(mammo.MammoError, match="cannot be written"):
        draw(tmp_path / "file", 4)
    with pytest.raises(mammo.MammoError, match="cannot be written"):
        draw(tmp_path / "file" / "data", 4)


@pytest.mark.parametrize("draw", [cbis_ddsm_folder, cmmd_folder])
def test_a_folder_of_version_0_1_0_is_made_anew(tmp_path, draw):
    (tmp_path / "synthetic.txt").write_text("3, seed 1, 4 patients, difficulty 0.3, (192, 144)\n")
    draw(tmp_path, 4, seed=1, image_size=(192, 144), processes=1)
    assert len(list(tmp_path.rglob("*.csv"))) in (1, 4)
