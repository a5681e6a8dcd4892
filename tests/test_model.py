import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import mammo
from mammo.models.resnet50 import LAST_CONVOLUTION
from mammo.models.saved_model import read_folder


def test_it_is_the_model_of_the_design(model):
    names = [layer.name for layer in model.layers]
    kinds = [type(layer).__name__ for layer in model.layers[-3:]]
    assert kinds == ["GlobalAveragePooling2D", "Dense", "Dense"]
    head, out = model.layers[-2:]
    assert (head.units, head.activation.__name__) == (1024, "relu")
    assert (out.units, out.activation.__name__) == (2, "softmax")
    assert LAST_CONVOLUTION in names
    assert not any(isinstance(layer, keras.Model | keras.layers.Lambda) for layer in model.layers), "one flat graph"
    reference = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    assert model.count_params() == reference.count_params() + 2048 * 1024 + 1024 + 1024 * 2 + 2
    assert model.input_shape == (None, 64, 64, 1)


def test_the_preprocessing_inside_is_resnets_own_and_done_once(model):
    """Keras' own preprocess_input on RGB 0..255 must give what reaches the first convolution."""
    x = np.random.default_rng(0).uniform(0, 1, (2, 64, 64, 1)).astype(np.float32)
    reaches = keras.Model(model.input, model.get_layer("imagenet_scale").output)(x)
    expected = keras.applications.resnet50.preprocess_input(np.repeat(x, 3, axis=3) * 255)
    np.testing.assert_allclose(np.asarray(reaches), expected, atol=1e-3)
    after = model.layers[model.layers.index(model.get_layer("imagenet_scale")) + 1]
    assert after.name == "conv1_pad"


def test_image_size_is_a_parameter():
    assert mammo.build_model(weights=None, image_size=(96, 64)).input_shape == (None, 96, 64, 1)
    with pytest.raises(mammo.MammoError, match="image_size"):
        mammo.build_model(weights=None, image_size=(16, 16))


