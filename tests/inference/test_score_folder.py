import os
import shutil
import unicodedata
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mammo
from mammo.core.errors import unreadable
from mammo.data import preprocessing
from mammo.evaluation.prediction_sets import PredictionSetLimits
from mammo.inference import scoring

FILES = ["0.png", "1.png", "2.png", "more/3.png", "more/4.png", "readme.png"]


@pytest.fixture
def films(demo, tmp_path):
    """Five images, two of them in a sub-folder, a text file, and what archives leave behind.

    Of test patients: a threshold equals the probability of a validation image, which changes in its last bit with the
    size of the batch.
    """
    folder = tmp_path / "films"
    (folder / "more").mkdir(parents=True)
    for number, path in enumerate(demo.path[demo.split == "test"][:5]):
        shutil.copy(path, folder / ("more" if number > 2 else ".") / f"{number}.png")
    (folder / "readme.png").write_text("no image")
    (folder / "DICOMDIR").write_text("")
    return folder


def test_every_file_has_a_row_with_the_result_of_predict(films, classifier, tmp_path):
    table = mammo.score_folder(films, tmp_path / "scores.csv", classifier)
    assert list(table["file"]) == FILES
    assert set(table["model"]) == {classifier.id}
    for row in table.head(5).itertuples():
        alone = classifier.predict(films / row.file)
        assert row.probability == pytest.approx(alone.probability, abs=1e-5)
        assert row.result == alone.result
        assert (row.warnings if isinstance(row.warnings, str) else "") == " ".join(alone.doubts)
    assert "not an image" in table["error"].iloc[5]
    assert table["probability"].isna().tolist() == [False] * 5 + [True]
    assert table["error"].isna().tolist() == [True] * 5 + [False]


@pytest.mark.parametrize(("step", "expected"), [(0, "positive"), (-1, "uncertain")])
def test_a_probability_at_the_operating_point_is_positive(films, classifier, tmp_path, monkeypatch, step, expected):
    """The point itself is positive, the number just below it is not: in the table as in a prediction."""
    at = 0.6
    point = replace(classifier.card.operating_point, threshold=at)
    limits = PredictionSetLimits(coverage=0.9, benign_up_to=0.3, malignant_from=0.2)
    sure = replace(classifier, card=replace(classifier.card, operating_point=point, conformal=limits))
    probability = np.nextafter(at, 0) if step else at
    monkeypatch.setattr(type(sure.card.calibration), "__call__", lambda self, p: probability)
    table = mammo.score_folder(films, tmp_path / "scores.csv", sure).head(5)
    without_warning = table[table["warnings"].isna()]
    assert len(without_warning)
    assert set(without_warning["result"]) == {expected}
    assert sure.predict(films / without_warning["file"].iloc[0]).result == expected


def without_numbers(warnings):
    """A score is rounded to one decimal in the text, which the size of the batch may change."""
    return [word for word in warnings.split() if not word[0].isdigit()]


def test_a_row_agrees_with_predict_for_every_kind_of_file(films, classifier, ood_detector, tmp_path, write_dicom):
    """Out of distribution, refused, of the wrong laterality, without a breast, unreadable."""
    limits = {
        "texture_limits": ood_detector["texture_limits"] / 100,
        "content_limits": ood_detector["content_limits"] / 3,
    }
    strict = replace(classifier, ood_detector=ood_detector | limits)
    folder = tmp_path / "all kinds"
    shutil.copytree(films, folder)
    spot = np.zeros((300, 240), np.uint16)
    spot[100:110, 100:110] = 4000
    shutil.copy(write_dicom(spot), folder / "spot.dcm")
    shutil.copy(write_dicom(np.random.default_rng(0).integers(0, 4096, (300, 300), np.uint16)), folder / "noise.dcm")
    (folder / "cut.dcm").write_bytes((folder / "noise.dcm").read_bytes()[:5000])
    pixels = np.asarray(preprocessing.read_mammogram(films / "0.png").image * 255).astype(np.uint8)
    for laterality in "LR":
        shutil.copy(write_dicom(pixels, bits=8, ImageLaterality=laterality), folder / f"{laterality}.dcm")
    table = mammo.score_folder(folder, tmp_path / "scores.csv", strict).set_index("file")
    errors = table["error"].dropna()
    for name, sentence in errors.items():
        with pytest.raises(mammo.MammoError) as error:
            strict.predict(folder / name)
        assert sentence == " ".join(str(error.value).split())
        assert table.loc[name, ["probability", "result", "warnings"]].isna().all()
    for part in ("does not look like a mammogram", "No breast was found", "not an image"):
        assert errors.str.contains(part).any(), part
    assert len(errors) == 4
    for name, row in table[table["error"].isna()].iterrows():
        alone = strict.predict(folder / name)
        assert row["probability"] == pytest.approx(alone.probability, abs=1e-5)
        assert row["result"] == alone.result == "uncertain"
        assert without_numbers(row["warnings"]) == without_numbers(" ".join(alone.doubts))
        assert "out of distribution" in row["warnings"]
        laterality = alone.mammogram.laterality
        assert row["laterality"] == laterality if laterality else pd.isna(row["laterality"])
    assert table["warnings"].str.contains("other breast").sum() == 1


