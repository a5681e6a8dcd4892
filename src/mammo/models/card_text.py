"""The model card in words: `MODEL_CARD.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mammo.evaluation.results import RESULTS

if TYPE_CHECKING:
    from mammo.models.model_card import Metric, ModelCard


def card_text(card: ModelCard) -> str:
    """MODEL_CARD.md: the card in sentences."""
    size = " x ".join(map(str, card.image_size)) + ", RGB" * (card.channels == 3)
    calibration = card.calibration
    versions = ", ".join(f"{name} {number}" for name, number in card.versions.items())
    counts = "\n".join(
        f"| {split} | {n.patients} | {n.images} | {n.malignant_images} |" for split, n in card.counts.items()
    )
    of_results = [name for name in card.metrics if name.split("_")[0] in RESULTS and "predictive" not in name]
    measured = "\n".join(
        f"| {name.replace('_', ' ')} | {_number(metric)} | {_interval(metric)} |"
        for name, metric in card.metrics.items()
        if name not in of_results
    )
    return f"""# Model card

A ResNet50 that predicts {" or ".join(card.class_names)} for one {card.image_kind}. For learning and research;
it is not a medical device and must not be used to diagnose anyone.

- Trained and tested on: **{", ".join(card.sources)}** images. It says nothing about other images.
- Weights before training: {card.weights}. Image size: {size}. Seed: {card.seed}.
- Training: {card.training or "see the counts below"}.
- Normal images: {card.normal_images}.
- Calibration: {calibration.method}, slope {calibration.slope:.3f} and intercept {calibration.intercept:.3f}
  of the log-odds, from validation patients. It holds at their prevalence of {calibration.prevalence:.0%} malignant
  images; screening has far fewer, and there a probability means less than it says.
- Versions: {versions}.

| split | patients | images | malignant images |
|---|---|---|---|
{counts}

{_operating_point_text(card)}
{_results_text(card)}
## Metrics

Measured on the test patients. Intervals: {card.interval_method}.

| metric | value | 95 % interval |
|---|---|---|
{measured}

Confusion matrix at the operating point (rows truth, columns predicted; {", ".join(card.class_names)}):
{[list(row) for row in card.confusion]}
"""


def _operating_point_text(card: ModelCard) -> str:
    point, sensitivity = card.operating_point, card.metrics["sensitivity"]
    return f"""## Operating point

A probability of {point.threshold:.4f}: {point}.

| sensitivity | |
|---|---|
| target | {point.target_sensitivity:.3f} |
| holds for new patients, {point.confidence:.0%} confidence | {point.held_sensitivity:.3f} |
| validation images | {point.validation_sensitivity:.3f} |
| test images | {_with_interval(sensitivity)} |
"""


def _results_text(card: ModelCard) -> str:
    conformal, limits = card.conformal, card.result_rule.range_text(4)
    results = "\n".join(_result_row(card, result) for result in RESULTS)
    return f"""## Results

The result is {limits}; between them, and for images out of distribution, it
is uncertain. Prediction sets should cover {conformal.coverage:.0%} of each class: benign remains possible up to
{conformal.benign_up_to:.4f}, malignant from {conformal.malignant_from:.4f} on.

On the test images, with 95 % intervals:

| result | share of images | share that is right | share of malignant images | share of benign images |
|---|---|---|---|---|
{results}
"""


def _result_row(card: ModelCard, result: str) -> str:
    parts = ("share", "correct", "of_malignant", "of_benign")
    found = [_with_interval(card.metrics.get(f"{result}_{part}")) for part in parts]
    return f"| {result} | " + " | ".join(found) + " |"


def _with_interval(metric: Metric | None) -> str:
    return "-" if metric is None or metric.value is None else f"{_number(metric)} ({_interval(metric)})"


def _number(metric: Metric) -> str:
    return "no value" if metric.value is None else f"{metric.value:.3f}"


def _interval(metric: Metric) -> str:
    return "no interval" if metric.interval is None else f"{metric.interval[0]:.3f} to {metric.interval[1]:.3f}"
