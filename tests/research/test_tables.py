"""Rows of subgroups and of differences."""

import errno

import numpy as np
import pandas as pd
import pytest

import mammo
from mammo.research.cross_validation import CVScores, LinearClassifier, cross_validate, patient_folds
from mammo.research.cv_metrics import cv_metrics
from mammo.research.tables import (
    COLUMNS,
    Results,
    difference_rows,
    markdown,
    metric_rows,
    recognition_row,
    subgroups_by,
)

TABLE = pd.DataFrame(
    {
        "path": [f"{image}.png" for image in range(96)],
        "patient_id": np.repeat([f"P{number:02d}" for number in range(48)], 2),
        "label": np.repeat(["benign", "malignant"] * 24, 2),
        "view": ["CC", "MLO"] * 48,
        "site": ["one"] * 88 + ["two"] * 8,
    }
)
TRUTH = (TABLE["label"] == "malignant").to_numpy().astype(int)


@pytest.fixture(scope="module")
def scores():
    rng, patients = np.random.default_rng(0), TABLE["patient_id"].to_numpy()
    folds = patient_folds(TRUTH, patients, repeats=1)
    seen = {"good": rng.normal(size=(96, 3)) + 3 * TRUTH[:, None], "none": rng.normal(size=(96, 3))}
    return {name: cross_validate(LinearClassifier(values, TRUTH, patients), folds, 96) for name, values in seen.items()}


def test_a_subgroup_with_too_few_patients_is_named(capsys):
    everyone = np.arange(96)
    assert list(subgroups_by("site", TABLE, everyone).masks) == ["one"]
    assert "Without site two: 2 patients of a class are too few, 10 are needed." in capsys.readouterr().out
    assert subgroups_by("site", TABLE, everyone[60:]).masks == {}, "training patients do not count"
    assert "Without site one: 7 patients of a class are too few, 10 are needed." in capsys.readouterr().out
    with pytest.raises(mammo.MammoError, match="There are path, patient_id"):
        subgroups_by("sight", TABLE, everyone)


def test_rows_without_a_value_are_in_no_subgroup(capsys):
    table = TABLE.assign(site=np.where(np.arange(96) < 40, "one", None))
    assert set(subgroups_by("site", table, np.arange(96)).groups[40:]) == {-1}
    assert "56 of 96 rows have no site and are in none of its subgroups." in capsys.readouterr().out


def test_a_subgroup_is_measured_on_its_own_rows(scores):
    subgroups = subgroups_by("view", TABLE, np.arange(96))
    rows = list(metric_rows(cv_metrics, TABLE, [scores["good"]], breasts=False, subgroups=subgroups))
    found = [(row["of"], row["cases"]) for row in rows]
    assert found == [("images", 96), ("images, within view", 96), ("CC", 48), ("MLO", 48)]
    line = markdown({"size": "2 x 2", "features": "good", "classifier": "linear"} | rows[0], COLUMNS)
    assert line.startswith(f"| 2 x 2 | good | linear | images | {rows[0]['auc']:.3f} (")
    assert line.count("|") == len(COLUMNS) + 1


def test_a_score_that_knows_the_machine_is_found_out():
    """Machine A has most cancers. One score knows the machine, the other the disease."""
    rng, machine = np.random.default_rng(1), np.repeat(["A", "B"], 48)
    truth = (rng.random(96) < np.where(machine == "A", 0.6, 0.2)).astype(int)
    table = TABLE.assign(machine=machine, label=np.where(truth, "malignant", "benign"), patient_id=TABLE["path"])
    subgroups, fold = subgroups_by("machine", table, np.arange(96)), np.arange(96)[:, None] % 2

    def found(score):
        return recognition_row(table, CVScores(score[:, None], fold, np.zeros((96, 1, 2))), subgroups)

    knows, sees = found((machine == "A") + rng.normal(0, 0.1, 96)), found(truth + rng.normal(0, 0.1, 96))
    assert knows["auc"] == 1
    assert (knows["cases"], knows["malignant"]) == ((truth == 0).sum(), 0)
    low, high = sees["auc_interval"]
    assert low < 0.5 < high
    assert markdown({"size": "", "features": "", "classifier": ""} | sees, COLUMNS).endswith(f"{high:.3f}) |  |  |")


def test_the_table_has_a_row_for_it(scores, tmp_path, capsys):
    table = TABLE.assign(machine=np.where(np.arange(96) < np.where(TRUTH, 64, 48), "A", "B"))
    results = Results(table, subgroups_by("machine", table, np.arange(96)), False, tmp_path / "table.csv")
    results.add(scores["none"], "2 x 2", "noise", "linear")
    assert results.rows[-1]["of"] == "machine, from images that are not malignant"
    assert results.rows[-1]["cases"] == 48
    assert "from images that are not malignant" in capsys.readouterr().out


def test_a_table_that_cannot_be_written_is_said(scores, tmp_path, monkeypatch):
    def full(path, write):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mammo.research.tables.write_atomically", full)
    with pytest.raises(mammo.MammoError, match="No space left"):
        Results(TABLE, None, False, tmp_path / "table.csv").add(scores["none"], "2 x 2", "noise", "linear")


def test_recognising_a_value_is_measured_where_there_are_patients_enough():
    alike = subgroups_by("view", TABLE, np.arange(96))
    scores = CVScores(np.zeros((96, 1)), np.zeros((96, 1), int), np.zeros((96, 1, 1)))
    assert recognition_row(TABLE, scores, alike) is None, "both views have the same share of malignant images"


def test_two_networks_are_compared_with_the_same_classifier_only(scores):
    by_classifier = {("2 x 2", "linear"): scores, ("2 x 2", "cells"): {"good": scores["good"]}}
    rows = list(difference_rows(by_classifier, TABLE, breasts=False, subgroups=None))
    assert [(row["classifier"], row["features"], row["minus"]) for row in rows] == [("linear", "good", "none")]
    low, high = rows[0]["difference_interval"]
    assert 0 < low < rows[0]["difference"] < high


@pytest.mark.parametrize("suffix", ["", ", flips"])
def test_what_fine_tuning_gains_over_the_frozen_network_is_told(scores, suffix):
    by_classifier = {
        ("2 x 2", "linear, flips"): {"net": scores["none"]},
        ("2 x 2", "linear"): {"net": scores["none"], "other": scores["none"]},
        ("3 x 3", "linear"): {"net": scores["none"]},
        ("2 x 2", f"fine-tuned{suffix}"): {"net": scores["good"]},
    }
    rows = list(difference_rows(by_classifier, TABLE, breasts=False, subgroups=None))
    (row,) = (row for row in rows if row["classifier"] == f"fine-tuned{suffix}")
    assert (row["size"], row["features"], row["minus"]) == ("2 x 2", "net", "net, frozen")
    assert 0 < row["difference_interval"][0] < row["difference"]


def test_the_file_has_both_ends_of_an_interval_as_numbers(scores, tmp_path):
    results = Results(TABLE, None, False, tmp_path / "table.csv")
    for name in ("good", "none"):
        results.add(scores[name], "2 x 2", name, "linear")
    results.add_differences()
    for name, value in (("table", "auc"), ("table_pairs", "difference")):
        row = pd.read_csv(tmp_path / f"{name}.csv").iloc[0]
        assert row[f"{value}_low"] <= row[value] <= row[f"{value}_high"]
