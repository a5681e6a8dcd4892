import json
import os
from dataclasses import replace

import keras
import numpy as np
import pytest

import mammo
from mammo.data.image_loader import load_images
from mammo.inference.out_of_distribution import LAYERS, fit_ood_detector, fit_to_features, ood_scores
from mammo.models.runtimes import ModelOutputs, keras_runtime

pytestmark = pytest.mark.training


def scores_of(run, ood_detector, images):
    outputs = run(images)
    return [ood_scores(outputs[index], ood_detector) for index in range(len(images))]


def test_known_images_are_within_the_limits_and_noise_is_far_outside(model, for_detector, ood_detector):
    run = keras_runtime(model)
    known = load_images(for_detector[for_detector.split == "validation"], (64, 64))
    inside = [max(scores.values()) <= 1 for scores in scores_of(run, ood_detector, known)]
    assert np.mean(inside) > 0.85
    noise = np.random.default_rng(0).random((8, 64, 64, 1)).astype(np.float32)
    for scores in scores_of(run, ood_detector, noise):
        assert scores["texture"] > 3
        assert scores["content"] > 1


@pytest.mark.parametrize(("patients", "level"), [(20, 10 / 11), (40, 20 / 21), (120, 60 / 61)])
def test_images_of_the_same_distribution_are_inside_as_often_as_the_level_says(patients, level):
    """Features of patients with four images that resemble each other, 60 times; new patients are asked."""
    rng, inside = np.random.default_rng(patients), []
    mixing = {"texture": rng.normal(size=(12, 64)), "content": rng.normal(size=(20, 96))}

    def features(count):
        found = {}
        for name, mix in mixing.items():
            own = np.repeat(rng.normal(size=(count, len(mix))), 4, axis=0)
            found[name] = np.exp(0.3 * (own + 0.7 * rng.normal(size=own.shape)) @ mix / np.sqrt(len(mix)))
            found[name] *= np.exp(0.1 * rng.standard_t(4, size=found[name].shape))
        return found

    for _ in range(60):
        detector = fit_to_features(features(patients), np.repeat(np.arange(patients), 4))
        assert float(detector["level"]) == pytest.approx(level)
        new = features(50)
        empty = np.zeros((200, 1))
        outputs = ModelOutputs(empty, empty, new["texture"], new["content"])
        inside.append(np.mean([max(ood_scores(outputs[i], detector).values()) <= 1 for i in range(200)]))
    assert np.mean(inside) > level - 3 * np.std(inside) / np.sqrt(len(inside))
    assert np.mean(inside) < 1


def test_the_detector_is_fitted_on_validation_patients_only(model, for_detector, ood_detector):
    only_validation = for_detector[for_detector.split == "validation"].reset_index(drop=True)
    again = fit_ood_detector(model, only_validation)
    assert set(again) == set(ood_detector)
    for name, array in ood_detector.items():
        np.testing.assert_array_equal(array, again[name])


def test_too_few_images_are_refused(model, demo):
    with pytest.raises(mammo.MammoError, match="validation images"):
        fit_ood_detector(model, demo)


def test_another_model_is_refused(for_detector):
    other = keras.Sequential([keras.Input((64, 64, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    for wrong, message in ((other, "not a model of mammo.build_model"), (None, "Keras model is needed")):
        with pytest.raises(mammo.MammoError, match=message):
            mammo.fit_ood_detector(wrong, for_detector)


def test_a_classifier_with_a_detector(model, report, for_detector, ood_detector, tmp_path, write_png):
    folder = tmp_path / "model"
    card = mammo.save_classifier(folder, model, report, ood_detector=ood_detector)
    classifier = mammo.load_classifier(folder)
    assert classifier.card == card
    for name, array in ood_detector.items():
        np.testing.assert_array_equal(array, classifier.ood_detector[name])
    strict = replace(classifier, ood_detector=ood_detector | {"texture_limits": ood_detector["texture_limits"] / 100})
    assert strict.predict(for_detector.path[0]).result == "uncertain", "the coverage does not hold out of distribution"
    known = [classifier.predict(path) for path in for_detector.path[for_detector.split == "validation"][:6]]
    assert sum(any("out of distribution" in warning for warning in each.warnings) for each in known) <= 2
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    with pytest.raises(mammo.MammoError, match="does not look like a mammogram"):
        classifier.predict(write_png(noise))


def test_the_detector_s_file_belongs_to_the_model(model, report, ood_detector, tmp_path):
    folder = tmp_path / "model"
    mammo.save_classifier(folder, model, report, ood_detector=ood_detector)
    with np.load(folder / "ood_detector.npz") as file:
        np.savez_compressed(folder / "again.npz", **file)  # the same in a file of other bytes
    os.replace(folder / "again.npz", folder / "ood_detector.npz")
    assert mammo.load_classifier(folder).ood_detector.keys() == ood_detector.keys()
    content = (folder / "ood_detector.npz").read_bytes()
    for damaged in (content[:-100], b""):
        (folder / "ood_detector.npz").write_bytes(damaged)
        with pytest.raises(mammo.MammoError, match="belongs to another model"):
            mammo.load_classifier(folder)
    (folder / "ood_detector.npz").unlink()
    with pytest.raises(mammo.MammoError, match="is missing or damaged"):
        mammo.load_classifier(folder)


def test_an_image_out_of_distribution_that_is_not_breast_shaped_is_refused(
    classifier, for_detector, ood_detector, write_png
):
    """At the same distance a breast is predicted with a warning, and a round slice is refused."""
    rows, columns = np.mgrid[-1:1:300j, -1:1:240j]
    slice_of_ct = write_png(np.where(np.hypot(rows, columns) < 0.8, 150 + 50 * np.sin(9 * rows), 0).astype(np.uint8))
    lenient = replace(classifier, ood_detector=ood_detector | {"content_limits": np.full(2, 1e9)})
    for path, refused in ((for_detector.path[0], False), (slice_of_ct, True)):
        limits = 1e9 * lenient.predict(path).ood_scores["content"] / 1.2
        strict = replace(classifier, ood_detector=ood_detector | {"content_limits": np.full(2, limits)})
        if refused:
            with pytest.raises(mammo.MammoError, match=r"1\.2 times .* no straight chest wall"):
                strict.predict(path)
        else:
            warnings = strict.predict(path).warnings
            assert any("content is out of distribution" in warning for warning in warnings)


def test_without_a_detector_nothing_is_out_of_distribution(classifier, saved, demo):
    assert classifier.ood_detector is None
    assert json.loads((saved / "card.json").read_text())["ood_sha256"] is None
    assert not (saved / "ood_detector.npz").exists()
    prediction = classifier.predict(demo.path[0])
    assert prediction.ood_scores == {}
    assert not any("out of distribution" in warning for warning in prediction.warnings)


def test_too_few_patients_are_refused(model, for_detector):
    rows = for_detector.assign(patient_id=np.where(for_detector.split == "train", "A", "B"))
    with pytest.raises(mammo.MammoError, match="are of 1 patients, too few"):
        fit_ood_detector(model, rows)


@pytest.mark.parametrize("seed", range(4))
def test_one_patient_with_nearly_all_images_is_refused(seed):
    """One image in the half that is learned from gave limits of NaN, beyond which nothing ever is."""
    rng = np.random.default_rng(0)
    features = {name: rng.random((40, 8)).astype(np.float32) for name in LAYERS}
    with pytest.raises(mammo.MammoError, match="too few for an out-of-distribution detector"):
        fit_to_features(features, np.array(["A"] * 39 + ["B"]), seed)
