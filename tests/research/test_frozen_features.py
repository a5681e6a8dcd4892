"""Frozen and fine-tuned, from the same start in every fold."""

import numpy as np
import pytest

import mammo
from mammo.training import fine_tuning
from mammo.core.backend import keras
from mammo.data.image_loader import ImageLoader
from mammo.core.manifest import class_indices
from mammo.research.frozen_features import FlippedImages, computed, fine_tuned_reader, frozen_maps, frozen_values, mobilenet, pooled


@pytest.fixture(scope="module")
def lesions(demo):
    return demo[demo["label"] != "normal"].drop(columns="split").reset_index(drop=True)


def test_upside_down_is_that_and_has_a_name_of_its_own(demo):
    inputs = ImageLoader(demo.head(3), (64, 48))
    turned = FlippedImages(inputs)
    np.testing.assert_array_equal(turned[[1, 2]], inputs[[1, 2]][:, ::-1])
    assert not set(turned.keys) & set(inputs.keys)
    assert len(turned) == 3


def test_frozen_values_are_computed_once(model, demo, tmp_path, monkeypatch):
    inputs = ImageLoader(demo.head(5), (64, 64))
    first = frozen_values(model, inputs, tmp_path, "float32")
    assert first.shape == (5, 2048)
    monkeypatch.setattr(ImageLoader, "__getitem__", lambda *_: pytest.fail("read again"))
    np.testing.assert_array_equal(frozen_values(model, inputs, tmp_path, "float32"), first)


def test_pooled_maps_are_the_pooled_features(model, demo, tmp_path):
    inputs = ImageLoader(demo.head(5), (64, 64))
    maps = frozen_maps(model, inputs, tmp_path, "float32")
    assert maps[[0]].shape == (1, 2, 2, 2048)
    np.testing.assert_allclose(pooled(maps), frozen_values(model, inputs, tmp_path, "float32"), rtol=2e-3, atol=1e-3)


def test_the_yardstick_is_given_what_it_was_trained_on(demo, tmp_path):
    """Pixels from -1 to 1, three times the same, whatever is in the file of weights."""
    network = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3))
    network.save_weights(tmp_path / "mobilenet.weights.h5")
    inputs = ImageLoader(demo.head(3), (64, 64))
    found = computed(mobilenet(tmp_path / "mobilenet.weights.h5", (64, 64)), inputs, tmp_path)
    expected = network.predict(np.repeat(2 * inputs[np.arange(3)] - 1, 3, axis=-1), verbose=0)
    np.testing.assert_allclose(found[np.arange(3)], expected, rtol=2e-3, atol=1e-3)


def test_a_fold_is_fine_tuned_from_the_start_and_its_validation_is_of_training(
    fresh_model, lesions, tmp_path, monkeypatch
):
    seen = []
    truth, patients = class_indices(lesions), lesions["patient_id"].to_numpy()
    start = fresh_model.get_weights()

    def train_head(model, rows, **_):
        seen.append(rows)
        np.testing.assert_array_equal(model.get_weights()[0], start[0])
        model.set_weights([w + 0.001 for w in model.get_weights()])

    monkeypatch.setattr(training, "train_head", train_head)
    monkeypatch.setattr(training, "fine_tune", lambda *_, **__: None)
    read = fine_tuned_reader(fresh_model, lesions, tmp_path, epochs=1, flips=True, precision="float32")
    test = np.flatnonzero(np.isin(patients, list(dict.fromkeys(patients))[:4]))
    train = np.setdiff1d(np.arange(len(lesions)), test)
    for _ in range(2):
        score, own = read(train, test, 3)
    assert len(seen) == 1, "what a fold has said is kept"
    assert score.shape == test.shape
    assert set(np.flatnonzero(np.isfinite(own))) < set(train)
    read(train, test, 4)
    read(train[:-2], test, 3)
    assert len(seen) == 3
    rows = seen[0]
    assert set(rows[rows["split"] == "test"].index) == set(test)
    assert set(rows[rows["split"] == "validation"].index) == set(np.flatnonzero(np.isfinite(own)))
    assert rows.groupby("patient_id")["split"].nunique().max() == 1
    assert 0 < truth[np.isfinite(own)].mean() < 1


def test_fine_tuning_itself_learns(lesions, tmp_path, monkeypatch):
    """The real thing, short: the scores are those of the trained network, and the seed decides them."""
    model = mammo.build_model("demo", image_size=(64, 64), quiet=True)
    short = {"train_head": training.train_head, "fine_tune": training.fine_tune}
    few = {"epochs": 2, "copies": 0, "learning_rate": 1e-5}  # at 1e-3 it would be sure of everything
    monkeypatch.setattr(training, "train_head", lambda *a, **k: short["train_head"](*a, **k, **few))
    monkeypatch.setattr(training, "fine_tune", lambda *a, **k: short["fine_tune"](*a, **k, n_augmentations=0))
    patients = lesions["patient_id"].to_numpy()
    test = np.flatnonzero(np.isin(patients, list(dict.fromkeys(patients))[:4]))
    train = np.setdiff1d(np.arange(len(lesions)), test)
    read, scores = fine_tuned_reader(model, lesions, tmp_path, epochs=1, precision="float32"), []
    for _ in range(2):
        scores.append(read(train, test, 0)[0])
        for path in (tmp_path / "folds").iterdir():
            path.unlink()
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)
    assert np.std(scores[0]) > 0
