"""No result contradicts its probability, its prediction set, its operating point or its warnings."""

from itertools import product

import numpy as np
import pytest

from mammo.evaluation.calibration import Calibration, expit, log_odds
from mammo.evaluation.prediction_sets import PredictionSetLimits
from mammo.evaluation.results import RESULTS, ResultRule

LEVELS = (0.0, 0.2, np.nextafter(0.2, 1), 0.5, 0.8, 1.0)
RULES = [
    ResultRule(threshold, PredictionSetLimits(0.9, benign_up_to, malignant_from))
    for threshold, benign_up_to, malignant_from in product(LEVELS, LEVELS, LEVELS)
]

RULE = ResultRule(0.3, PredictionSetLimits(coverage=0.9, benign_up_to=0.5, malignant_from=0.1))
CALIBRATION = Calibration("by hand", slope=0.8, intercept=-1.0, prevalence=0.5)


def probabilities(rule):
    points = rule.threshold, rule.limits.benign_up_to, rule.limits.malignant_from, *LEVELS, 0.35, 0.65
    return sorted({p for point in points for p in (point, np.nextafter(point, 0), min(np.nextafter(point, 2), 1.0))})


def test_every_combination_of_operating_point_limits_probability_and_warning():
    seen = set()
    for rule in RULES:
        for p, doubts in product(probabilities(rule), ((), ("a warning",))):
            result, possible, reason = rule.result(p, doubts), rule.prediction_set(p, doubts), rule.reason(p, doubts)
            seen.add((result, bool(doubts), possible, p >= rule.threshold))
            assert result in RESULTS
            assert possible, "some class is possible"
            if result == "positive":
                assert p >= rule.threshold
                assert possible == ("malignant",)
            elif result == "negative":
                assert p < rule.threshold
                assert possible == ("benign",)
            else:
                agree = (p >= rule.threshold, possible) in ((True, ("malignant",)), (False, ("benign",)))
                assert doubts or not agree, "a result that could be given is withheld"
            if doubts:
                assert result == "uncertain"
                assert possible == ("benign", "malignant")
                assert reason == "a warning"
            if result == "positive":
                assert "at or above the operating point" in reason
            if result == "negative":
                assert "below the operating point" in reason
    assert len({(result, doubts, possible) for result, doubts, possible, _ in seen}) == 6


@pytest.mark.parametrize("rule", RULES)
def test_the_range_of_uncertainty_is_where_the_result_is_uncertain(rule):
    low, high = rule.uncertain_range
    assert low <= high
    p = np.array(probabilities(rule))
    np.testing.assert_array_equal(rule.results(p) == "negative", p < low)
    np.testing.assert_array_equal(rule.results(p) == "positive", p >= high)
    assert rule.results(p).tolist() == [rule.result(each) for each in p]


@pytest.mark.parametrize("rule", RULES)
def test_the_range_in_words_promises_no_result_that_cannot_be(rule):
    found = set(rule.results([0.0, *probabilities(rule), 1.0]))
    text = rule.range_text(4)
    assert ("never negative" in text) == ("negative" not in found)
    assert ("never positive" in text) == ("positive" not in found)


def test_the_reason_names_what_disagrees():
    above_benign = ResultRule(0.7, PredictionSetLimits(0.9, benign_up_to=0.3, malignant_from=0.2))
    assert "below the operating point but above the range of benign images" in above_benign.reason(0.345)
    below_malignant = ResultRule(0.2, PredictionSetLimits(0.9, benign_up_to=0.9, malignant_from=0.6))
    assert "operating point but below the range of malignant images" in below_malignant.reason(0.345)
    assert "both remain possible" in below_malignant.reason(0.7)


@pytest.mark.parametrize(
    ("doubts", "reason"),
    [
        (["The model was trained on drawings only; it says little."], "the model was trained on drawings only"),
        (
            ["What was found is odd: is it a breast?", "It is 1.5 times too big."],
            "what was found is odd, and there is 1 more warning",
        ),
        (
            ["It is at 1.5 times the limit. It may be cut.", "B.", "C."],
            "it is at 1.5 times the limit, and there are 2 more warnings",
        ),
    ],
)
def test_the_reason_says_what_the_warning_is(doubts, reason):
    assert RULE.reason(0.7, doubts) == reason


def test_decisions_are_the_threshold_and_the_set():
    expected = [[False, True, False], [False, True, True], [True, True, True], [True, False, True]]
    np.testing.assert_array_equal(RULE.decisions([0.05, 0.2, 0.3, 0.6]), expected)


def test_a_stable_result_stays_the_same_within_the_error():
    odds = np.linspace(-9, 9, 2001)
    stable = RULE.is_stable(expit(odds), 0.15, CALIBRATION)
    for error in np.linspace(-0.15, 0.15, 7):
        before, after = CALIBRATION(expit(odds)), CALIBRATION(expit(odds + error))
        same = (before >= RULE.threshold) == (after >= RULE.threshold)
        same &= (RULE.limits.prediction_set(before) == RULE.limits.prediction_set(after)).all(axis=1)
        assert same[stable].all()
        assert np.abs(before - after)[stable].max() <= 0.01
    assert stable[[0, -1]].all()
    assert 0.2 < (~stable).mean() < 0.5, "most results are stable"


def test_near_a_limit_no_result_is_stable():
    for limit in (RULE.threshold, RULE.limits.benign_up_to, RULE.limits.malignant_from):
        odds = (log_odds(limit) - CALIBRATION.intercept) / CALIBRATION.slope
        near = expit(np.array([odds - 1e-4, odds + 1e-4]))
        assert not RULE.is_stable(near, 1e-3, CALIBRATION).any()
    assert RULE.is_stable(np.array([0.02, 0.9999]), 1e-3, CALIBRATION).all()
