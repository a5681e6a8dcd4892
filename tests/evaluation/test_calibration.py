import numpy as np
import pytest

from mammo.evaluation.calibration import Calibration, expit, fit_calibration, log_odds


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
    truth = np.repeat([0, 1], 50)
    assert fit_calibration(truth, np.where(truth == 1, 0.2, 0.8)).slope > 0


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
