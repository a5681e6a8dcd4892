"""Metrics of a cross-validation: thresholds of training rows, pairs of one fold, differences."""

import numpy as np
import pytest
from cv_data import FEATURES, PATIENTS, TRUTH
from sklearn.metrics import roc_auc_score

import mammo
from mammo.evaluation.operating_point import threshold_at_sensitivity
from mammo.research.cross_validation import CVScores, LinearClassifier, cross_validate, patient_folds
from mammo.research.cv_metrics import auc_difference, cv_metrics, predicted_positive


def test_the_threshold_does_not_move_with_the_test_scores(scores):
    """Shifted test scores are all above a threshold that training has fixed."""
    shifted = CVScores(scores.score + 100, scores.fold, scores.out_of_fold)
    assert predicted_positive(TRUTH, shifted).all()
    train = np.isfinite(scores.out_of_fold[:, 0, 2])
    threshold = threshold_at_sensitivity(TRUTH[train], scores.out_of_fold[train, 0, 2], 0.9)
    here = scores.fold[:, 0] == 2
    np.testing.assert_array_equal(predicted_positive(TRUTH, scores)[here, 0], scores.score[here, 0] >= threshold)


def test_the_same_seed_gives_the_same_numbers(scores):
    again = cross_validate(
        LinearClassifier(FEATURES, TRUTH, PATIENTS), patient_folds(TRUTH, PATIENTS, repeats=3), len(TRUTH)
    )
    assert cv_metrics(TRUTH, again, PATIENTS) == cv_metrics(TRUTH, scores, PATIENTS)
    other = patient_folds(TRUTH, PATIENTS, repeats=3, seed=7)
    assert cv_metrics(
        TRUTH, cross_validate(LinearClassifier(FEATURES, TRUTH, PATIENTS), other, 80), PATIENTS
    ) != cv_metrics(TRUTH, scores, PATIENTS)


def test_the_auc_is_the_mean_over_the_folds_weighted_by_their_pairs(scores):
    right = pairs = 0
    for repeat, number in np.ndindex(3, 5):
        here = scores.fold[:, repeat] == number
        count = TRUTH[here].sum() * (1 - TRUTH[here]).sum()
        right += roc_auc_score(TRUTH[here], scores.score[here, repeat]) * count
        pairs += count
    found = cv_metrics(TRUTH, scores, PATIENTS)
    assert found["auc"] == pytest.approx(right / pairs)
    assert found["auc_interval"][0] < found["auc"] < found["auc_interval"][1]
    assert 0.65 < found["auc"] < 0.95
    predicted = predicted_positive(TRUTH, scores)
    assert found["sensitivity"] == pytest.approx(predicted[TRUTH == 1].mean())
    assert found["specificity"] == pytest.approx(1 - predicted[TRUTH == 0].mean())


def test_within_groups_nothing_is_gained_by_recognising_the_group(scores):
    """One of two machines has nearly all cancers; a score that knows the machine alone is of no use within it."""
    machine = np.where(np.random.default_rng(0).random(80) < 0.9, TRUTH, 1 - TRUTH)
    knows = CVScores(np.where(scores.fold >= 0, machine[:, None], np.nan), scores.fold, scores.out_of_fold)
    assert cv_metrics(TRUTH, knows, PATIENTS)["auc"] > 0.85
    assert cv_metrics(TRUTH, knows, PATIENTS, within=machine)["auc"] == 0.5
    assert auc_difference(TRUTH, scores, knows, PATIENTS, within=machine)["difference"] == pytest.approx(
        cv_metrics(TRUTH, scores, PATIENTS, within=machine)["auc"] - 0.5
    )
    same = np.zeros(80, int)
    assert cv_metrics(TRUTH, scores, PATIENTS, within=same) == cv_metrics(TRUTH, scores, PATIENTS)


