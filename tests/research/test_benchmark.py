"""The command: its tables, its options, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from files import breakhis_replica

import mammo
from mammo.core.manifest import class_indices
from mammo.research import benchmark
from mammo.training import fine_tuning

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def table(demo, tmp_path_factory):
    """20 patients, a lesion in both views of one breast; as a CSV without splits."""
    rows = demo[demo["label"] != "normal"].drop(columns="split")
    return mammo.save_manifest(rows, tmp_path_factory.mktemp("csv") / "manifest.csv")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One folder for all tests, so that frozen features are computed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(table, cache, tmp_path, monkeypatch):
    """Run the command on three folds of `table`; without `weights` on radiomics only, which needs no network."""
    monkeypatch.setattr("mammo.research.tables.PATIENTS", 4)

    def run(*options, data=table, weights=()):
        given = [str(data), "--cache", str(cache), "--out", str(tmp_path / "out.csv"), "--size", "64", "64"]
        given += ["--folds", "3", "--repeats", "1", *options, "--weights", *weights]
        return benchmark.run(benchmark.parse_arguments(given))

    return run


def test_one_command_gives_the_tables(run, tmp_path, capsys):
    found = run("--flips", "--breasts", "--by", "view", weights=["random"])
    assert list(found["classifier"].unique()) == ["its share", "linear", "linear, flips"]
    alone = found[(found["features"] == "view alone") & (found["of"] != "images")]
    assert alone.set_index("of")["auc"].drop("breasts").tolist() == [0.5] * 3, "it knows the view alone"
    assert list(found["of"].unique()) == ["images", "images, within view", "CC", "MLO", "breasts"]
    assert found.loc[found["of"] == "images", "cases"].tolist() == [32] * 4
    assert found.loc[found["of"] == "breasts", "cases"].tolist() == [16] * 4
    written = pd.read_csv(tmp_path / "out.csv")
    assert len(written) == len(found)
    np.testing.assert_allclose(written["auc"], found["auc"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    pairs = pd.read_csv(tmp_path / "out_pairs.csv")
    assert len(lines) == 2 + len(found) + 2 + len(pairs)
    assert len({line.count("|") for line in lines[: 2 + len(found)]}) == 1
    assert pairs["of"].tolist() == [
        "images",
        "images, within view",
        "CC",
        "MLO",
        "breasts",
    ]  # radiomics and random share one classifier
    linear = found[found["classifier"] == "linear"].pivot_table(index="of", columns="features", values="auc")
    expected = (linear["radiomics"] - linear["ResNet50, random"])[pairs["of"]]
    np.testing.assert_allclose(pairs["difference"], expected)


def test_the_same_seed_gives_the_same_table_and_frozen_features_are_cached(run, cache):
    first = run(weights=["random"])
    kept = len(list(cache.rglob("*")))
    pd.testing.assert_frame_equal(run(weights=["random"]), first)
    assert len(list(cache.rglob("*"))) == kept
    assert not run("--seed", "1").equals(first[first["features"] == "radiomics"])


def test_cells_and_averages_of_several_sizes(run, demo, tmp_path):
    """Random weights see nothing: only the rows and the images are checked. Normal images have no lesion."""
    normal = demo.loc[demo["label"] == "normal", "patient_id"].iloc[0]
    rows = demo[(demo["label"] != "normal") | (demo["patient_id"] == normal)].drop(columns="split")
    assert (rows["label"] == "normal").any()
    data = mammo.save_manifest(rows, tmp_path / "manifest.csv")
    options = ("--size", "96", "64", "--folds", "2", "--flips", "--cells", "--together")
    found = run(*options, data=data, weights=["random"])
    names = ["linear", "linear", "linear, flips", "cells, flips"]
    assert found["classifier"].tolist() == [*names, *names, "4 together"]
    assert found["size"].tolist() == ["64 x 64"] * 4 + ["96 x 64"] * 4 + ["all"]
    assert (found["cases"] == len(rows)).all()
    assert (found["malignant"] == class_indices(rows).sum()).all()
    assert len(pd.read_csv(tmp_path / "out.csv")) == 9


def test_folds_whose_fine_tuning_was_undone_are_counted(run, capsys, monkeypatch):
    undone = iter([True, False, True])
    monkeypatch.setattr(fine_tuning, "train_head", lambda *_, **__: None)
    monkeypatch.setattr(fine_tuning, "fine_tune", lambda *_, **__: {"restored": next(undone)})
    assert "fine-tuned" in run("--fine-tune", weights=["random"])["classifier"].tolist()
    assert "ResNet50, random, fine-tuned, 64 x 64: undone in 2 of 3 folds." in capsys.readouterr().out


def test_lesions_are_measured_instead_of_images(run):
    assert set(run("--lesions", "--margin", "1.5")["of"]) == {"lesions"}


def test_subgroups_of_one_class_are_named_and_left_out(run, capsys):
    assert set(run("--by", "lesion_type")["of"]) == {"images", "images, within lesion_type"}
    assert "Without lesion_type coarse calcifications: 0 patients of a class are too few" in capsys.readouterr().out


def test_rows_without_a_subgroup_are_counted(run, table, tmp_path, capsys):
    rows = mammo.load_manifest(table)
    rows.loc[:4, "view"] = None
    run("--by", "view", data=mammo.save_manifest(rows, tmp_path / "some.csv"))
    assert "5 of 32 rows have no view and are in none of its subgroups." in capsys.readouterr().out


def test_trained_on_one_table_and_tested_on_another(run, table, tmp_path, monkeypatch):
    monkeypatch.setattr("mammo.research.cross_validation.FOLDS", 3)
    rows = mammo.load_manifest(table)
    first = rows["patient_id"].isin(rows["patient_id"].unique()[:8])
    one, other = (
        mammo.save_manifest(part, tmp_path / f"{name}.csv") for name, part in (("a", rows[first]), ("b", rows[~first]))
    )
    assert set(run("--test", str(other), data=one)["cases"]) == {(~first).sum()}


def test_weights_that_cannot_be_had_are_named_and_left_out(run, capsys, monkeypatch):
    def missing(weights, *_):
        raise mammo.MammoError(f"no {weights} here")

    monkeypatch.setattr(benchmark, "_build", missing)
    assert set(run(weights=["random"])["features"]) == {"radiomics"}
    assert "Without random weights: no random here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--train", "synthetic", "--test", "cmmd"], "Name the data once"),
        (["--official", "--test", "cmmd"], "exclude each other"),
        (["--test-root", "somewhere"], "--test-root goes with --test"),
        (["--side", "256"], "--side goes with --lesions"),
        (["--cells", "--lesions"], "Leave --lesions out"),
        (["--mobilenet", "nothing.h5"], r"nothing\.h5 is missing"),
        (["--repeats", "0"], "--repeats is 1 or more"),
        (["--folds", "1"], "--folds is 2 or more"),
        (["--seed", "-1"], "--seed is 0 or more"),
        (["--stages", "9", "--fine-tune"], "--stages is 5 at most"),
        (["--epochs", "0", "--fine-tune"], "--epochs is 1 or more"),
        (["--out", "."], "is a folder"),
        (["--out", "/proc/table.csv"], "cannot be written"),
        (["--by", "densty"], "no column 'densty' to group by. There are path, "),
    ],
)
def test_what_cannot_be_is_refused_at_once(run, monkeypatch, options, reason):
    monkeypatch.setattr(benchmark, "classifiers", lambda *_: pytest.fail("computed"))
    with pytest.raises(mammo.MammoError, match=reason):
        run(*options)


def test_breasts_of_images_without_laterality_are_refused_at_once(run, table, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "classifiers", lambda *_: pytest.fail("computed"))
    rows = mammo.load_manifest(table).drop(columns="laterality")
    with pytest.raises(mammo.MammoError, match="laterality"):
        run("--breasts", data=mammo.save_manifest(rows, tmp_path / "one.csv"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Name a data set"),
        (["--train", "synthetic"], "--train goes with --test"),
        (["mini_mias", "--root", "nowhere", "--kind", "mass"], "no kinds to choose from"),
    ],
)
def test_arguments_that_lead_nowhere_are_refused(arguments, reason):
    with pytest.raises(mammo.MammoError, match=reason):
        benchmark.parse_arguments(arguments)


def test_kinds_are_for_the_data_set_that_has_them(demo, monkeypatch):
    asked = {}

    def cbis_ddsm(root, kind=None):
        asked["cbis_ddsm"] = kind
        return demo

    def inbreast(root):
        asked["inbreast"] = None
        return demo

    monkeypatch.setattr("mammo.datasets.cbis_ddsm.manifest", cbis_ddsm)
    monkeypatch.setattr("mammo.datasets.inbreast.manifest", inbreast)
    given = ["--train", "cbis_ddsm", "--root", "a", "--test", "inbreast", "--test-root", "b", "--kind", "mass"]
    with pytest.raises(mammo.MammoError, match="20 patients are in training and in test"):
        benchmark.run(benchmark.parse_arguments(given))
    assert asked == {"cbis_ddsm": "mass", "inbreast": None}


def test_micrographs_by_magnification(run, cache, tmp_path):
    """Folds by patient, a row for each magnification; no radiomics, which are of greys."""
    root = breakhis_replica(tmp_path, patients=16, pictures=1)
    found = run("--root", str(root), "--partial", "--by", "magnification", data="breakhis", weights=["random"])
    assert set(found["features"]) == {"magnification alone", "ResNet50, random"}
    of_network = found[found["features"] == "ResNet50, random"]
    assert of_network["of"].tolist() == ["images", "images, within magnification", "40", "100", "200", "400"]
    assert of_network["cases"].tolist() == [64, 64, 16, 16, 16, 16]
    assert of_network["auc"].min() > 0.9, "colour tells the classes apart"
