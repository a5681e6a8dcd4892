"""The demo weights that ship with the package, and the recipe that made them."""

import json
from itertools import islice

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import mammo
from mammo import pretraining
from mammo.manifest import class_indices
from mammo.model import DEMO, named_weights


def test_they_are_small_and_their_card_is_plain():
    card = json.loads((DEMO / "card.json").read_text())
    assert (DEMO / "weights.npz").stat().st_size < 25e6
    assert card["sources"] == ["synthetic"]
    text = (DEMO / "MODEL_CARD.md").read_text()
    assert "synthetic" in text
    assert "not a medical device" in text
    assert "none seen twice" in text


def test_the_demo_classifier_tells_new_synthetic_patients_apart(tmp_path):
    """80 patients of a seed used nowhere else. The card's own figure comes from more."""
    classifier = mammo.load_classifier()
    table = mammo.generate_dataset(tmp_path / "fresh", patients=80, seed=987)
    auc = roc_auc_score(class_indices(table), mammo.predict_manifest(classifier.model, table).probability)
    print(f"AUC {auc:.3f}, on the card {classifier.card['auc']:.3f}")
    assert auc > 0.7
    assert auc == pytest.approx(classifier.card["auc"], abs=0.1)
    assert any("synthetic" in warning for warning in classifier.predict(table.path[0]).warnings)


def test_build_model_starts_from_them(capsys):
    model = mammo.build_model(weights="demo", image_size=(96, 64))
    assert "demo" in capsys.readouterr().out
    shipped = named_weights(mammo.load_classifier().model)
    started = named_weights(model)
    name = "conv5_block3_3_conv:0"
    np.testing.assert_array_equal(started[name], shipped[name])
    assert not np.array_equal(started["head:0"], shipped["head:0"]), "the head is new"


def test_the_same_number_gives_the_same_sample_and_no_other_does():
    for make in (pretraining.patches, pretraining.whole):
        (first, classes), (again, _), (other, _) = make(5), make(5), make(7)
        np.testing.assert_array_equal(first, again)
        assert first.dtype == np.uint8
        assert len(first) == len(classes)
        assert not np.array_equal(first[0], other[0])


def test_patches_of_all_kinds_come_in():
    made = [pretraining.patches(number) for number in range(40)]
    images, classes = (np.concatenate(part) for part in zip(*made, strict=True))
    assert set(classes) == set(range(len(pretraining.KINDS)))
    assert images.shape[1:] == pretraining.PATCH
    assert (images.std(axis=(1, 2)) > 1).all()


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


def small_network():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    net = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    return pretraining.compiled(net, 40, 0.05)


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "CHECK_EVERY", 10)
    run = {"make": halves, "batch_size": 8, "numbers_a_step": 8, "folder": tmp_path, "name": "halves", "workers": 1}
    pretraining.train(small_network(), steps=20, **run)
    net = pretraining.train(small_network(), steps=40, **run)
    assert int(net.optimizer.iterations) == 40
    steps = [int(line.split(",")[1]) for line in (tmp_path / "log.csv").read_text().splitlines()]
    assert steps == [10, 20, 30, 40]
    assert float((tmp_path / "log.csv").read_text().splitlines()[-1].split(",")[-1]) > 0.95
    assert not (tmp_path / "partial.keras").exists()