@pytest.mark.parametrize(("cut", "first"), [(False, False), (True, False), (False, True)])
def test_an_interrupted_table_is_continued(films, classifier, tmp_path, monkeypatch, cut, first):
    whole = mammo.score_folder(films, tmp_path / "whole.csv", classifier)
    monkeypatch.setattr(scoring, "BATCH", 2)
    rows, scored = scoring.Scorer._rows, []

    def interrupted(scorer, images):
        scored.extend(images)
        if len(scored) == 4:
            raise KeyboardInterrupt
        return rows(scorer, images)

    monkeypatch.setattr(scoring.Scorer, "_rows", interrupted)
    path = tmp_path / "scores.csv"
    with pytest.raises(KeyboardInterrupt):
        mammo.score_folder(films, path, classifier)
    assert len(pd.read_csv(path)) == 2
    if cut:
        path.write_bytes(path.read_bytes() + b"2.png,,,0.12")  # the machine went down in the middle of a row
    if first:  # interrupted before anything was scored
        path.write_text(path.read_text().splitlines(keepends=True)[0])
    scored.append("continued")
    resumed = mammo.score_folder(films, path, classifier)
    assert scored[scored.index("continued") + 1 :] == FILES[0 if first else 2 :]
    pd.testing.assert_frame_equal(resumed, whole, rtol=1e-4)


def test_a_finished_table_is_not_scored_again(films, classifier, tmp_path, monkeypatch):
    first = mammo.score_folder(films, tmp_path / "scores.csv", classifier)
    monkeypatch.setattr(mammo.Classifier, "prepare", None)
    pd.testing.assert_frame_equal(mammo.score_folder(films, tmp_path / "scores.csv", classifier), first)


@pytest.fixture
def scored(monkeypatch):
    """The names of the files that were read to be scored."""
    prepare, read = mammo.Classifier.prepare, []

    def noting(classifier, path, frame=None):
        read.append(path.name)
        return prepare(classifier, path, frame)

    monkeypatch.setattr(mammo.Classifier, "prepare", noting)
    return read


def test_a_row_states_size_and_time_of_its_file(films, classifier, tmp_path):
    os.utime(films / "0.png", ns=(0, 1_000_000_007_123_456_789))
    table = mammo.score_folder(films, tmp_path / "scores.csv", classifier)
    assert table["bytes"].tolist() == [(films / name).stat().st_size for name in FILES]
    assert table["modified"][0] == "2001-09-09T01:46:47.123456Z"


def test_a_table_is_not_continued_in_another_folder(films, classifier, tmp_path):
    """The same names, other images."""
    other, path = tmp_path / "other", tmp_path / "scores.csv"
    for name, turned in zip(FILES[:5], FILES[4::-1], strict=True):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(films / turned, other / name)
    mammo.score_folder(films, path, classifier)
    content = path.read_bytes()
    with pytest.raises(mammo.MammoError, match=r"None of the rows in .*scores\.csv is of a file as it is in .*other"):
        mammo.score_folder(other, path, classifier)
    assert path.read_bytes() == content, "another folder's results are not lost"


