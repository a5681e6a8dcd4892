import errno
import hashlib
import json
import os
import shutil
import zipfile
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pytest

import mammo
from mammo.models.model_card import read_card
from mammo.models.saved_model import load_saved_model


def test_the_folder_and_its_card(saved, report):
    assert {path.name for path in saved.iterdir()} == {"model.keras", "card.json", "MODEL_CARD.md", "CHECKLIST.md"}
    card = json.loads((saved / "card.json").read_text())
    assert card["class_names"] == ["benign", "malignant"]
    assert card["image_size"] == [64, 64]
    assert (card["weights"], card["sources"]) == ("random", ["synthetic"])
    assert card["metrics"]["auc"] == {"value": report["auc"], "interval": report["auc_interval"]}
    text = (saved / "MODEL_CARD.md").read_text()
    for part in (
        "synthetic",
        "not a medical device",
        f"{report['operating_point']['threshold']:.4f}",
        f"{report['auc']:.3f}",
    ):
        assert part in text


def test_a_loaded_model_predicts_the_same(model, saved):
    x = np.random.default_rng(0).uniform(0, 1, (3, 64, 64, 1)).astype(np.float32)
    loaded = load_saved_model(saved).model
    np.testing.assert_allclose(loaded.predict_on_batch(x), model.predict_on_batch(x), atol=1e-6)


def test_the_optimizer_is_not_saved(fresh_model, report, tmp_path):
    fresh_model.compile("adam", "categorical_crossentropy")
    fresh_model.optimizer.build(fresh_model.trainable_variables)
    mammo.save_classifier(tmp_path / "m", fresh_model, report)
    assert (tmp_path / "m" / "model.keras").stat().st_size < 1.1 * 4 * fresh_model.count_params()


def test_saving_replaces_an_older_model_and_nothing_else(saved, model, report, tmp_path):
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


