"""How hard the data set is: a simple classifier that is told where to look."""

import numpy as np

from mammo.synthetic import lesion_classifier
from mammo.synthetic.lesion_classifier import cross_validated_auc


def test_the_classifier_follows_the_difficulty():
    aucs = [lesion_classifier.study(difficulty, patients=160) for difficulty in (1.0, 0.8, 0.0)]
    assert abs(aucs[0] - 0.5) < 0.1
    assert aucs[0] + 0.1 < aucs[1] < aucs[2] - 0.05
    assert aucs[2] > 0.88  # with more patients to learn from above 0.95, see docs/synthetic.md


def test_the_classifier_finds_nothing_in_shuffled_labels(monkeypatch):
    shuffled = np.random.default_rng(0).permutation(160) % 2
    monkeypatch.setattr(
        lesion_classifier, "cross_validated_auc", lambda x, _, who: cross_validated_auc(x, shuffled[who], who)
    )
    assert abs(lesion_classifier.study(0.0, patients=160) - 0.5) < 0.12
