import re
from dataclasses import replace

import pytest

import mammo
from mammo.models.checklists import EMPTY, ITEMS, checklist
from mammo.models.model_card import read_card, write_card
from mammo.models.weights import DEMO

CARD = read_card(DEMO)


def entries(text):
    """Item -> what is recorded, such as {"CLAIM 44": "no funding"}."""
    found = {}
    for part in text.split("\n## ")[1:]:
        name = part.split("\n")[0].replace("CLAIM 2024", "CLAIM")
        rows = re.findall(r"^\| (\d+[a-g]?) \| (.+?) \| (.+) \|$", part, re.MULTILINE)
        found |= {f"{name} {item}": recorded for item, _, recorded in rows}
    return found


def test_every_item_of_both_guidelines_once():
    items = {name: [item.split(" ")[1] for item in ITEMS if item.startswith(name)] for name in ("CLAIM", "TRIPOD+AI")}
    assert items["CLAIM"] == [str(n) for n in range(1, 45)]
    tripod = items["TRIPOD+AI"]
    assert len(tripod) == len(set(tripod)) == 52
    assert sorted({int(re.match(r"\d+", n)[0]) for n in tripod}) == list(range(1, 28))
    assert list(entries(checklist(CARD))) == list(ITEMS)
    assert len(ITEMS) == 44 + 52
    assert all(row["asks_for"] for row in ITEMS.values())


def test_it_is_filled_from_the_card():
    recorded = entries(checklist(CARD))
    assert recorded["CLAIM 7"] == "synthetic"
    assert recorded["CLAIM 24"] == "random"
    assert f"keras {CARD.versions['keras']}" in recorded["CLAIM 23"]
    test, (low, high) = CARD.counts["test"], CARD.result_rule.uncertain_range
    counts = f"test: {test.patients} patients, {test.images} images, {test.malignant_images} of them malignant"
    assert counts in recorded["TRIPOD+AI 21"]
    for name in ("sensitivity", "specificity"):
        metric = CARD.metrics[name]
        assert f"{name} {metric.value:.3f} ({metric.interval[0]:.3f} to " in recorded["CLAIM 38"]
    assert f"negative below {low:.4f}, positive from {high:.4f}, else uncertain" in recorded["TRIPOD+AI 15"]


def test_what_is_not_recorded_is_shown_as_such():
    recorded = entries(checklist(CARD))
    for item in ("CLAIM 14", "CLAIM 33", "CLAIM 44", "TRIPOD+AI 17", "TRIPOD+AI 18a", "TRIPOD+AI 24"):
        assert recorded[item] == EMPTY, item
    recorded = entries(checklist(replace(CARD, training="", counts={}, ood_sha256=None)))
    for item in ("CLAIM 19", "CLAIM 20", "CLAIM 25", "TRIPOD+AI 21", "TRIPOD+AI 27a"):
        assert recorded[item] == EMPTY, item


def test_a_card_with_nothing_optional_fills_no_item_by_half():
    """No entry shows the name of a field, or ends where a value is missing."""
    bare = replace(CARD, sources=(), weights="", training="", counts={}, metrics={}, interval_method="", versions={})
    recorded = entries(checklist(replace(bare, ood_sha256=None)))
    for item in ("CLAIM 7", "CLAIM 23", "CLAIM 24", "CLAIM 28", "CLAIM 29", "CLAIM 32", "CLAIM 38", "TRIPOD+AI 23a"):
        assert recorded[item] == EMPTY, item
    assert not any("{" in text or text.rstrip().endswith((":", ",")) for text in recorded.values())
    always = {"CLAIM 3", "CLAIM 41", "TRIPOD+AI 3b"}  # holds for every model of this package
    assert always <= {item for item, text in recorded.items() if text != EMPTY}


def test_entries_of_people_come_first():
    recorded = entries(checklist(replace(CARD, checklist={"CLAIM 44": "no funding", "CLAIM 7": "two hospitals"})))
    assert (recorded["CLAIM 44"], recorded["CLAIM 7"]) == ("no funding", "two hospitals")
    recorded = entries(checklist(replace(CARD, checklist={"CLAIM 44": "a | b\nand c"})))
    assert recorded["CLAIM 44"] == r"a \| b and c"


def test_an_item_that_no_guideline_has_is_refused(tmp_path):
    with pytest.raises(mammo.MammoError, match="CLAIM 45"):
        write_card(tmp_path, replace(CARD, checklist={"CLAIM 45": "?"}))


def test_the_checklist_of_the_demo_card():
    """What ships is what the code of today writes."""
    assert checklist(CARD) == (DEMO / "CHECKLIST.md").read_text(encoding="utf-8")


def test_what_is_no_card_is_refused(classifier, report):
    for wrong in (classifier, report, DEMO, None):
        with pytest.raises(mammo.MammoError, match=f"^{type(wrong).__name__} is no model card. Give the card"):
            checklist(wrong)
