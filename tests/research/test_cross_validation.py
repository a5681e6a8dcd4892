"""No score comes from a fold that knew the patient, no threshold from a test patient."""

import numpy as np
import pandas as pd
import pytest
from cv_data import FEATURES, PATIENTS, TRUTH
from sklearn.metrics import roc_auc_score

import mammo
from mammo.research.cross_validation import (
    CVClassifier,
    CVScores,
    GroupShareClassifier,
    LinearClassifier,
    average_scores,
    by_breast,
    cross_validate,
    patient_folds,
    shuffled_folds,
)
from mammo.research.cv_metrics import cv_metrics


class RowNumber(CVClassifier):
    """Scores a test row by its index, and remembers in which folds it knew a test row's patient."""

    def __init__(self):
        super().__init__(TRUTH, PATIENTS)
        self.shared = []

    def fit(self, rows, seed):
        self.learned = set(PATIENTS[rows])
        return self

    def decision_function(self, rows):
        self.shared.append(self.learned & set(PATIENTS[rows]))
        return rows.astype(float)

    def out_of_fold_scores(self, train, seed):
        return np.where(np.isin(np.arange(len(TRUTH)), train), 0.0, np.nan)


def test_no_score_comes_from_a_fold_that_knew_the_patient():
    classifier = RowNumber()
    scores = cross_validate(classifier, patient_folds(TRUTH, PATIENTS), len(TRUTH))
    assert classifier.shared == [set()] * 25
    np.testing.assert_array_equal(scores.score, np.tile(np.arange(80.0)[:, None], 5))
    assert sorted(set(scores.fold.ravel())) == [0, 1, 2, 3, 4]


def test_thresholds_are_fixed_on_training_patients_only(scores):
    for repeat, number in np.ndindex(3, 5):
        tested = scores.fold[:, repeat] == number
        np.testing.assert_array_equal(np.isfinite(scores.out_of_fold[:, repeat, number]), ~tested)


def test_out_of_fold_scores_come_from_a_classifier_that_has_not_learned_from_the_patient():
    """A patient's own label is the only thing to learn: scores of known patients would separate the classes."""
    who = np.eye(40)[np.repeat(np.arange(40), 2)] * 100
    train, test = patient_folds(TRUTH, PATIENTS)[0][0]
    classifier = LinearClassifier(who, TRUTH, PATIENTS, strength=100.0).fit(train, 0)
    before = classifier.decision_function(test)
    inner = classifier.out_of_fold_scores(train, 0)
    assert roc_auc_score(TRUTH[train], inner[train]) < 0.7
    np.testing.assert_array_equal(classifier.decision_function(test), before)


def test_scores_of_test_rows_that_would_fix_the_threshold_are_refused():
    class Cheating(LinearClassifier):
        def out_of_fold_scores(self, train, seed):
            return self.decision_function(np.arange(len(TRUTH)))

    with pytest.raises(mammo.MammoError, match="those of training rows, and of no others"):
        cross_validate(Cheating(FEATURES, TRUTH, PATIENTS), patient_folds(TRUTH, PATIENTS, repeats=1), len(TRUTH))


def test_a_classifier_is_scaled_by_its_training_rows_alone():
    """Whatever is in the other rows, which are tested, changes nothing."""
    train, test = patient_folds(TRUTH, PATIENTS)[0][0]
    changed = FEATURES.copy()
    changed[test] = 1000 * changed[test] + 50
    one, other = (LinearClassifier(features, TRUTH, PATIENTS).fit(train, 0) for features in (FEATURES, changed))
    np.testing.assert_array_equal(one.decision_function(train), other.decision_function(train))
    np.testing.assert_array_equal(one.out_of_fold_scores(train, 0), other.out_of_fold_scores(train, 0))


def test_scores_of_views_are_averaged_as_they_are():
    """Scores are log-odds: 0 and 6 have the mean 3. As probabilities they would be 0.5 and 0.998."""
    table = pd.DataFrame({"path": ["a", "b"], "patient_id": ["P", "P"], "laterality": "L", "label": "benign"})
    scores = CVScores(np.array([[0.0], [6.0]]), np.zeros((2, 1), int), np.array([[[1.0]], [[8.0]]]))
    _, combined = by_breast(table, scores)
    assert combined.score.tolist() == [[3.0]]
    assert combined.out_of_fold.tolist() == [[[4.5]]]


