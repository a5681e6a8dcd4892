from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import mammo
from mammo import evaluation
from mammo.evaluation.calibration import calibrated
from mammo.evaluation.delong import auc_variance, interval
from mammo.evaluation.report import answers_on_test, fixed_on_validation
from mammo.evaluation.bootstrap import bootstrap, roc_band
from mammo.evaluation.metrics import auc, per_draw


def scored(patients=120, images=2, signal=1.5, seed=0):
    """A manifest with scores: the log-odds differ by `signal` between the classes, patients share their luck."""
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(patients):
        malignant = p % 2
        luck = rng.normal()
        for i in range(images):
            logit = signal * (malignant - 0.5) + luck + 0.1 * rng.normal()
            label = ("benign", "malignant")[malignant]
            rows.append((f"{p}_{i}", label, f"P{p}", 1 / (1 + np.exp(-logit)), "synthetic"))
    table = pd.DataFrame(rows, columns=["path", "label", "patient_id", "probability", "source"])
    return mammo.split_by_patient(table, seed=seed)


@cache
def usual():
    """The report on the usual table; several tests look at it."""
    return mammo.evaluate(scored())


def line(report):
    return report["calibration"]["slope"], report["calibration"]["intercept"]


def test_the_auc_is_sklearns_on_the_test_rows_alone():
    table = scored()
    test = table[table.split == "test"]
    assert usual()["auc"] == pytest.approx(roc_auc_score(test.label == "malignant", test.probability))


def test_training_rows_change_nothing():
    table = scored()
    spoiled = table.assign(probability=table.probability.where(table.split != "train", 0.5))
    assert mammo.evaluate(spoiled) == usual()


def test_the_threshold_comes_from_validation():
    table, report = scored(), usual()
    other_test = table.assign(probability=table.probability.where(table.split != "test", 1 - table.probability))
    other = mammo.evaluate(other_test)
    assert (other["threshold"], other["calibration"]) == (report["threshold"], report["calibration"])
    assert other["auc"] == pytest.approx(1 - report["auc"])
    validation = table[(table.split == "validation") & (table.label == "malignant")]
    found = calibrated(validation.probability, *line(report)) >= report["threshold"]
    assert found.mean() >= 0.9


def test_sensitivity_and_specificity_agree_with_the_confusion_matrix():
    report = usual()
    (true_negative, false_positive), (false_negative, true_positive) = report["confusion"]
    assert report["sensitivity"] == pytest.approx(true_positive / (true_positive + false_negative))
    assert report["specificity"] == pytest.approx(true_negative / (true_negative + false_positive))


def test_predictive_values_agree_with_the_confusion_matrix():
    report = usual()
    (true_negative, false_positive), (false_negative, true_positive) = report["confusion"]
    assert report["positive_predictive_value"] == pytest.approx(true_positive / (true_positive + false_positive))
    assert report["negative_predictive_value"] == pytest.approx(true_negative / (true_negative + false_negative))


def test_what_has_no_value_is_none():
    """No alarm on any test image: of those that raised one, no share is malignant."""
    table = scored()
    report = mammo.evaluate(table.assign(probability=table.probability.where(table.split != "test", 1e-5)))
    assert report["positive_predictive_value"] is None
    assert report["positive_predictive_value_interval"] is None
    assert report["calibration_slope"] is None, "all the same: no line"
    assert report["negative_predictive_value"] == pytest.approx(0.5)


def test_delongs_interval_is_there_and_close_to_the_bootstraps():
    report = mammo.evaluate(scored(400))
    assert report["auc_delong_interval"] == pytest.approx(report["auc_interval"], abs=0.02)
    truth, probability, patients = answers_on_test(scored(400), fixed_on_validation(scored(400)))
    assert report["auc_delong_interval"] == interval(*auc_variance(truth, probability, patients))


def test_random_scores_are_near_one_half():
    table = scored(400)
    report = mammo.evaluate(table.assign(probability=np.random.default_rng(0).uniform(size=len(table))))
    low, high = report["auc_interval"]
    assert low < 0.5 < high


def test_resampling_patients_is_wider_than_resampling_images():
    table = scored(60, images=8)
    truth, p = (table.label == "malignant").astype(int).to_numpy(), table.probability.to_numpy()
    _, low, high = bootstrap(auc, truth, p, table.patient_id)
    _, image_low, image_high = bootstrap(auc, truth, p, np.arange(len(table)))
    assert high - low > 1.8 * (image_high - image_low)


def test_the_interval_covers_as_often_as_it_says():
    """40 data sets whose true AUC is known: a 95 % interval misses it about twice."""
    truth_auc = roc_auc_score(
        *[(t.label == "malignant") if k == 0 else t.probability for t in [scored(20000, 1)] for k in (0, 1)]
    )
    inside = 0
    for seed in range(40):
        table = scored(80, seed=seed + 1)
        truth, p = (table.label == "malignant").astype(int).to_numpy(), table.probability.to_numpy()
        _, low, high = bootstrap(auc, truth, p, table.patient_id, resamples=100, seed=seed)
        inside += low <= truth_auc <= high
    assert inside >= 34


def test_the_draws_are_the_same_however_many_are_in_memory_at_once(monkeypatch):
    """... and a measure of one draw can be asked draw by draw."""
    table = scored()
    given = (table.label == "malignant").to_numpy(int), table.probability.to_numpy(), table.patient_id
    whole = bootstrap(auc, *given, resamples=100)
    monkeypatch.setattr(evaluation, "AT_ONCE", 7 * len(table))
    assert bootstrap(auc, *given, resamples=100) == whole
    one = per_draw(lambda y, p, w: roc_auc_score(y, p, sample_weight=w))
    assert bootstrap(one, *given, resamples=100) == pytest.approx(whole)


def test_the_seed_decides():
    assert mammo.evaluate(scored(), seed=0) == usual()
    assert mammo.evaluate(scored(), seed=1)["auc_interval"] != usual()["auc_interval"]


def test_what_the_sets_cover_is_measured_on_test_patients():
    """Scores that are told apart well, then the test patients' turned round: coverage must fall, the limits stay."""
    table = scored(patients=400, signal=4)
    report = mammo.evaluate(table)
    assert report["benign_covered"] > 0.8
    assert report["malignant_covered"] > 0.8
    assert report["uncertain"] < 0.3
    turned = mammo.evaluate(
        table.assign(probability=table.probability.where(table.split != "test", 1 - table.probability))
    )
    assert turned["conformal"] == report["conformal"]
    assert turned["benign_covered"] < 0.5


def test_roc_band_holds_the_curve():
    table = scored()
    fpr, tpr, low, high = roc_band((table.label == "malignant").to_numpy(int), table.probability, table.patient_id)
    assert fpr.shape == tpr.shape == low.shape == high.shape == (101,)
    assert (low <= tpr + 0.05).all()
    assert (tpr <= high + 0.05).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="probability"), "no column probability"),
        (lambda t: t.drop(columns="split"), "no validation images"),
        (lambda t: t[t.split != "test"], "no test images"),
        (lambda t: t.assign(probability=2.0), "between 0 and 1"),
        (lambda t: t.assign(probability=np.nan), "between 0 and 1"),
        (lambda t: t[(t.split != "test") | (t.label == "benign")], "all of one class"),
    ],
)
def test_what_cannot_be_measured_is_refused(change, message):
    with pytest.raises(mammo.MammoError, match=message):
        mammo.evaluate(change(scored()))


def test_the_report_fits_into_json():
    import json

    report = usual()
    assert json.loads(json.dumps(report)) == report
    assert report["sources"] == ["synthetic"]
