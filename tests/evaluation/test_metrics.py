import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from mammo.evaluation import metrics
from mammo.evaluation.calibration import expit, log_odds


def drawn(draws=20, images=150, steps=40, seed=0):
    """Truth, probabilities with many ties, and draws in which a third of the images do not occur."""
    rng = np.random.default_rng(seed)
    truth = (rng.uniform(size=images) < 0.4).astype(int)
    probability = np.round(1 / (1 + np.exp(-rng.normal(1.2 * truth - 0.6))) * steps) / steps
    return truth, probability, rng.poisson(1, (draws, images)).astype(float)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.auc, roc_auc_score),
        (lambda *given: metrics.partial_auc(*given, up_to=0.1), lambda *y, **w: roc_auc_score(*y, **w, max_fpr=0.1)),
        (lambda *given: metrics.partial_auc(*given, up_to=0.37), lambda *y, **w: roc_auc_score(*y, **w, max_fpr=0.37)),
        (metrics.average_precision, average_precision_score),
        (metrics.brier, brier_score_loss),
    ],
    ids=["auc", "partial_auc", "partial_auc, wider", "average_precision", "brier"],
)
@pytest.mark.parametrize("steps", [3, 40, 10**9])
def test_each_draw_has_the_value_that_scikit_learn_gives_it(ours, theirs, steps):
    truth, probability, weight = drawn(steps=steps)
    expected = [theirs(truth, probability, sample_weight=row) for row in weight]
    np.testing.assert_allclose(ours(truth, probability, weight), expected, rtol=1e-10)


def test_the_weighted_mean_of_nothing_is_nan():
    assert metrics.weighted_mean([True, False], np.array([[1, 3], [0, 0]])) == pytest.approx(
        [0.25, np.nan], nan_ok=True
    )


def test_each_draw_has_its_own_calibration():
    truth, probability, weight = drawn()
    for metric in (metrics.calibration_slope, metrics.calibration_intercept, metrics.expected_calibration_error):
        values = metric(truth, probability, weight)
        alone = [metric(truth, probability, row[None])[0] for row in weight]
        np.testing.assert_allclose(values, alone, rtol=1e-6)
        assert len(set(values)) == len(weight)


def test_the_partial_auc_by_hand():
    """McClish 1989: the area up to a false-positive rate of 0.1, moved so that chance is 0.5 and perfection 1."""
    truth, p, _ = drawn(draws=1)
    fpr, tpr, _ = roc_curve(truth, p, drop_intermediate=False)
    grid = np.linspace(0, 0.1, 20001)
    area, worst, best = np.trapezoid(np.interp(grid, fpr, tpr), grid), 0.1**2 / 2, 0.1
    everyone = np.ones((1, len(p)))
    value = metrics.partial_auc(truth, p, everyone, up_to=0.1)
    assert value == pytest.approx((1 + (area - worst) / (best - worst)) / 2, abs=1e-4)
    assert metrics.partial_auc(truth, truth.astype(float), everyone, up_to=0.1) == 1


@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (1, 0.7), (2, 0), (0.5, 1)])
def test_calibration_slope_and_intercept_recover_a_known_miscalibration(slope, intercept):
    """Calibrated probabilities are distorted by a line through their log-odds; the slope found undoes it."""
    rng = np.random.default_rng(0)
    calibrated = rng.beta(1, 2, 40000)
    truth, weight = (rng.uniform(size=calibrated.size) < calibrated).astype(int), np.ones((1, calibrated.size))
    predicted = expit(slope * log_odds(calibrated) + intercept)
    assert metrics.calibration_slope(truth, predicted, weight) == pytest.approx(1 / slope, rel=0.05)
    shift = metrics.calibration_intercept(truth, predicted, weight)
    if slope == 1:
        assert shift == pytest.approx(-intercept, abs=0.05)
    corrected = expit(log_odds(predicted) + shift[0])
    assert corrected.mean() == pytest.approx(truth.mean()), "as much cancer is predicted as there is"


def test_the_calibration_slope_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    p, weight = rng.uniform(0.05, 0.95, 300), rng.integers(0, 3, (1, 300)).astype(float)
    truth = (rng.uniform(size=300) < p**2).astype(int)
    line = LogisticRegression(C=1e8, tol=1e-8, max_iter=1000).fit(log_odds(p)[:, None], truth, sample_weight=weight[0])
    assert metrics.calibration_slope(truth, p, weight) == pytest.approx(line.coef_[0, 0], rel=1e-4)
    assert np.isnan(metrics.calibration_slope(truth, np.where(truth == 1, 0.9, 0.1), weight)), "perfectly separated"


def test_the_expected_calibration_error_by_hand():
    """Two bins: 0.05 predicted where 1 of 2 is malignant, 0.95 where 2 of 2 are; a weight of 3 counts three times."""
    truth, predicted = np.array([0, 1, 1, 1]), np.array([0.05, 0.05, 0.95, 0.95])
    assert metrics.expected_calibration_error(truth, predicted, np.ones((1, 4))) == pytest.approx((0.9 + 0.1) / 4)
    assert metrics.expected_calibration_error(truth, predicted, np.array([[3, 1, 1, 1]])) == pytest.approx(
        (0.8 + 0.1) / 6
    )
    assert metrics.expected_calibration_error(truth, np.array([0, 1, 1, 1.0]), np.ones((1, 4))) == 0