@pytest.fixture
def offline(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", fail)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path), raising=False)
    return tmp_path


def test_missing_imagenet_weights_say_where_what_and_what_else(offline):
    with pytest.raises(mammo.MammoError) as refusal:
        mammo.build_model(weights="imagenet", image_size=(64, 64))
    sentence = str(refusal.value)
    for part in (str(offline), "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "https://", "None"):
        assert part in sentence


@pytest.mark.parametrize(
    "save", [("resnet.weights.h5", "save_weights"), ("resnet_notop.h5", "save")], ids=lambda s: s[0]
)
def test_weights_from_a_file(save, tmp_path):
    """In Keras' own format, and in the older one of the ImageNet file."""
    name, method = save
    backbone = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    getattr(backbone, method)(tmp_path / name)
    loaded = mammo.build_model(weights=tmp_path / name, image_size=(96, 64))
    for layer in ("conv1_conv", "conv5_block3_3_bn"):
        for ours, theirs in zip(
            loaded.get_layer(layer).get_weights(), backbone.get_layer(layer).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_weights_from_a_saved_classifier(model, saved):
    loaded = mammo.build_model(weights=saved, image_size=(96, 64))
    name = "conv3_block2_2_conv"
    np.testing.assert_array_equal(loaded.get_layer(name).get_weights()[0], model.get_layer(name).get_weights()[0])


def test_wrong_weights_are_refused(tmp_path):
    with pytest.raises(mammo.MammoError, match="no such weights"):
        mammo.build_model(weights="imagnet")
    (tmp_path / "text.weights.h5").write_text("no")
    with pytest.raises(mammo.MammoError, match="does not hold weights"):
        mammo.build_model(weights=tmp_path / "text.weights.h5", image_size=(64, 64))


def test_the_folder_and_its_card(saved, report):
    assert {path.name for path in saved.iterdir()} == {"model.keras", "card.json", "MODEL_CARD.md", "CHECKLIST.md"}
    card = json.loads((saved / "card.json").read_text())
    assert card["class_names"] == ["benign", "malignant"]
    assert card["image_size"] == [64, 64]
    assert (card["weights"], card["sources"]) == ("random", ["synthetic"])
    assert card["auc_interval"] == report["auc_interval"]
    text = (saved / "MODEL_CARD.md").read_text()
    for part in ("synthetic", "not a medical device", f"{report['threshold']:.4f}", f"{report['auc']:.3f}"):
        assert part in text


def test_saved_and_loaded_it_answers_the_same(model, saved):
    x = np.random.default_rng(0).uniform(0, 1, (3, 64, 64, 1)).astype(np.float32)
    loaded, *_ = read_folder(saved)
    np.testing.assert_allclose(loaded.predict_on_batch(x), model.predict_on_batch(x), atol=1e-6)


def test_the_optimizer_is_not_saved(fresh_model, report, tmp_path):
    fresh_model.compile("adam", "categorical_crossentropy")
    fresh_model.optimizer.build(fresh_model.trainable_variables)
    mammo.save_classifier(tmp_path / "m", fresh_model, report)
    assert (tmp_path / "m" / "model.keras").stat().st_size < 1.1 * 4 * fresh_model.count_params()


def test_saving_again_replaces_and_foreign_folders_are_safe(saved, model, report, tmp_path):
    shutil.copytree(saved, tmp_path / "m")
    mammo.save_classifier(tmp_path / "m", model, report, seed=7)
    assert json.loads((tmp_path / "m" / "card.json").read_text())["seed"] == 7
    assert [path.name for path in tmp_path.iterdir()] == ["m"], "no scratch is left"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(mammo.MammoError, match="not overwritten"):
        mammo.save_classifier(tmp_path / "mine", model, report)
    (tmp_path / "m" / "scores.csv").touch()
    with pytest.raises(mammo.MammoError, match=r"holds scores\.csv, which would be lost"):
        mammo.save_classifier(tmp_path / "m", model, report)
    assert (tmp_path / "m" / "scores.csv").is_file()


def test_the_head_starts_the_same_every_time():
    """So that training which was interrupted is known again by another process."""
    one, other = (mammo.build_model("demo", image_size=(64, 64), quiet=True).get_weights() for _ in range(2))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_failed_save_leaves_the_old_model(saved, model, report, tmp_path, monkeypatch):
    shutil.copytree(saved, tmp_path / "m")
    before = (tmp_path / "m" / "card.json").read_text()
    monkeypatch.setattr("mammo.card.card_text", lambda card: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mammo.save_classifier(tmp_path / "m", model, report, seed=7)
    assert (tmp_path / "m" / "card.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_report_without_its_threshold_is_refused(model, report, tmp_path):
    with pytest.raises(mammo.MammoError, match="threshold"):
        mammo.save_classifier(tmp_path / "m", model, {k: v for k, v in report.items() if k != "threshold"})
    assert not (tmp_path / "m").exists()


def change_card(folder, **facts):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | facts))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "model.keras").unlink(), "has no model.keras"),
        (lambda f: (f / "card.json").unlink(), "has no card.json"),
        (lambda f: (f / "card.json").write_text("{"), "damaged"),
        (lambda f: (f / "card.json").write_text("{}"), "lacks class_names"),
        (lambda f: (f / "card.json").write_text("null"), "lacks class_names"),
        (lambda f: (f / "model.keras").write_bytes(b"PK"), "contradicts the model file"),
        (lambda f: change_card(f, calibration={}), "lacks calibration slope"),
        (lambda f: change_card(f, image_size=[32, 32]), "contradicts"),
        (lambda f: change_card(f, class_names=["malignant", "benign"]), "answers"),
    ],
)
def test_a_spoiled_folder_is_refused(spoil, message, saved, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(saved, folder)
    spoil(folder)
    with pytest.raises(mammo.MammoError, match=message):
        mammo.load_classifier(folder)


def test_a_model_that_carries_code_is_refused(saved, tmp_path):
    """Even with a card that vouches for it."""
    folder = tmp_path / "m"
    shutil.copytree(saved, folder)
    x = keras.Input((64, 64, 1))
    y = keras.layers.Lambda(lambda t: t[:, 0, :2, 0])(x)
    keras.Model(x, y).save(folder / "model.keras")
    change_card(folder, model_sha256=hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest())
    with pytest.raises(mammo.MammoError, match=r"cannot be loaded.*[Ll]ambda"):
        mammo.load_classifier(folder)


def test_a_save_that_fails_at_the_last_step_brings_the_old_model_back(saved, model, report, tmp_path, monkeypatch):
    shutil.copytree(saved, tmp_path / "m")

    def locked(*args):
        raise PermissionError("the file is in use")

    monkeypatch.setattr("mammo.model.os.replace", locked)
    with pytest.raises(PermissionError):
        mammo.save_classifier(tmp_path / "m", model, report, seed=7)
    assert json.loads((tmp_path / "m" / "card.json").read_text())["seed"] == 0
    assert (tmp_path / "m" / "model.keras").is_file()


def test_the_file_holds_built_in_layers_only(saved, tmp_path):
    with zipfile.ZipFile(saved / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    modules = {layer["module"] for layer in config["config"]["layers"]}
    assert modules <= {"keras.layers", "keras"}
    assert Path(saved).name == "model"
