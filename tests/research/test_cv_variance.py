"""How sure a cross-validation is: the variance includes that other training patients give other classifiers."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mammo.evaluation.delong import clustered_variance, placements
from mammo.research.cross_validation import CVScores
from mammo.research.cv_metrics import auc_difference, cv_metrics
from mammo.research.cv_variance import auc_terms, instability_of, mean_variance, ranks_in_folds, share_terms


@pytest.fixture(scope="module")
def coverage():
    """The simulation of benchmarks/coverage.py, whose full table is in docs/evaluation.md."""
    path = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("repeats", [1, 5])
def test_on_noise_of_mini_mias_shape_the_interval_holds_a_half(coverage, repeats):
    """200 cross-validations on noise, in which an interval for given classifiers is too short."""
    found = coverage.cv_coverage(coverage.NOISE, 0.0, repeats, runs=200, thresholds=False)
    assert found["true"] == pytest.approx(0.5)
    assert found["auc"] >= 0.93
    assert found["resampled"] < 0.92


def test_where_a_single_feature_is_noise_the_repeats_contradict_each_other(coverage):
    """The mean over repeats hardly moves when patients are resampled, and is no surer for it."""
    found = coverage.cv_coverage(coverage.Setting(104, features=1), 0.0, 5, runs=150, thresholds=False)
    assert found["auc"] >= 0.93
    assert found["resampled"] < 0.85


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_intervals_hold_a_known_auc_sensitivity_and_specificity(coverage, repeats):
    """80 cross-validations of 150 patients with two images; the true AUC is 0.78."""
    found = coverage.cv_coverage(coverage.Setting(150, images=2), 1.5, repeats, runs=80)
    assert 0.75 < found["true"] < 0.8
    for name in ("auc", "sensitivity", "specificity"):
        assert found[name] >= 0.9, name


def test_the_interval_of_a_difference_holds_0_for_equally_good_classifiers(coverage):
    for shared in (0, 33):
        assert coverage.difference_coverage(coverage.NOISE, 0.0, shared, 1, runs=100) >= 0.9
        assert coverage.difference_coverage(coverage.NOISE, 0.9, shared, 3, runs=60) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [1, 5])
@pytest.mark.parametrize("auc", [0.5, 0.65, 0.9])
def test_the_intervals_hold_in_every_setting(coverage, auc, repeats):
    """As the table in docs/evaluation.md: 300 cross-validations each, at least 0.93 but for chance."""
    for setting in coverage.SETTINGS:
        if setting.features < 500 or auc < 0.7:
            found = coverage.cv_coverage(setting, coverage.distance_for(setting, auc), repeats, 300, thresholds=False)
            assert found["auc"] >= 0.92, setting


def simulated(repeats=1, folds=2, patients=40, seed=0):
    """Truth, patients, scores and folds of two images of each patient."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), 2)
    truth = patient % 2
    fold = np.stack([rng.permutation(np.arange(patients) % folds)[patient] for _ in range(repeats)], axis=1)
    return truth, patient, rng.normal(size=fold.shape) + truth[:, None], fold


def test_the_terms_of_one_fold_are_delongs():
    truth, patient, score, fold = simulated(folds=1)
    auc, terms = auc_terms(truth, score, fold)
    assert auc == pytest.approx(roc_auc_score(truth, score))
    assert terms.sum() == pytest.approx(0)
    delongs = clustered_variance(truth, placements(truth, score[:, 0]), patient)
    assert mean_variance(terms, patient) == pytest.approx(delongs, rel=0.03)


def test_images_of_different_folds_and_untested_images_are_not_compared():
    truth, _, score, fold = simulated(folds=2, repeats=2)
    fold[:6, 1] = -1
    auc, terms = auc_terms(truth, score, fold)
    right = pairs = 0
    for repeat, number in np.ndindex(2, 2):
        here = fold[:, repeat] == number
        count = truth[here].sum() * (1 - truth[here]).sum()
        right += roc_auc_score(truth[here], score[here, repeat]) * count
        pairs += count
    assert auc == pytest.approx(right / pairs)
    np.testing.assert_allclose(terms.sum(axis=0), 0, atol=1e-12)
    assert (terms[:6, 1] == 0).all()
    ranks = ranks_in_folds(score, fold)
    assert (ranks[:6, 1] == 0).all()
    for number in (0, 1):
        assert ranks[fold[:, 0] == number, 0].sum() == pytest.approx(0)


