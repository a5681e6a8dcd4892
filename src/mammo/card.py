"""The card of a model: what was decided and measured, complete, and in sentences; and what lies beside it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np

from mammo.errors import MammoError
from mammo.reporting import ITEMS, checklist
from mammo.storage import write_arrays

CARD_KEYS = (
    "class_names",
    "image_size",
    "weights",
    "sources",
    "threshold",
    "threshold_rule",
    "calibration",
    "conformal",
    "sensitivity",
    "specificity",
    "auc",
    "versions",
    "seed",
)


MEASURES = (
    "auc",
    "partial_auc",
    "average_precision",
    "sensitivity",
    "specificity",
    "positive_predictive_value",
    "negative_predictive_value",
    "brier",
    "expected_calibration_error",
    "calibration_slope",
    "calibration_intercept",
    "benign_covered",
    "malignant_covered",
    "uncertain",
)


def check_card(card: dict, where: str) -> None:
    """Raise MammoError where the card lacks what an answer of its model depends on, or fills an unknown item."""
    absent = [key for key in CARD_KEYS if not isinstance(card, dict) or key not in card]
    for part, keys in {"calibration": ("slope", "intercept"), "conformal": ("benign_up_to", "malignant_from")}.items():
        absent += [f"{part} {key}" for key in keys if not absent and key not in card[part]]
    if absent:
        raise MammoError(
            f"{where} lacks {', '.join(absent)}. Evaluate the model with mammo.evaluate and save it again."
        )
    strange = sorted(set(card.get("checklist", {})) - set(ITEMS))
    if strange:
        raise MammoError(
            f"{where} fills {', '.join(strange)} of the checklists, which have no such item. Name items like CLAIM 44 "
            "or TRIPOD+AI 18a."
        )


def read_card(folder: Path) -> dict:
    """The card of a saved classifier; raises MammoError where it is missing, damaged or incomplete."""
    path = folder / "card.json"
    if not path.is_file():
        raise MammoError(f"{folder} has no card.json; it is not a saved classifier. Notebook 02 makes one.")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MammoError(f"{path} is damaged ({error}). Save the model again.") from None
    check_card(card, f"{path}")
    return card


def write_card(folder: Path, card: dict) -> None:
    """`card.json` for programs, `MODEL_CARD.md` for people, `CHECKLIST.md` for reviewers."""
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text(card_text(card), encoding="utf-8")
    (folder / "CHECKLIST.md").write_text(checklist(card), encoding="utf-8")


def write_familiar(folder: Path, familiar: dict[str, np.ndarray]) -> str:
    """Write what is familiar to the model; returns the SHA-256 of its arrays, for the card."""
    write_arrays(folder / "familiar.npz", familiar)
    return _sha256_of_arrays(familiar)


def read_familiar(folder: Path, card: dict) -> dict[str, np.ndarray] | None:
    """What is familiar to the model, None where nobody has learned it; raises MammoError for another model's."""
    if "familiar_sha256" not in card:
        return None
    path = folder / "familiar.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            familiar = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        familiar = {}
    if _sha256_of_arrays(familiar) != card["familiar_sha256"]:
        raise MammoError(f"{path} is missing or damaged, or belongs to another model. Save the model again.")
    return familiar


def _sha256_of_arrays(arrays: dict[str, np.ndarray]) -> str:
    """Of names, shapes and numbers, whatever the file that holds them looks like."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def card_text(card: dict) -> str:
    """MODEL_CARD.md: the card in sentences."""
    height, width = card["image_size"]
    calibration, conformal = card["calibration"], card["conformal"]
    classes = card["class_names"]
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    counts = "\n".join(
        f"| {split} | {n['patients']} | {n['images']} | {n['malignant_images']} |"
        for split, n in card["counts"].items()
    )
    rows = [(name, card[name], card[f"{name}_interval"]) for name in MEASURES if name in card]
    if "auc_delong_interval" in card:
        rows.insert(1, ("auc, by DeLong", card["auc"], card["auc_delong_interval"]))
    measured = "\n".join(_measured(*row) for row in rows)
    return f"""# Model card

A ResNet50 that answers {" or ".join(classes)} for one mammogram. For learning and research;
it is not a medical device and must not be used to diagnose anyone.

- Trained and tested on: **{", ".join(card["sources"])}** images. It says nothing about other images.
- Weights before training: {card["weights"]}. Image size: {height} x {width}. Seed: {card["seed"]}.
- Threshold: {card["threshold"]:.4f}, {card["threshold_rule"]}.
- Calibration: {calibration["method"]}, slope {calibration["slope"]:.3f} and intercept {calibration["intercept"]:.3f}
  of the log-odds, from validation patients. It holds at their prevalence of {calibration["prevalence"]:.0%} malignant
  images; screening has far fewer, and there a probability means less than it says.
- "Uncertain" is an answer: benign stays possible up to a probability of {conformal["benign_up_to"]:.4f}, malignant
  from {conformal["malignant_from"]:.4f} on, so that each covers {conformal["coverage"]:.0%} of its validation images;
  what they cover on test images is measured below.
- Training: {card.get("training", "see the counts below")}.
- Normal images: {card["normal_images"]}.
- Versions: {versions}.

| split | patients | images | malignant images |
|---|---|---|---|
{counts}

Measured on the test patients ({card["interval_method"]}):

| measure | value | 95 % interval |
|---|---|---|
{measured}

Confusion matrix at the threshold (rows the truth, columns the answer; {", ".join(classes)}): {card["confusion"]}
"""


def _measured(name: str, value: float | None, interval: list[float] | None) -> str:
    said = "no value" if value is None else f"{value:.3f}"
    ends = "none" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
    return f"| {name.replace('_', ' ')} | {said} | {ends} |"
