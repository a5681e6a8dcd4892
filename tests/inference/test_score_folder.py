import os
import shutil
from dataclasses import replace

import pandas as pd
import pytest

import mammo
from mammo.inference import score_folder


@pytest.fixture
def films(demo, tmp_path):
    """Five images, two of them in a sub-folder, a text file, and what archives leave behind.

    Of test patients: a threshold lies on a validation image to the last bit, which hangs on how many are asked at once.
    """
    folder = tmp_path / "films"
    (folder / "more").mkdir(parents=True)
    for place, path in enumerate(demo.path[demo.split == "test"][:5]):
        shutil.copy(path, folder / ("more" if place > 2 else ".") / f"{place}.png")
    (folder / "readme.png").write_text("no image")
    (folder / "DICOMDIR").write_text("")
    return folder


@pytest.fixture
def classifier(saved):
    return mammo.load_classifier(saved)


def test_every_file_has_a_row_and_the_answer_of_predict(films, classifier, tmp_path):
    table = mammo.score_folder(films, tmp_path / "scores.csv", classifier)
    assert list(table["file"]) == ["0.png", "1.png", "2.png", "more/3.png", "more/4.png", "readme.png"]
    for row in table.head(5).itertuples():
        alone = classifier.predict(films / row.file)
        assert row.probability == pytest.approx(alone.probability, abs=1e-5)
        assert row.above_threshold == alone.above_threshold
        assert row.answer == ("uncertain" if alone.uncertain else alone.prediction_set[0])
        assert set(row.warnings.split(". ")) == set(" ".join(alone.warnings).split(". "))
    assert "not an image" in table["error"].iloc[5]
    assert table["probability"].isna().tolist() == [False] * 5 + [True]
    assert table["error"].isna().tolist() == [True] * 5 + [False]


@pytest.mark.parametrize(("cut", "first"), [(False, False), (True, False), (False, True)])
def test_it_goes_on_where_it_was_interrupted(films, classifier, tmp_path, monkeypatch, cut, first):
    whole = mammo.score_folder(films, tmp_path / "whole.csv", classifier)
    monkeypatch.setattr(scoring, "BATCH", 2)
    answered, asked = scoring._answered, []

    def interrupted(classifier, part):
        asked.extend(name for name, _ in part)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return answered(classifier, part)

    monkeypatch.setattr(scoring, "_answered", interrupted)
    path = tmp_path / "scores.csv"
    with pytest.raises(KeyboardInterrupt):
        mammo.score_folder(films, path, classifier)
    assert len(pd.read_csv(path)) == 2
    if cut:
        path.write_bytes(path.read_bytes() + b"2.png,,,0.12")  # the machine went down in the middle of a row
    if first:  # interrupted before anything was answered
        path.write_text(path.read_text().splitlines(keepends=True)[0])
    asked.append("and on")
    resumed = mammo.score_folder(films, path, classifier)
    files = ["0.png", "1.png", "2.png", "more/3.png", "more/4.png", "readme.png"]
    assert asked[asked.index("and on") + 1 :] == files[0 if first else 2 :]
    pd.testing.assert_frame_equal(resumed, whole, rtol=1e-4)


def test_a_finished_table_is_not_asked_for_again(films, classifier, tmp_path, monkeypatch):
    first = mammo.score_folder(films, tmp_path / "scores.csv", classifier)
    monkeypatch.setattr(scoring, "prepare", None)
    pd.testing.assert_frame_equal(mammo.score_folder(films, tmp_path / "scores.csv", classifier), first)


def test_files_may_have_any_name(films, classifier, tmp_path, monkeypatch):
    folder = tmp_path / "named"
    folder.mkdir()
    for name in ("NA", os.fsdecode(b"M\xfcller.png")):
        shutil.copy(films / "0.png", folder / name)
    first = mammo.score_folder(folder, tmp_path / "new" / "scores.csv", classifier)
    assert sorted(first["file"]) == [r"M\udcfcller.png", "NA"]
    monkeypatch.setattr(scoring, "prepare", None)
    pd.testing.assert_frame_equal(mammo.score_folder(folder, tmp_path / "new" / "scores.csv", classifier), first)


def test_answers_of_two_models_do_not_share_a_table(films, classifier, tmp_path):
    mammo.score_folder(films, tmp_path / "scores.csv", classifier)
    other = replace(classifier, card=classifier.card | {"threshold": 0.123})
    with pytest.raises(mammo.MammoError, match="holds answers of another model"):
        mammo.score_folder(films, tmp_path / "scores.csv", other)


def test_the_table_may_lie_in_the_folder(films, classifier):
    mammo.score_folder(films, films / "scores.csv", classifier)
    assert "scores.csv" not in set(mammo.score_folder(films, films / "scores.csv", classifier)["file"])


def test_what_cannot_be_scored(films, classifier, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2")
    with pytest.raises(mammo.MammoError, match="not a table of answers"):
        mammo.score_folder(films, tmp_path / "other.csv", classifier)
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2"
    with pytest.raises(mammo.MammoError, match="no files in"):
        mammo.score_folder(tmp_path / "nowhere", tmp_path / "scores.csv", classifier)
    assert not (tmp_path / "scores.csv").exists()
