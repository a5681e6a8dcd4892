"""The demo model that ships with the package, trained on synthetic mammograms."""

from __future__ import annotations

from mammo.models.model_card import read_card
from mammo.models.resnet50 import build_model
from mammo.models.saved_model import SavedModel, read_ood_detector
from mammo.models.weights import DEMO, demo_weights, set_named_weights


def load_demo_model() -> SavedModel:
    """The demo model with its head, its card and its out-of-distribution detector."""
    card = read_card(DEMO)
    model = build_model(weights=None, image_size=card.image_size, quiet=True)
    set_named_weights(model, demo_weights())
    return SavedModel(model, card, read_ood_detector(DEMO, card))
