import json
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import mammo
from mammo.models import runtimes
from mammo.inference import classifier
from mammo.evaluation.prediction_sets import is_stable

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
openvino = pytest.importorskip("openvino", reason="openvino is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
RUNTIMES = ("onnx", "openvino")


def test_to_export_takes_a_few_copies_of_the_weights(exporting):
    assert exporting[1] < 1200, "MB; the weights are 105"


@pytest.mark.parametrize(
    ("runtime", "precision", "tolerance"),
    [("onnx", "float32", 1e-3), ("openvino", "float32", 1e-3), ("openvino", "bfloat16", 1e-2)],
)
def test_the_answer_is_the_same(saved, exported, demo, runtime, precision, tolerance):
    if precision == "bfloat16" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(mammo.MammoError, match="no instructions for bfloat16"):
            mammo.load_classifier(exported, runtime, precision)
        return
    slow, fast = mammo.load_classifier(saved), mammo.load_classifier(exported, runtime, precision)
    for path in demo.path[demo["split"] != "validation"][:12]:  # of those some lie on a limit, to the last bit
        one, other = slow.predict(path), fast.predict(path)
        assert other.probability == pytest.approx(one.probability, abs=tolerance)
        assert other.warnings == one.warnings
        assert (other.prediction_set, other.above_threshold) == (one.prediction_set, one.above_threshold)
        if precision == "float32":
            np.testing.assert_allclose(other.heatmap, one.heatmap, atol=0.01)


def test_pixels_apart_and_the_rest_are_the_whole(exported):
    size = mammo.load_classifier(exported, "onnx").image_size
    core, x = openvino.Core(), np.random.default_rng(0).random((2, *size, 1), np.float32)
    before, after = network._cut(core.read_model(exported / network.FILES[0]))
    assert not any(step.get_type_name() == "Convolution" for step in before.get_ops())
    float32 = {"INFERENCE_PRECISION_HINT": "f32"}
    pixels = core.compile_model(before, "CPU", float32)(x)[0]
    found = core.compile_model(after, "CPU", float32)(pixels).values()
    for part, expected in zip(found, network.openvino_runtime(exported)(x), strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-3, atol=1e-4)


def test_only_what_is_doubtful_is_asked_again(exported, monkeypatch):
    limits = {"coverage": 0.9, "benign_up_to": 0.5, "malignant_from": 0.1}
    card = prediction.read_card(exported) | {"threshold": 0.3, "conformal": limits}
    card["calibration"] |= {"slope": 0.8, "intercept": -1.0}
    monkeypatch.setattr(prediction, "read_card", lambda folder: card)
    said = np.concatenate([np.linspace(0.001, 0.999, 200), np.full(50, 1e-5)])
    asked = []

    def run(kind):
        def answer(x):
            asked.append((kind, len(x)))
            p = x[:, 0, 0, 0]
            return [np.stack([1 - p, p], axis=1), np.full((len(p), 3, 2), {"float32": 1.0, "bfloat16": 0.0}[kind])]

        return answer

    monkeypatch.setattr(network, "in_openvino", lambda folder, precision="float32": run(precision))
    answers = mammo.load_classifier(exported, "openvino", "bfloat16").run(said[:, None, None, None])
    again = ~is_stable(said, card, network.BFLOAT16_ERROR)
    assert asked == [("bfloat16", 250), ("float32", again.sum())]
    assert 0 < again.sum() < 200
    np.testing.assert_array_equal(answers[1], again[:, None, None] * np.ones((250, 3, 2)))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_tensorflow_is_not_imported(exported, demo, runtime):
    code = f"""
    import sys, mammo
    answer = mammo.load_classifier({str(exported)!r}, runtime={runtime!r}).predict({demo.path[0]!r})
    assert answer.heatmap.shape == answer.mammogram.image.shape
    loaded = {{name.split(".")[0] for name in sys.modules}}
    assert not loaded & {{"tensorflow", "keras", "pandas", "skimage"}}, loaded  # each would make the answer wait
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
    assert mammo.load_classifier(folder, "onnx").predict(demo.path[1]).probability == pytest.approx(
        mammo.load_classifier(folder).predict(demo.path[1]).probability, abs=1e-3
    )
    with pytest.raises(mammo.MammoError, match="exported already"):
        mammo.load_classifier(folder, "onnx").export(tmp_path / "again")


def test_a_folder_of_another_model_is_left_alone(saved, exported, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(exported, folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"threshold": 0.123}))
    with pytest.raises(mammo.MammoError, match="another model"):
        mammo.load_classifier(saved).export(folder)


def test_an_export_that_fails_leaves_nothing(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(network, "_write_traced", lambda _, path: path.write_bytes(b"half of it"))
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mammo.load_classifier(saved).export(tmp_path / "fast")
    assert list((tmp_path / "fast").iterdir()) == []


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", network.FILES)
def test_a_damaged_network_is_refused(exported, tmp_path, name, runtime):
    shutil.copytree(exported, tmp_path / "damaged")
    path = tmp_path / "damaged" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(mammo.MammoError, match="damaged"):
        mammo.load_classifier(tmp_path / "damaged", runtime)


def test_a_checksum_file_that_was_cut_off_is_refused(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "damaged")
    (tmp_path / "damaged" / "network.json").write_text("{")
    with pytest.raises(mammo.MammoError, match="damaged"):
        mammo.load_classifier(tmp_path / "damaged", "onnx")


@pytest.mark.parametrize(("runtime", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_what_is_missing_is_named(saved, exported, monkeypatch, tmp_path, runtime, package):
    with pytest.raises(mammo.MammoError, match="holds no exported network"):
        mammo.load_classifier(saved, runtime)
    with pytest.raises(mammo.MammoError, match="Export the demo model first"):
        mammo.load_classifier(runtime=runtime)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(mammo.MammoError, match=f"pip install {package}"):
        mammo.load_classifier(exported, runtime)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(mammo.MammoError, match=r"pip install (tf2onnx|onnxruntime)"):
        mammo.load_classifier(saved).export(tmp_path / "fast")


def test_what_does_not_exist_is_refused(exported):
    with pytest.raises(mammo.MammoError, match="runtime is one of"):
        mammo.load_classifier(exported, runtime="torch")
    with pytest.raises(mammo.MammoError, match="precision is one of"):
        mammo.load_classifier(exported, "openvino", "int4")
    with pytest.raises(mammo.MammoError, match='needs runtime="openvino"'):
        mammo.load_classifier(exported, "onnx", "bfloat16")
