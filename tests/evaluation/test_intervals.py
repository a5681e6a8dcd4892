import numpy as np
import pytest
from scipy.stats import norm

from mammo.evaluation import intervals
from mammo.evaluation.delong import auc_interval
from mammo.evaluation.intervals import jackknife_interval, share_interval, sum_variance, wilson
from mammo.evaluation.metrics import auc, brier, calibration_slope


@pytest.mark.parametrize(
    ("count", "of", "expected"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_published_intervals(count, of, expected):
    """Newcombe, Statistics in Medicine 17, 1998, table I, method 3: patients with one image each."""
    right = np.arange(of) < count
    share = count / of
    assert wilson(share, share * (1 - share) / of, of) == pytest.approx(expected, abs=5e-5)
    assert share_interval(right, np.arange(of)) == pytest.approx(expected, abs=5e-3)
    low, high = share_interval(~right, np.arange(of))
    assert (1 - high, 1 - low) == pytest.approx(share_interval(right, np.arange(of)))


def test_the_variance_counts_patients():
    """Copies of an image add nothing, and the variance of patients with one image is the usual one."""
    right, patients = np.arange(40) % 5 > 0, np.arange(40)
    once = sum_variance((right - right.mean()) / 40, patients)
    assert once == pytest.approx(right.var(ddof=1) / 40)
    copied = share_interval(np.repeat(right, 4), np.repeat(patients, 4))
    assert copied == pytest.approx(share_interval(right, patients))
    both = sum_variance(np.stack([right, 2 * right], axis=1) - [right.mean(), 2 * right.mean()], patients)
    assert both[1] == pytest.approx(4 * both[0])


def test_a_share_of_1_has_an_interval_for_as_many_patients_as_there_are():
    low, high = share_interval(np.ones(60), np.repeat(np.arange(20), 3))
    assert (low, high) == (pytest.approx(1 - 0.1611, abs=5e-5), 1)
    assert share_interval([], []) is None
    assert share_interval([1, 0], ["a", "a"]) == pytest.approx(wilson(0.5, np.nan, 1)), "one patient says little"


@pytest.mark.parametrize(("patients", "share"), [(20, 0.9), (25, 0.95), (50, 0.95), (50, 0.99), (50, 0.5)])
def test_the_interval_covers_as_often_as_it_says(patients, share):
    """500 sets of patients with two images that depend on each other; a share of 0.99 is often observed as 1.

    The share of sets jumps with the patients and the share, as every interval's of a count does: 0.92 to 0.99.
    """
    rng, patient, inside = np.random.default_rng(0), np.repeat(np.arange(patients), 2), 0
    for _ in range(500):
        z = 0.7**0.5 * rng.normal(size=patients)[patient] + 0.3**0.5 * rng.normal(size=2 * patients)
        low, high = share_interval(z < norm.ppf(share), patient)
        inside += low <= share <= high
    assert 0.92 < inside / 500 < 0.99


def test_at_0_and_1_the_variance_says_nothing():
    for share in (0, 1):
        for patients in (1, 7, 20, 49, 1000):
            low, high = wilson(share, 0.01, patients)
            assert (low, high) == tuple(wilson(share, np.nan, patients))
            assert 0 <= low < high <= 1


def measured(patients=60, seed=0):
    """Truth, calibrated probability and patient of two images each."""
    rng, patient = np.random.default_rng(seed), np.repeat(np.arange(patients), 2)
    truth = patient % 2
    score = 0.7**0.5 * rng.normal(size=patients)[patient] + 0.3**0.5 * rng.normal(size=2 * patients) + 1.8 * truth
    return truth, 1 / (1 + np.exp(1.62 - 1.8 * score)), patient


def test_the_jackknife_of_an_auc_is_near_delongs_interval():
    data = measured()
    assert jackknife_interval(auc, *data) == pytest.approx(auc_interval(*data), abs=0.01)
    copied = [np.repeat(values, 3) for values in data]
    assert jackknife_interval(auc, *copied) == pytest.approx(jackknife_interval(auc, *data)), "copies add nothing"


def test_the_jackknife_leaves_out_groups_of_many_patients(monkeypatch):
    data = measured(400)
    alone = jackknife_interval(brier, *data)
    monkeypatch.setattr(intervals, "GROUPS", 100)
    in_groups = jackknife_interval(brier, *data)
    assert in_groups != alone
    assert in_groups == pytest.approx(alone, abs=0.01)


def test_a_metric_without_bounds_has_a_symmetric_interval():
    truth, probability, patient = measured()
    low, high = jackknife_interval(calibration_slope, truth, probability, patient, bounded=False)
    value = calibration_slope(truth, probability, np.ones((1, len(truth))))[0]
    assert low < value < high
    assert value - low == pytest.approx(high - value)
    low, high = jackknife_interval(brier, truth, probability, patient)
    middle = brier(truth, probability, np.ones((1, len(truth))))[0]
    assert high - middle > 1.02 * (middle - low), "symmetric in the log-odds"


def test_where_the_jackknife_has_no_interval():
    truth, probability, patient = measured(8)
    assert jackknife_interval(calibration_slope, truth, truth * 0.8 + 0.1, patient, bounded=False) is None
    for label in (0, 1):  # one patient of a class says nothing about others; two say little
        few = (truth != label) | np.isin(patient, [label])
        assert jackknife_interval(brier, truth[few], probability[few], patient[few]) is None
        few = (truth != label) | np.isin(patient, [label, label + 2])
        low, high = jackknife_interval(brier, truth[few], probability[few], patient[few])
        assert 0 < low < high < 1
    low, high = jackknife_interval(auc, truth, truth.astype(float), patient)
    assert (low, high) == pytest.approx(wilson(1, np.nan, 4)), "a perfect AUC, for four patients of a class"


@pytest.mark.parametrize(("patients", "at_least"), [(20, 0.9), (50, 0.92)])
def test_the_jackknife_covers_as_often_as_it_says(patients, at_least):
    """200 sets; the slope is 1, and the true Brier score that of 100,000 patients."""
    everyone = measured(100_000, seed=9)
    true = brier(*everyone[:2], np.ones((1, 200_000)))[0]
    held = np.zeros(2)
    for seed in range(200):
        data = measured(patients, seed)
        low, high = jackknife_interval(brier, *data)
        held[0] += low <= true <= high
        ends = jackknife_interval(calibration_slope, *data, bounded=False)
        held[1] += ends is None or ends[0] <= 1 <= ends[1]
    assert (held / 200 > at_least).all()


def test_two_patients_are_enough_for_a_share():
    wide = share_interval([1, 1, 0, 0], ["a", "a", "b", "b"])
    assert wide == pytest.approx(wilson(0.5, 0.25, 2))


@pytest.mark.parametrize("shares", [[1, 1, 0], [1, 0], [1, 1, 1, 0, 0]])
def test_patients_who_are_all_alike_count_as_patients(shares):
    """Their variance is rounding, 0 or 1e-34, from which an interval of no length would follow."""
    for patients in range(2, 40):
        low, high = share_interval(shares * patients, np.repeat(range(patients), len(shares)))
        assert (low, high) == pytest.approx(wilson(np.mean(shares), np.nan, patients))
        assert high - low > 0.1


def test_patients_who_are_all_alike_give_an_auc_an_interval():
    truth, patients = np.repeat([1, 0], 30), np.repeat(range(20), 3)
    probability = np.concatenate([np.tile([0.9, 0.9, 0.2], 10), np.full(30, 0.5)])
    for low, high in (
        auc_interval(truth, probability, patients),
        jackknife_interval(auc, truth, probability, patients),
    ):
        assert high - low > 0.2


def test_an_interval_holds_its_own_value():
    for count in range(2, 200):
        for share in (0, 1):
            low, high = share_interval(np.full(count, share), range(count))
            assert low <= share <= high


def test_the_jackknife_is_the_same_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    truth, probability, patients = rng.integers(0, 2, 90), rng.random(90), np.repeat(range(30), 3)
    whole = jackknife_interval(brier, truth, probability, patients)
    monkeypatch.setattr(intervals, "AT_ONCE", 200)
    assert jackknife_interval(brier, truth, probability, patients) == pytest.approx(whole)