def test_the_variance_is_that_of_one_repeat():
    """Five repeats of the same scores say no more than one; contradicting repeats do not either."""
    truth, patient, score, fold = simulated()
    _, once = auc_terms(truth, score, fold)
    _, five = auc_terms(truth, np.repeat(score, 5, axis=1), np.repeat(fold, 5, axis=1))
    assert mean_variance(five, patient) == pytest.approx(mean_variance(once, patient))
    _, opposed = auc_terms(truth, np.hstack([score, -score]), np.repeat(fold, 2, axis=1))
    assert mean_variance(opposed, patient) == pytest.approx(mean_variance(once, patient))
    assert np.isnan(mean_variance(once, np.zeros(80))), "one patient"


def test_shares_and_their_terms():
    right = np.array([[True, True], [False, True], [True, False], [True, True]])
    share, terms = share_terms(right, np.array([True, True, True, False]))
    assert share == pytest.approx(4 / 6)
    np.testing.assert_allclose(terms * 3, [[1 / 3, 1 / 3], [-2 / 3, 1 / 3], [1 / 3, -2 / 3], [0, 0]])
    assert np.isnan(share_terms(right, np.zeros(4, bool))[0])


def test_instability_is_0_where_classifiers_agree_and_1_where_they_do_not():
    _, _, score, fold = simulated(repeats=4, folds=5, patients=400)
    ranks = ranks_in_folds(score, fold)
    assert instability_of(ranks, fold) == 1, "independent scores"
    assert instability_of(np.repeat(ranks[:, :1], 4, axis=1), fold) == pytest.approx(0)
    rng = np.random.default_rng(1)
    common = rng.normal(size=(800, 1))
    for agreement in (0.9, 0.96):
        z = np.sqrt(agreement) * common + np.sqrt(1 - agreement) * rng.normal(size=(800, 4))
        assert instability_of(z, fold) == pytest.approx(5 * (1 - agreement), abs=0.05)
    assert instability_of(ranks[:, :1], fold[:, :1]) == 1, "one repeat cannot be compared"
    assert instability_of(ranks, np.zeros_like(fold)) == 0, "one fold: training patients are not tested"
    assert instability_of(np.zeros((800, 4)), fold) == 1


def test_an_unstable_classifier_has_the_wider_interval():
    """The same ranks in every repeat, or ranks that change with the folds."""
    truth, patient, score, fold = simulated(repeats=4, folds=5)
    inner = np.where(fold[..., None] == np.arange(5), np.nan, score[..., None])
    stable = np.repeat(score[:, :1], 4, axis=1)
    steady = CVScores(stable, np.repeat(fold[:, :1], 4, axis=1), np.repeat(inner[:, :1], 4, axis=1))
    low, high = cv_metrics(truth, steady, patient)["auc_interval"]
    once = CVScores(score[:, :1], fold[:, :1], inner[:, :1])
    wide_low, wide_high = cv_metrics(truth, once, patient)["auc_interval"]
    assert (wide_high - wide_low) / (high - low) == pytest.approx(np.sqrt(2), abs=0.1)


def test_a_difference_has_the_interval_of_both_classifiers_together():
    """Twice the same noise cancels; independent noise adds up."""
    truth, patient, score, fold = simulated(patients=200)
    inner = np.where(fold[..., None] == np.arange(2), np.nan, 0.0)
    one, other = (
        CVScores(score + 0.3 * np.random.default_rng(s).normal(size=score.shape), fold, inner) for s in (1, 2)
    )
    near = np.diff(auc_difference(truth, one, other, patient)["difference_interval"])
    apart = CVScores(np.random.default_rng(3).normal(size=score.shape) + truth[:, None], fold, inner)
    far = np.diff(auc_difference(truth, one, apart, patient)["difference_interval"])
    assert near < 0.5 * far
    auc_one, terms = auc_terms(truth, one.score, fold)
    auc_apart, other_terms = auc_terms(truth, apart.score, fold)
    found = auc_difference(truth, one, apart, patient)
    assert found["difference"] == pytest.approx(auc_one - auc_apart)
    together = 2 * mean_variance(terms - other_terms, patient)
    assert far[0] == pytest.approx(2 * 1.96 * np.sqrt(together), rel=1e-3)
