import numpy as np
import pytest

from mammo.training.feature_batches import FeatureBatches, class_weights

LABELS = np.array([0, 0, 1, 0, 0, 0, 1, 0, 0, 0])


def batches(**options):
    weights = np.array([0.5, 2.0], np.float32)
    return FeatureBatches(np.arange(10.0), np.arange(10), LABELS, weights, batch_size=4, **options)


def test_each_epoch_has_its_own_order_and_every_image_once():
    shuffled = batches(seed=0)
    first = [shuffled[index][0] for index in range(len(shuffled))]
    shuffled.set_epoch(1)
    second = [shuffled[index][0] for index in range(len(shuffled))]
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(second)) == list(range(10))
    assert len({tuple(np.concatenate(order)) for order in (first, second, [np.arange(10.0)])}) == 3
    np.testing.assert_array_equal(batches(seed=0)[0][0], first[0])
    assert list(batches(seed=1)[0][0]) != list(first[0])


def test_without_a_seed_they_keep_their_order():
    np.testing.assert_array_equal(batches()[1][0], [4, 5, 6, 7])


def test_a_label_and_its_weight_go_with_the_image():
    for index in range(3):
        images, labels, weights = batches(seed=3)[index]
        expected = LABELS[images.astype(int)]
        np.testing.assert_array_equal(labels.argmax(axis=1), expected)
        np.testing.assert_array_equal(labels.sum(axis=1), 1)
        np.testing.assert_array_equal(weights, np.where(expected == 1, 2.0, 0.5))


def test_class_weights_balance():
    weights = class_weights(np.array([0] * 90 + [1] * 10))
    assert weights[0] * 90 == pytest.approx(weights[1] * 10)
    assert weights[0] * 90 + weights[1] * 10 == pytest.approx(100), "a loss has the size that it has without them"
    assert class_weights(np.array([0, 1])).tolist() == [1, 1]
    assert np.isfinite(class_weights(np.array([0, 0]))).all()
