import copy
import json
import math
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

import mammo
from mammo.evaluation.operating_point import OperatingPoint
from mammo.models.model_card import PACKAGES, card_json, card_text, check_card, make_card, read_card, write_card
from mammo.models.weights import DEMO

CARD = read_card(DEMO)
VALUES = json.loads((DEMO / "card.json").read_text())

# What is done to the values of a card, and each part of the error: the field, and what is wrong with it.
DEFECTS = {
    "a missing field of a part": (lambda v: v["conformal"].pop("coverage"), ["conformal.coverage is missing"]),
    "a part that is null": (lambda v: v.update(calibration=None), ["calibration: "]),
    "an unknown field": (lambda v: v.update(treshold=0.5), ["treshold: unexpected"]),
    "an unknown field of a part": (lambda v: v["calibration"].update(scale=1.0), ["calibration.scale: unexpected"]),
    "no number": (lambda v: v["calibration"].update(slope=math.nan), ["calibration.slope: "]),
    "a metric that is no number": (lambda v: v["metrics"]["auc"].update(value=math.inf), ["metrics.auc.value: "]),
    "half an interval": (lambda v: v["metrics"]["auc"].update(interval=[0.9]), ["metrics.auc.interval"]),
    "a word for a number": (lambda v: v["operating_point"].update(threshold="0.3"), ["operating_point.threshold: "]),
    "yes for a number": (lambda v: v["calibration"].update(slope=True), ["calibration.slope: "]),
    "no size": (lambda v: v.update(image_size=[-1, 2]), ["image_size.0: "]),
    "a metric that predictions quote": (
        lambda v: (v["metrics"].pop("auc"), v["metrics"]["sensitivity"].update(value=None), v.pop("seed")),
        ["metrics.auc is missing", "metrics.sensitivity is missing", "seed is missing"],
    ),
    "an unknown item of a checklist": (lambda v: v["checklist"].update({"CLAIM 99": "x"}), ["checklist: "]),
    "three sides": (lambda v: v.update(image_size=[1, 2, 3]), ["image_size: "]),
    "several": (
        lambda v: (
            v.pop("operating_point"),
            v.pop("counts"),
            v["conformal"].clear(),
            v.update(calibration=None, foo=1),
        ),
        [
            "operating_point is missing",
            "counts is missing",
            "conformal.coverage is missing",
            "conformal.benign_up_to is missing",
            "conformal.malignant_from is missing",
            "calibration: ",
            "foo: unexpected",
        ],
    ),
}


def problems(error) -> list[str]:
    """The part of the sentence that names the fields, one a field."""
    sentence = str(error.value)
    return sentence[sentence.index("model card: ") + len("model card: ") : sentence.index(". Correct")].split("; ")


@pytest.mark.parametrize(("damage", "expected"), DEFECTS.values(), ids=DEFECTS)
def test_every_wrong_field_is_named_in_one_error_on_loading(damage, expected, tmp_path):
    values = copy.deepcopy(VALUES)
    damage(values)
    (tmp_path / "card.json").write_text(json.dumps(values))
    with pytest.raises(mammo.MammoError, match=r"card\.json does not fit the model card") as error:
        read_card(tmp_path)
    assert len(problems(error)) == len(expected)
    for part in expected:
        assert any(problem.startswith(part) for problem in problems(error)), part


def test_every_wrong_field_is_named_in_one_error_on_writing(tmp_path):
    damaged = replace(CARD, operating_point=None, calibration=None, conformal=replace(CARD.conformal, coverage=None))
    with pytest.raises(mammo.MammoError, match="The card does not fit the model card") as error:
        write_card(tmp_path, damaged)
    named = sorted(problem.split(":")[0] for problem in problems(error))
    assert named == ["calibration", "conformal.coverage", "operating_point"]
    assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_every_field_that_a_report_lacks_is_named_in_one_error(report):
    incomplete = {k: v for k, v in report.items() if k not in ("operating_point", "sources")} | {
        "calibration": None,
        "conformal": {k: v for k, v in report["conformal"].items() if k != "coverage"},
        "extra": 1,
    }
    with pytest.raises(mammo.MammoError, match="The report does not fit the model card") as error:
        make_card(incomplete, image_size=(64, 64), weights="random", seed=0)
    named = sorted(problem.split(":")[0].removesuffix(" is missing") for problem in problems(error))
    assert named == ["calibration", "conformal.coverage", "extra", "operating_point", "sources"]


