"""Ray on this machine; the classifier is a real one, exported, and loaded in Ray's own processes."""

import json
import os
import shutil
from functools import partial

import pandas as pd
import pytest

import mammo
from mammo.inference import ray_scoring

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
    for place, path in enumerate(demo.path[demo.split == "test"][:6]):  # none lies on a limit, to the last bit
        shutil.copy(path, folder / ("more" if place > 3 else ".") / f"{place}.png")
    shutil.copy(folder / "1.png", folder / "more" / "again.png")
    (folder / "readme.png").write_text("no image")
    return folder


def times(table):
    """Answer file -> when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in table.with_suffix(".answers").rglob("*.json")}


def test_the_table_is_that_of_one_machine_and_each_content_is_answered_once(films, exported, tmp_path):
    load = partial(mammo.load_classifier, exported, "onnx")
    alone = mammo.score_folder(films, tmp_path / "alone.csv", load())
    table = distributed.score_folder(films, tmp_path / "scores.csv", load, processes=2)
    pd.testing.assert_frame_equal(table.drop(columns="sha256"), alone, rtol=1e-4)
    assert table["sha256"].nunique() == len(table) - 1
    assert len(times(tmp_path / "scores.csv")) == len(table) - 2, "a reason is not kept: it may be gone next time"


def test_a_file_that_cannot_be_read_is_a_row_and_not_the_end(films, exported, tmp_path):
    shutil.copytree(films, tmp_path / "films")
    shutil.copy(films / "readme.png", tmp_path / "films" / "twin.png")
    load = partial(mammo.load_classifier, exported, "onnx")
    scorer = distributed._Scorer(tmp_path / "films", tmp_path / "answers", load)
    found = scorer({"file": ["0.png", "gone.png", "readme.png", "twin.png"]})["answer"]
    rows = [json.loads(row) for row in found]
    assert [row["file"] for row in rows] == ["0.png", "gone.png", "readme.png", "twin.png"]
    assert ["error" in row for row in rows] == [False, True, True, True]
    assert "gone.png" in rows[1]["error"]
    assert "twin.png" in rows[3]["error"], "its own name, not that of the other"
    assert rows[2]["sha256"] == rows[3]["sha256"]
    (tmp_path / "mine.csv").write_text("a,b\n")
    with pytest.raises(mammo.MammoError, match="not a table of answers"):
        distributed.score_folder(films, tmp_path / "mine.csv", load)


def test_a_second_start_asks_only_about_what_has_no_answer(films, exported, tmp_path):
    path, load = tmp_path / "scores.csv", partial(mammo.load_classifier, exported, "onnx")
    first = distributed.score_folder(films, path, load)
    before = times(path)
    lost = sorted(path.with_suffix(".answers").rglob("*.json"))[2]
    lost.unlink()
    (lost.parent / "half.json.1.partial").write_text('{"file"')  # a machine went down in the middle
    path.unlink()
    pd.testing.assert_frame_equal(distributed.score_folder(films, path, load), first, rtol=1e-4)
    after = times(path)
    assert {name for name in after if after[name] != before[name]} == {lost.name}


def test_a_machine_that_is_lost_costs_nothing(films, exported, tmp_path):
    """The first process that loads the model dies of it; Ray starts another."""

    def load(folder, marker):
        if not marker.exists():
            marker.touch()
            os._exit(1)
        return mammo.load_classifier(folder, "onnx")

    dying = partial(load, exported, tmp_path / "died")
    table = distributed.score_folder(films, tmp_path / "scores.csv", dying)
    assert (tmp_path / "died").exists()
    assert len(table) == 8
    assert table["probability"].notna().sum() == 7


def test_another_model_gives_another_answer(films, exported, tmp_path):
    path, other = tmp_path / "scores.csv", tmp_path / "other"
    shutil.copytree(exported, other)
    card = json.loads((other / "card.json").read_text())
    (other / "card.json").write_text(json.dumps(card | {"threshold": 0.123}))
    distributed.score_folder(films, path, partial(mammo.load_classifier, exported, "onnx"))
    first = set(times(path))
    distributed.score_folder(films, path, partial(mammo.load_classifier, other, "onnx"))
    assert len(set(times(path)) - first) == len(first)


def test_an_archive_without_files(tmp_path):
    with pytest.raises(mammo.MammoError, match="no files in"):
        distributed.score_folder(tmp_path, tmp_path / "scores.csv")