def test_changed_files_are_scored_again_and_files_that_are_gone_have_no_row(
    films, classifier, tmp_path, scored, capsys
):
    path = tmp_path / "scores.csv"
    first = mammo.score_folder(films, path, classifier).set_index("file")
    os.replace(films / "1.png", films / "0.png")
    shutil.copy(films / "more" / "3.png", films / "readme.png")  # copied again, as its error says
    scored.clear()
    capsys.readouterr()
    table = mammo.score_folder(films, path, classifier).set_index("file")
    assert sorted(scored) == ["0.png", "readme.png"]
    assert "3 rows in" in capsys.readouterr().out
    assert sorted(table.index) == ["0.png", *FILES[2:]]
    assert table["probability"]["0.png"] == pytest.approx(first["probability"]["1.png"], abs=1e-5)
    assert table["probability"]["readme.png"] == pytest.approx(first["probability"]["more/3.png"], abs=1e-5)
    assert table["error"].isna().all()


def test_a_file_of_the_same_size_is_another_one_when_its_time_is(films, classifier, tmp_path, scored):
    mammo.score_folder(films, tmp_path / "scores.csv", classifier)
    scored.clear()
    os.utime(films / "2.png", (0, 0))
    mammo.score_folder(films, tmp_path / "scores.csv", classifier)
    assert scored == ["2.png"]


def test_a_file_that_could_not_be_opened_is_tried_again(films, classifier, tmp_path, monkeypatch):
    """As after a change of its permissions, which changes neither size nor time."""

    def refused(self, path):
        if path.name == "2.png":
            raise unreadable(path.name, PermissionError(13, "Permission denied"))
        return prepare(self, path)

    prepare = mammo.Classifier.prepare
    monkeypatch.setattr(mammo.Classifier, "prepare", refused)
    first = mammo.score_folder(films, tmp_path / "scores.csv", classifier).set_index("file")
    assert "may not be read" in first["error"]["2.png"]
    assert first.loc["2.png", ["bytes", "modified"]].isna().all()
    monkeypatch.undo()
    second = mammo.score_folder(films, tmp_path / "scores.csv", classifier).set_index("file")
    assert second["error"].notna().sum() == 1
    assert list(second.index) == sorted(FILES, key="2.png".__eq__)


def test_a_table_that_is_a_link_stays_one(films, classifier, tmp_path):
    (tmp_path / "scores.csv").symlink_to(tmp_path / "drive.csv")
    mammo.score_folder(films, tmp_path / "scores.csv", classifier)
    assert (tmp_path / "scores.csv").is_symlink()
    assert len(pd.read_csv(tmp_path / "drive.csv")) == len(FILES)


def test_two_names_that_differ_in_their_unicode_form_only_have_a_row_each(films, classifier, tmp_path, scored):
    folder = tmp_path / "twins"
    folder.mkdir()
    for number, form in enumerate(("NFC", "NFD")):
        shutil.copy(films / f"{number}.png", folder / unicodedata.normalize(form, "Müller.png"))
    first = mammo.score_folder(folder, tmp_path / "scores.csv", classifier)
    scored.clear()
    pd.testing.assert_frame_equal(mammo.score_folder(folder, tmp_path / "scores.csv", classifier), first)
    assert len(first) == 2
    assert not scored


def test_files_may_have_any_name(films, classifier, tmp_path, monkeypatch):
    folder = tmp_path / "named"
    folder.mkdir()
    for name in ("NA", os.fsdecode(b"M\xfcller.png")):
        shutil.copy(films / "0.png", folder / name)
    first = mammo.score_folder(folder, tmp_path / "new" / "scores.csv", classifier)
    assert sorted(first["file"]) == [r"M\udcfcller.png", "NA"]
    monkeypatch.setattr(mammo.Classifier, "prepare", None)
    pd.testing.assert_frame_equal(mammo.score_folder(folder, tmp_path / "new" / "scores.csv", classifier), first)


def test_a_table_from_a_machine_that_decomposes_letters_is_continued(films, classifier, tmp_path, monkeypatch):
    folder, path = tmp_path / "letters", tmp_path / "scores.csv"
    folder.mkdir()
    shutil.copy(films / "0.png", folder / unicodedata.normalize("NFC", "Müller.png"))
    mammo.score_folder(folder, path, classifier)
    path.write_text(unicodedata.normalize("NFD", path.read_text(encoding="utf-8")), encoding="utf-8")
    monkeypatch.setattr(mammo.Classifier, "prepare", None)
    assert len(mammo.score_folder(folder, path, classifier)) == 1


