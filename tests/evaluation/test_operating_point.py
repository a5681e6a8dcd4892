import numpy as np
import pytest
from scipy.stats import norm

import mammo
from mammo.evaluation.calibration import fit_calibration
from mammo.evaluation.operating_point import (
    fix_operating_point,
    positive_predictive_value,
    threshold_at_sensitivity,
)
from mammo.evaluation.prediction_sets import fit_prediction_sets


def test_the_threshold_is_the_highest_with_that_sensitivity():
    truth = np.array([0, 0, *[1] * 10])
    probability = np.array([0.05, 0.95, *np.arange(0.1, 1.1, 0.1)])
    assert threshold_at_sensitivity(truth, probability, 0.9) == pytest.approx(0.2)
    assert threshold_at_sensitivity(truth, probability, 1.0) == pytest.approx(0.1)


def test_the_positive_predictive_value_of_screening():
    """Lehman et al. 2017: sensitivity 86.9 %, specificity 88.9 %, 5.9 cancers in 1,000: about 4.4 %."""
    assert positive_predictive_value(0.869, 0.889, 0.0059) == pytest.approx(0.0444, abs=5e-4)
    assert positive_predictive_value(0.869, 0.889, 0.5) == pytest.approx(0.887, abs=5e-4)
    assert positive_predictive_value(0.9, 0.9, 0) == 0
    assert np.isnan(positive_predictive_value(0.0, 1.0, 0.006))
    for wrong in (6, "0.05", None):
        with pytest.raises(
            mammo.MammoError, match=f"prevalence is a share between 0 and 1, such as 0.006, not {wrong!r}"
        ):
            positive_predictive_value(0.9, 0.9, wrong)
    with pytest.raises(mammo.MammoError, match="specificity is a share between 0 and 1"):
        positive_predictive_value(0.9, 90, 0.006)


@pytest.mark.parametrize("probability", [np.arange(50, 80), np.full(30, np.nan), np.full(30, -0.1)])
def test_what_is_no_probability_gives_no_rule(probability):
    """Per cent gave an operating point of NaN that held a sensitivity of 90 %."""
    truth = np.arange(30) % 2
    for fit in (fix_operating_point, fit_prediction_sets, lambda truth, given, _: fit_calibration(truth, given)):
        with pytest.raises(mammo.MammoError, match=r"between 0 and 1; divide per cent by 100|a probability that is a"):
            fit(truth, probability, range(30))


@pytest.mark.parametrize("target", [0, -0.1, 1.05, 90, np.nan, "0.9", None])
def test_a_sensitivity_that_cannot_be_is_refused(target):
    with pytest.raises(mammo.MammoError, match="above 0 and at most 1"):
        threshold_at_sensitivity([0, 1, 1], [0.1, 0.5, 0.9], target)
    with pytest.raises(mammo.MammoError, match=f"A sensitivity of {target!r} cannot be held"):
        fix_operating_point([0, 1, 1], [0.1, 0.5, 0.9], [1, 2, 3], target)


@pytest.mark.parametrize(
    ("truth", "probability", "message"),
    [
        ([0, 0, 0], [0.1, 0.5, 0.9], "no malignant image"),
        ([], [], "no malignant image"),
        ([0, 1, np.nan], [0.1, 0.5, 0.9], "must be 0"),
        ([0, 1, 1], [0.1, 0.5, np.nan], "a number"),
    ],
)
def test_a_threshold_needs_malignant_images_labels_and_scores(truth, probability, message):
    with pytest.raises(mammo.MammoError, match=message):
        threshold_at_sensitivity(truth, probability, 0.9)


@pytest.mark.parametrize(
    ("patients", "views", "alike"), [(30, 1, 0), (46, 1, 0), (60, 2, 0.9), (100, 4, 0.9), (300, 1, 0)]
)
def test_the_sensitivity_holds_as_often_as_stated(patients, views, alike):
    """Over 600 draws of validation patients; the highest threshold with it on validation holds it in half of them."""
    rng, held, plain = np.random.default_rng(patients), [], []
    patient, truth = np.repeat(np.arange(patients), views), np.ones(patients * views)
    for _ in range(600):
        own = np.repeat(rng.normal(size=patients), views)
        score = np.sqrt(alike) * own + np.sqrt(1 - alike) * rng.normal(size=len(own))
        held.append(fix_operating_point(truth, norm.cdf(score), patient).threshold <= 0.1)
        plain.append(norm.sf(threshold_at_sensitivity(truth, score, 0.9)) >= 0.9)
    assert np.mean(held) > 0.95 - 3 * np.sqrt(0.05 * 0.95 / 600)
    assert np.mean(plain) < 0.8


def test_too_few_patients_hold_less_than_the_target():
    score = np.linspace(0.1, 0.9, 28)
    few, enough = (fix_operating_point(np.ones(n), np.resize(score, n), range(n)) for n in (28, 29))
    assert few.threshold == pytest.approx(0.1, abs=1e-3)
    assert few.held_sensitivity == pytest.approx(0.05 ** (1 / 28)) == pytest.approx(0.8985, abs=1e-4)
    assert "28 patients with such images are too few to hold a sensitivity of 90%" in str(few)
    assert enough.held_sensitivity == 0.9
    assert "a sensitivity of 90% holds for new patients with 95% confidence" in str(enough)
    many_views = fix_operating_point(np.ones(112), np.resize(score, 112), np.repeat(range(28), 4))
    assert many_views.held_sensitivity == few.held_sensitivity, "patients count, not images"


def test_images_that_are_not_malignant_do_not_move_the_operating_point():
    truth, score = np.repeat([0, 1], 50), np.random.default_rng(0).random(100)
    point = fix_operating_point(truth, score, range(100))
    moved = np.where(truth == 0, 1 - score, score)
    assert fix_operating_point(truth, moved, range(100)) == point
    assert point.validation_sensitivity == np.mean(score[50:] >= point.threshold)


def test_rounding_does_not_part_images_of_the_same_probability():
    """A fifth of the malignant images has one probability, which another runtime computes as a little less."""
    score = np.append(np.full(20, 0.25), np.linspace(0.3, 0.9, 80))
    point = fix_operating_point(np.ones(100), score, range(100))
    assert point.validation_sensitivity == 1
    assert (score - 1e-6 >= point.threshold).all()


@pytest.mark.parametrize("target", [0, 1, 90, np.nan])
def test_a_target_that_cannot_be_held_is_refused(target):
    with pytest.raises(mammo.MammoError, match="cannot be held"):
        fix_operating_point([0, 1, 1], [0.1, 0.5, 0.9], [1, 2, 3], target)
