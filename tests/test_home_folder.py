"""Every function that takes a path knows `~` as the home folder."""

import shutil

import numpy as np
import pytest

import mammo
from mammo.datasets import breakhis, cbis_ddsm, cmmd, ddsm, folder, inbreast, mini_ddsm, mini_mias, rsna, vindr_mammo
from mammo.synthetic import cbis_ddsm_folder, cmmd_folder

SIZE = {"image_size": (192, 144), "processes": 1}
READERS = {
    "load_manifest": mammo.load_manifest,
    "read_mammogram": mammo.read_mammogram,
    "load_classifier": mammo.load_classifier,
    "score_folder": lambda path: mammo.score_folder(path, "~/scores.csv"),
    "build_model": lambda path: mammo.build_model(weights=path, image_size=(64, 64)),
    "folder": lambda path: folder.manifest(path, r"(P\d+)_"),
}
MODULES = (breakhis, cbis_ddsm, cmmd, ddsm, inbreast, mini_ddsm, mini_mias, rsna, vindr_mammo)
READERS |= {f"{module.__name__}.manifest": module.manifest for module in MODULES}
READERS |= {f"{module.__name__}.lesions": module.lesions for module in MODULES if hasattr(module, "lesions")}
DRAWN = {
    "generate_dataset": lambda path: mammo.generate_dataset(path, patients=20, **SIZE),
    "noise_dataset": lambda path: mammo.noise_dataset(path, images=20, **SIZE),
    "cbis_ddsm_folder": lambda path: cbis_ddsm_folder(path, 6, **SIZE),
    "cmmd_folder": lambda path: cmmd_folder(path, 6, **SIZE),
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder; the working directory is another one, and nothing may be written to it."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    yield tmp_path / "home"
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("name", READERS)
def test_what_is_missing_is_looked_for_in_the_home_folder(home, name):
    with pytest.raises(mammo.MammoError) as error:
        READERS[name]("~/nowhere")
    assert str(home / "nowhere") in str(error.value)


@pytest.mark.parametrize("name", DRAWN)
def test_images_are_drawn_in_the_home_folder(home, name):
    DRAWN[name]("~/data")
    assert any((home / "data").rglob("*.*"))


def test_a_table_and_a_figure_are_written_to_the_home_folder(home, demo):
    assert mammo.save_manifest(demo, "~/tables/x.csv") == home / "tables" / "x.csv"
    assert list(mammo.load_manifest("~/tables/x.csv")["path"]) == list(demo["path"])
    mammo.plots.save_figure(mammo.plots.gallery([np.eye(9)], ["x"]), "~/x.png")
    assert sorted(path.name for path in home.rglob("*.*")) == ["x.csv", "x.png"]


def test_a_model_and_its_scores_are_written_to_the_home_folder(home, demo, model, report):
    mammo.save_classifier("~/model", model, report)
    (home / "films").mkdir()
    shutil.copy(demo.path[0], home / "films" / "a.png")
    classifier = mammo.load_classifier("~/model")
    scores = mammo.score_folder("~/films", "~/scores.csv", classifier)
    assert scores["probability"][0] == pytest.approx(classifier.predict("~/films/a.png").probability, abs=1e-5)
    assert (home / "scores.csv").is_file()


@pytest.mark.training
def test_a_network_is_exported_to_the_home_folder(home, saved):
    pytest.importorskip("tf2onnx")
    mammo.load_classifier(saved, runtime="keras").export("~/fast")
    assert mammo.load_classifier("~/fast").load_model is None
