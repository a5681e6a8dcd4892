"""The model card: everything that a prediction depends on and that was measured, with one declared schema.

`ModelCard` is the schema. It is checked when a card is written and when it is loaded, and every missing, unknown or
wrong field is named in one MammoError.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from mammo.core.errors import MammoError
from mammo.evaluation.calibration import Calibration
from mammo.evaluation.prediction_sets import PredictionSetLimits
from mammo.models.checklists import ITEMS, checklist

CARD_FILES = {"card.json", "MODEL_CARD.md", "CHECKLIST.md"}
PACKAGES = ("mammo", "tensorflow", "keras", "numpy", "pydicom", "scikit-image")
NEEDED_METRICS = ("auc", "sensitivity", "specificity")  # a prediction quotes them


@dataclass(frozen=True)
class Metric:
    """A value with its 95 % interval; None where it has none."""

    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class SplitCounts:
    """How much there is in one split."""

    images: int
    patients: int
    malignant_images: int


@dataclass(frozen=True)
class ModelCard:
    """What was decided and measured, as `card.json` holds it."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=False)

    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    """(height, width) of the input in pixels."""
    weights: str
    """What the convolutions started from."""
    seed: int
    sources: tuple[str, ...]
    """Names of the data sets, `synthetic` among them where images were drawn."""
    threshold: float
    threshold_rule: str
    calibration: Calibration
    conformal: PredictionSetLimits
    metrics: dict[str, Metric]
    """Measured on the test patients; by the names of `mammo.evaluate`'s report."""
    auc_delong_interval: tuple[float, float] | None
    confusion: tuple[tuple[int, int], tuple[int, int]]
    """Rows truth, columns predicted, in the order of `class_names`."""
    interval_method: str
    normal_images: str
    counts: dict[str, SplitCounts]
    versions: dict[str, str]
    training: str = ""
    checklist: dict[str, str] = field(default_factory=dict)
    """What no program can know, by item: `{"CLAIM 44": "no funding"}`."""
    metadata: dict = field(default_factory=dict)
    model_sha256: str | None = None
    weights_sha256: str | None = None
    ood_sha256: str | None = None


_SCHEMA = TypeAdapter(ModelCard)


def check_card(values: dict, where: str) -> ModelCard:
    """The values of `card.json` as a card; raises one MammoError that names every field that is missing or wrong."""
    try:
        card = _SCHEMA.validate_python(values)
    except ValidationError as error:
        raise MammoError(
            f"{where} does not fit the model card: {_problems(error)}. Evaluate the model with mammo.evaluate and save "
            "it again."
        ) from None
    absent = [name for name in NEEDED_METRICS if name not in card.metrics or card.metrics[name].value is None]
    if absent:
        raise MammoError(f"{where} lacks the metrics {', '.join(absent)}. Evaluate the model with mammo.evaluate.")
    unknown = sorted(set(card.checklist) - set(ITEMS))
    if unknown:
        raise MammoError(
            f"{where} fills {', '.join(unknown)} of the checklists, which have no such item. Name items like CLAIM 44 "
            "or TRIPOD+AI 18a."
        )
    return card


def _problems(error: ValidationError) -> str:
    found = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"]) or "the file"
        missing = problem["type"] in ("missing", "missing_argument")
        found.append(f"{name} is missing" if missing else f"{name}: {problem['msg'].lower()}")
    return "; ".join(found)


def make_card(report: dict, **fields) -> ModelCard:
    """A card from the report of `mammo.evaluate` and the other fields of ModelCard; raises MammoError as `check_card`.

    Versions of this environment are filled in.
    """
    names = [name for name in report if f"{name}_interval" in report]
    metrics = {name: {"value": report[name], "interval": report[f"{name}_interval"]} for name in names}
    measured = {*names, *(f"{name}_interval" for name in names)}
    values = {name: value for name, value in report.items() if name not in measured}
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return check_card(values | {"metrics": metrics, "versions": versions} | fields, "The report")


def read_card(folder: Path) -> ModelCard:
    """The card of a saved classifier; raises MammoError where it is missing, damaged or incomplete."""
    path = folder / "card.json"
    if not path.is_file():
        raise MammoError(f"{folder} has no card.json; it is not a saved classifier. Notebook 02 makes one.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MammoError(f"{path} is damaged ({error}). Save the model again.") from None
    return check_card(values, str(path))


def write_card(folder: Path, card: ModelCard) -> None:
    """`card.json` for programs, `MODEL_CARD.md` for people, `CHECKLIST.md` for reviewers."""
    card = check_card(asdict(card), "The card")
    (folder / "card.json").write_text(card_json(card) + "\n", encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text(card_text(card), encoding="utf-8")
    (folder / "CHECKLIST.md").write_text(checklist(card), encoding="utf-8")


def card_json(card: ModelCard) -> str:
    """The card as it stands in `card.json`."""
    return json.dumps(asdict(card), indent=2)


def card_text(card: ModelCard) -> str:
    """MODEL_CARD.md: the card in sentences."""
    height, width = card.image_size
    calibration, conformal = card.calibration, card.conformal
    versions = ", ".join(f"{name} {number}" for name, number in card.versions.items())
    counts = "\n".join(
        f"| {split} | {n.patients} | {n.images} | {n.malignant_images} |" for split, n in card.counts.items()
    )
    rows = [(name.replace("_", " "), metric) for name, metric in card.metrics.items()]
    if card.auc_delong_interval is not None:
        rows.insert(1, ("auc, by DeLong", Metric(card.metrics["auc"].value, card.auc_delong_interval)))
    measured = "\n".join(_row(name, metric) for name, metric in rows)
    return f"""# Model card

A ResNet50 that predicts {" or ".join(card.class_names)} for one mammogram. For learning and research;
it is not a medical device and must not be used to diagnose anyone.

- Trained and tested on: **{", ".join(card.sources)}** images. It says nothing about other images.
- Weights before training: {card.weights}. Image size: {height} x {width}. Seed: {card.seed}.
- Threshold: {card.threshold:.4f}, {card.threshold_rule}.
- Calibration: {calibration.method}, slope {calibration.slope:.3f} and intercept {calibration.intercept:.3f}
  of the log-odds, from validation patients. It holds at their prevalence of {calibration.prevalence:.0%} malignant
  images; screening has far fewer, and there a probability means less than it says.
- Prediction sets: benign stays possible up to a probability of {conformal.benign_up_to:.4f}, malignant from
  {conformal.malignant_from:.4f} on; where both are possible the result is uncertain. Each class is covered for
  {conformal.coverage:.0%} of its validation images; the coverage on test images is measured below.
- Training: {card.training or "see the counts below"}.
- Normal images: {card.normal_images}.
- Versions: {versions}.

| split | patients | images | malignant images |
|---|---|---|---|
{counts}

Measured on the test patients ({card.interval_method}):

| metric | value | 95 % interval |
|---|---|---|
{measured}

Confusion matrix at the threshold (rows truth, columns predicted; {", ".join(card.class_names)}):
{[list(row) for row in card.confusion]}
"""


def _row(name: str, metric: Metric) -> str:
    value = "no value" if metric.value is None else f"{metric.value:.3f}"
    ends = "none" if metric.interval is None else f"{metric.interval[0]:.3f} to {metric.interval[1]:.3f}"
    return f"| {name} | {value} | {ends} |"
