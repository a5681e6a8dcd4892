import json
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import mammo
from mammo import network

openvino = pytest.importorskip("openvino", reason="openvino is not installed")


@pytest.fixture(scope="module")
def exported(saved, tmp_path_factory):
    """A folder that holds only what OpenVINO needs."""
    return mammo.load_classifier(saved).export(tmp_path_factory.mktemp("exported") / "fast")


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 1e-2)])
def test_the_answer_is_the_same(saved, exported, demo, precision, tolerance):
    slow, fast = mammo.load_classifier(saved), mammo.load_classifier(exported, "openvino", precision)
    for path in demo.path[:12]:
        one, other = slow.predict(path), fast.predict(path)
        assert other.probability == pytest.approx(one.probability, abs=tolerance)
        assert other.warnings == one.warnings
        if precision == "float32":
            assert (other.possible, other.above_threshold) == (one.possible, one.above_threshold)
            np.testing.assert_allclose(other.heatmap, one.heatmap, atol=0.01)


def test_tensorflow_is_not_imported(exported, demo):
    code = f"""
    import sys, mammo
    answer = mammo.load_classifier({str(exported)!r}, runtime="openvino").predict({demo.path[0]!r})
    assert answer.heatmap.shape == answer.mammogram.image.shape
    loaded = {{name.split(".")[0] for name in sys.modules}}
    assert not loaded & {{"tensorflow", "keras", "torch", "jax"}}, loaded
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_it_may_lie_beside_the_keras_model(saved, tmp_path, demo):
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    before = (folder / "card.json").read_bytes()
    classifier = mammo.load_classifier(folder)
    classifier.export(folder)
    assert (folder / "card.json").read_bytes() == before
    assert not list(folder.glob(".export*"))
    both = [mammo.load_classifier(folder, runtime).predict(demo.path[1]) for runtime in ("keras", "openvino")]
    assert both[0].probability == pytest.approx(both[1].probability, abs=1e-3)
    with pytest.raises(mammo.MammoError, match="exported already"):
        mammo.load_classifier(folder, "openvino").export(tmp_path / "again")


def test_a_folder_of_another_model_is_left_alone(saved, exported, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(exported, folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"threshold": 0.123}))
    with pytest.raises(mammo.MammoError, match="another model"):
        mammo.load_classifier(saved).export(folder)


def test_an_export_that_fails_leaves_nothing(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(openvino, "save_model", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mammo.load_classifier(saved).export(tmp_path / "fast")
    assert list((tmp_path / "fast").iterdir()) == []


@pytest.mark.parametrize("name", network.FILES)
def test_a_damaged_network_is_refused(exported, tmp_path, name):
    shutil.copytree(exported, tmp_path / "damaged")
    path = tmp_path / "damaged" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(mammo.MammoError, match="damaged"):
        mammo.load_classifier(tmp_path / "damaged", "openvino")


def test_what_is_missing_is_named(saved, exported, monkeypatch):
    with pytest.raises(mammo.MammoError, match="holds no exported network"):
        mammo.load_classifier(saved, "openvino")
    with pytest.raises(mammo.MammoError, match="Export the demo model first"):
        mammo.load_classifier(runtime="openvino")
    with pytest.raises(mammo.MammoError, match="runtime is"):
        mammo.load_classifier(saved, runtime="onnx")
    with pytest.raises(mammo.MammoError, match="precision is one of"):
        mammo.load_classifier(exported, "openvino", "int4")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(mammo.MammoError, match="pip install openvino"):
        mammo.load_classifier(exported, "openvino")
