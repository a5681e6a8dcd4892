"""Which runtime a classifier gets where none was asked for."""

import shutil
import subprocess
import sys
import textwrap

import pytest

import mammo
from mammo.inference import loading
from mammo.models.saved_model import load_saved_model

pytestmark = pytest.mark.training

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("openvino", reason="openvino is not installed")


@pytest.fixture
def both(saved, exported, tmp_path):
    """A folder with the Keras model and the exported network."""
    shutil.copytree(exported, tmp_path / "both")
    shutil.copytree(saved, tmp_path / "both", dirs_exist_ok=True)
    return tmp_path / "both"


@pytest.fixture
def used(monkeypatch):
    """The runtimes that were asked for, in their order."""
    called = []
    for name in ("keras", "onnx", "openvino"):
        real = getattr(loading.runtimes, f"{name}_runtime")

        def noting(*given, name=name, real=real):
            called.append(name)
            return real(*given)

        monkeypatch.setattr(loading.runtimes, f"{name}_runtime", noting)
    return called


def test_the_demo_model_answers_without_tensorflow_from_the_first_time_on(demo, tmp_path):
    code = f"""
    import os, sys
    os.environ["MAMMO_CACHE"] = {str(tmp_path)!r}
    import mammo
    prediction = mammo.load_classifier().predict({demo.path[0]!r})
    assert prediction.heatmap.shape == prediction.mammogram.image.shape
    assert not {{"tensorflow", "keras"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_an_exported_network_is_used_where_there_is_one(saved, both, exported, used, demo):
    for folder in (saved, both, exported):
        mammo.load_classifier(folder)
    assert used == ["keras", "onnx", "onnx"]
    mammo.load_classifier(both, runtime="keras")
    assert used[3:] == ["keras"]


def test_the_keras_model_is_loaded_when_it_is_asked_for(both, exported, model, tmp_path):
    classifier = mammo.load_classifier(both)
    assert "model" not in vars(classifier)
    assert classifier.model.count_params() == model.count_params()
    assert classifier.model is classifier.model
    assert mammo.load_classifier(exported).model is None
    with pytest.raises(mammo.MammoError, match="exported already"):
        mammo.load_classifier(exported).export(tmp_path / "again")


def test_the_next_package_is_used_where_one_is_missing(both, used, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    mammo.load_classifier(both)
    monkeypatch.setitem(sys.modules, "openvino", None)
    mammo.load_classifier(both)
    assert used == ["openvino", "keras"]


def test_an_exported_network_without_its_runtime_says_what_to_install(exported, monkeypatch):
    for package in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(mammo.MammoError, match=r"holds an exported network\. `pip install onnxruntime` or `openvino`"):
        mammo.load_classifier(exported)


@pytest.mark.parametrize("missing", ["onnxruntime", "cache"])
def test_the_demo_model_is_keras_where_its_network_cannot_be_written(used, monkeypatch, tmp_path, missing):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MAMMO_CACHE", str(tmp_path / "file" if missing == "cache" else tmp_path))
    if missing == "onnxruntime":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    classifier = mammo.load_classifier()
    assert used == ["keras"]
    assert classifier.model.name == "resnet50_mammo"
    with pytest.raises(mammo.MammoError, match="pip install onnxruntime" if missing == "onnxruntime" else "cache"):
        mammo.load_classifier(runtime="onnx")


def test_a_damaged_network_in_a_folder_is_said(both):
    (both / "network.bin").write_bytes(b"")
    with pytest.raises(mammo.MammoError, match="damaged"):
        mammo.load_classifier(both)


@pytest.mark.parametrize("place", ["", "card.json", "network.json", "network.bin"])
def test_a_folder_that_may_not_be_read_is_said(both, lock, place):
    lock(both / place)
    with pytest.raises(mammo.MammoError, match=rf"{place} may not be read \(Permission denied\)"):
        mammo.load_classifier(both, runtime="onnx")


@pytest.mark.parametrize("place", ["", "card.json", "model.keras"])
def test_a_keras_model_that_may_not_be_read_is_said(saved, lock, place):
    lock(saved / place)
    with pytest.raises(mammo.MammoError, match=rf"{place} may not be read \(Permission denied\)"):
        mammo.load_classifier(saved, runtime="keras")
    with pytest.raises(mammo.MammoError, match=rf"{place} may not be read \(Permission denied\)"):
        load_saved_model(saved)
