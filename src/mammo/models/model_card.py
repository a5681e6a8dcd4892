"""The model card: everything that a prediction depends on and that was measured, with one declared schema.

`ModelCard` is the schema. It is checked when a card is written and when it is loaded, and every missing, unknown or
wrong field is named in one MammoError.
"""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, PositiveInt, TypeAdapter, ValidationError

from mammo.core.errors import MammoError
from mammo.core.files import write_atomically
from mammo.core.manifest import IMAGE_KINDS
from mammo.evaluation.calibration import Calibration
from mammo.evaluation.operating_point import OperatingPoint, positive_predictive_value
from mammo.evaluation.prediction_sets import PredictionSetLimits
from mammo.evaluation.results import ResultRule
from mammo.models.card_text import card_text
from mammo.models.checklists import ITEMS, checklist

CARD_FILES = {"card.json", "MODEL_CARD.md", "CHECKLIST.md"}
PACKAGES = ("mammo", "tensorflow", "keras", "numpy", "pydicom", "scikit-image")
NEEDED_METRICS = ("auc", "sensitivity", "positive_of_malignant", "positive_of_benign")  # a prediction quotes them


def _finite(value):
    json.dumps(value, allow_nan=False)  # raises ValueError
    return value


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

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    class_names: tuple[str, ...]
    image_size: tuple[PositiveInt, PositiveInt]
    """(height, width) of the input in pixels."""
    weights: str
    """What the convolutions started from."""
    seed: int
    sources: tuple[str, ...]
    """Names of the data sets, `synthetic` among them where images were drawn."""
    operating_point: OperatingPoint
    calibration: Calibration
    conformal: PredictionSetLimits
    metrics: dict[str, Metric]
    """Measured on the test patients; by the names of `mammo.evaluate`'s report."""
    confusion: tuple[tuple[int, int], tuple[int, int]]
    """Rows truth, columns predicted, in the order of `class_names`."""
    interval_method: str
    normal_images: str
    counts: dict[str, SplitCounts]
    versions: dict[str, str]
    training: str = ""
    checklist: dict[str, str] = field(default_factory=dict)
    """What no program can know, by item: `{"CLAIM 44": "no funding"}`."""
    metadata: dict[str, Annotated[object, AfterValidator(_finite)]] = field(default_factory=dict)
    image_kind: Literal[tuple(IMAGE_KINDS)] = "mammogram"
    """What the model takes; it decides how a file is read."""
    model_sha256: str | None = None
    weights_sha256: str | None = None
    ood_sha256: str | None = None

    @property
    def model_id(self) -> str | None:
        """SHA-256 of the file that holds the weights."""
        return self.model_sha256 or self.weights_sha256

    @property
    def channels(self) -> int:
        """Of the model's input: 1 for greys, 3 for RGB."""
        return IMAGE_KINDS[self.image_kind]

    @property
    def result_rule(self) -> ResultRule:
        """Negative, uncertain or positive."""
        return ResultRule(self.operating_point.threshold, self.conformal)

    def predictive_value(self, prevalence: float) -> tuple[float, float]:
        """Between which shares of positive results would be cancers at a prevalence, from the 95 % intervals.

        Both shares that it is computed from are taken at the ends of their intervals, so that it is wider than a 95 %
        interval of its own. Raises MammoError where the prevalence is not between 0 and 1.
        """
        found, false = (self.metrics[f"positive_of_{name}"] for name in ("malignant", "benign"))
        low_found, high_found = found.interval or (0.0, 1.0)
        low_false, high_false = false.interval or (0.0, 1.0)
        low = positive_predictive_value(low_found, 1 - high_false, prevalence)
        high = positive_predictive_value(high_found, 1 - low_false, prevalence)
        return low, high


_SCHEMA = TypeAdapter(ModelCard)


def check_card(values: dict, where: str) -> ModelCard:
    """The values of `card.json` as a card; raises one MammoError that names every field that is missing or wrong."""
    card, problems = None, []
    try:
        card = _SCHEMA.validate_json(json.dumps(values, default=_plain), strict=True)
    except TypeError as error:
        problems.append(f"it does not fit into JSON ({error})")
    except ValidationError as error:
        problems += map(_problem, error.errors())
    metrics, checklist = (values.get(name) if isinstance(values, dict) else None for name in ("metrics", "checklist"))
    if isinstance(metrics, dict):
        problems += [f"metrics.{name} is missing" for name in NEEDED_METRICS if not _has_value(metrics.get(name))]
    if isinstance(checklist, dict):
        problems += [
            f"checklist: there is no item {item}, items are named like CLAIM 44 or TRIPOD+AI 18a"
            for item in sorted(set(checklist) - set(ITEMS))
        ]
    if problems:
        raise MammoError(
            f"{where} does not fit the model card: {'; '.join(problems)}. Correct this, or evaluate the model with "
            "mammo.evaluate and save it again."
        )
    return card


def _plain(value):
    """What numpy has computed as Python's own numbers and lists."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is of the type {type(value).__name__}")


def _problem(problem: dict) -> str:
    name = ".".join(str(part) for part in problem["loc"]) or "the file"
    missing = problem["type"] in ("missing", "missing_argument")
    return f"{name} is missing" if missing else f"{name}: {problem['msg'].lower()}"


def _has_value(metric) -> bool:
    return isinstance(metric, dict) and metric.get("value") is not None


def make_card(report: dict, **fields) -> ModelCard:
    """A card from the report of `mammo.evaluate` and the other fields of ModelCard; raises MammoError as `check_card`.

    Versions of this environment are filled in.
    """
    if not isinstance(report, dict):
        raise MammoError(f"The report is what mammo.evaluate returned, not {type(report).__name__}.")
    names = [name for name in report if f"{name}_interval" in report]
    metrics = {name: {"value": report[name], "interval": report[f"{name}_interval"]} for name in names}
    measured = {*names, *(f"{name}_interval" for name in names)}
    values = {name: value for name, value in report.items() if name not in measured}
    versions = {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}
    return check_card(values | {"metrics": metrics, "versions": versions} | fields, "The report")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # such as TensorFlow's, which is distributed under several names
        return getattr(sys.modules.get(package), "__version__", "unknown")


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
    texts = {"card.json": card_json(card) + "\n", "MODEL_CARD.md": card_text(card), "CHECKLIST.md": checklist(card)}
    for name, text in texts.items():
        write_atomically(folder / name, partial(Path.write_text, data=text, encoding="utf-8"))


def card_json(card: ModelCard) -> str:
    """The card as it stands in `card.json`."""
    return json.dumps(asdict(card), indent=2)
