import numpy as np
import pytest

from mammo.core.errors import MammoError
from mammo.evaluation.calibration import expit
from mammo.evaluation.prediction_sets import PredictionSetLimits, fit_prediction_sets


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_sets_cover_each_class_as_often_as_they_say(coverage):
    """400 draws of 100 validation images, each tested on 200 new ones; the smaller class is covered as often."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        truth = (rng.random(300) < 0.2).astype(int)
        probability = expit(rng.normal(size=300) + 1.5 * truth - 1)
        limits = fit_prediction_sets(truth[:100], probability[:100], np.arange(100), coverage)
        sets = limits.prediction_set(probability[100:])
        covered.append([sets[truth[100:] == label, label].mean() for label in (0, 1)])
    assert (np.mean(covered, axis=0) > coverage - 0.015).all()
    assert (np.mean(covered, axis=0) < coverage + 1 / 21 + 0.015).all(), "about 20 malignant images decide"


def test_the_sets_cover_images_of_new_patients():
    """1,500 draws of 30 patients with one to seven images that are alike, of which the fewest are the least typical.

    Images taken as patients would cover too rarely. A new patient has one image.
    """
    rng, covered, by_image = np.random.default_rng(1), [], []
    for _ in range(1500):
        images = rng.integers(1, 8, 30)
        patients = np.repeat(np.arange(30), images)
        truth = patients % 2
        odds = np.repeat(rng.normal(size=30) + 0.5 * (4 - images) * (1 - 2 * (np.arange(30) % 2)), images)
        probability = expit(odds + 0.1 * rng.normal(size=len(odds)) + truth)
        typical = 0.5 * (4 - rng.integers(1, 8, 100))
        new = expit(rng.normal(size=(2, 100)) + 0.1 * rng.normal(size=(2, 100)) + [typical, 1 - typical])
        for found, who in ((covered, patients), (by_image, np.arange(len(patients)))):
            sets = fit_prediction_sets(truth, probability, who).prediction_set(new)
            found.append([sets[label, :, label].mean() for label in (0, 1)])
    assert (np.mean(covered, axis=0) > 0.895).all()
    assert (np.mean(by_image, axis=0) < 0.88).all()


@pytest.mark.parametrize("images", [1, 3])
def test_choosing_the_epoch_on_the_same_patients_costs_little(images):
    """A linear classifier by gradient descent; the epoch of the least validation loss, then limits on the same rows.

    1,000 new images in 200 runs: the coverage stays at 0.9 or above, and within 0.02 of that on unused patients.
    """
    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        parts = [_features(rng, *size) for size in ((60, images), (40, images), (40, images), (1000, 1))]
        (x, y, _), (x_chosen, y_chosen, _), *_, (x_new, y_new, _) = parts
        weights = np.zeros((30, x.shape[1]))
        for epoch in range(1, 30):
            step = x.T @ (expit(x @ weights[epoch - 1]) - y) / len(y)
            weights[epoch] = weights[epoch - 1] - 0.3 * step
        odds = x_chosen @ weights.T
        best = weights[np.argmin(np.mean(np.logaddexp(0, odds) - y_chosen[:, None] * odds, axis=0))]
        limits = [fit_prediction_sets(labels, expit(rows @ best), who) for rows, labels, who in parts[1:3]]
        sets = [each.prediction_set(expit(x_new @ best)) for each in limits]
        covered.append([each[np.arange(1000), y_new].mean() for each in sets])
    same, unused = np.mean(covered, axis=0)
    assert same > 0.9
    assert same > unused - 0.02


def _features(rng, patients: int, images: int) -> tuple:
    """Features of images, labels and patients; only the first of 40 features tells the classes apart."""
    patient = np.repeat(np.arange(patients), images)
    truth = patient % 2
    x = 0.8 * rng.normal(size=(patients, 40))[patient] + 0.6 * rng.normal(size=(len(patient), 40))
    x[:, 0] += 1.5 * truth - 0.75
    return x, truth, patient


def test_limits_by_hand():
    """Nine of each class: the ninth smallest nonconformity covers 9 of the 10 that there are with the new one."""
    benign, malignant = np.arange(1, 10) / 20, np.arange(1, 10) / 10
    truth, both = np.repeat([0, 1], 9), np.concatenate([benign, malignant])
    limits = fit_prediction_sets(truth, both, np.arange(18), coverage=0.9)
    assert limits.benign_up_to == pytest.approx(0.45, abs=1e-3)
    assert limits.malignant_from == pytest.approx(0.1, abs=1e-3)
    assert limits.coverage == 0.9
    assert fit_prediction_sets(np.repeat(truth, 3), np.repeat(both, 3), np.repeat(np.arange(18), 3)) == limits
    few = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    limits = fit_prediction_sets(np.repeat([0, 1], 3), few, np.arange(6), coverage=0.9)
    assert limits.prediction_set(np.array([0.0, 0.5, 1.0])).all(), "three images cannot guarantee 90 %"


def test_images_of_a_patient_share_its_weight():
    """Patient A has 8 images of ten benign ones: at a coverage of 0.5 one of two patients, with the new one of three.

    A's share of 1/3 is spread over the images 0.1 to 0.8, so 0.5 is reached at B's first image, 0.9.
    """
    truth, probability = np.array([0] * 10 + [1]), np.append(np.arange(1, 11) / 10, 0.5)
    limits = fit_prediction_sets(truth, probability, ["A"] * 8 + ["B"] * 2 + ["C"], coverage=0.5)
    assert limits.benign_up_to == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("tied", [0.12582753827050336, 0.3, 0.9])
def test_rounding_does_not_part_images_of_the_same_probability(tied):
    """A fifth of both classes has one probability, which sets both limits; another runtime computes it a little off."""
    rng = np.random.default_rng(0)
    benign, malignant = (
        np.where(rng.random(200) < 0.2, tied, rng.uniform(*ends, 200)) for ends in ((0, tied), (tied, 1))
    )
    truth = np.repeat([0, 1], 200)
    limits = fit_prediction_sets(truth, np.append(benign, malignant), np.arange(400))
    for computed in (tied, tied + 1e-6, tied - 1e-6):
        assert limits.prediction_set(computed).all()
    assert limits.benign_up_to - limits.malignant_from < 1e-3
    assert not limits.prediction_set([tied - 1e-3, tied + 1e-3]).all(axis=1).any()


def test_labels_and_probabilities_are_checked():
    with pytest.raises(MammoError, match="must be 0"):
        fit_prediction_sets([0, 1, np.nan], [0.1, 0.9, 0.5], [0, 1, 2])
    with pytest.raises(MammoError, match="a number"):
        fit_prediction_sets([0, 1, 1], [0.1, 0.9, np.nan], [0, 1, 2])


@pytest.mark.parametrize(("benign_up_to", "malignant_from"), [(0.3, 0.7), (0.7, 0.3)])
def test_between_the_limits_both_classes_are_possible(benign_up_to, malignant_from):
    """Whether the limits overlap, or leave a gap."""
    limits = PredictionSetLimits(0.9, benign_up_to, malignant_from)
    expected = [[True, False], [True, True], [False, True]]
    np.testing.assert_array_equal(limits.prediction_set([0.1, 0.5, 0.9]), expected)
    assert limits.prediction_set(0.5).tolist() == [True, True], "of one number"
