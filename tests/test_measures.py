import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from mammo.evaluation import metrics
from mammo.evaluation.calibration import calibrated, log_odds


def drawn(draws=20, images=150, steps=40, seed=0):
    """Truth, probabilities with many ties, and draws in which a third of the images do not occur."""
    rng = np.random.default_rng(seed)
    truth = (rng.uniform(size=images) < 0.4).astype(int)
    probability = np.round(1 / (1 + np.exp(-rng.normal(1.2 * truth - 0.6))) * steps) / steps
    return truth, probability, rng.poisson(1, (draws, images)).astype(float)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (measures.auc, roc_auc_score),
        (lambda *given: measures.partial_auc(*given, up_to=0.1), lambda *y, **w: roc_auc_score(*y, **w, max_fpr=0.1)),
        (lambda *given: measures.partial_auc(*given, up_to=0.37), lambda *y, **w: roc_auc_score(*y, **w, max_fpr=0.37)),
        (measures.average_precision, average_precision_score),
        (measures.brier, brier_score_loss),
    ],
    ids=["auc", "partial_auc", "partial_auc, more of it", "average_precision", "brier"],
)
@pytest.mark.parametrize("steps", [3, 40, 10**9])
def test_each_draw_has_the_value_that_scikit_learn_gives_it(ours, theirs, steps):
    truth, probability, weight = drawn(steps=steps)
    expected = [theirs(truth, probability, sample_weight=row) for row in weight]
    np.testing.assert_allclose(ours(truth, probability, weight), expected, rtol=1e-10)


def test_a_share_of_nothing_is_no_number():
    assert measures.weighted_mean([True, False], np.array([[1, 3], [0, 0]])) == pytest.approx([0.25, np.nan], nan_ok=True)


def test_each_draw_has_its_own_calibration():
    truth, probability, weight = drawn()
    for measure in (measures.calibration_slope, measures.calibration_intercept, measures.expected_calibration_error):
        values = measure(truth, probability, weight)
        alone = [measure(truth, probability, row[None])[0] for row in weight]
        np.testing.assert_allclose(values, alone, rtol=1e-6)
        assert len(set(values)) == len(weight)


def test_the_partial_auc_by_hand():
    """McClish 1989: the area up to a false-positive rate of 0.1, moved so that chance is 0.5 and perfection 1."""
    truth, p, _ = drawn(draws=1)
    fpr, tpr, _ = roc_curve(truth, p, drop_intermediate=False)
    grid = np.linspace(0, 0.1, 20001)
    area, worst, best = np.trapezoid(np.interp(grid, fpr, tpr), grid), 0.1**2 / 2, 0.1
    everyone = np.ones((1, len(p)))
    value = measures.partial_auc(truth, p, everyone, up_to=0.1)
    assert value == pytest.approx((1 + (area - worst) / (best - worst)) / 2, abs=1e-4)
    assert measures.partial_auc(truth, truth.astype(float), everyone, up_to=0.1) == 1


@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (1, 0.7), (2, 0), (0.5, 1)])
def test_calibration_slope_and_intercept_find_what_was_done(slope, intercept):
    """Honest probabilities pulled apart by a line: the slope undoes it; the honest ones have 1 and 0."""
    rng = np.random.default_rng(0)
    honest = rng.beta(1, 2, 40000)
    truth, weight = (rng.uniform(size=honest.size) < honest).astype(int), np.ones((1, honest.size))
    said = calibrated(honest, slope, intercept)
    assert measures.calibration_slope(truth, said, weight) == pytest.approx(1 / slope, rel=0.05)
    more = measures.calibration_intercept(truth, said, weight)
    if slope == 1:
        assert more == pytest.approx(-intercept, abs=0.05)
    assert calibrated(said, 1, more[0]).mean() == pytest.approx(truth.mean()), "as much cancer said as there is"


def test_the_calibration_slope_is_that_of_a_library():
    rng = np.random.default_rng(1)
    p, weight = rng.uniform(0.05, 0.95, 300), rng.integers(0, 3, (1, 300)).astype(float)
    truth = (rng.uniform(size=300) < p**2).astype(int)
    line = LogisticRegression(C=1e8, tol=1e-8, max_iter=1000).fit(log_odds(p)[:, None], truth, sample_weight=weight[0])
    assert measures.calibration_slope(truth, p, weight) == pytest.approx(line.coef_[0, 0], rel=1e-4)
    assert np.isnan(measures.calibration_slope(truth, np.where(truth == 1, 0.9, 0.1), weight)), "told apart perfectly"


def test_the_calibration_error_worked_out_by_hand():
    """Two tenths: 0.05 said where 1 of 2 is true, 0.95 where 2 of 2 are; weights count as often as they say."""
    truth, said = np.array([0, 1, 1, 1]), np.array([0.05, 0.05, 0.95, 0.95])
    assert measures.expected_calibration_error(truth, said, np.ones((1, 4))) == pytest.approx((0.9 + 0.1) / 4)
    assert measures.expected_calibration_error(truth, said, np.array([[3, 1, 1, 1]])) == pytest.approx((0.8 + 0.1) / 6)
    assert measures.expected_calibration_error(truth, np.array([0, 1, 1, 1.0]), np.ones((1, 4))) == 0