def test_views_are_combined_as_everywhere_else(scores):
    table = pd.DataFrame({"path": [f"{n}.png" for n in range(80)], "patient_id": PATIENTS, "laterality": "L"})
    table["label"] = np.where(TRUTH == 1, "malignant", "benign")
    breasts, combined = by_breast(table, scores)
    assert len(breasts) == 40
    np.testing.assert_allclose(combined.score, scores.score.reshape(40, 2, 3).mean(axis=1), atol=1e-5)
    np.testing.assert_array_equal(combined.fold, scores.fold[::2])
    np.testing.assert_array_equal(np.isfinite(combined.out_of_fold), np.isfinite(scores.out_of_fold[::2]))
    far = CVScores(scores.score + 40, scores.fold, scores.out_of_fold + 40)  # where probabilities would all be 1
    assert cv_metrics(TRUTH[::2], by_breast(table, far)[1], PATIENTS[::2])["auc"] == pytest.approx(
        cv_metrics(TRUTH[::2], combined, PATIENTS[::2])["auc"]
    )
    with pytest.raises(mammo.MammoError, match="laterality"):
        by_breast(table.assign(laterality=None), scores)


def test_what_a_column_alone_tells_is_learned_from_training_rows():
    values = pd.Series(["a", "a", "a", "b", "b", "c", None])
    classifier = GroupShareClassifier(values, [1, 1, 0, 0, 0, 1, 1], range(7)).fit(np.arange(5), seed=0)
    share = 2 / 5  # of the five training rows
    found = classifier.decision_function(np.arange(7))
    np.testing.assert_allclose(found, [(2 + share) / 4] * 3 + [share / 3] * 2 + [share] * 2)


def test_too_few_patients_are_refused():
    with pytest.raises(mammo.MammoError, match="4 patients of one class are too few for 5 folds"):
        patient_folds(TRUTH[:16], PATIENTS[:16])


def test_neither_range_nor_offset_of_a_classifier_changes_the_average(scores):
    stretched = CVScores(1000 * scores.score - 7, scores.fold, 1000 * scores.out_of_fold - 7)
    one, both = average_scores([scores]), average_scores([scores, stretched])
    np.testing.assert_allclose(both.score, one.score)
    np.testing.assert_allclose(both.out_of_fold, one.out_of_fold)
    assert cv_metrics(TRUTH, both, PATIENTS)["auc"] == cv_metrics(TRUTH, scores, PATIENTS)["auc"]


def test_an_average_is_scaled_by_training_scores_alone(scores):
    """Test scores ten times as far apart stay ten times as far apart, in the units of the training scores."""
    wide = CVScores(10 * scores.score + 3, scores.fold, scores.out_of_fold)
    for repeat, number in np.ndindex(scores.out_of_fold.shape[1:]):
        here, inner = scores.fold[:, repeat] == number, scores.out_of_fold[:, repeat, number]
        inner = inner[np.isfinite(inner)]
        expected = (10 * scores.score[here, repeat] + 3 - inner.mean()) / inner.std()
        np.testing.assert_allclose(average_scores([wide]).score[here, repeat], expected)
        one = (scores.score[here, repeat] - inner.mean()) / inner.std()
        np.testing.assert_allclose(average_scores([scores, wide]).score[here, repeat], (one + expected) / 2)


def test_the_average_of_two_classifiers_is_better_than_either():
    rng = np.random.default_rng(5)
    folds, found = patient_folds(TRUTH, PATIENTS, repeats=2), []
    for _ in range(2):
        seen = rng.normal(size=(80, 1)) + 1.2 * TRUTH[:, None]
        found.append(cross_validate(LinearClassifier(seen, TRUTH, PATIENTS), folds, 80))
    one, other, both = (cv_metrics(TRUTH, each, PATIENTS)["auc"] for each in (*found, average_scores(found)))
    assert both > max(one, other)


def test_shuffled_folds_are_stratified_and_differ():
    patients = np.repeat(np.arange(50), 2)
    truth = (patients % 5 < 2).astype(int)
    seen = set()
    for seed in range(5):
        for train, test in shuffled_folds(truth, patients, 5, seed):
            assert truth[test].sum() == 8, "40 % of 20"
            assert len(test) == 20
            assert not set(patients[train]) & set(patients[test])
            seen.add(frozenset(test))
    assert len(seen) == 25
