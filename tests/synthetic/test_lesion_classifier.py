"""How hard the data set is: a simple classifier that is told where to look."""

from unittest import mock

import numpy as np
import pytest

from mammo.synthetic import lesion_classifier
from mammo.synthetic.lesion_classifier import cross_validated_auc, study

pytestmark = pytest.mark.training  # of a regression, on 480 patients


@pytest.fixture(scope="module")
def easiest():
    """Features, truth and patients of the study at difficulty 0."""
    with mock.patch.object(lesion_classifier, "cross_validated_auc", lambda *given: given):
        return study(0.0, patients=160)


def test_the_classifier_follows_the_difficulty(easiest):
    aucs = [*(study(difficulty, patients=160) for difficulty in (1.0, 0.8)), cross_validated_auc(*easiest)]
    assert abs(aucs[0] - 0.5) < 0.1
    assert aucs[0] + 0.1 < aucs[1] < aucs[2] - 0.05
    assert aucs[2] > 0.88  # with more patients to learn from above 0.95, see docs/synthetic.md


def test_the_classifier_finds_nothing_in_shuffled_labels(easiest):
    features, _, patients = easiest
    shuffled = np.random.default_rng(0).permutation(160) % 2
    assert abs(cross_validated_auc(features, shuffled[patients], patients) - 0.5) < 0.12
