"""The pipeline, with a classifier of the test's own: no file and no network."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

import mammo
from mammo.inference import scoring
from mammo.inference.classifier import Assessment
from mammo.inference.scoring import AHEAD, Scorer, Utilisation, file_stamp

NAMES = [f"{number:02}.png" for number in range(23)]


class Classifier:
    """Notes what was read and in which batches it was assessed; `meanwhile` runs while the network computes."""

    image_size, id = (384, 288), "id"
    card = SimpleNamespace(result_rule=SimpleNamespace(result=lambda probability, doubts: "negative"))

    def __init__(self, meanwhile=lambda classifier: None):
        self.read, self.batches, self.meanwhile = set(), [], meanwhile
        self.changed = threading.Condition()

    def prepare(self, path):
        with self.changed:
            self.read.add(path.name)
            self.changed.notify_all()
        if path.name == "05.png":
            raise mammo.MammoError("05.png is damaged.\nCopy it again.")
        return path.name

    def assess(self, images):
        self.batches.append([image.file for image in images])
        self.meanwhile(self)
        return [Assessment(int(image.file[:2]) / 100, (), {}, None) for image in images]

    def wait_for(self, files):
        """Wait until so many files were read."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.read) >= files, timeout=60), f"only {len(self.read)} read"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(scoring, "BATCH", 4)
    monkeypatch.setattr(scoring, "model_input_of", lambda name: SimpleNamespace(file=name, laterality=None, view=None))


def scored(classifier):
    scorer = Scorer(classifier, Path(__file__).parent, workers=2)
    return [row for rows in scorer.rows(NAMES) for row in rows], scorer.utilisation


def test_rows_are_in_the_order_of_the_files_and_an_error_is_one():
    classifier = Classifier()
    rows, _ = scored(classifier)
    assert [row["file"] for row in rows] == NAMES
    assert [row.get("probability") for row in rows] == [
        None if name == "05.png" else f"{int(name[:2]) / 100:.6f}" for name in NAMES
    ]
    assert rows[5]["error"] == "05.png is damaged. Copy it again."
    assert classifier.batches[1] == ["04.png", "06.png", "07.png"]


def test_the_next_batches_are_read_while_the_network_computes_and_no_more():
    """The network does not finish before the files of the next batches were read; those after them wait."""
    ahead = []

    def meanwhile(classifier):
        batch = len(classifier.batches)
        classifier.wait_for(min(len(NAMES), 4 * (batch + AHEAD)))
        ahead.append(len(classifier.read) - 4 * (batch - 1))

    scored(Classifier(meanwhile))
    assert max(ahead) == 4 * (1 + AHEAD)


def test_batches_of_large_images_are_small(monkeypatch):
    monkeypatch.setattr(Classifier, "image_size", (4000, 3000))
    largest = Classifier()
    scored(largest)
    assert {len(batch) for batch in largest.batches} == {1}


def test_utilisation_counts_each_file_and_its_parts_fit_into_the_time():
    _, used = scored(Classifier())
    assert used.files == len(NAMES)
    assert 0 < used.network_seconds < used.seconds
    assert 0 < used.reading_cpu_seconds <= used.cpu_seconds
    assert used.reading_seconds < used.workers * used.seconds


def test_the_stamp_of_a_film_of_ddsm_is_also_that_of_its_ics_file(tmp_path):
    """The grey levels depend on it."""
    film = tmp_path / "A_0029_1.LEFT_CC.LJPEG"
    film.write_bytes(b"123")
    os.utime(film, (0, 0))
    assert file_stamp(film) == {"bytes": "3", "modified": "1970-01-01T00:00:00.000000Z"}
    (tmp_path / "A-0029-1.ics").write_bytes(b"4567")
    os.utime(tmp_path / "A-0029-1.ics", (60, 60))
    assert file_stamp(film) == {"bytes": "7", "modified": "1970-01-01T00:01:00.000000Z"}
    assert file_stamp(tmp_path / "gone.dcm") == {}


def test_utilisation_says_the_shares(monkeypatch):
    monkeypatch.setattr(scoring.os, "cpu_count", lambda: 4)
    used = Utilisation(2, files=10, seconds=20.0, network_seconds=19.0, reading_seconds=10.0, cpu_seconds=60.0)
    assert (used.network, used.reading, used.processors) == (0.95, 0.25, 0.75)
    assert str(used) == (
        "10 files in 20.0 s. Busy: network 95%, reading and preparing 25% of 2 threads, processors 75% of 4 cores."
    )
    assert "network 0%" in str(Utilisation(2)), "nothing was left to do"
