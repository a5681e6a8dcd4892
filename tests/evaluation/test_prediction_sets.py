import numpy as np
import pytest

from mammo.evaluation.calibration import Calibration, expit, log_odds
from mammo.evaluation.prediction_sets import PredictionSetLimits, decisions, fit_prediction_sets, is_stable

THRESHOLD = 0.3
CALIBRATION = Calibration("by hand", slope=0.8, intercept=-1.0, prevalence=0.5)
LIMITS = PredictionSetLimits(coverage=0.9, benign_up_to=0.5, malignant_from=0.1)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_sets_cover_each_class_as_often_as_they_say(coverage):
    """400 draws of 100 validation images, each tested on 200 new ones; the smaller class is covered as often."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        truth = (rng.random(300) < 0.2).astype(int)
        probability = expit(rng.normal(size=300) + 1.5 * truth - 1)
        limits = fit_prediction_sets(truth[:100], probability[:100], coverage)
        sets = limits.prediction_set(probability[100:])
        covered.append([sets[truth[100:] == label, label].mean() for label in (0, 1)])
    assert (np.mean(covered, axis=0) > coverage - 0.015).all()
    assert (np.mean(covered, axis=0) < coverage + 1 / 21 + 0.015).all(), "about 20 malignant images decide"


def test_limits_by_hand():
    """Nine of each class: the ninth smallest nonconformity covers 9 of the 10 that there are with the new one."""
    benign, malignant = np.arange(1, 10) / 20, np.arange(1, 10) / 10
    limits = fit_prediction_sets(np.repeat([0, 1], 9), np.concatenate([benign, malignant]), coverage=0.9)
    assert limits.benign_up_to == pytest.approx(0.45)
    assert limits.malignant_from == pytest.approx(0.1)
    assert limits.coverage == 0.9
    few = fit_prediction_sets(np.repeat([0, 1], 3), np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9]), coverage=0.9)
    assert few.prediction_set(np.array([0.0, 0.5, 1.0])).all(), "three images cannot guarantee 90 %"


@pytest.mark.parametrize(("benign_up_to", "malignant_from"), [(0.3, 0.7), (0.7, 0.3)])
def test_between_the_limits_both_classes_are_possible(benign_up_to, malignant_from):
    """Whether the limits overlap, or leave a gap."""
    limits = PredictionSetLimits(0.9, benign_up_to, malignant_from)
    expected = [[True, False], [True, True], [False, True]]
    np.testing.assert_array_equal(limits.prediction_set([0.1, 0.5, 0.9]), expected)
    assert limits.prediction_set(0.5).tolist() == [True, True], "of one number"


def test_decisions_are_the_threshold_and_the_set():
    expected = [[False, True, False], [False, True, True], [True, True, True], [True, False, True]]
    np.testing.assert_array_equal(decisions([0.05, 0.2, 0.3, 0.6], THRESHOLD, LIMITS), expected)


def test_a_stable_result_stays_the_same_within_the_error():
    odds = np.linspace(-9, 9, 2001)
    stable = is_stable(expit(odds), 0.15, CALIBRATION, THRESHOLD, LIMITS)
    for error in np.linspace(-0.15, 0.15, 7):
        before, after = CALIBRATION(expit(odds)), CALIBRATION(expit(odds + error))
        same = (before >= THRESHOLD) == (after >= THRESHOLD)
        same &= (LIMITS.prediction_set(before) == LIMITS.prediction_set(after)).all(axis=1)
        assert same[stable].all()
        assert np.abs(before - after)[stable].max() <= 0.01
    assert stable[[0, -1]].all()
    assert 0.2 < (~stable).mean() < 0.5, "most results are stable"


def test_near_a_limit_no_result_is_stable():
    for limit in (THRESHOLD, LIMITS.benign_up_to, LIMITS.malignant_from):
        odds = (log_odds(limit) - CALIBRATION.intercept) / CALIBRATION.slope
        near = expit(np.array([odds - 1e-4, odds + 1e-4]))
        assert not is_stable(near, 1e-3, CALIBRATION, THRESHOLD, LIMITS).any()
    assert is_stable(np.array([0.02, 0.9999]), 1e-3, CALIBRATION, THRESHOLD, LIMITS).all()