def test_what_does_not_fit_into_json_is_named():
    with pytest.raises(mammo.MammoError, match=r"does not fit into JSON .*set"):
        check_card(VALUES | {"metadata": {"a": {1, 2}}}, "X")


def test_a_card_is_the_same_after_writing_and_reading(tmp_path):
    card = replace(CARD, metadata={"note": "é | ä", "sizes": [1, 2]}, checklist={"CLAIM 44": "no funding"})
    write_card(tmp_path, card)
    assert read_card(tmp_path) == card
    assert (tmp_path / "card.json").read_text(encoding="utf-8") == card_json(card) + "\n"
    (tmp_path / "again").mkdir()
    write_card(tmp_path / "again", read_card(tmp_path))
    for name in ("card.json", "MODEL_CARD.md", "CHECKLIST.md"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_a_card_of_a_report_has_the_report_and_the_versions(report):
    card = make_card(report, image_size=(64, 64), weights="random", seed=4)
    assert (card.image_size, card.weights, card.seed, card.training) == ((64, 64), "random", 4, "")
    assert card.metrics["auc"].value == report["auc"]
    assert card.metrics["auc"].interval == tuple(report["auc_interval"])
    assert asdict(card.operating_point) == report["operating_point"]
    assert asdict(card.calibration) == report["calibration"]
    assert asdict(card.conformal) == report["conformal"]
    assert {name: asdict(counts) for name, counts in card.counts.items()} == report["counts"]
    assert {name: card.versions[name] for name in PACKAGES} == {name: version(name) for name in PACKAGES}


def test_the_text_of_the_demo_card():
    """What ships is what the code of today writes."""
    assert card_text(CARD) == (DEMO / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_the_text_has_every_metric_and_says_where_there_is_no_value():
    metrics = VALUES["metrics"] | {
        "calibration_slope": {"value": 1.07, "interval": [0.8, 1.3]},
        "positive_predictive_value": {"value": None, "interval": None},
        "negative_share": {"value": 0.5, "interval": [0.4, 0.6]},
        "negative_correct": {"value": None, "interval": None},
        "negative_of_malignant": {"value": 0.1, "interval": [0.05, 0.2]},
        "negative_of_benign": {"value": 0.7, "interval": [0.6, 0.8]},
    }
    text = card_text(check_card(VALUES | {"metrics": metrics}, "X"))
    assert "| calibration slope | 1.070 | 0.800 to 1.300 |" in text
    assert "| positive predictive value | no value | no interval |" in text
    results = "| negative | 0.500 (0.400 to 0.600) | - | 0.100 (0.050 to 0.200) | 0.700 (0.600 to 0.800) |"
    assert results in text


def test_target_validation_and_test_stand_side_by_side():
    point = OperatingPoint(0.3, 0.9, 0.85, 0.95, 0.97, 20)
    text = card_text(replace(CARD, operating_point=point))
    for line in ("| target | 0.900 |", "95% confidence | 0.850 |", "| validation images | 0.970 |", "| test images | "):
        assert line in text
    assert "20 patients with such images are too few" in text


def test_what_a_positive_result_is_worth_is_a_range():
    metrics = VALUES["metrics"] | {
        "positive_of_malignant": {"value": 0.9, "interval": [0.8, 0.95]},
        "positive_of_benign": {"value": 0.0, "interval": [0.0, 0.1]},
    }
    low, high = check_card(VALUES | {"metrics": metrics}, "X").predictive_value(0.01)
    assert low == pytest.approx(0.8 * 0.01 / (0.8 * 0.01 + 0.1 * 0.99))
    assert high == 1
    with pytest.raises(mammo.MammoError, match="prevalence"):
        CARD.predictive_value(6)


def test_a_package_under_another_name_has_its_version(report, monkeypatch):
    """TensorFlow is also distributed as tensorflow-cpu and tf-nightly."""

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("mammo.models.model_card.version", missing)
    monkeypatch.setattr(np, "__version__", "2.0.0")
    card = make_card(report, image_size=(64, 64), weights="random", seed=0, training="")
    assert card.versions["numpy"] == "2.0.0"
    assert card.versions["scikit-image"] == "unknown"
