import json
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import mammo
from mammo.evaluation.bootstrap import bootstrap
from mammo.evaluation.calibration import Calibration
from mammo.evaluation.delong import auc_interval
from mammo.evaluation.metrics import auc
from mammo.evaluation.operating_point import fix_on_validation
from mammo.evaluation.report import predictions_on_test


def scored(patients=120, images=2, signal=1.5, seed=0):
    """A manifest with scores: log-odds differ by `signal` between the classes and share an effect of the patient."""
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(patients):
        malignant = p % 2
        patient_effect = rng.normal()
        for i in range(images):
            logit = signal * (malignant - 0.5) + patient_effect + 0.1 * rng.normal()
            label = ("benign", "malignant")[malignant]
            rows.append((f"{p}_{i}", label, f"P{p}", 1 / (1 + np.exp(-logit)), "synthetic"))
    table = pd.DataFrame(rows, columns=["path", "label", "patient_id", "probability", "source"])
    return mammo.split_by_patient(table, seed=seed)


@cache
def default_report():
    """The report on the default table; several tests look at it."""
    return mammo.evaluate(scored())


def test_the_auc_is_scikit_learns_on_the_test_rows_alone():
    table = scored()
    test = table[table.split == "test"]
    assert default_report()["auc"] == pytest.approx(roc_auc_score(test.label == "malignant", test.probability))


def test_training_rows_change_nothing():
    table = scored()
    changed = table.assign(probability=table.probability.where(table.split != "train", 0.5))
    assert mammo.evaluate(changed) == default_report()


def test_the_threshold_comes_from_validation():
    table, report = scored(), default_report()
    other_test = table.assign(probability=table.probability.where(table.split != "test", 1 - table.probability))
    other = mammo.evaluate(other_test)
    for fixed in ("operating_point", "calibration", "conformal"):
        assert other[fixed] == report[fixed]
    assert other["auc"] == pytest.approx(1 - report["auc"])
    validation = table[(table.split == "validation") & (table.label == "malignant")]
    positive = Calibration(**report["calibration"])(validation.probability) >= report["operating_point"]["threshold"]
    assert positive.mean() == report["operating_point"]["validation_sensitivity"]
    assert positive.mean() >= 0.9


def test_sensitivity_and_specificity_agree_with_the_confusion_matrix():
    report = default_report()
    (true_negative, false_positive), (false_negative, true_positive) = report["confusion"]
    assert report["sensitivity"] == pytest.approx(true_positive / (true_positive + false_negative))
    assert report["specificity"] == pytest.approx(true_negative / (true_negative + false_positive))


def test_the_report_counts_how_often_each_result_is_given_and_how_often_it_is_right():
    table = scored(patients=400, signal=4)
    report, fixed = mammo.evaluate(table), fix_on_validation(table)
    test = table[table.split == "test"]
    malignant = (test.label == "malignant").to_numpy()
    result = np.array([fixed.result_rule.result(p) for p in fixed.calibration(test.probability)])
    for name in ("negative", "uncertain", "positive"):
        assert report[f"{name}_share"] == pytest.approx(np.mean(result == name))
        assert report[f"{name}_of_malignant"] == pytest.approx(np.mean(result[malignant] == name))
        assert report[f"{name}_of_benign"] == pytest.approx(np.mean(result[~malignant] == name))
    assert report["positive_correct"] == pytest.approx(malignant[result == "positive"].mean())
    assert report["negative_correct"] == pytest.approx(1 - malignant[result == "negative"].mean())
    assert min(report["positive_share"], report["negative_share"], report["uncertain_share"]) > 0


def test_predictive_values_agree_with_the_confusion_matrix():
    report = default_report()
    (true_negative, false_positive), (false_negative, true_positive) = report["confusion"]
    assert report["positive_predictive_value"] == pytest.approx(true_positive / (true_positive + false_positive))
    assert report["negative_predictive_value"] == pytest.approx(true_negative / (true_negative + false_negative))


def test_a_metric_without_a_value_is_none():
    """No test image is positive, so there is no positive predictive value."""
    table = scored()
    report = mammo.evaluate(table.assign(probability=table.probability.where(table.split != "test", 1e-5)))
    assert report["positive_predictive_value"] is None
    assert report["positive_predictive_value_interval"] is None
    assert report["calibration_slope"] is None, "one probability for all images has no slope"
    assert report["negative_predictive_value"] == pytest.approx(0.5)


def test_the_interval_of_the_auc_counts_patients():
    report = default_report()
    test = predictions_on_test(scored(), fix_on_validation(scored()))
    assert report["auc_interval"] == auc_interval(test.truth, test.probability, test.patients)
    low, high = bootstrap(auc, test.truth, test.probability, test.patients)[1:]
    assert report["auc_interval"] == pytest.approx([low, high], abs=0.1)


def test_random_scores_are_near_one_half():
    table = scored(400)
    report = mammo.evaluate(table.assign(probability=np.random.default_rng(0).uniform(size=len(table))))
    low, high = report["auc_interval"]
    assert low < 0.5 < high


