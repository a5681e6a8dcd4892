import numpy as np
import pytest
from scipy.stats import norm

from mammo.evaluation.intervals import share_interval, sum_variance, wilson


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
