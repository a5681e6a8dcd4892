"""The demo model that ships with the package, and the pretraining that made it."""

from dataclasses import replace
from itertools import islice

import keras
import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

import mammo
from mammo.core.manifest import class_indices
from mammo.models.demo import load_demo_model
from mammo.models.model_card import read_card
from mammo.models.weights import DEMO, named_weights
from mammo.research import pretraining, pretraining_data

pytestmark = pytest.mark.training


def test_the_demo_weights_are_small_and_the_card_tells_where_they_come_from():
    assert (DEMO / "weights.npz").stat().st_size < 25e6
    assert read_card(DEMO).sources == ("synthetic",)
    text = (DEMO / "MODEL_CARD.md").read_text()
    assert "synthetic" in text
    assert "not a medical device" in text
    assert "none seen twice" in text


def auc_of(classifier, table):
    return roc_auc_score(class_indices(table), mammo.predict_manifest(classifier.model, table).probability)


def test_the_demo_model_detects_cancer_in_new_patients(classifier, tmp_path):
    """24 patients of a seed used nowhere else: enough to notice wrong weights, a wrong class or a wrong input."""
    table = mammo.generate_dataset(tmp_path / "new", patients=24, seed=987, formats=["png8"])
    assert auc_of(classifier, table) > 0.8
    assert any("synthetic" in warning for warning in classifier.predict(table.path[0]).warnings)


@pytest.mark.slow
def test_the_auc_in_new_patients_is_near_that_on_the_card(classifier, tmp_path):
    """80 patients of a seed used nowhere else. The card's own figure comes from more."""
    table = mammo.generate_dataset(tmp_path / "new", patients=80, seed=987)
    auc, on_card = auc_of(classifier, table), classifier.card.metrics["auc"].value
    print(f"AUC {auc:.3f}, on the card {on_card:.3f}")
    assert auc > 0.8
    assert auc == pytest.approx(on_card, abs=0.1)


def test_the_demo_model_is_the_default_classifier(classifier):
    saved = load_demo_model()
    assert classifier.card == saved.card == read_card(DEMO)
    assert classifier.ood_detector.keys() == saved.ood_detector.keys()
    for ours, shipped in zip(classifier.model.get_weights(), saved.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, shipped)


def test_build_model_starts_from_the_demo_weights(classifier, capsys):
    model = mammo.build_model(weights="demo", image_size=(96, 64))
    assert "demo" in capsys.readouterr().out
    shipped, started = named_weights(classifier.model), named_weights(model)
    name = "conv5_block3_3_conv:0"
    np.testing.assert_array_equal(started[name], shipped[name])
    assert not np.array_equal(started["head:0"], shipped["head:0"]), "the head is new"


def test_a_number_determines_its_sample():
    for make in (stage.make for stage in pretraining.STAGES):
        (first, classes), (again, _), (other, _) = make(5), make(5), make(7)
        np.testing.assert_array_equal(first, again)
        assert first.dtype == np.uint8
        assert len(first) == len(classes)
        assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("stage", pretraining.STAGES[:2], ids=lambda stage: stage.name)
def test_patches_show_all_kinds(stage):
    made = [stage.make(number) for number in range(40)]
    images, classes = (np.concatenate(part) for part in zip(*made, strict=True))
    assert set(classes) == set(range(len(pretraining_data.KINDS)))
    assert images.shape[1:] == stage.image_size
    assert (images.std(axis=(1, 2)) > 1).all()


def around_each_cell(image):
    """Mean brightness of the 32 x 32 pixels around the centre of each cell."""
    return ndimage.uniform_filter(image.astype(float), 32)[::32, ::32]


def test_the_labelled_cells_of_a_whole_image_are_those_of_the_lesion():
    """Something is brighter there than it would be without the lesion, and the image is malignant if the cells are."""
    labelled = 0
    for number in range(60):
        images, truth = pretraining_data.whole(number)
        assert images.shape == (1, *pretraining_data.WHOLE)
        kinds = set(truth[0, 1:]) - {-1, 0}
        assert len(kinds) <= 1
        assert truth[0, 0] == int(any(kind >= pretraining_data.MALIGNANT_FROM for kind in kinds))
        labelled += bool(kinds)
        cells = truth[0, 1:].reshape(12, 9)
        in_breast = around_each_cell(images[0]) > 5
        assert in_breast[cells > 0].all(), "no lesion lies beside the breast"
    assert labelled > 30


