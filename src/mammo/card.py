"""The card of a model: what was decided and measured, complete, and in sentences."""

from __future__ import annotations

from mammo.errors import MammoError

CARD_KEYS = (
    "class_names",
    "image_size",
    "weights",
    "sources",
    "threshold",
    "threshold_rule",
    "calibration",
    "auc",
    "versions",
    "seed",
)


def check_card(card: dict, where: str) -> None:
    """Raise MammoError where the card lacks something that an answer of its model depends on."""
    absent = [key for key in CARD_KEYS if not isinstance(card, dict) or key not in card]
    absent += [f"calibration {key}" for key in ("slope", "intercept") if not absent and key not in card["calibration"]]
    if absent:
        raise MammoError(
            f"{where} lacks {', '.join(absent)}. Evaluate the model with mammo.evaluate and save it again."
        )


def card_text(card: dict) -> str:
    """MODEL_CARD.md: the card in sentences."""
    height, width = card["image_size"]
    calibration = card["calibration"]
    classes = card["class_names"]
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    counts = "\n".join(
        f"| {split} | {n['patients']} | {n['images']} | {n['malignant_images']} |"
        for split, n in card["counts"].items()
    )
    measured = "\n".join(
        f"| {name.replace('_', ' ')} | {card[name]:.3f} | {low:.3f} to {high:.3f} |"
        for name in ("auc", "average_precision", "sensitivity", "specificity", "brier")
        for low, high in [card[f"{name}_interval"]]
    )
    return f"""# Model card

A ResNet50 that answers {" or ".join(classes)} for one mammogram. For learning and research;
it is not a medical device and must not be used to diagnose anyone.

- Trained and tested on: **{", ".join(card["sources"])}** images. It says nothing about other images.
- Weights before training: {card["weights"]}. Image size: {height} x {width}. Seed: {card["seed"]}.
- Threshold: {card["threshold"]:.4f}, {card["threshold_rule"]}.
- Calibration: {calibration["method"]}, slope {calibration["slope"]:.3f} and intercept {calibration["intercept"]:.3f}
  of the log-odds, from validation patients. It holds at their prevalence of {calibration["prevalence"]:.0%} malignant
  images; screening has far fewer, and there a probability means less than it says.
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
