import json
import os
from dataclasses import replace

import numpy as np
import pytest

import mammo
from mammo.inference.out_of_distribution import fit_ood_detector, ood_scores
from mammo.data.image_loader import load_images
from mammo.models.runtimes import LAYERS, features_of


@pytest.fixture(scope="module")
def halves(demo):
    """The demo images with 18 of the 20 patients in validation: enough to learn from."""
    return demo.assign(split=np.where(demo.patient_id.isin(demo.patient_id.unique()[:2]), "train", "validation"))


@pytest.fixture(scope="module")
def ood_detector(model, halves):
    return fit_ood_detector(model, halves)


def distances(model, ood_detector, images):
    import keras

    network = keras.Model(model.input, features_of(model))
    features = [np.asarray(part) for part in network(images, training=False)]
    rows = [dict(zip(LAYERS, (part[i] for part in features), strict=True)) for i in range(len(images))]
    return [ood_scores(row, ood_detector) for row in rows]


def test_familiar_images_are_within_the_limits_and_noise_is_far_outside(model, halves, ood_detector):
    known = load_images(halves[halves.split == "validation"], (64, 64))
    inside = [max(d.values()) <= 1 for d in distances(model, ood_detector, known)]
    assert np.mean(inside) > 0.7, "with few images the limits are rough"
    noise = np.random.default_rng(0).random((8, 64, 64, 1)).astype(np.float32)
    for found in distances(model, ood_detector, noise):
        assert found["texture"] > 3
        assert found["content"] > 1.5


def test_only_validation_patients_are_learned_from(model, halves, ood_detector):
    without = halves[halves.split == "validation"].reset_index(drop=True)
    again = fit_ood_detector(model, without)
    assert set(again) == set(ood_detector)
    for name, array in ood_detector.items():
        np.testing.assert_array_equal(array, again[name])


def test_too_few_images_are_refused(model, demo):
    with pytest.raises(mammo.MammoError, match="validation images"):
        fit_ood_detector(model, demo)


def test_it_is_saved_with_the_model_and_guards_its_answers(model, report, halves, ood_detector, tmp_path, write_png):
    folder = tmp_path / "model"
    mammo.save_classifier(folder, model, report, ood_detector=ood_detector)
    classifier = mammo.load_classifier(folder)
    for name, array in ood_detector.items():
        np.testing.assert_array_equal(array, classifier.ood_detector[name])
    strange = replace(classifier, ood_detector=ood_detector | {"texture_limits": ood_detector["texture_limits"] / 100})
    assert strange.predict(halves.path[0]).uncertain, "what was promised for familiar images is not promised here"
    known = [classifier.predict(path) for path in halves.path[halves.split == "validation"][:6]]
    assert sum(any("strange" in warning for warning in answer.warnings) for answer in known) <= 2
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    with pytest.raises(mammo.MammoError, match="does not look like a mammogram"):
        classifier.predict(write_png(noise))
    with np.load(folder / "familiar.npz") as file:
        np.savez_compressed(folder / "again.npz", **file)  # the same in a file of other bytes
    os.replace(folder / "again.npz", folder / "familiar.npz")
    assert mammo.load_classifier(folder).ood_detector.keys() == ood_detector.keys()
    for content in ((folder / "familiar.npz").read_bytes()[:-100], b""):
        (folder / "familiar.npz").write_bytes(content)
        with pytest.raises(mammo.MammoError, match="belongs to another model"):
            mammo.load_classifier(folder)


def test_what_is_strange_and_has_no_breast_s_shape_is_refused(model, saved, halves, ood_detector, write_png):
    """At the same distance a breast is answered with a warning, and a round slice is not."""
    classifier = replace(mammo.load_classifier(saved), ood_detector=ood_detector)
    rows, columns = np.mgrid[-1:1:300j, -1:1:240j]
    slice_of_ct = write_png(np.where(np.hypot(rows, columns) < 0.8, 150 + 50 * np.sin(9 * rows), 0).astype(np.uint8))
    far_away = replace(classifier, ood_detector=ood_detector | {"content_limits": np.full(2, 1e9)})
    for path, refused in ((halves.path[0], False), (slice_of_ct, True)):
        limits = 1e9 * far_away.predict(path).ood_scores["content"] / 1.2
        strange = replace(classifier, ood_detector=ood_detector | {"content_limits": np.full(2, limits)})
        if refused:
            with pytest.raises(mammo.MammoError, match=r"1\.2 times .* no straight chest wall"):
                strange.predict(path)
        else:
            assert any("content is strange" in warning for warning in strange.predict(path).warnings)


def test_a_model_that_never_learned_it_says_nothing_of_it(saved, demo):
    classifier = mammo.load_classifier(saved)
    assert classifier.ood_detector is None
    assert "familiar_sha256" not in json.loads((saved / "card.json").read_text())
    assert not any("strange" in warning for warning in classifier.predict(demo.path[0]).warnings)
