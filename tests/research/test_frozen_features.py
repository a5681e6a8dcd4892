"""Frozen features, and fine-tuning from the same start in every fold."""

import numpy as np
import pytest

import mammo
from mammo.core.backend import keras
from mammo.core.manifest import class_indices
from mammo.data.image_loader import ImageLoader
from mammo.research import frozen_features
from mammo.research.frozen_features import (
    FineTunedClassifier,
    FlippedImages,
    average_pool,
    build_mobilenet,
    cached_features,
    frozen_maps,
    frozen_values,
)
from mammo.training import fine_tuning

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def lesions(demo):
    return demo[demo["label"] != "normal"].drop(columns="split").reset_index(drop=True)


def test_flipped_images_are_upside_down_and_have_keys_of_their_own(demo):
    images = ImageLoader(demo.head(3), (64, 48))
    turned = FlippedImages(images)
    np.testing.assert_array_equal(turned[[1, 2]], images[[1, 2]][:, ::-1])
    assert not set(turned.keys) & set(images.keys)
    assert len(turned) == 3


def test_frozen_values_are_computed_once(model, demo, tmp_path, monkeypatch):
    images = ImageLoader(demo.head(5), (64, 64))
    first = frozen_values(model, images, tmp_path, "float32")
    assert first.shape == (5, 2048)
    monkeypatch.setattr(ImageLoader, "__getitem__", lambda *_: pytest.fail("read again"))
    np.testing.assert_array_equal(frozen_values(model, images, tmp_path, "float32"), first)


def test_pooled_maps_are_the_pooled_features(model, demo, tmp_path):
    images = ImageLoader(demo.head(5), (64, 64))
    maps = frozen_maps(model, images, tmp_path, "float32")
    assert maps[[0]].shape == (1, 2, 2, 2048)
    np.testing.assert_allclose(
        average_pool(maps), frozen_values(model, images, tmp_path, "float32"), rtol=2e-3, atol=1e-3
    )


def test_mobilenet_is_given_pixels_as_it_was_trained(demo, tmp_path):
    """Pixels from -1 to 1, three times the same, whatever is in the file of weights."""
    network = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3))
    network.save_weights(tmp_path / "mobilenet.weights.h5")
    images = ImageLoader(demo.head(3), (64, 64))
    found = cached_features(build_mobilenet(tmp_path / "mobilenet.weights.h5", (64, 64)), images, tmp_path)
    expected = network.predict(np.repeat(2 * images[np.arange(3)] - 1, 3, axis=-1), verbose=0)
    np.testing.assert_allclose(found[np.arange(3)], expected, rtol=2e-3, atol=1e-3)


@pytest.fixture(scope="module")
def fold(lesions):
    """(train, test) rows: four patients are tested."""
    patients = lesions["patient_id"].to_numpy()
    test = np.flatnonzero(np.isin(patients, list(dict.fromkeys(patients))[:4]))
    return np.setdiff1d(np.arange(len(lesions)), test), test


@pytest.fixture
def trained_on(fresh_model, monkeypatch):
    """The tables that `train_head` was given. It changes the weights; `fine_tune` is said to be undone once."""
    tables, start = [], fresh_model.get_weights()

    def train_head(model, rows, **_):
        tables.append(rows)
        np.testing.assert_array_equal(model.get_weights()[0], start[0])
        model.set_weights([w + 0.001 for w in model.get_weights()])

    monkeypatch.setattr(fine_tuning, "train_head", train_head)
    monkeypatch.setattr(fine_tuning, "fine_tune", lambda *_, **__: {"restored": len(tables) == 1})
    return tables


def score_fold(classifier, train, test, seed):
    """Scores of the test rows, and out-of-fold scores of all rows."""
    score = classifier.fit(train, seed).decision_function(test)
    return score, classifier.out_of_fold_scores(train, seed)


