"""Ray on this machine; the classifier is a real one, exported, and loaded in Ray's own processes."""

import json
import os
import shutil
from functools import partial

import pandas as pd
import pytest

import mammo
from mammo.inference import ray_scoring

pytestmark = pytest.mark.training

ray = pytest.importorskip("ray")
for package in ("onnxruntime", "tf2onnx"):
    pytest.importorskip(package)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def films(demo, tmp_path_factory):
    """Six images, one of them under two names, and a text file."""
    folder = tmp_path_factory.mktemp("archive") / "films"
    (folder / "more").mkdir(parents=True)
    for number, path in enumerate(demo.path[demo.split == "test"][:6]):  # none equals a limit, to the last bit
        shutil.copy(path, folder / ("more" if number > 3 else ".") / f"{number}.png")
    shutil.copy(folder / "1.png", folder / "more" / "again.png")
    (folder / "readme.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def load(exported):
    return partial(mammo.load_classifier, exported, "onnx")


@pytest.fixture(scope="module")
def finished(films, load, tmp_path_factory):
    """The folder of a finished table, and the table."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, ray_scoring.score_folder(films, folder / "scores.csv", load, processes=2)


@pytest.fixture
def path(finished, tmp_path):
    """A finished table of one's own, with its rows."""
    shutil.copytree(finished[0], tmp_path / "own")
    return tmp_path / "own" / "scores.csv"


def times(path):
    """File of a row -> when it was written."""
    return {row.name: row.stat().st_mtime_ns for row in path.with_suffix(".scores").rglob("*.json")}


def test_the_table_is_that_of_one_machine_and_each_content_is_scored_once(films, load, finished, tmp_path):
    folder, table = finished
    alone = mammo.score_folder(films, tmp_path / "alone.csv", load())
    pd.testing.assert_frame_equal(table.drop(columns="sha256"), alone, rtol=1e-4)
    assert table["sha256"].nunique() == len(table) - 1
    assert len(times(folder / "scores.csv")) == len(table) - 2, "an error is not kept: it may be gone next time"


def test_a_file_that_cannot_be_read_is_a_row(films, load, tmp_path):
    shutil.copytree(films, tmp_path / "films")
    shutil.copy(films / "readme.png", tmp_path / "films" / "twin.png")
    scorer = ray_scoring._Scorer(tmp_path / "films", tmp_path / "rows", load)
    rows = [json.loads(row) for row in scorer({"file": ["0.png", "gone.png", "readme.png", "twin.png"]})["row"]]
    assert [row["file"] for row in rows] == ["0.png", "gone.png", "readme.png", "twin.png"]
    assert ["error" in row for row in rows] == [False, True, True, True]
    assert "gone.png" in rows[1]["error"]
    assert "twin.png" in rows[3]["error"], "its own name, not that of the other"
    assert rows[2]["sha256"] == rows[3]["sha256"]
    (tmp_path / "mine.csv").write_text("a,b\n")
    with pytest.raises(mammo.MammoError, match="not a table of scores"):
        ray_scoring.score_folder(films, tmp_path / "mine.csv", load)


def test_a_second_start_scores_only_what_has_no_row(films, load, finished, path):
    before = times(path)
    lost = sorted(path.with_suffix(".scores").rglob("*.json"))[2]
    lost.unlink()
    (lost.parent / "half.json.1.partial").write_text('{"file"')  # a machine went down in the middle
    path.unlink()
    pd.testing.assert_frame_equal(ray_scoring.score_folder(films, path, load), finished[1], rtol=1e-4)
    after = times(path)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {lost.name}


def test_a_lost_process_is_replaced(films, exported, tmp_path):
    """The first process that loads the model dies of it; Ray starts another."""

    def load(folder, marker):
        if not marker.exists():
            marker.touch()
            os._exit(1)
        return mammo.load_classifier(folder, "onnx")

    dying = partial(load, exported, tmp_path / "died")
    table = ray_scoring.score_folder(films, tmp_path / "scores.csv", dying)
    assert (tmp_path / "died").exists()
    assert len(table) == 8
    assert table["probability"].notna().sum() == 7


def test_another_model_has_rows_of_its_own(films, exported, path, tmp_path):
    shutil.copytree(exported, tmp_path / "other")
    card = json.loads((exported / "card.json").read_text())
    (tmp_path / "other" / "card.json").write_text(json.dumps(card | {"seed": 123}))
    first = set(times(path))
    ray_scoring.score_folder(films, path, partial(mammo.load_classifier, tmp_path / "other", "onnx"))
    assert first < set(times(path))
    assert len(set(times(path)) - first) == len(first)


def test_an_archive_without_files(tmp_path):
    with pytest.raises(mammo.MammoError, match="no files in"):
        ray_scoring.score_folder(tmp_path, tmp_path / "scores.csv")


def test_a_table_that_cannot_be_written_is_said_before_anything_is_scored(films, tmp_path):
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(mammo.MammoError, match=r"scores\.csv cannot be written"):
        ray_scoring.score_folder(films, tmp_path / "scores.csv", load=None)
