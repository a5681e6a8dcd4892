import numpy as np
import pandas as pd
import pytest

import mammo
from mammo.evaluation.calibration import calibrated, fit_calibration
from mammo.evaluation.combine_views import combine_views
from mammo.evaluation.prediction_sets import fit_limits, prediction_set, is_stable
from mammo.evaluation.operating_point import positive_predictive_value, threshold_at_sensitivity


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


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_sets_cover_each_class_as_often_as_they_say(coverage):
    """400 draws of 100 validation images, each asked about 200 new ones; the smaller class must not pay."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        truth = (rng.random(300) < 0.2).astype(int)
        said = 1 / (1 + np.exp(-(rng.normal(size=300) + 1.5 * truth - 1)))
        limits = fit_limits(truth[:100], said[:100], coverage)
        sets = prediction_set(said[100:], limits)
        covered.append([sets[truth[100:] == label, label].mean() for label in (0, 1)])
    assert (np.mean(covered, axis=0) > coverage - 0.015).all()
    assert (np.mean(covered, axis=0) < coverage + 1 / 21 + 0.015).all(), "about 20 malignant images decide"


def test_limits_worked_out_by_hand():
    """Nine of each class: the ninth smallest strangeness covers 9 of the 10 that there are with the new one."""
    benign, malignant = np.arange(1, 10) / 20, np.arange(1, 10) / 10
    limits = fit_limits(np.repeat([0, 1], 9), np.concatenate([benign, malignant]), coverage=0.9)
    assert limits["benign_up_to"] == pytest.approx(0.45)
    assert limits["malignant_from"] == pytest.approx(0.1)
    few = fit_limits(np.repeat([0, 1], 3), np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9]), coverage=0.9)
    assert prediction_set(np.array([0.0, 0.5, 1.0]), few).all(), "three images cannot promise 90 %"


def test_between_limits_that_do_not_meet_nothing_is_left_out():
    apart = {"benign_up_to": 0.3, "malignant_from": 0.7}
    np.testing.assert_array_equal(prediction_set([0.1, 0.5, 0.9], apart), [[True, False], [True, True], [False, True]])
    meeting = {"benign_up_to": 0.7, "malignant_from": 0.3}
    np.testing.assert_array_equal(prediction_set([0.1, 0.5, 0.9], meeting), [[True, False], [True, True], [False, True]])


CARD = {
    "threshold": 0.3,
    "calibration": {"slope": 0.8, "intercept": -1.0},
    "conformal": {"benign_up_to": 0.5, "malignant_from": 0.1},
}


def test_what_is_settled_stays_the_same_whatever_the_error_is():
    odds = np.linspace(-9, 9, 2001)
    sure = is_stable(1 / (1 + np.exp(-odds)), CARD, 0.15)
    for error in np.linspace(-0.15, 0.15, 7):
        before, after = (calibrated(1 / (1 + np.exp(-x)), 0.8, -1.0) for x in (odds, odds + error))
        same = (before >= 0.3) == (after >= 0.3)
        same &= (prediction_set(before, CARD["conformal"]) == prediction_set(after, CARD["conformal"])).all(axis=1)
        assert same[sure].all()
        assert np.abs(before - after)[sure].max() <= 0.01
    assert sure[[0, -1]].all()
    assert 0.2 < (~sure).mean() < 0.5, "not everything is doubtful"


def test_near_a_limit_nothing_is_settled():
    for limit in (0.3, 0.5, 0.1):
        odds = (np.log(limit / (1 - limit)) + 1.0) / 0.8
        assert not is_stable(1 / (1 + np.exp(-np.array([odds - 1e-4, odds + 1e-4]))), CARD, 1e-3).any()
    assert is_stable(np.array([0.02, 0.9999]), CARD, 1e-3).all()


def test_the_predictive_value_of_screening():
    """Lehman et al. 2017: sensitivity 86.9 %, specificity 88.9 %, 5.9 cancers in 1,000: about 4.4 %."""
    assert positive_predictive_value(0.869, 0.889, 0.0059) == pytest.approx(0.0444, abs=5e-4)
    assert positive_predictive_value(0.869, 0.889, 0.5) == pytest.approx(0.887, abs=5e-4)
    assert positive_predictive_value(0.9, 0.9, 0) == 0
    assert np.isnan(positive_predictive_value(0.0, 1.0, 0.006))
    with pytest.raises(mammo.MammoError, match="prevalence"):
        positive_predictive_value(0.9, 0.9, 6)


def views():
    return pd.DataFrame(
        [
            ("A", "L", "CC", "normal", 0.2),
            ("A", "L", "MLO", "normal", 0.8),
            ("A", "R", "CC", "malignant", 0.6),
            ("B", "L", "CC", "benign", 0.1),
        ],
        columns=["patient_id", "laterality", "view", "label", "probability"],
    ).assign(path="", split="test", source="synthetic")


def test_views_make_a_breast_and_breasts_a_patient():
    breasts = combine_views(views(), "breast").set_index(["patient_id", "laterality"])
    assert breasts.probability["A", "L"] == pytest.approx(0.5), "log-odds of 0.2 and 0.8 cancel"
    assert breasts.label["A", "L"] == "normal"
    patients = combine_views(views()).set_index("patient_id")
    assert patients.probability["A"] == pytest.approx(0.6)
    assert (patients.label["A"], patients.label["B"]) == ("malignant", "benign")
    assert list(patients.split) == ["test", "test"]


def test_combining_needs_to_know_the_side():
    for table in (views().drop(columns="laterality"), views().assign(laterality=None), views().assign(laterality="B")):
        with pytest.raises(mammo.MammoError, match="laterality"):
            combine_views(table)
    with pytest.raises(mammo.MammoError, match="no level"):
        combine_views(views(), "woman")


def test_several_views_are_better_than_one():
    """Four views of 400 patients with their own errors: the patients' AUC must be above the images'."""
    rng = np.random.default_rng(1)
    rows = []
    for patient in range(400):
        label = ("normal", "malignant")[patient % 2]
        for side in "LR":
            ill = label == "malignant" and side == "L"
            for view in ("CC", "MLO"):
                odds = rng.normal(2 * ill - 1, 1.5)
                rows.append((f"{patient}{side}{view}", f"P{patient}", side, "malignant" if ill else "normal", odds))
    table = pd.DataFrame(rows, columns=["path", "patient_id", "laterality", "label", "odds"])
    table = table.assign(probability=1 / (1 + np.exp(-table.odds)), source="synthetic")
    table = mammo.split_by_patient(table, seed=0)
    image, breast = mammo.evaluate(table)["auc"], mammo.evaluate(combine_views(table, "breast"))["auc"]
    assert breast > image + 0.03
    assert mammo.evaluate(combine_views(table))["counts"]["test"]["images"] == (table.split == "test").sum() / 4
