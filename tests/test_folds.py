"""No score from a fold that knew the patient, no threshold from a patient that is tested."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import mammo
from mammo.evaluation.operating_point import threshold_at_sensitivity
from mammo.research.cross_validation import CVScores, alarms, by_breast, cross_validate, difference, cv_metrics, linear_reader, patient_folds, together

PATIENTS = np.repeat([f"P{number:02d}" for number in range(40)], 2)
TRUTH = np.repeat(np.arange(40) % 2, 2)
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(80, 6)) + TRUTH[:, None] * [1.5, 0, 0, 0, 0, 0]


@pytest.fixture(scope="module")
def crossed():
    parts = patient_folds(TRUTH, PATIENTS, repeats=3)
    return cross_validate(linear_reader(FEATURES, TRUTH, PATIENTS), parts, len(TRUTH))


def test_no_score_comes_from_a_fold_that_knew_the_patient():
    knew = []

    def read(train, test, seed):
        knew.append(set(PATIENTS[train]) & set(PATIENTS[test]))
        own = np.full(len(TRUTH), np.nan)
        own[train] = 0.0
        return test.astype(float), own

    crossed = cross_validate(read, patient_folds(TRUTH, PATIENTS), len(TRUTH))
    assert knew == [set()] * 25
    np.testing.assert_array_equal(crossed.score, np.tile(np.arange(80.0)[:, None], 5))
    assert sorted(set(crossed.fold.ravel())) == [0, 1, 2, 3, 4]


def test_the_linear_reader_fixes_its_threshold_on_training_patients_only(crossed):
    for repeat, number in np.ndindex(3, 5):
        tested = crossed.fold[:, repeat] == number
        np.testing.assert_array_equal(np.isfinite(crossed.inner[:, repeat, number]), ~tested)


def test_its_own_scores_come_from_something_that_has_not_learned_from_them():
    """A patient's own label is the only thing to learn: who is scored by what knew it would be told apart."""
    who = np.eye(40)[np.repeat(np.arange(40), 2)] * 100
    train, test = patient_folds(TRUTH, PATIENTS)[0][0]
    _, own = linear_reader(who, TRUTH, PATIENTS, strength=100.0)(train, test, 0)
    assert roc_auc_score(TRUTH[train], own[train]) < 0.7


def test_a_reader_that_looks_at_the_test_to_fix_its_threshold_is_caught():
    honest = linear_reader(FEATURES, TRUTH, PATIENTS)

    def cheating(train, test, seed):
        score, own = honest(train, test, seed)
        own[test] = score
        return score, own

    with pytest.raises(mammo.MammoError, match="of its own, and no others"):
        cross_validate(cheating, patient_folds(TRUTH, PATIENTS, repeats=1), len(TRUTH))


def test_the_threshold_does_not_move_with_the_test_scores(crossed):
    """As a test-set threshold would: shifted test scores are all above a threshold that training has fixed."""
    shifted = CVScores(crossed.score + 100, crossed.fold, crossed.inner)
    assert alarms(TRUTH, shifted).all()
    own = np.isfinite(crossed.inner[:, 0, 2])
    threshold = threshold_at_sensitivity(TRUTH[own], crossed.inner[own, 0, 2], 0.9)
    here = crossed.fold[:, 0] == 2
    np.testing.assert_array_equal(alarms(TRUTH, crossed)[here, 0], crossed.score[here, 0] >= threshold)


def test_the_same_seed_gives_the_same_numbers(crossed):
    again = cross_validate(linear_reader(FEATURES, TRUTH, PATIENTS), patient_folds(TRUTH, PATIENTS, repeats=3), len(TRUTH))
    assert cv_metrics(TRUTH, again, PATIENTS) == cv_metrics(TRUTH, crossed, PATIENTS)
    other = patient_folds(TRUTH, PATIENTS, repeats=3, seed=7)
    assert cv_metrics(TRUTH, cross_validate(linear_reader(FEATURES, TRUTH, PATIENTS), other, 80), PATIENTS) != cv_metrics(
        TRUTH, crossed, PATIENTS
    )


def test_the_auc_is_the_mean_over_the_folds_weighted_by_their_pairs(crossed):
    right = pairs = 0
    for repeat, number in np.ndindex(3, 5):
        here = crossed.fold[:, repeat] == number
        count = TRUTH[here].sum() * (1 - TRUTH[here]).sum()
        right += roc_auc_score(TRUTH[here], crossed.score[here, repeat]) * count
        pairs += count
    found = cv_metrics(TRUTH, crossed, PATIENTS)
    assert found["auc"] == pytest.approx(right / pairs)
    assert found["auc_interval"][0] < found["auc"] < found["auc_interval"][1]
    assert 0.65 < found["auc"] < 0.95
    said = alarms(TRUTH, crossed)
    assert found["sensitivity"] == pytest.approx(said[TRUTH == 1].mean())
    assert found["specificity"] == pytest.approx(1 - said[TRUTH == 0].mean())


def test_scores_of_different_folds_are_not_compared(crossed):
    """Each fold's model may have a scale and an origin of its own."""
    moved = CVScores(crossed.score * 3 + 10.0 * crossed.fold, crossed.fold, crossed.inner)
    assert cv_metrics(TRUTH, moved, PATIENTS)["auc"] == pytest.approx(cv_metrics(TRUTH, crossed, PATIENTS)["auc"])