def test_a_failed_save_leaves_the_old_model(saved, model, report, tmp_path, monkeypatch):
    shutil.copytree(saved, tmp_path / "m")
    before = (tmp_path / "m" / "card.json").read_text()
    monkeypatch.setattr("mammo.models.model_card.card_text", lambda card: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mammo.save_classifier(tmp_path / "m", model, report, seed=7)
    assert (tmp_path / "m" / "card.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_report_without_its_operating_point_is_refused(model, report, tmp_path):
    with pytest.raises(mammo.MammoError, match="The report does not fit the model card: operating_point is missing"):
        mammo.save_classifier(tmp_path / "m", model, {k: v for k, v in report.items() if k != "operating_point"})
    assert list(tmp_path.iterdir()) == []


def test_the_card_is_the_same_after_saving_and_loading(model, report, tmp_path):
    checklist, metadata = {"CLAIM 44": "no funding"}, {"epochs": [1, 2], "note": "é | ä"}
    card = mammo.save_classifier(tmp_path / "m", model, report, seed=3, checklist=checklist, **metadata)
    text = (tmp_path / "m" / "card.json").read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(json.dumps(asdict(card)))
    assert read_card(tmp_path / "m") == load_saved_model(tmp_path / "m").card == card
    assert (card.seed, card.checklist, card.metadata) == (3, checklist, metadata)
    assert asdict(card.operating_point) == report["operating_point"]
    assert asdict(card.calibration) == report["calibration"]
    assert asdict(card.conformal) == report["conformal"]
    for name, metric in card.metrics.items():
        assert metric.value == report[name], name
        interval = report[f"{name}_interval"]
        assert metric.interval == (None if interval is None else tuple(interval)), name
    with_interval = {name.removesuffix("_interval") for name in report if name.endswith("_interval")}
    assert card.metrics.keys() == with_interval


def change_card(folder, **fields):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | fields))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.keras").unlink(), "has no model.keras"),
        (lambda f: (f / "card.json").unlink(), "has no card.json"),
        (lambda f: (f / "card.json").write_text("{"), "damaged"),
        (
            lambda f: (f / "card.json").write_text("{}"),
            "class_names is missing; image_size is missing; weights is missing",
        ),
        (lambda f: (f / "card.json").write_text("null"), "the file: input should be"),
        (lambda f: (f / "model.keras").write_bytes(b"PK"), r"model\.keras is damaged, or belongs to another card"),
        (lambda f: shutil.rmtree(f), r"m cannot be opened \(No such file.*load_classifier\(\) without a folder"),
        (lambda f: shutil.rmtree(f) or f.touch(), r"m is a file\. Give the folder"),
        (lambda f: change_card(f, calibration={}), r"calibration\.slope is missing"),
        (lambda f: change_card(f, image_size=[32, 32]), "contradicts"),
        (lambda f: change_card(f, class_names=["malignant", "benign"]), "predicts"),
    ],
)
def test_a_damaged_folder_is_refused(damage, message, saved, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(saved, folder)
    damage(folder)
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


@pytest.mark.parametrize(
    ("stop", "error", "message"),
    [
        (PermissionError("the file is in use"), mammo.MammoError, "m cannot be written .the file is in use"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
def test_a_save_that_stops_at_the_last_step_restores_the_old_model(
    saved, model, report, tmp_path, monkeypatch, stop, error, message
):
    shutil.copytree(saved, tmp_path / "m")
    replace, stopped = os.replace, []

    def stops(source, target):
        if Path(target) != tmp_path / "m":
            return replace(source, target)
        stopped.append(not Path(target).exists())
        raise stop

    monkeypatch.setattr(os, "replace", stops)
    with pytest.raises(error, match=message):
        mammo.save_classifier(tmp_path / "m", model, report, seed=7)
    assert stopped == [True], "the old model had been moved away"
    assert mammo.load_classifier(tmp_path / "m").card.seed == 0


def test_the_file_holds_built_in_layers_only(saved):
    with zipfile.ZipFile(saved / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    modules = {layer["module"] for layer in config["config"]["layers"]}
    assert modules <= {"keras.layers", "keras"}


def test_where_the_folder_is_the_place_of_a_drive_the_old_model_stays(saved, model, report, tmp_path, monkeypatch):
    """Such a folder can be emptied, but neither renamed nor removed."""
    folder = tmp_path / "m"
    shutil.copytree(saved, folder)
    rename, remove = os.rename, os.rmdir

    def busy(function):
        def run(path, *args, **kwargs):
            if os.path.basename(path) == "m":
                raise OSError(errno.EBUSY, "Device or resource busy")
            return function(path, *args, **kwargs)

        return run

    monkeypatch.setattr(os, "rename", busy(rename))
    monkeypatch.setattr(os, "rmdir", busy(remove))
    with pytest.raises(mammo.MammoError, match=r"m cannot be written .Device or resource busy"):
        mammo.save_classifier(folder, model, report, seed=7)
    assert json.loads((folder / "card.json").read_text())["seed"] == 0
    assert mammo.load_classifier(folder).card.seed == 0


def test_hidden_files_are_not_lost(saved, model, report, tmp_path):
    shutil.copytree(saved, tmp_path / "m")
    (tmp_path / "m" / ".DS_Store").touch()
    mammo.save_classifier(tmp_path / "m", model, report, seed=7)
    (tmp_path / "m" / ".git").mkdir()
    with pytest.raises(mammo.MammoError, match=r"holds \.git, which would be lost"):
        mammo.save_classifier(tmp_path / "m", model, report)


def test_a_link_to_a_folder_elsewhere_stays_one(saved, model, report, tmp_path):
    shutil.copytree(saved, tmp_path / "drive")
    (tmp_path / "m").symlink_to(tmp_path / "drive", target_is_directory=True)
    mammo.save_classifier(tmp_path / "m", model, report, seed=7)
    assert (tmp_path / "m").is_symlink()
    assert json.loads((tmp_path / "drive" / "card.json").read_text())["seed"] == 7


def other_models():
    image = keras.Input((64, 64, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    two, one, three = (keras.layers.Dense(n, "softmax" if n > 1 else "sigmoid")(pooled) for n in (2, 1, 3))
    yield keras.Model(image, two), "has no layer"
    yield keras.Model(image, one), "has no layer"
    yield keras.Model(image, three), "has no layer"
    yield keras.Sequential([image, keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]), "has no layer"
    yield keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)]), "Keras model is needed"
    built = mammo.build_model(weights=None, image_size=(64, 64), quiet=True)
    wider = keras.layers.Dense(3, "softmax", name="probabilities")(built.get_layer("head").output)
    yield keras.Model(built.input, wider), r"its output has the shape \(None, 3\)"
    yield None, "not NoneType"
    yield "model.keras", "not str"


def test_a_model_that_could_not_be_loaded_replaces_nothing(saved, report, tmp_path):
    shutil.copytree(saved, tmp_path / "m")
    before = digests(tmp_path / "m")
    for wrong, message in other_models():
        with pytest.raises(mammo.MammoError, match=message):
            mammo.save_classifier(tmp_path / "m", wrong, report)
    assert digests(tmp_path / "m") == before


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"report": None}, "report is what mammo.evaluate returned, not NoneType"),
        ({"report": "report.json"}, "not str"),
        ({"report": [1]}, "not list"),
        ({"ood_detector": "x"}, "ood_detector is what mammo.fit_ood_detector returned"),
        ({"ood_detector": {"a": [1, 2]}}, "ood_detector is what"),
        ({"epochs": {"loss": [0.5, float("nan")]}}, r"metadata\.epochs: .*out of range float values"),
    ],
)
def test_what_cannot_be_saved_is_named(saved, model, report, tmp_path, options, message):
    shutil.copytree(saved, tmp_path / "m")
    before = digests(tmp_path / "m")
    with pytest.raises(mammo.MammoError, match=message):
        mammo.save_classifier(tmp_path / "m", model, **({"report": report} | options))
    assert digests(tmp_path / "m") == before


def test_numbers_of_numpy_are_numbers(model, report, tmp_path):
    given = report | {"auc": np.float32(0.75), "auc_interval": np.array([0.5, 1.0])}
    card = mammo.save_classifier(tmp_path / "m", model, given, seed=np.int64(3), best=np.int64(4), tuned=np.bool_(True))
    assert (card.seed, card.metadata, card.metrics["auc"].interval) == (3, {"best": 4, "tuned": True}, (0.5, 1.0))
    assert read_card(tmp_path / "m") == card


def test_a_folder_that_may_not_be_read_is_said(saved, model, report, tmp_path, lock):
    shutil.copytree(saved, tmp_path / "a" / "m")
    lock(tmp_path / "a")
    with pytest.raises(mammo.MammoError, match=r"m cannot be written \(Permission denied\)"):
        mammo.save_classifier(tmp_path / "a" / "m", model, report)
