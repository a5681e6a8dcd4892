"""The command: any manifest, whole images or lesions, folds or two data sets."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mammo
from mammo.research import benchmark
from mammo.data.image_loader import ImageLoader


@pytest.fixture(scope="module")
def table(demo, tmp_path_factory):
    """20 patients, a lesion in both views of one breast; as a CSV without splits."""
    rows = demo[demo["label"] != "normal"].drop(columns="split")
    return mammo.save_manifest(rows, tmp_path_factory.mktemp("csv") / "manifest.csv")


def run(table, *options, tmp_path):
    given = [str(table), "--weights", "random", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out.csv")]
    return benchmark.main(benchmark.arguments().parse_args([*given, "--size", "64", "64", "--repeats", "1", *options]))


@pytest.fixture
def three_folds(monkeypatch):
    monkeypatch.setattr(benchmark.patient_folds, "__defaults__", (3, 1, 0))
    monkeypatch.setattr("mammo.rows.PATIENTS", 4)


def test_one_command_gives_the_table(table, tmp_path, capsys, three_folds):
    found = run(table, "--flips", "--breasts", "--by", "view", tmp_path=tmp_path)
    assert list(found["reader"].unique()) == ["linear", "linear, flips"]
    assert list(found["of"].unique()) == ["images", "CC", "MLO", "breasts"]
    assert found.loc[found["of"] == "images", "cases"].tolist() == [32] * 3
    assert found.loc[found["of"] == "breasts", "cases"].tolist() == [16] * 3
    written = pd.read_csv(tmp_path / "out.csv")
    assert len(written) == len(found)
    np.testing.assert_allclose(written["auc"], found["auc"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    pairs = pd.read_csv(tmp_path / "out_pairs.csv")
    assert len(lines) == 2 + len(found) + 2 + len(pairs)
    assert len({line.count("|") for line in lines[: 2 + len(found)]}) == 1
    assert pairs["of"].tolist() == ["images", "CC", "MLO", "breasts"]  # radiomics against random, one reader in common
    same = found[found["reader"] == "linear"].pivot_table(index="of", columns="features", values="auc")
    expected = (same["radiomics"] - same["ResNet50, random"])[pairs["of"]]
    np.testing.assert_allclose(pairs["difference"], expected)


def test_the_same_seed_gives_the_same_table_and_frozen_values_are_kept(table, tmp_path, three_folds, monkeypatch):
    first = run(table, tmp_path=tmp_path)
    kept = len(list((tmp_path / "cache").rglob("*")))
    pd.testing.assert_frame_equal(run(table, tmp_path=tmp_path), first)
    assert len(list((tmp_path / "cache").rglob("*"))) == kept
    assert not run(table, "--seed", "1", tmp_path=tmp_path).equals(first)


def test_lesions_are_squares_around_their_places(table, tmp_path, three_folds):
    found = run(table, "--lesions", "--margin", "1.5", tmp_path=tmp_path)
    assert set(found["of"]) == {"lesions"}
    rows = benchmark.load(str(table), lesions=True, margin=1.5)
    np.testing.assert_allclose(rows["square"], np.maximum(3 * rows["radius"], 32))


def test_groups_of_one_class_are_named_and_left_out(table, tmp_path, capsys, three_folds):
    found = run(table, "--by", "lesion_type", tmp_path=tmp_path)
    assert set(found["of"]) == {"images"}
    assert "Without lesion_type architectural distortion: 0 patients of a class are too few" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--train", "synthetic", "--test", "cmmd"], "Name the data once"),
        (["--official", "--test", "cmmd"], "exclude each other"),
        (["--test-root", "somewhere"], "--test-root goes with --test"),
        (["--side", "256"], "--side goes with --lesions"),
        (["--cells", "--lesions"], "Leave --lesions out"),
        (["--mobilenet", "nothing.h5"], "nothing.h5 is missing"),
        (["--by", "densty"], "no column 'densty' to group by. There are path, "),
    ],
)
def test_what_cannot_be_is_refused_at_once(table, tmp_path, monkeypatch, three_folds, options, reason):
    monkeypatch.setattr(benchmark, "readers", lambda *_: pytest.fail("computed"))
    with pytest.raises(mammo.MammoError, match=reason):
        run(table, *options, tmp_path=tmp_path)


def test_breasts_of_images_without_a_side_are_refused_at_once(table, tmp_path, monkeypatch, three_folds):
    monkeypatch.setattr(benchmark, "readers", lambda *_: pytest.fail("computed"))
    rows = mammo.load_manifest(table).drop(columns="laterality")
    with pytest.raises(mammo.MammoError, match="laterality"):
        run(mammo.save_manifest(rows, tmp_path / "one.csv"), "--breasts", tmp_path=tmp_path)


def test_train_without_test_and_kinds_where_there_are_none_are_refused():
    with pytest.raises(mammo.MammoError, match="--train goes with --test"):
        benchmark.main(benchmark.arguments().parse_args(["--train", "synthetic"]))
    with pytest.raises(mammo.MammoError, match="no kinds to choose from"):
        benchmark.main(benchmark.arguments().parse_args(["mini_mias", "--root", "nowhere", "--kind", "mass"]))


def test_synthetic_images_are_drawn_in_the_cache_that_is_named(tmp_path, monkeypatch):
    def drawn(folder, **_):
        raise mammo.MammoError(f"drawn in {folder}")

    monkeypatch.setattr(benchmark, "generate_dataset", drawn)
    with pytest.raises(mammo.MammoError, match=re.escape(f"drawn in {tmp_path / 'synthetic'}")):
        benchmark.main(benchmark.arguments().parse_args(["synthetic", "--cache", str(tmp_path)]))


def test_a_side_with_one_class_is_refused(table):
    rows = mammo.load_manifest(table)
    ill = rows[rows["label"] == "malignant"]
    with pytest.raises(mammo.MammoError, match="In test all images are malignant"):
        benchmark.parts_of(rows[~rows["patient_id"].isin(ill["patient_id"].iloc[:1])], ill.head(1))


def test_weights_that_cannot_be_had_are_left_out_and_named(table, tmp_path, capsys, three_folds, monkeypatch):
    def missing(name, size):
        raise mammo.MammoError(f"no {name} here")

    monkeypatch.setattr(benchmark, "_started", missing)
    found = run(table, tmp_path=tmp_path)
    assert set(found["features"]) == {"radiomics"}
    assert "Without random weights: no random here" in capsys.readouterr().out


def halves(table, folder):
    rows = mammo.load_manifest(table)
    first = rows["patient_id"].isin(rows["patient_id"].unique()[:8])
    return [
        mammo.save_manifest(part, folder / f"{name}.csv") for name, part in (("a", rows[first]), ("b", rows[~first]))
    ]


def test_trained_on_one_and_tested_on_another(table, tmp_path, monkeypatch):
    monkeypatch.setattr("mammo.folds.FOLDS", 3)
    one, other = halves(table, tmp_path)
    found = run(one, "--test", str(other), tmp_path=tmp_path)
    assert set(found["cases"]) == {len(mammo.load_manifest(other))}


def test_overlapping_patients_are_refused(table, tmp_path):
    one, _ = halves(table, tmp_path)
    with pytest.raises(mammo.MammoError, match="8 patients are in training and in test, first S3-"):
        run(one, "--test", str(table), tmp_path=tmp_path)


def test_the_same_film_under_another_name_is_refused(table, tmp_path, monkeypatch):
    monkeypatch.setattr("mammo.folds.FOLDS", 3)
    one, other = (mammo.load_manifest(path) for path in halves(table, tmp_path))
    twin = tmp_path / "twin.png"
    twin.write_bytes(Path(one["path"][0]).read_bytes())
    other.loc[0, "path"] = str(twin)
    with pytest.raises(mammo.MammoError, match="under two names"):
        benchmark.parts_of(one, other)


def test_the_same_film_of_two_patients_is_refused_in_folds_too(table, tmp_path):
    rows = mammo.load_manifest(table)
    twin = tmp_path / "twin.png"
    twin.write_bytes(Path(rows["path"][0]).read_bytes())
    rows.loc[len(rows) - 1, "path"] = str(twin)
    with pytest.raises(mammo.MammoError, match="1 files could be in training and in test under two names"):
        benchmark.parts_of(rows)


def test_too_few_to_learn_from_are_refused(table):
    rows = mammo.load_manifest(table)
    ill = rows.loc[rows["label"] == "malignant", "patient_id"].unique()
    here = rows["patient_id"].isin(ill[:2]) | (rows["label"] != "malignant") & (rows.index < 20)
    with pytest.raises(mammo.MammoError, match="2 training patients of one class are too few: 5 are needed"):
        benchmark.parts_of(rows[here], rows[~here])


def test_kinds_are_for_the_data_set_that_has_them(monkeypatch):
    asked = {}
    monkeypatch.setattr("mammo.datasets.cbis_ddsm.manifest", lambda root, kind=None: asked.update(cbis_ddsm=kind))
    monkeypatch.setattr("mammo.datasets.inbreast.manifest", lambda root: asked.update(inbreast=None))
    monkeypatch.setattr(
        benchmark, "load", lambda name, root, **given: benchmark._published(name, root, "manifest", given)
    )
    given = ["--train", "cbis_ddsm", "--root", "a", "--test", "inbreast", "--test-root", "b", "--kind", "mass"]
    with pytest.raises(TypeError):  # of the tables that are none
        benchmark.main(benchmark.arguments().parse_args(given))
    assert asked == {"cbis_ddsm": "mass", "inbreast": None}


def test_rows_without_a_group_are_counted(table, tmp_path, capsys, three_folds):
    rows = mammo.load_manifest(table)
    rows.loc[:4, "view"] = None
    run(mammo.save_manifest(rows, tmp_path / "some.csv"), "--by", "view", tmp_path=tmp_path)
    assert "5 of 32 rows have no view and are in none of its groups." in capsys.readouterr().out


def test_the_owners_split_is_used_or_asked_for(table, demo):
    rows = mammo.load_manifest(table)
    with pytest.raises(mammo.MammoError, match="no official split"):
        benchmark.parts_of(rows, official=True)
    _, (((train, test),),) = benchmark.parts_of(demo, official=True)
    np.testing.assert_array_equal(test, np.flatnonzero(demo["split"] == "test"))
    assert len(train) + len(test) == len(demo)


def test_data_sets_come_by_name(monkeypatch, tmp_path):
    with pytest.raises(mammo.MammoError, match="no data set 'minimias'"):
        benchmark.load("minimias")
    with pytest.raises(mammo.MammoError, match="Where is mini_mias"):
        benchmark.load("mini_mias")
    with pytest.raises(mammo.MammoError, match="does not say where its lesions are"):
        benchmark.load("cmmd", tmp_path, lesions=True)
    with pytest.raises(mammo.MammoError, match=r"Info\.txt is missing"):
        benchmark.load("mini_mias", tmp_path, partial=True)


def test_a_place_in_the_file_is_found_again_in_the_mirrored_breast(tmp_path):
    """A bright spot in a breast whose chest wall is on the right; the cut around it must be bright in its middle."""
    rows, columns = np.mgrid[0:400, 0:300]
    image = np.where(np.hypot(rows - 200, columns - 299) < 180, 90, 0).astype(np.uint8)
    image[85:105, 235:255] = 250
    Image.fromarray(image).save(tmp_path / "right.png")
    lesion = {
        "path": str(tmp_path / "right.png"),
        "x": 245,
        "y": 95,
        "radius": 10,
        "label": "benign",
        "patient_id": "1",
    }
    squares = mammo.lesion_patches(pd.DataFrame([lesion, lesion | {"y": 200}, lesion | {"x": None}]))
    assert squares["square"].tolist() == [40, 40]
    spot, tissue = ImageLoader(squares, (80, 80))[[0, 1]]
    assert spot[36:44, 36:44].mean() > 1.5 * spot[:20].mean()
    assert tissue.std() < 0.1
    assert len(set(ImageLoader(squares, (80, 80)).keys)) == 2