def another_card(classifier, monkeypatch):
    return replace(classifier, card=replace(classifier.card, seed=123))


def another_recipe(classifier, monkeypatch):
    monkeypatch.setattr(preprocessing, "RECIPE", preprocessing.RECIPE + 1)
    return classifier


def another_library(classifier, monkeypatch):
    version = preprocessing.version
    monkeypatch.setattr(preprocessing, "version", lambda name: "0.0.1" if name == "pydicom" else version(name))
    return classifier


@pytest.mark.parametrize("change", [another_card, another_recipe, another_library])
def test_a_table_of_another_model_or_preprocessing_is_not_continued(films, classifier, tmp_path, monkeypatch, change):
    path, before = tmp_path / "scores.csv", classifier.id
    mammo.score_folder(films, path, classifier)
    content = path.read_bytes()
    (films / "5.png").write_bytes((films / "0.png").read_bytes())
    other = change(classifier, monkeypatch)
    with pytest.raises(mammo.MammoError, match="scores of another model or preprocessing") as error:
        mammo.score_folder(films, path, other)
    assert before in str(error.value)
    assert other.id in str(error.value)
    assert path.read_bytes() == content


def test_the_table_may_lie_in_the_folder(films, classifier):
    mammo.score_folder(films, films / "scores.csv", classifier)
    assert "scores.csv" not in set(mammo.score_folder(films, films / "scores.csv", classifier)["file"])


def test_what_cannot_be_scored(films, classifier, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2")
    (tmp_path / "old.csv").write_text("file,laterality,view,probability,result,warnings,error,model\n")
    with pytest.raises(mammo.MammoError, match="not a table of scores of this version"):
        mammo.score_folder(films, tmp_path / "old.csv", classifier)
    with pytest.raises(mammo.MammoError, match="not a table of scores"):
        mammo.score_folder(films, tmp_path / "other.csv", classifier)
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2"
    with pytest.raises(mammo.MammoError, match="no files in"):
        mammo.score_folder(tmp_path / "nowhere", tmp_path / "scores.csv", classifier)
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classifier": "artifacts/model"}, r"'artifacts/model' is no classifier.*load_classifier\(folder\)"),
        ({"workers": 0}, "number of threads, 1 or more, not 0"),
        ({"workers": 1.5}, r"number of threads, 1 or more, not 1\.5"),
    ],
)
def test_wrong_arguments_are_refused_before_there_is_a_table(films, classifier, tmp_path, wrong, message):
    with pytest.raises(mammo.MammoError, match=message):
        mammo.score_folder(films, tmp_path / "scores.csv", **{"classifier": classifier} | wrong)
    assert not (tmp_path / "scores.csv").exists()


def empty(folder):
    """As where a drive was connected before."""
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("gone", [shutil.rmtree, empty])
def test_a_drive_that_fails_ends_the_call_and_leaves_no_rows_of_errors(films, classifier, tmp_path, monkeypatch, gone):
    monkeypatch.setattr(scoring, "BATCH", 2)
    whole = mammo.score_folder(films, tmp_path / "whole.csv", classifier)
    copy = shutil.copytree(films, tmp_path / "copy")
    rows = scoring.Scorer._rows

    def then_gone(scorer, images):
        found = rows(scorer, images)
        if films.is_dir():
            gone(films)
        return found

    monkeypatch.setattr(scoring, "AHEAD", 0)
    monkeypatch.setattr(scoring.Scorer, "_rows", then_gone)
    with pytest.raises(mammo.MammoError, match=r"can no longer be read.*goes on where it stopped"):
        mammo.score_folder(films, tmp_path / "scores.csv", classifier)
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 2
    monkeypatch.undo()
    shutil.rmtree(films, ignore_errors=True)
    copy.rename(films)
    pd.testing.assert_frame_equal(mammo.score_folder(films, tmp_path / "scores.csv", classifier), whole, rtol=1e-4)


def test_a_table_that_cannot_be_written_is_named(films, classifier, tmp_path):
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(mammo.MammoError, match=r"scores\.csv cannot be written"):
        mammo.score_folder(films, tmp_path / "scores.csv", classifier)
