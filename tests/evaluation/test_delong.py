import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from mammo.evaluation.delong import auc_interval, clustered_variance, degrees_of_freedom, placements


def clustered(patients, images, seed, separation=1.5, mixed=False):
    """Truth, score and patient of images; half the patients have cancer, `mixed`: in half of their images."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), images)
    truth = patient % 2
    if mixed:
        truth = truth * (np.tile(np.arange(images), patients) % 2)
    return truth, rng.normal(size=patients)[patient] + rng.normal(size=len(patient)) + separation * truth, patient


def auc_variance(truth, score, patients):
    placed = placements(truth, score)
    return placed[truth == 1].mean(), clustered_variance(truth, placed, patients)


@pytest.mark.parametrize(
    ("test", "area", "error"), [("albumin", 0.7366, 0.0927), ("protein", 0.6478, 0.1000), ("score", 0.7258, 0.1028)]
)
def test_the_published_example(ovarian, test, area, error):
    truth, tests = ovarian
    auc, variance = auc_variance(truth, tests[test], np.arange(len(truth)))
    assert (auc, np.sqrt(variance)) == pytest.approx((area, error), abs=5e-5)


def test_the_published_comparison(ovarian):
    """SAS/STAT: all three areas against that of the K-G score, chi-square of 2 degrees of freedom 2.5340, p 0.2817."""
    truth, tests = ovarian
    alone, score = np.arange(len(truth)), placements(truth, tests["score"])
    paired = [placements(truth, tests[name]) - score for name in ("albumin", "protein")]
    difference = [placed[truth == 1].mean() for placed in paired]
    variances = [clustered_variance(truth, placed, alone) for placed in (*paired, paired[0] - paired[1])]
    shared = (variances[0] + variances[1] - variances[2]) / 2
    matrix = [[variances[0], shared], [shared, variances[1]]]
    assert difference @ np.linalg.solve(matrix, difference) == pytest.approx(2.5340, abs=5e-5)


def test_placements_by_ranks_equal_those_of_all_pairs():
    rng = np.random.default_rng(0)
    truth, score = rng.integers(0, 2, 60), rng.integers(0, 9, 60).astype(float)
    above = score[truth == 1][:, None] - score[truth == 0]
    pairs = (above > 0) + 0.5 * (above == 0)
    placed = placements(truth, score)
    np.testing.assert_allclose(placed[truth == 1], pairs.mean(axis=1))
    np.testing.assert_allclose(placed[truth == 0], pairs.mean(axis=0))
    auc, variance = auc_variance(truth, score, np.arange(60))
    assert auc == pytest.approx(roc_auc_score(truth, score))
    by_hand = sum(np.var(pairs.mean(axis=axis), ddof=1) / pairs.shape[1 - axis] for axis in (0, 1))
    assert variance == pytest.approx(by_hand)


def test_copies_of_an_image_add_nothing():
    truth, score, patient = clustered(40, 1, seed=1)
    once = auc_variance(truth, score, patient)
    assert auc_variance(*(np.repeat(x, 4) for x in (truth, score, patient))) == pytest.approx(once)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_variance_agrees_with_the_jackknife_over_patients(mixed):
    """The jackknife over patients, an independent way to the variance; with both classes in a patient, too."""
    truth, score, patient = clustered(100, 4, seed=2, mixed=mixed)
    without = [roc_auc_score(truth[patient != p], score[patient != p]) for p in range(100)]
    jackknife = 99 * np.var(without)
    assert auc_variance(truth, score, patient)[1] == pytest.approx(jackknife, rel=0.04)


@pytest.mark.parametrize(
    ("patients", "images", "auc", "least", "most"),
    [(50, 2, 0.86, 0.93, 0.975), (50, 2, 0.97, 0.935, 0.98), (100, 2, 0.99, 0.935, 0.98), (20, 1, 0.9, 0.93, 1)],
)
def test_the_interval_covers_as_often_as_it_says(patients, images, auc, least, most):
    """600 sets whose AUC is known; images taken as patients would cover too rarely."""
    separation = norm.ppf(auc) * 2  # the difference of two scores has a variance of 4
    inside = np.zeros(2)
    for seed in range(600):
        truth, score, patient = clustered(patients, images, seed, separation)
        for index, cluster in enumerate((patient, np.arange(len(patient)))):
            low, high = auc_interval(truth, score, cluster)
            inside[index] += low <= auc <= high
    assert least < inside[0] / 600 <= most
    if images > 1:
        assert inside[1] < inside[0] - 10


def test_degrees_of_freedom_by_hand():
    """Equal patients count as of a normal distribution, 2 x (n - 1); where one of 50 makes up the variance it is 2."""
    truth, alone = np.repeat([0, 1], 50), np.arange(100)
    even = np.tile([0.4, 0.6], 50)
    assert degrees_of_freedom(truth, even, alone) == pytest.approx(98)
    few = degrees_of_freedom(truth[25:], even[25:], alone[25:])
    assert few == pytest.approx((1 / 50 + 1 / 25) ** 2 / (1 / 50**2 / 49 + 1 / 25**2 / 24), rel=0.02), "Welch's"
    one = np.where(alone == 99, 0.0, 1.0)
    assert degrees_of_freedom(truth, one, alone) < 2.5
    images = [np.repeat(x, 3) for x in (truth, even, alone)]
    assert degrees_of_freedom(*images) == pytest.approx(98), "patients count"
    assert np.isnan(degrees_of_freedom(truth, np.ones(100), alone))


def test_an_interval_has_a_length_at_1_and_is_none_where_nothing_can_be_said():
    truth, score, patient = clustered(30, 1, seed=0, separation=3)
    low, high = auc_interval(truth, score, patient)
    assert 0 < low < high < 1
    low, high = auc_interval(truth, truth, patient)
    assert (low, high) == (pytest.approx(0.796, abs=5e-4), 1), "Wilson's of 15 of 15"
    assert auc_interval(truth, 1 - truth, patient) == pytest.approx([0, 1 - low])
    alone = np.array([1, 1, 0, 0]), np.array([3, 1, 2, 0]), np.array(["a", "a", "b", "c"])
    assert auc_variance(*alone)[0] == 0.75
    assert np.isnan(auc_variance(*alone)[1]), "one patient with cancer"
    assert auc_interval(*alone) is None
