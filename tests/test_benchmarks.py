"""What the benchmark scripts compute before they print it."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mammo.preprocessing import prepare

ROOT = Path(__file__).parents[1]


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_a_place_in_the_file_is_found_again_in_the_mirrored_breast(tmp_path):
    """A bright spot in a breast whose chest wall is on the right; the cut around it must be bright in its middle."""
    rows, columns = np.mgrid[0:400, 0:300]
    image = np.where(np.hypot(rows - 200, columns - 299) < 180, 90, 0).astype(np.uint8)
    image[85:105, 235:255] = 250
    Image.fromarray(image).save(tmp_path / "right.png")
    table = pd.DataFrame({"file": ["right.png"], "x": [245], "y": [95], "side": [40]})
    (cut,) = script("transfer").images_of(table, tmp_path, (80, 80))
    assert cut[36:44, 36:44].mean() > 1.5 * cut[:20].mean()


def test_no_score_comes_from_a_fold_that_knew_the_patient():
    transfer = script("transfer")
    patients = np.repeat(np.arange(30), 2)
    truth = np.repeat(np.arange(30) % 2, 2)

    def fold(train, test, _seed):
        assert not set(patients[train]) & set(patients[test])
        return test.astype(float)

    score = transfer.scores(fold, truth, patients)
    np.testing.assert_array_equal(score, np.tile(np.arange(60.0)[:, None], transfer.SEEDS))


def test_the_mean_auc_is_that_of_the_columns():
    transfer = script("transfer")
    truth = np.array([0, 0, 1, 1])
    score = np.array([[0, 3], [1, 2], [2, 1], [3, 0.0]])
    assert transfer.mean_auc(truth, score, np.ones(4)) == pytest.approx(0.5)


def test_the_pointing_rate_knows_a_heatmap_on_the_lesion_from_one_beside_it(demo, monkeypatch):
    import mammo

    demo_model = script("demo_model")
    model = mammo.build_model(weights=None, image_size=(192, 144), quiet=True)
    lesions = iter(demo[demo["label"] == "malignant"].itertuples())

    def on_the_lesion(model, x):
        row = next(lesions)
        _, breast, _ = prepare(row.path, x.shape[:2])
        return demo_model.mask_in_input(breast, row, x.shape[:2]).astype(float)

    monkeypatch.setattr(mammo, "grad_cam", on_the_lesion, raising=False)
    hit, near, chance = demo_model.pointing(model, demo)
    assert hit == near == 1
    assert 0 < chance < 0.5
    monkeypatch.setattr(mammo, "grad_cam", lambda model, x: (np.indices(x.shape[:2]).sum(axis=0) == 0) * 1.0)
    assert demo_model.pointing(model, demo)[:2] == (0, 0)