def test_where_there_is_nothing_to_find_the_mean_is_a_half():
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        features, truth = rng.normal(size=(80, 20)), np.repeat(rng.permutation(np.arange(40) % 2), 2)
        crossed = cross_validate(linear_reader(features, truth, PATIENTS), patient_folds(truth, PATIENTS, repeats=1), 80)
        found.append(cv_metrics(truth, crossed, PATIENTS)["auc"])
    assert abs(np.mean(found) - 0.5) < 4 * np.std(found) / 12**0.5


def test_figures_of_some_rows_keep_the_thresholds_of_all(crossed):
    among = np.arange(80) < 40
    found = cv_metrics(TRUTH, crossed, PATIENTS, among=among)
    assert (found["cases"], found["patients"], found["malignant"]) == (40, 20, 20)
    assert found["sensitivity"] == pytest.approx(alarms(TRUTH, crossed)[among & (TRUTH == 1)].mean())


def test_views_are_combined_as_everywhere_else(crossed):
    table = pd.DataFrame({"path": [f"{n}.png" for n in range(80)], "patient_id": PATIENTS, "laterality": "L"})
    table["label"] = np.where(TRUTH == 1, "malignant", "benign")
    breasts, together = by_breast(table, crossed)
    assert len(breasts) == 40
    np.testing.assert_allclose(together.score, crossed.score.reshape(40, 2, 3).mean(axis=1), atol=1e-5)
    np.testing.assert_array_equal(together.fold, crossed.fold[::2])
    np.testing.assert_array_equal(np.isfinite(together.inner), np.isfinite(crossed.inner[::2]))
    far = CVScores(crossed.score + 40, crossed.fold, crossed.inner + 40)  # where probabilities would all be 1
    assert cv_metrics(TRUTH[::2], by_breast(table, far)[1], PATIENTS[::2])["auc"] == pytest.approx(
        cv_metrics(TRUTH[::2], together, PATIENTS[::2])["auc"]
    )
    with pytest.raises(mammo.MammoError, match="laterality"):
        by_breast(table.assign(laterality=None), crossed)


def test_too_few_patients_are_refused():
    with pytest.raises(mammo.MammoError, match="4 patients of one class are too few for 5 folds"):
        patient_folds(TRUTH[:16], PATIENTS[:16])


def test_together_neither_range_nor_offset_of_a_reader_counts(crossed):
    stretched = CVScores(1000 * crossed.score - 7, crossed.fold, 1000 * crossed.inner - 7)
    one, both = together([crossed]), together([crossed, stretched])
    np.testing.assert_allclose(both.score, one.score)
    np.testing.assert_allclose(both.inner, one.inner)
    assert cv_metrics(TRUTH, both, PATIENTS)["auc"] == cv_metrics(TRUTH, crossed, PATIENTS)["auc"]


def test_together_two_readers_know_more_than_one():
    rng = np.random.default_rng(5)
    parts, found = patient_folds(TRUTH, PATIENTS, repeats=2), []
    for _ in range(2):
        seen = rng.normal(size=(80, 1)) + 1.2 * TRUTH[:, None]
        found.append(cross_validate(linear_reader(seen, TRUTH, PATIENTS), parts, 80))
    one, other, both = (cv_metrics(TRUTH, each, PATIENTS)["auc"] for each in (*found, together(found)))
    assert both > max(one, other)


def test_a_difference_is_that_of_the_figures_and_0_for_twins(crossed):
    weaker = cross_validate(linear_reader(FEATURES[:, 1:], TRUTH, PATIENTS), patient_folds(TRUTH, PATIENTS, repeats=3), 80)
    found = difference(TRUTH, crossed, weaker, PATIENTS)
    expected = cv_metrics(TRUTH, crossed, PATIENTS)["auc"] - cv_metrics(TRUTH, weaker, PATIENTS)["auc"]
    assert found["difference"] == pytest.approx(expected)
    assert found["difference_interval"][0] > 0  # one column holds all there is to know, and the other has not seen it
    twins = difference(TRUTH, crossed, CVScores(3 * crossed.score, crossed.fold, crossed.inner), PATIENTS)
    assert twins == {"difference": 0.0, "difference_interval": [0.0, 0.0]}
    some = TRUTH + np.arange(80) % 3 > 0
    among = difference(TRUTH, crossed, weaker, PATIENTS, among=some)["difference"]
    aucs = [cv_metrics(TRUTH, each, PATIENTS, among=some)["auc"] for each in (crossed, weaker)]
    assert among == pytest.approx(aucs[0] - aucs[1])
    elsewhere = CVScores(crossed.score, crossed.fold[:, ::-1], crossed.inner)
    with pytest.raises(mammo.MammoError, match="same folds"):
        difference(TRUTH, crossed, elsewhere, PATIENTS)


def test_the_interval_of_a_difference_holds_0_for_readers_that_are_equally_good():
    """200 pairs whose scores share what makes an image hard: 95 % is asked, 90 % of so few."""
    rng, parts, held = np.random.default_rng(3), patient_folds(TRUTH, PATIENTS, repeats=1), 0
    fold = np.full((80, 1), -1)
    for number, (_, test) in enumerate(parts[0]):
        fold[test, 0] = number
    inner = np.zeros((80, 1, 5))
    for _ in range(200):
        shared = TRUTH + rng.normal(size=80) + np.repeat(rng.normal(size=40), 2)
        both = [CVScores((shared + rng.normal(size=80))[:, None], fold, inner) for _ in range(2)]
        low, high = difference(TRUTH, *both, PATIENTS)["difference_interval"]
        held += low <= 0 <= high
    assert held >= 180
