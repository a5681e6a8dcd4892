"""The checklists that reviewers ask for, filled from a model's card: CLAIM 2024 and TRIPOD+AI.

    print(mammo.checklist(card))
    mammo.save_classifier("my_model", model, report, checklist={"CLAIM 44": "no funding", "TRIPOD+AI 18a": "none"})

`checklists.csv` has the items, what each asks for in one line, and what a card records of it. The items are those of
Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update, Radiology: Artificial
Intelligence 6, e240300, 2024, and Collins et al., TRIPOD+AI statement, BMJ 385, e078378, 2024; the words are not.
"""

from __future__ import annotations

import csv
from importlib import resources
from string import Formatter
from typing import TYPE_CHECKING

from mammo.core.errors import MammoError

if TYPE_CHECKING:
    from mammo.models.model_card import ModelCard

with resources.files("mammo.models").joinpath("checklists.csv").open(encoding="utf-8") as _file:
    ITEMS = {f"{row['guideline']} {row['item']}": row for row in csv.DictReader(_file)}
EMPTY = "not recorded"
REPOSITORY = "https://github.com/Vinuthnadivi/Breast_Cancer_Detection"


def checklist(card: ModelCard) -> str:
    """CHECKLIST.md: each item of CLAIM 2024 and TRIPOD+AI with what the card records, or "not recorded".

    What no program can know is taken from `card.checklist`, such as `{"CLAIM 44": "no funding"}`; it comes first.
    """
    from mammo.models.model_card import ModelCard  # which imports this module

    if not isinstance(card, ModelCard):
        raise MammoError(f"{type(card).__name__} is no model card. Give the card of a loaded model, classifier.card.")
    facts = _facts(card)
    recorded = {item: _filled(row["recorded"], facts) for item, row in ITEMS.items()} | card.checklist
    return f"""# Checklists

What this model's card records for each item of two reporting guidelines. "{EMPTY.capitalize()}" means that nobody has
written it down, not that it was not done. Filled by a program: an entry is a start for an author, and no claim of
compliance.

## CLAIM 2024

Tejani et al., Radiology: Artificial Intelligence 6, e240300, 2024; items in short.

{_table("CLAIM", recorded)}

## TRIPOD+AI

Collins et al., BMJ 385, e078378, 2024; items in short.

{_table("TRIPOD+AI", recorded)}
"""


def _facts(card: ModelCard) -> dict[str, str]:
    """What the templates in `checklists.csv` quote; empty where the card does not record it."""
    size = " x ".join(map(str, card.image_size)) + ", RGB" * (card.channels == 3)
    package = card.versions.get("mammo", "")
    fitted = card.calibration
    calibrated = f"{fitted.method} on validation, slope {fitted.slope:.3f}, intercept {fitted.intercept:.3f}"
    performance = ("auc", "average_precision", "brier")
    return {
        "sources": ", ".join(card.sources),
        "preprocessing": f"mammo.data.preprocessing {package}, input {size}",
        "counts": "; ".join(
            f"{split}: {n.patients} patients, {n.images} images, {n.malignant_images} of them malignant"
            for split, n in card.counts.items()
        ),
        "disjoint": "patient: no patient is in two splits" if card.counts else "",
        "model": f"ResNet50, pooling, 1024 units, {len(card.class_names)} classes; input {size}",
        "software": f"mammo {package}, MIT, {REPOSITORY}",
        "versions": ", ".join(f"{name} {number}" for name, number in card.versions.items()),
        "weights": card.weights,
        "training": f"{card.training}; seed {card.seed}; {calibrated}" if card.training else "",
        "where_measured": "MODEL_CARD.md: measured on the test patients" if card.interval_method else "",
        "interval_method": card.interval_method,
        "performance": _measured(card, *performance),
        "performance_and_calibration": _measured(card, *performance, "calibration_intercept", "calibration_slope"),
        "sensitivity_and_specificity": _measured(card, "sensitivity", "specificity"),
        "outcome": f"{' or '.join(card.class_names)}; normal images {card.normal_images}",
        "output": f"probability of malignant; {card.result_rule.range_text(4)}, else uncertain; "
        f"operating point {card.operating_point.threshold:.4f}, {card.operating_point}",
        "ood_sha256": (card.ood_sha256 or "")[:12],
    }


def _measured(card: ModelCard, *names: str) -> str:
    found = [(name.replace("_", " "), card.metrics[name]) for name in names if name in card.metrics]
    return ", ".join(
        f"{name} {metric.value:.3f} ({metric.interval[0]:.3f} to {metric.interval[1]:.3f})"
        for name, metric in found
        if metric.value is not None and metric.interval
    )


def _filled(template: str, facts: dict[str, str]) -> str:
    quoted = [facts[name] for _, name, _, _ in Formatter().parse(template) if name]
    return template.format(**facts) if template and all(quoted) else EMPTY


def _table(name: str, recorded: dict) -> str:
    lines = ["| item | asks for | recorded |", "|---|---|---|"]
    for item, row in ITEMS.items():
        if row["guideline"] == name:
            entry = " ".join(recorded[item].split()).replace("|", r"\|")  # or it would be more cells
            lines.append(f"| {row['item']} | {row['asks_for']} | {entry} |")
    return "\n".join(lines)
