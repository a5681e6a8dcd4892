"""The small classifier that the tests of this folder share."""

import numpy as np
import pytest

import mammo


@pytest.fixture(scope="session")
def classifier(saved):
    """The saved classifier of 64 x 64 pixels, loaded once. It replaces the demo classifier here, which is slower."""
    return mammo.load_classifier(saved)


@pytest.fixture(scope="session")
def for_detector(demo):
    """The demo images with 18 of the 20 patients in validation: enough to fit a detector on."""
    return demo.assign(split=np.where(demo.patient_id.isin(demo.patient_id.unique()[:2]), "train", "validation"))


@pytest.fixture(scope="session")
def ood_detector(model, for_detector):
    return mammo.fit_ood_detector(model, for_detector)
