import json
import re
from pathlib import Path

import pytest

import mammo
from mammo.models.model_card import card_text, check_card
from mammo.models.checklists import CLAIM, EMPTY, RECORDED, TRIPOD, checklist

DEMO = json.loads((Path(mammo.__file__).parent / "demo" / "card.json").read_text())


def entries(text):
    """(guideline, item) -> what is recorded."""
    found = {}
    for part in text.split("\n## ")[1:]:
        name = part.split("\n")[0].replace("CLAIM 2024", "CLAIM")
        rows = re.findall(r"^\| (\d+[a-g]?) \| (.+?) \| (.+) \|$", part, re.MULTILINE)
        found |= {f"{name} {item}": said for item, _, said in rows}
    return found


def numbers(items):
    return [line.split(" ")[0] for line in items.strip().splitlines()]


def test_every_item_of_both_guidelines_once():
    assert numbers(CLAIM) == [str(n) for n in range(1, 45)]
    tripod = numbers(TRIPOD)
    assert len(tripod) == len(set(tripod)) == 52
    assert sorted({int(re.match(r"\d+", n)[0]) for n in tripod}) == list(range(1, 28))
    assert list(entries(checklist(DEMO))) == [f"CLAIM {n}" for n in numbers(CLAIM)] + [f"TRIPOD+AI {n}" for n in tripod]
    assert {item for items in RECORDED for item in items} <= entries(checklist(DEMO)).keys()


def test_it_is_filled_from_the_card():
    said = entries(checklist(DEMO))
    assert said["CLAIM 7"] == "synthetic"
    assert said["CLAIM 24"] == "random"
    assert "keras 3.15.1" in said["CLAIM 23"]
    assert "test: 300 patients, 1200 images, 240 of them malignant" in said["TRIPOD+AI 21"]
    assert said["CLAIM 38"] == "sensitivity 0.896 (0.846 to 0.935), specificity 0.967 (0.953 to 0.979)"
    assert "alarm from 0.2012" in said["TRIPOD+AI 15"]


def test_what_nobody_recorded_is_shown_as_empty():
    said = entries(checklist(DEMO))
    for item in ("CLAIM 14", "CLAIM 33", "CLAIM 44", "TRIPOD+AI 17", "TRIPOD+AI 18a", "TRIPOD+AI 24"):
        assert said[item] == EMPTY, item
    bare = {key: value for key, value in DEMO.items() if key not in ("training", "counts", "familiar_sha256")}
    said = entries(checklist(bare))
    for item in ("CLAIM 19", "CLAIM 20", "CLAIM 25", "TRIPOD+AI 21", "TRIPOD+AI 27a"):
        assert said[item] == EMPTY, item
    assert {item for item, said in entries(checklist({})).items() if said != EMPTY} == {
        "CLAIM 3",
        "CLAIM 41",
        "TRIPOD+AI 3b",
    }, "what holds for every model of this package"


def test_what_only_people_know_is_theirs_to_say():
    said = entries(checklist(DEMO | {"checklist": {"CLAIM 44": "no funding", "CLAIM 7": "two hospitals"}}))
    assert (said["CLAIM 44"], said["CLAIM 7"]) == ("no funding", "two hospitals")
    said = entries(checklist(DEMO | {"checklist": {"CLAIM 44": "a | b\nand c"}}))
    assert said["CLAIM 44"] == r"a \| b and c"
    with pytest.raises(mammo.MammoError, match="CLAIM 45"):
        check_card(DEMO | {"checklist": {"CLAIM 45": "?"}}, "The report")


def test_a_card_from_before_has_the_text_it_had_and_its_checklist():
    folder = Path(mammo.__file__).parent / "demo"
    assert card_text(DEMO) == (folder / "MODEL_CARD.md").read_text()
    assert checklist(DEMO) == (folder / "CHECKLIST.md").read_text()


def test_new_measures_are_in_the_text_and_what_has_no_value_says_so():
    new = {"auc_delong_interval": [0.941, 0.983], "calibration_slope": 1.07, "calibration_slope_interval": [0.8, 1.3]}
    gone = {"positive_predictive_value": None, "positive_predictive_value_interval": None}
    text = card_text(DEMO | new | gone)
    assert "| auc, by DeLong | 0.966 | 0.941 to 0.983 |" in text
    assert "| calibration slope | 1.070 | 0.800 to 1.300 |" in text
    assert "| positive predictive value | no value | none |" in text
    assert "| auc, by DeLong | 0.966 | none |" in card_text(DEMO | {"auc_delong_interval": None})
