import numpy as np
import pytest
from scipy.optimize import minimize

from mammo.core.errors import MammoError
from mammo.evaluation.calibration import LEAST_SLOPE, Calibration, expit, fit_calibration, log_odds


def calibration_of(slope, intercept):
    return Calibration("by hand", slope, intercept, prevalence=0.5)


def test_calibration_undoes_overconfidence_and_class_weights():
    """Log-odds three times too large, and trained as if half were malignant, where one in ten is."""
    rng = np.random.default_rng(0)
    calibrated = rng.beta(0.5, 4.5, 40000)
    truth = (rng.uniform(size=calibrated.size) < calibrated).astype(int)
    overconfident = calibration_of(3, 3 * np.log(9))(calibrated)
    fitted = fit_calibration(truth, overconfident)
    assert (fitted.slope, fitted.intercept) == pytest.approx((1 / 3, -np.log(9)), rel=0.08)
    assert fitted(overconfident).mean() == pytest.approx(truth.mean(), abs=0.005)
    assert (fitted.method, fitted.prevalence) == ("Platt scaling", truth.mean())


def test_calibration_stays_finite_where_few_patients_are_perfectly_separated():
    truth = np.repeat([0, 1], 10)
    fitted = fit_calibration(truth, np.where(truth == 1, 0.99, 0.01))
    expected = [1 / 12, 0.5, 11 / 12]
    assert fitted(np.array([0.01, 0.5, 0.99])) == pytest.approx(expected, abs=0.01), "Platt's targets for ten of each"


def test_calibration_never_reverses_the_order():
    truth = np.repeat([0, 1, 1], 50)
    fitted = fit_calibration(truth, np.where(truth == 1, 0.2, 0.8))
    assert fitted.slope == LEAST_SLOPE
    assert fitted(np.array([0.2, 0.8])) == pytest.approx(2 / 3, abs=0.01), "the prevalence, but for Platt's targets"


def test_no_bound_stops_the_fit():
    """300 random sets, with log-odds of up to 16 in which all images of a set lie close together: Platt's loss is flat.

    A bound on slope or intercept would be met: without one the slope is up to hundreds, the intercept up to thousands.
    """
    rng, slopes, intercepts = np.random.default_rng(0), [], []
    for _ in range(300):
        truth = rng.permutation(np.arange(30) % 2)
        far, spread = rng.uniform(-14, 14), 10 ** rng.uniform(-2, 0.5)
        probability = expit(far + spread * rng.normal(truth, 1))
        fitted = fit_calibration(truth, probability)
        target, odds = np.where(truth == 1, 16 / 17, 1 / 17), log_odds(probability)
        if fitted.slope > LEAST_SLOPE:  # at the least loss no line through the log-odds explains what is left
            left = fitted(probability) - target
            assert abs(left.sum()) < 1e-4
            assert abs(left @ ((odds - odds.mean()) / odds.std())) < 1e-4
        slopes.append(fitted.slope)
        intercepts.append(abs(fitted.intercept))
    assert max(slopes) > np.exp(3)
    assert max(intercepts) > 20


def test_the_fit_is_the_minimum_of_platts_loss():
    rng = np.random.default_rng(1)
    truth = (rng.uniform(size=80) < 0.3).astype(int)
    probability = expit(rng.normal(truth, 1))
    target = np.where(truth == 1, (truth.sum() + 1) / (truth.sum() + 2), 1 / ((1 - truth).sum() + 2))

    def loss(line):
        z = line[0] * log_odds(probability) + line[1]
        return np.mean(np.logaddexp(0, z) - target * z)

    fitted = fit_calibration(truth, probability)
    assert (fitted.slope, fitted.intercept) == pytest.approx(minimize(loss, [1.0, 0.0]).x, abs=1e-3)


@pytest.mark.parametrize("one", [0.7, 0.1, 0.3, 0.123456, 1.0, float(np.float32(0.35123))])
def test_one_probability_for_all_images_is_calibrated_to_the_prevalence(one):
    """The spread of equal numbers may be 1e-16: the slope was 1e15."""
    fitted = fit_calibration(np.repeat([0, 1], [30, 10]), np.full(40, one))
    assert fitted.slope == 1
    assert fitted(one) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("truth", "probability", "message"),
    [
        ([0, 1, np.nan], [0.1, 0.9, 0.5], "must be 0"),
        ([0, 1, 2], [0.1, 0.9, 0.5], "must be 0"),
        ([0, 1, 1], [0.1, 0.9, np.nan], "a number"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(truth, probability, message):
    with pytest.raises(MammoError, match=message):
        fit_calibration(truth, probability)


def test_calibration_keeps_the_order_and_handles_0_and_1():
    probability = np.array([0, 1e-9, 0.2, 0.5, 0.9, 1])
    for slope, intercept in ((0.1, 2), (1, 0), (3, -1)):
        calibrated = calibration_of(slope, intercept)(probability)
        assert np.isfinite(calibrated).all()
        assert (np.diff(calibrated) >= 0).all()
        assert ((calibrated >= 0) & (calibrated <= 1)).all()


def test_one_number_gives_one_number():
    assert float(calibration_of(1, 0)(0.3)) == pytest.approx(0.3)
    assert calibration_of(2, 1)(0.5) == pytest.approx(1 / (1 + np.exp(-1)))


def test_log_odds_and_expit_are_inverse():
    probability = np.linspace(0.001, 0.999, 99)
    np.testing.assert_allclose(expit(log_odds(probability)), probability)


def test_log_odds_of_0_and_1_are_finite():
    np.testing.assert_allclose(log_odds([0, 1e-9, 0.5, 1]), [-16.118, -16.118, 0, 16.118], atol=1e-3)
