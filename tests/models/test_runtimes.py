import json
import shutil
import subprocess
import sys
import textwrap
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

import mammo
from mammo.evaluation.calibration import Calibration
from mammo.evaluation.prediction_sets import PredictionSetLimits
from mammo.models import network_export, runtimes
from mammo.models.model_card import read_card
from mammo.models.runtimes import ModelOutputs

pytestmark = pytest.mark.training

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
openvino = pytest.importorskip("openvino", reason="openvino is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
RUNTIMES = ("onnx", "openvino")


@pytest.fixture(scope="module")
def in_keras(saved):
    """The classifier that was exported."""
    return mammo.load_classifier(saved)


def test_the_outputs_of_some_images_and_of_one():
    outputs = ModelOutputs(*(np.arange(8).reshape(4, 2) + place for place in range(4)))
    some, one = outputs[np.array([True, False, False, True])], outputs[1]
    for place, part in enumerate(fields(ModelOutputs)):
        np.testing.assert_array_equal(getattr(some, part.name), np.array([[0, 1], [6, 7]]) + place)
        np.testing.assert_array_equal(getattr(one, part.name), np.array([2, 3]) + place)


def test_the_memory_of_an_export_is_a_few_copies_of_the_weights(exporting):
    assert exporting[1] < 1200, "MB; the weights are 105"


@pytest.mark.parametrize(
    ("runtime", "precision", "tolerance"),
    [("onnx", "float32", 1e-3), ("openvino", "float32", 1e-3), ("openvino", "bfloat16", 1e-2)],
)
def test_the_prediction_is_the_same(in_keras, exported, demo, runtime, precision, tolerance):
    if precision == "bfloat16" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(mammo.MammoError, match="no instructions for bfloat16"):
            mammo.load_classifier(exported, runtime, precision)
        return
    fast = mammo.load_classifier(exported, runtime, precision)
    for path in demo.path[demo["split"] != "validation"][:12]:  # the limits are validation images, to the last bit
        one, other = in_keras.predict(path), fast.predict(path)
        assert other.probability == pytest.approx(one.probability, abs=tolerance)
        assert other.warnings == one.warnings
        assert (other.result, other.prediction_set) == (one.result, one.prediction_set)
        if precision == "float32":
            np.testing.assert_allclose(other.heatmap, one.heatmap, atol=0.01)


def test_the_two_parts_of_the_cut_network_equal_the_whole(exported):
    size = mammo.load_classifier(exported, "onnx").image_size
    core, x = openvino.Core(), np.random.default_rng(0).random((2, *size, 1), np.float32)
    before, after = runtimes._cut(core.read_model(exported / runtimes.FILES[0]))
    assert not any(step.get_type_name() == "Convolution" for step in before.get_ops())
    float32 = {"INFERENCE_PRECISION_HINT": "f32"}
    pixels = core.compile_model(before, "CPU", float32)(x)[0]
    found = core.compile_model(after, "CPU", float32)(pixels).values()
    expected = runtimes.openvino_runtime(exported, read_card(exported).model_id)(x)
    for part, values in zip(fields(ModelOutputs), found, strict=True):
        np.testing.assert_allclose(values, getattr(expected, part.name), rtol=1e-3, atol=1e-4)


def test_only_unstable_results_are_computed_again(exported, monkeypatch):
    card = replace(
        read_card(exported),
        operating_point=replace(read_card(exported).operating_point, threshold=0.3),
        calibration=Calibration("by hand", slope=0.8, intercept=-1.0, prevalence=0.5),
        conformal=PredictionSetLimits(coverage=0.9, benign_up_to=0.5, malignant_from=0.1),
    )
    monkeypatch.setattr("mammo.inference.loading.read_card", lambda folder: card)
    probability = np.concatenate([np.linspace(0.001, 0.999, 200), np.full(50, 1e-5)])
    calls = []

    def runtime(precision):
        def run(x):
            calls.append((precision, len(x)))
            p, exact = x[:, 0, 0, 0], float(precision == "float32")
            others = (np.full((len(p), *shape), exact) for shape in ((3, 2), (5,), (7,)))
            return ModelOutputs(np.stack([1 - p, p], axis=1), *others)

        return run

    monkeypatch.setattr(runtimes, "openvino_runtime", lambda folder, model_id, precision="float32": runtime(precision))
    outputs = mammo.load_classifier(exported, "openvino", "bfloat16").run(probability[:, None, None, None])
    again = ~card.result_rule.is_stable(probability, runtimes.BFLOAT16_ERROR, card.calibration)
    assert calls == [("bfloat16", 250), ("float32", again.sum())]
    assert 0 < again.sum() < 200
    np.testing.assert_array_equal(outputs.probabilities[:, 1], probability)
    for values in (outputs.evidence, outputs.texture, outputs.content):
        np.testing.assert_array_equal(
            values, np.broadcast_to(again.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
        )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_slow_packages_are_not_imported(exported, demo, runtime):
    code = f"""
    import sys, mammo
    prediction = mammo.load_classifier({str(exported)!r}, runtime={runtime!r}).predict({demo.path[0]!r})
    assert prediction.heatmap.shape == prediction.mammogram.image.shape
    loaded = {{name.split(".")[0] for name in sys.modules}}
    assert not loaded & {{"tensorflow", "keras", "pandas", "skimage"}}, loaded  # each would delay the prediction
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


@pytest.mark.parametrize(("given", "threads"), [("1", 1), ("3", 3), ("", 0), ("all", 0)])
def test_both_runtimes_use_as_many_threads_as_ray_says(exported, monkeypatch, given, threads):
    seen, model_id = [], read_card(exported).model_id
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    session = SimpleNamespace(get_inputs=lambda: [SimpleNamespace(name="x")])
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda graph, options, providers: seen.append(options) or session
    )
    compiling = SimpleNamespace(compile_model=lambda model, device, hints: seen.append(hints))
    monkeypatch.setattr(openvino, "Core", lambda: compiling)
    runtimes.onnx_runtime(exported, model_id)
    runtimes.openvino_runtime(exported, model_id)
    assert seen[0].intra_op_num_threads == seen[1]["INFERENCE_NUM_THREADS"] == threads


def test_an_export_leaves_no_scratch(exported):
    names = {*runtimes.FILES, "network.json", "card.json", "MODEL_CARD.md", "CHECKLIST.md"}
    assert {path.name for path in exported.iterdir()} == names


def test_an_export_may_lie_beside_the_keras_model(saved, exported, tmp_path, demo, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def export(model, folder, model_id):  # the network that was exported already: it is the same model
        for name in (*runtimes.FILES, "network.json"):
            shutil.copy(exported / name, folder / name)

    monkeypatch.setattr(network_export, "export", export)
    mammo.load_classifier(folder).export(folder)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert mammo.load_classifier(folder, "onnx").predict(demo.path[1]).probability == pytest.approx(
        mammo.load_classifier(folder, "keras").predict(demo.path[1]).probability, abs=1e-3
    )


def test_a_folder_of_another_model_is_not_changed(in_keras, exported, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(exported, folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"seed": 123}))
    with pytest.raises(mammo.MammoError, match="another model"):
        in_keras.export(folder)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_network_beside_the_card_of_another_model_is_refused(exported, tmp_path, runtime):
    folder = tmp_path / "mixed"
    shutil.copytree(exported, folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"model_sha256": "0" * 64}))
    with pytest.raises(mammo.MammoError, match="belongs to another model than the card"):
        mammo.load_classifier(folder, runtime)
    (folder / "network.json").write_text("[]")
    with pytest.raises(mammo.MammoError, match="damaged"):
        mammo.load_classifier(folder, runtime)


def test_an_export_to_where_nothing_can_be_written_says_so(in_keras, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(mammo.MammoError, match=r"fast cannot be written .*Choose another folder"):
        in_keras.export(tmp_path / "file" / "fast")


def test_an_export_that_fails_leaves_nothing(in_keras, tmp_path, monkeypatch):
    monkeypatch.setattr(network_export, "_write_traced", lambda _, path: path.write_bytes(b"half of it"))
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        in_keras.export(tmp_path / "fast")
    assert list((tmp_path / "fast").iterdir()) == []


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", runtimes.FILES)
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
def test_what_is_missing_is_named(saved, in_keras, exported, monkeypatch, tmp_path, runtime, package):
    with pytest.raises(mammo.MammoError, match="holds no exported network"):
        mammo.load_classifier(saved, runtime)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(mammo.MammoError, match=f"pip install {package}"):
        mammo.load_classifier(exported, runtime)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(mammo.MammoError, match=r"pip install (tf2onnx|onnxruntime)"):
        in_keras.export(tmp_path / "fast")


def test_an_unknown_runtime_or_precision_is_refused(exported):
    with pytest.raises(mammo.MammoError, match="runtime is one of"):
        mammo.load_classifier(exported, runtime="torch")
    with pytest.raises(mammo.MammoError, match="precision is one of"):
        mammo.load_classifier(exported, "openvino", "int4")
    with pytest.raises(mammo.MammoError, match='needs runtime="openvino"'):
        mammo.load_classifier(exported, "onnx", "bfloat16")
