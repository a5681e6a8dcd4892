import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import mammo
from mammo.evaluation import bootstrap, calibrated, fit_calibration, measures, roc_band, threshold_at_sensitivity


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


def line(report):
    return report["calibration"]["slope"], report["calibration"]["intercept"]


def test_the_auc_is_sklearns_on_the_test_rows_alone():
    table = scored()
    test = table[table.split == "test"]
    assert mammo.evaluate(table)["auc"] == pytest.approx(roc_auc_score(test.label == "malignant", test.probability))


def test_training_rows_change_nothing():
    table = scored()
    spoiled = table.assign(probability=table.probability.where(table.split != "train", 0.5))
    assert mammo.evaluate(table) == mammo.evaluate(spoiled)


def test_the_threshold_comes_from_validation():
    table = scored()
    report = mammo.evaluate(table)
    other_test = table.assign(probability=table.probability.where(table.split != "test", 1 - table.probability))
    other = mammo.evaluate(other_test)
    assert (other["threshold"], other["calibration"]) == (report["threshold"], report["calibration"])
    assert other["auc"] == pytest.approx(1 - report["auc"])
    validation = table[(table.split == "validation") & (table.label == "malignant")]
    found = calibrated(validation.probability, *line(report)) >= report["threshold"]
    assert found.mean() >= 0.9


def test_sensitivity_and_specificity_agree_with_the_confusion_matrix():
    report = mammo.evaluate(scored())
    (true_negative, false_positive), (false_negative, true_positive) = report["confusion"]
    assert report["sensitivity"] == pytest.approx(true_positive / (true_positive + false_negative))
    assert report["specificity"] == pytest.approx(true_negative / (true_negative + false_positive))


def test_random_scores_are_near_one_half():
    table = scored(400)
    report = mammo.evaluate(table.assign(probability=np.random.default_rng(0).uniform(size=len(table))))
    low, high = report["auc_interval"]
    assert low < 0.5 < high


def test_resampling_patients_is_wider_than_resampling_images():
    table = scored(60, images=8)
    truth, p = (table.label == "malignant").astype(int).to_numpy(), table.probability.to_numpy()
    auc = measures(0.5)["auc"]
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
        _, low, high = bootstrap(measures(0.5)["auc"], truth, p, table.patient_id, resamples=100, seed=seed)
        inside += low <= truth_auc <= high
    assert inside >= 34


def test_the_seed_decides():
    assert mammo.evaluate(scored(), seed=1) == mammo.evaluate(scored(), seed=1)
    assert mammo.evaluate(scored(), seed=1)["auc_interval"] != mammo.evaluate(scored(), seed=2)["auc_interval"]


def test_threshold_at_sensitivity_is_the_highest_that_does():
    truth = np.array([0, 0, *[1] * 10])
    p = np.array([0.05, 0.95, *np.arange(0.1, 1.1, 0.1)])
    threshold = threshold_at_sensitivity(truth, p, 0.9)
    assert threshold == pytest.approx(0.2)
    assert threshold_at_sensitivity(truth, p, 1.0) == pytest.approx(0.1)


def test_calibration_undoes_overconfidence_and_class_weights():
    """Scores three times too sure, trained as if half were malignant, where one in ten is."""
    rng = np.random.default_rng(0)
    honest = rng.beta(0.5, 4.5, 40000)
    truth = (rng.uniform(size=honest.size) < honest).astype(int)
    balanced = calibrated(honest, 3, 3 * np.log(9))
    slope, intercept = fit_calibration(truth, balanced)
    assert (slope, intercept) == pytest.approx((1 / 3, -np.log(9)), rel=0.08)
    assert calibrated(balanced, slope, intercept).mean() == pytest.approx(truth.mean(), abs=0.005)


def test_calibration_stays_sane_where_few_patients_are_told_apart_perfectly():
    truth = np.repeat([0, 1], 10)
    slope, intercept = fit_calibration(truth, np.where(truth == 1, 0.99, 0.01))
    said = calibrated(np.array([0.01, 0.5, 0.99]), slope, intercept)
    assert said == pytest.approx([1 / 12, 0.5, 11 / 12], abs=0.01), "Platt's targets for ten of each"


def test_calibration_never_turns_the_order_round():
    truth = np.repeat([0, 1], 50)
    slope, _ = fit_calibration(truth, np.where(truth == 1, 0.2, 0.8))
    assert slope > 0


def test_calibration_keeps_the_order_and_survives_0_and_1():
    p = np.array([0, 1e-9, 0.2, 0.5, 0.9, 1])
    for slope, intercept in ((0.1, 2), (1, 0), (3, -1)):
        q = calibrated(p, slope, intercept)
        assert np.isfinite(q).all()
        assert (np.diff(q) >= 0).all()
        assert ((q >= 0) & (q <= 1)).all()


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

    report = mammo.evaluate(scored())
    assert json.loads(json.dumps(report)) == report
    assert report["sources"] == ["synthetic"]