def test_images_of_no_group_are_compared_with_none(scores):
    group = np.random.default_rng(0).integers(-1, 2, 80)
    known = group >= 0
    found = cv_metrics(TRUTH, scores, PATIENTS, within=group)["auc"]
    assert found == cv_metrics(TRUTH, scores, PATIENTS, within=np.maximum(group, 0), among=known)["auc"]


def test_scores_of_different_folds_are_not_compared(scores):
    """Each fold's model may have a scale and an origin of its own."""
    moved = CVScores(scores.score * 3 + 10.0 * scores.fold, scores.fold, scores.out_of_fold)
    assert cv_metrics(TRUTH, moved, PATIENTS)["auc"] == pytest.approx(cv_metrics(TRUTH, scores, PATIENTS)["auc"])


def test_where_there_is_nothing_to_find_the_mean_is_a_half():
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        features, truth = rng.normal(size=(80, 20)), np.repeat(rng.permutation(np.arange(40) % 2), 2)
        scores = cross_validate(
            LinearClassifier(features, truth, PATIENTS), patient_folds(truth, PATIENTS, repeats=1), 80
        )
        found.append(cv_metrics(truth, scores, PATIENTS)["auc"])
    assert abs(np.mean(found) - 0.5) < 4 * np.std(found) / 12**0.5


def test_metrics_of_some_rows_keep_the_thresholds_of_all(scores):
    among = np.arange(80) < 40
    found = cv_metrics(TRUTH, scores, PATIENTS, among=among)
    assert (found["cases"], found["patients"], found["malignant"]) == (40, 20, 20)
    assert found["sensitivity"] == pytest.approx(predicted_positive(TRUTH, scores)[among & (TRUTH == 1)].mean())


def test_a_difference_is_that_of_the_aucs_and_0_for_the_same_order(scores):
    weaker = cross_validate(
        LinearClassifier(FEATURES[:, 1:], TRUTH, PATIENTS), patient_folds(TRUTH, PATIENTS, repeats=3), 80
    )
    found = auc_difference(TRUTH, scores, weaker, PATIENTS)
    expected = cv_metrics(TRUTH, scores, PATIENTS)["auc"] - cv_metrics(TRUTH, weaker, PATIENTS)["auc"]
    assert found["difference"] == pytest.approx(expected)
    assert found["difference_interval"][0] > 0  # the column that tells the classes apart is missing from the second
    same = auc_difference(TRUTH, scores, CVScores(3 * scores.score, scores.fold, scores.out_of_fold), PATIENTS)
    assert same == {"difference": 0.0, "difference_interval": [0.0, 0.0]}
    some = TRUTH + np.arange(80) % 3 > 0
    among = auc_difference(TRUTH, scores, weaker, PATIENTS, among=some)["difference"]
    aucs = [cv_metrics(TRUTH, each, PATIENTS, among=some)["auc"] for each in (scores, weaker)]
    assert among == pytest.approx(aucs[0] - aucs[1])
    elsewhere = CVScores(scores.score, scores.fold[:, ::-1], scores.out_of_fold)
    with pytest.raises(mammo.MammoError, match="same folds"):
        auc_difference(TRUTH, scores, elsewhere, PATIENTS)


def test_the_interval_of_a_difference_holds_0_for_classifiers_that_are_equally_good():
    """200 pairs whose scores share what makes an image hard. 95 % should hold 0; 90 % allows for chance."""
    rng, folds, held = np.random.default_rng(3), patient_folds(TRUTH, PATIENTS, repeats=1), 0
    fold = np.full((80, 1), -1)
    for number, (_, test) in enumerate(folds[0]):
        fold[test, 0] = number
    inner = np.zeros((80, 1, 5))
    for _ in range(200):
        shared = TRUTH + rng.normal(size=80) + np.repeat(rng.normal(size=40), 2)
        both = [CVScores((shared + rng.normal(size=80))[:, None], fold, inner) for _ in range(2)]
        low, high = auc_difference(TRUTH, *both, PATIENTS)["difference_interval"]
        held += low <= 0 <= high
    assert held >= 180