def test_cells_are_flipped_with_the_image(monkeypatch):
    """A very bright lesion: its cells must be brighter than those that lie there upside down, either way up."""
    draw = pretraining_data.draw_lesion

    def bright_lesion(rng, label, difficulty):
        return replace(draw(rng, label, difficulty), contrast=40.0, area=120.0, kind="irregular mass")

    monkeypatch.setattr(pretraining_data, "draw_lesion", bright_lesion)
    is_brighter = []
    for number in range(20):
        images, truth = pretraining_data.whole(number)
        cells = truth[0, 1:].reshape(12, 9) > 0
        if cells.any():
            bright = around_each_cell(images[0])
            is_brighter.append(bright[cells].mean() > bright[cells[::-1]].mean())
    assert len(is_brighter) > 10
    assert np.mean(is_brighter) > 0.85


def test_an_image_of_several_lesions_is_malignant_if_one_of_them_is():
    counts, mixed = [], 0
    for number in range(30):
        _, truth = pretraining.STAGES[3].make(number)
        kinds = truth[0, 1:][truth[0, 1:] > 0]
        malignant = kinds >= pretraining_data.MALIGNANT_FROM
        assert truth[0, 0] == malignant.any()
        counts.append(len(set(kinds)))
        mixed += malignant.any() and not malignant.all()
    assert max(counts) > 2
    assert mixed > 5


def test_the_loss_of_whole_images_by_hand():
    """Three images of two cells; the place counts where there is something malignant."""
    kinds = len(pretraining_data.KINDS)
    truth = np.array([[1, 6, 0], [0, -1, 0], [0, 3, 0]])
    cells = np.full((3, 2, kinds), 0.1 / (kinds - 1))
    cells[0, 0, 6], cells[0, 1, 0], cells[1, 0, 5], cells[1, 1, 0], cells[2, 0, 3], cells[2, 1, 0] = (
        *(0.4, 0.5, 0.9, 0.2, 0.7, 0.6),
    )
    evidence = np.array([[0.3, 1.0], [5.0, 0.0], [4.0, 0.0]])
    output = np.concatenate([[[0.25, 0.75], [0.6, 0.4], [0.9, 0.1]], evidence, cells.reshape(3, -1)], axis=1)
    image = -np.log([0.75, 0.6, 0.9]).mean()
    lesions, normal = -np.log([0.4, 0.7]).mean(), -np.log([0.5, 0.2, 0.6]).mean()
    place = -np.log(np.exp(0.3) / (np.exp(0.3) + np.exp(1.0)))
    loss = float(pretraining.whole_loss(truth, output.astype(np.float32)))
    assert loss == pytest.approx(image + lesions + normal + place, abs=1e-4)


def test_the_evidence_of_the_cells_is_the_heatmap_and_adds_up_to_the_score():
    keras.utils.set_random_seed(0)
    net = pretraining.network((96, 64), cells=True)
    x = np.random.default_rng(0).random((1, 96, 64, 1), np.float32)
    output = net(x, training=False).numpy()[0]
    evidence = output[2:8]
    assert evidence.sum() == pytest.approx(np.log(output[1] / output[0]), rel=1e-3), "a new head has no biases"
    model = keras.Model(net.input, net.get_layer("probabilities").output)
    for sign in (1, -1):  # a random head may find nothing that speaks for malignant
        out = net.get_layer("probabilities")
        out.set_weights([sign * w for w in out.get_weights()])
        evidence = net(x, training=False).numpy()[0, 2:8].reshape(3, 2)
        expected = np.clip(evidence / max(evidence.max(), 1e-12), 0, 1)
        np.testing.assert_allclose(mammo.grad_cam(model, x[0])[::32, ::32], expected, atol=0.02)


def test_the_next_stage_starts_from_the_weights_of_the_last():
    keras.utils.set_random_seed(0)
    patch = pretraining.network((64, 64), cells=False)
    whole = pretraining.network((96, 64), cells=True, trained=patch)
    assert whole.output_shape == (None, 2 + 3 * 2 + 3 * 2 * len(pretraining_data.KINDS))
    before, after = named_weights(patch), named_weights(whole)
    for name in ("conv1_conv:0", "conv5_block3_3_conv:0", "kinds:0"):
        np.testing.assert_array_equal(before[name], after[name])


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