def test_the_coverage_of_prediction_sets_is_measured_on_test_patients():
    """Well separated scores, then the test patients' reversed: the coverage must fall, the limits stay."""
    table = scored(patients=400, signal=4)
    report = mammo.evaluate(table)
    assert report["benign_covered"] > 0.8
    assert report["malignant_covered"] > 0.8
    assert report["uncertain_share"] < 0.3
    reversed_test = mammo.evaluate(
        table.assign(probability=table.probability.where(table.split != "test", 1 - table.probability))
    )
    assert reversed_test["conformal"] == report["conformal"]
    assert reversed_test["benign_covered"] < 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="probability"), "no column probability"),
        (lambda t: t.drop(columns="split"), "no validation images"),
        (lambda t: t[t.split != "test"], "no test images"),
        (lambda t: t.assign(probability=2.0), "between 0 and 1"),
        (lambda t: t.assign(probability="high"), "between 0 and 1"),
        (lambda t: t.assign(probability=np.nan), "between 0 and 1"),
        (lambda t: t.assign(label=t.label.where(t.index > 0)), "label"),
        (lambda t: t[(t.split != "test") | (t.label == "benign")], "are not malignant. Both classes are needed"),
    ],
)
def test_what_cannot_be_measured_is_refused(change, message):
    with pytest.raises(mammo.MammoError, match=message):
        mammo.evaluate(change(scored()))


@pytest.mark.parametrize(("value", "shown"), [(50.0, r"50\.0"), (np.nan, "nan"), (None, "nan"), (-0.1, r"-0\.1")])
def test_a_row_without_a_probability_is_named_with_the_remedy(value, shown):
    table = scored()
    row = table.index[table["split"] == "test"][3]
    broken = table.assign(probability=table["probability"].mask(table.index == row, value))
    with pytest.raises(
        mammo.MammoError, match=rf"in 1 rows: the first, of index {row}, has {shown}\. Divide percentages"
    ):
        mammo.evaluate(broken)


@pytest.mark.parametrize("column", ["split", "patient_id", "label"])
def test_an_index_of_the_same_name_as_a_column_changes_nothing(column):
    assert mammo.evaluate(scored().set_index(column, drop=False)) == mammo.evaluate(scored())


@pytest.mark.parametrize("dtype", ["category", "Int64"])
def test_a_source_may_be_unknown_in_a_column_of_any_kind(dtype):
    table = scored()
    source = table["source"].map(lambda _: 1).where(table.index > 0).astype(dtype)
    assert mammo.evaluate(table.assign(source=source))["sources"] == ["1" if dtype == "Int64" else "1.0", "unknown"]


def test_the_report_fits_into_json():
    report = default_report()
    assert json.loads(json.dumps(report)) == report
    assert report["sources"] == ["synthetic"]


def test_what_the_report_says_about_normal_images_and_sources():
    table = scored()
    assert default_report()["normal_images"] == "none"
    some = table.assign(
        label=table.label.where(~table.path.isin(["0_0", "2_0", "4_0", "6_0", "8_0", "10_0"]), "normal")
    )
    some.loc[some.patient_id.isin(["P0", "P2", "P4", "P6", "P8", "P10"]), "split"] = "test"
    assert mammo.evaluate(some)["normal_images"] == "counted as not malignant"
    assert mammo.evaluate(table.drop(columns="source"))["sources"] == ["unknown"]


def test_a_probability_at_the_operating_point_is_positive():
    table = scored()
    report = mammo.evaluate(table)
    on_it = table[(table.split == "validation") & (table.label == "malignant")]
    calibrated = Calibration(**report["calibration"])(on_it.probability)
    point = on_it.probability[calibrated >= report["operating_point"]["threshold"]].min()
    assert (
        mammo.evaluate(table.assign(probability=table.probability.where(table.split != "test", point)))["sensitivity"]
        == 1
    )


def test_a_metric_has_one_interval_and_the_biased_one_none():
    report = default_report()
    assert report["expected_calibration_error"] > 0
    assert report["expected_calibration_error_interval"] is None
    for name in ("auc", "partial_auc", "average_precision", "brier", "calibration_slope", "sensitivity"):
        low, high = report[f"{name}_interval"]
        assert low < report[name] < high, name
    assert "DeLong" in report["interval_method"]
    assert not {key for key in report if "delong" in key}


@pytest.mark.parametrize("target", ["0.9", None, 1])
def test_a_target_that_is_no_sensitivity_is_refused(target):
    with pytest.raises(mammo.MammoError, match="above 0 and below 1, such as"):
        mammo.evaluate(scored(), target_sensitivity=target)


def test_a_patient_without_a_split_is_not_left_out_silently():
    table = scored()
    table.loc[table["patient_id"] == "P0", "split"] = None
    with pytest.raises(mammo.MammoError, match="rows have no split, first row 1"):
        mammo.evaluate(table)
