"""The demo model that ships with the package."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import mammo
from mammo.core.manifest import class_indices
from mammo.models.demo import load_demo_model
from mammo.models.model_card import read_card
from mammo.models.weights import DEMO, named_weights

pytestmark = pytest.mark.training


def test_the_demo_weights_are_small_and_the_card_tells_where_they_come_from():
    assert (DEMO / "weights.npz").stat().st_size < 25e6
    assert read_card(DEMO).sources == ("synthetic",)
    text = (DEMO / "MODEL_CARD.md").read_text()
    assert "synthetic" in text
    assert "not a medical device" in text
    assert "240,000 whole images" in text


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
