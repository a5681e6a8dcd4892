"""The training of the demo weights."""

from dataclasses import replace
from itertools import islice

import keras
import numpy as np
import pytest

from mammo.research import pretraining

pytestmark = pytest.mark.training


def numbered(number):
    """Samples that say which number made them."""
    return np.full((2, 4, 4), number % 250, np.uint8), np.full(2, number)


def test_a_stream_uses_every_number_once_and_in_order():
    batches = list(islice(pretraining.stream(numbered, 10, batch_size=6, workers=1, chunk=4), 20))
    seen = np.concatenate([classes for _, classes in batches])
    np.testing.assert_array_equal(seen, np.repeat(np.arange(10, 10 + 60), 2))
    assert batches[0][0].shape == (6, 4, 4, 1)


def halves(number):
    """A task for a small network: is the left or the right half bright?"""
    rng = np.random.default_rng(number)
    label = int(rng.integers(2))
    image = rng.integers(0, 100, (4, 4), dtype=np.uint8)
    image[:, 2 * label : 2 * label + 2] += 100
    return image[None], np.array([label])


HALVES = pretraining.Stage("halves", halves, image_size=(4, 4), steps=40, batch=8, rate=0.05)


def small_network():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    net = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    return pretraining.compiled(net, HALVES)


def test_a_killed_training_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "CHECK_EVERY", 10)
    pretraining.train(small_network(), replace(HALVES, steps=20), tmp_path, workers=1)
    net = pretraining.train(small_network(), HALVES, tmp_path, workers=1)
    assert int(net.optimizer.iterations) == 40
    steps = [int(line.split(",")[1]) for line in (tmp_path / "log.csv").read_text().splitlines()]
    assert steps == [10, 20, 30, 40]
    assert float((tmp_path / "log.csv").read_text().splitlines()[-1].split(",")[-1]) > 0.95
    assert not (tmp_path / "partial.weights.h5").exists()