def test_a_fold_is_fine_tuned_from_the_start_and_validated_on_training_patients(
    fresh_model, lesions, fold, tmp_path, trained_on, monkeypatch
):
    train, test = fold
    truth = class_indices(lesions)
    classifier = FineTunedClassifier(fresh_model, lesions, tmp_path, epochs=1, flips=True, precision="float32")
    score, inner = score_fold(classifier, train, test, 3)
    again = score_fold(classifier, train, test, 3)
    np.testing.assert_array_equal(again[0], score)
    np.testing.assert_array_equal(again[1], inner)
    assert len(trained_on) == 1, "the scores of a fold are cached"
    assert score.shape == test.shape
    validation = np.flatnonzero(np.isfinite(inner))
    assert set(validation) < set(train)
    score_fold(classifier, train, test, 4)
    score_fold(classifier, train[:-2], test, 3)
    assert len(trained_on) == 3
    rows = trained_on[0]
    assert set(rows.index) == set(train)
    assert set(rows[rows["split"] == "validation"].index) == set(validation)
    assert rows.groupby("patient_id")["split"].nunique().max() == 1
    assert 0 < truth[validation].mean() < 1
    fresh_model.set_weights(classifier.start)
    monkeypatch.setattr(frozen_features, "RECIPE", frozen_features.RECIPE + 1)
    other = FineTunedClassifier(fresh_model, lesions, tmp_path, epochs=1, flips=True, precision="float32")
    other.fit(train, 3).decision_function(test)
    assert len(trained_on) == 4, "another recipe has scores of its own"


def test_a_damaged_fold_is_computed_again(fresh_model, lesions, fold, tmp_path, trained_on):
    train, test = fold
    classifier = FineTunedClassifier(fresh_model, lesions, tmp_path, precision="float32")
    score = classifier.fit(train, 3).decision_function(test)
    (path,) = (tmp_path / "folds").iterdir()
    whole = path.read_bytes()
    np.testing.assert_array_equal(frozen_features._read_fold(path, len(test))["scores"], score)
    assert frozen_features._read_fold(path, len(test) + 1) is None
    for damaged in (whole.replace(b"scores", b"scared"), whole[:-200] + bytes(200), b"", b"no zip file", whole[:100]):
        path.write_bytes(damaged)
        assert frozen_features._read_fold(path, len(test)) is None
    np.testing.assert_allclose(classifier.fit(train, 3).decision_function(test), score, rtol=1e-5)
    assert len(trained_on) == 2
    assert frozen_features._read_fold(path, len(test)) is not None


def test_a_fold_that_cannot_be_cached_says_so(fresh_model, lesions, fold, tmp_path, trained_on):
    train, test = fold
    classifier = FineTunedClassifier(fresh_model, lesions, tmp_path, precision="float32")
    (tmp_path / "folds").touch()
    with pytest.raises(mammo.MammoError, match=r"The cache in .* cannot be written"):
        classifier.fit(train, 3).decision_function(test)


def test_folds_in_which_fine_tuning_was_undone_are_counted(fresh_model, lesions, fold, tmp_path, trained_on):
    """Here it is undone in the first. The second time both are read from the cache."""
    for _ in range(2):
        classifier = FineTunedClassifier(fresh_model, lesions, tmp_path, epochs=1, precision="float32")
        for seed in (3, 4):
            score_fold(classifier, *fold, seed)
        assert classifier.restored == [True, False]
        fresh_model.set_weights(classifier.start)
    assert len(trained_on) == 2


def test_fine_tuning_itself_learns(lesions, fold, tmp_path, monkeypatch):
    """The real thing, short: the scores are those of the trained network, and the seed decides them."""
    model = mammo.build_model("demo", image_size=(64, 64), quiet=True)
    real = {"train_head": fine_tuning.train_head, "fine_tune": fine_tuning.fine_tune}
    short = {"epochs": 2, "n_augmentations": 0, "learning_rate": 1e-5}  # at 1e-3 it would be sure of everything
    monkeypatch.setattr(fine_tuning, "train_head", lambda *a, **k: real["train_head"](*a, **k, **short))
    monkeypatch.setattr(fine_tuning, "fine_tune", lambda *a, **k: real["fine_tune"](*a, **k, n_augmentations=0))
    train, test = fold
    classifier = FineTunedClassifier(model, lesions, tmp_path, epochs=1, stages=1, precision="float32")
    scores = []
    for _ in range(2):
        scores.append(classifier.fit(train, 0).decision_function(test))
        for path in (tmp_path / "folds").iterdir():
            path.unlink()
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)
    assert np.std(scores[0]) > 0
    probability = model.predict(ImageLoader(lesions, (64, 64))[test], verbose=0)[:, 1]
    np.testing.assert_allclose(scores[1], np.log(probability / (1 - probability)), atol=0.01)
