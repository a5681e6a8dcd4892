"""Findings that occur in any breast."""

import numpy as np

from mammo.synthetic.incidental import incidental_findings

MM = 512 / 240


def test_incidental_findings_are_rare_and_small():
    skin = np.where(np.abs(np.arange(512) - 256) < 200, 250, 0).astype(np.float32)
    layers = {
        view: np.array([incidental_findings(skin, 300, view, MM, np.random.default_rng(n)) for n in range(80)])
        for view in ("CC", "MLO")
    }
    for layer in layers.values():
        assert layer.dtype == np.float32
        assert 0 <= layer.min() <= layer.max() <= 1
        assert (layer > 0).mean(axis=(1, 2)).max() < 0.03
        assert 0.15 < layer.any(axis=(1, 2)).mean() < 0.8
    assert layers["MLO"].any(axis=(1, 2)).sum() > layers["CC"].any(axis=(1, 2)).sum(), "lymph nodes"
