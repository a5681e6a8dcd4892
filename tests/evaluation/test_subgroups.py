import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import mammo
from mammo.evaluation.calibration import Calibration
from mammo.evaluation.delong import auc_interval
from mammo.evaluation.subgroups import COLUMNS

METRICS = ["auc", "auc_low", "auc_high", "sensitivity", "specificity"]


def scored(patients=400, seed=0):
    """Two views of both breasts; in half the patients the left one has a lesion, malignant in every second of them."""
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(patients):
        kind = ("round", "spiculated", None, None)[p % 4]
        density = "ABCD"[p // 4 % 4] if p % 10 else None
        for side in "LR":
            for view in ("CC", "MLO"):
                label = {"round": "benign", "spiculated": "malignant"}.get(kind, "normal") if side == "L" else "normal"
                odds = rng.normal((label == "malignant") * 2 - 1 + (label == "benign") * 0.5)
                lesion = kind if side == "L" else None
                rows.append((f"{p}{side}{view}", label, f"P{p}", side, view, density, lesion, 1 / (1 + np.exp(-odds))))
    columns = ["path", "label", "patient_id", "laterality", "view", "density", "lesion_type", "probability"]
    return mammo.split_by_patient(pd.DataFrame(rows, columns=columns).assign(source="synthetic"), seed=seed)


@pytest.fixture(scope="module")
def table():
    return mammo.subgroup_metrics(scored()).set_index(["of", "group"])


def test_one_row_a_level_and_group(table):
    assert list(table.reset_index().columns) == list(COLUMNS)
    assert table.loc["level"].index.tolist() == ["image", "breast", "patient"]
    assert table.loc["density"].index.tolist() == ["A", "B", "C", "D", "not recorded"]
    assert table.loc["lesion_type"].index.tolist() == ["no lesion", "round", "spiculated"]
    test = scored().query("split == 'test'")
    assert table["cases"]["level"].tolist() == [len(test), len(test) / 2, len(test) / 4]
    assert table["cases"]["view", "CC"] == (test["view"] == "CC").sum()
    assert table["malignant"]["view", "CC"] == ((test["view"] == "CC") & (test["label"] == "malignant")).sum()
    assert table["patients"]["view", "CC"] == test["patient_id"].nunique()


def test_the_levels_equal_the_report_of_evaluate(table):
    for level in ("image", "patient"):
        report = mammo.evaluate(scored() if level == "image" else mammo.combine_views(scored(), level))
        row = table.loc["level", level]
        assert row[["auc", "sensitivity", "specificity"]].tolist() == pytest.approx(
            [report["auc"], report["sensitivity"], report["specificity"]]
        )
        assert [row["auc_low"], row["auc_high"]] == pytest.approx(report["auc_interval"])


def test_a_group_has_its_own_images_and_the_threshold_of_all(table):
    report = mammo.evaluate(scored())
    test = scored().query("split == 'test' and view == 'MLO'")
    positive = Calibration(**report["calibration"])(test["probability"]) >= report["operating_point"]["threshold"]
    malignant = test["label"] == "malignant"
    row = table.loc["view", "MLO"]
    assert row["sensitivity"] == pytest.approx(positive[malignant].mean())
    assert row["specificity"] == pytest.approx((~positive)[~malignant].mean())
    assert row["auc"] == pytest.approx(roc_auc_score(malignant, test["probability"]))
    ends = auc_interval(malignant, test["probability"], test["patient_id"])
    assert [row["auc_low"], row["auc_high"]] == pytest.approx(ends)


def test_a_lesion_type_is_compared_with_all_images_of_the_other_class(table):
    test = scored().query("split == 'test'")
    for kind, other, against in (("spiculated", "not malignant", False), ("round", "malignant", True)):
        rows = test[(test["lesion_type"] == kind) | ((test["label"] == "malignant") == against)]
        row = table.loc["lesion_type", kind]
        assert row["note"] == f"against all {other}"
        assert row["cases"] == len(rows)
        assert row["auc"] == pytest.approx(roc_auc_score(rows["label"] == "malignant", rows["probability"]))


def test_with_too_few_patients_a_metric_is_nan(table):
    """Every density has about six patients with cancer in the test split: too few for a sensitivity."""
    for name in "ABCD":
        row = table.loc["density", name]
        assert row[["auc", "auc_low", "auc_high", "sensitivity"]].isna().all()
        assert row["specificity"] > 0
        assert "patients with malignant images" in row["note"]
        assert "10 of each are needed" in row["note"]
    assert table[METRICS].loc["level"].notna().all(axis=None)


def test_a_level_that_cannot_be_computed_gives_the_reason():
    rows = mammo.subgroup_metrics(scored().drop(columns=["laterality", "density", "lesion_type"])).set_index(
        ["of", "group"]
    )
    assert rows.loc["level", "image"][METRICS].notna().all()
    assert rows.loc["level", "breast"][METRICS].isna().all()
    assert "laterality" in rows["note"]["level", "breast"]
    assert set(rows.index.get_level_values("of")) == {"level", "view", "source"}


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(mammo.MammoError, match="no column probability"):
        mammo.subgroup_metrics(scored().drop(columns="probability"))


def test_the_target_sensitivity_moves_the_threshold_of_every_level():
    low, high = (mammo.subgroup_metrics(scored(), by=["view"], target_sensitivity=target) for target in (0.5, 0.9))
    assert (low["sensitivity"] < high["sensitivity"]).all()
    assert (low["specificity"] > high["specificity"]).all()


def test_ten_patients_of_a_class_are_enough(monkeypatch):
    """Of the test patients of one view exactly as many as needed have a class: the number is given."""
    test = scored().query("split == 'test' and view == 'CC'")
    by_class = [test.loc[(test["label"] == "malignant") == label, "patient_id"].nunique() for label in (False, True)]
    for of_class, name in zip(by_class, ("specificity", "sensitivity"), strict=True):
        monkeypatch.setattr("mammo.evaluation.subgroups.PATIENTS", of_class)
        row = mammo.subgroup_metrics(scored(), by=["view"]).set_index(["of", "group"]).loc["view", "CC"]
        assert row[name] > 0
        assert np.isnan(row["auc"]) == (of_class > min(by_class))
        monkeypatch.setattr("mammo.evaluation.subgroups.PATIENTS", of_class + 1)
        row = mammo.subgroup_metrics(scored(), by=["view"]).set_index(["of", "group"]).loc["view", "CC"]
        assert np.isnan(row[name])


def test_one_column_may_be_given_by_its_name_alone():
    assert mammo.subgroup_metrics(scored(), by="view").equals(mammo.subgroup_metrics(scored(), by=["view"]))


def test_breasts_and_patients_are_not_filed_under_a_view():
    combined = mammo.subgroup_metrics(mammo.combine_views(scored()))
    assert set(combined["of"]) == {"level", "density", "lesion_type", "source"}


def test_an_index_of_the_same_name_as_a_column_changes_nothing(table):
    for column in ("patient_id", "laterality"):
        again = mammo.subgroup_metrics(scored().set_index(column, drop=False)).set_index(["of", "group"])
        pd.testing.assert_frame_equal(again, table)


@pytest.mark.parametrize("by", [5, [["view"]], [None]])
def test_what_names_no_column_is_refused(by):
    with pytest.raises(mammo.MammoError, match=r"no column .* to form groups by; it has path"):
        mammo.subgroup_metrics(scored(), by=by)


@pytest.mark.parametrize("by", ["densty", ("view", "densty"), ["densty"]])
def test_a_column_that_is_not_there_is_named(by):
    with pytest.raises(mammo.MammoError, match=r"no column densty to form groups by; it has path, label, .*density"):
        mammo.subgroup_metrics(scored(), by=by)
