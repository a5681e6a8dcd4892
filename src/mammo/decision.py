"""From the model's number to an answer: calibration, threshold, what remains possible, and several views of a patient.

`mammo.evaluate` fixes all of it on validation patients, and it is stored with the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mammo.errors import MammoError

if TYPE_CHECKING:
    import pandas as pd

COVERAGE = 0.9
SAME = 0.01  # a probability that differs by no more is the same answer
# Of 1,000 screened women 5.1 had a cancer that was found and 0.8 one that was missed: Lehman et al., National
# performance benchmarks for modern screening digital mammography, Radiology 283, 2017.
SCREENING_PREVALENCE = 0.006
LEVELS = {"breast": ["patient_id", "laterality"], "patient": ["patient_id"]}
SEVERITY = ["normal", "benign", "malignant"]


def threshold_at_sensitivity(truth, probability, target: float) -> float:
    """The highest threshold t for which `probability >= t` finds at least `target` of the malignant images."""
    positive = np.sort(np.asarray(probability)[np.asarray(truth) == 1])
    return float(positive[int(np.floor((1 - target) * len(positive) + 1e-9))])


def calibrated(probability, slope: float, intercept: float):
    """The probability whose log-odds are `slope` times the model's plus `intercept`; the order, and the AUC, stay."""
    return _probability(slope * log_odds(probability) + intercept)


def fit_calibration(truth, probability) -> tuple[float, float]:
    """Slope (above 0) and intercept for `calibrated`, by Platt's method (Advances in Large Margin Classifiers, 1999).

    His smoothed targets keep the slope finite where a few patients are told apart perfectly. The intercept
    makes up for class weights: the probability is right at the prevalence of these patients, and at no other.
    """
    from scipy.optimize import minimize  # costs a quarter of a second, which an answer need not wait for

    truth = np.asarray(truth)
    positive, negative = truth.sum(), (1 - truth).sum()
    target = np.where(truth == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    odds = log_odds(probability)

    def loss(parameters):
        z = np.exp(parameters[0]) * odds + parameters[1]
        return np.mean(np.logaddexp(0, z) - target * z)

    log_slope, intercept = minimize(loss, [0.0, 0.0], method="L-BFGS-B", bounds=[(-5, 3), (-20, 20)]).x
    return float(np.exp(log_slope)), float(intercept)


def fit_limits(truth, probability, coverage: float = COVERAGE) -> dict:
    """Up to which probability benign remains possible, and from which malignant: each for `coverage` of its class.

    Split conformal prediction for each class by itself (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random
    World, 2005, 4.5; Sadinle, Lei and Wasserman, JASA 114, 2019). It holds for images drawn like these; the views of
    one patient are not drawn one by one, which makes it less exact. With too few images a class is always possible.
    """
    truth, probability = np.asarray(truth), np.asarray(probability, np.float64)
    strange = {"benign": np.sort(probability[truth == 0]), "malignant": np.sort(1 - probability[truth == 1])}
    limit = {}
    for name, scores in strange.items():
        place = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
        limit[name] = float(scores[place - 1]) if place <= len(scores) else 1.0
    return {"coverage": coverage, "benign_up_to": limit["benign"], "malignant_from": 1 - limit["malignant"]}


def possible(probability, limits: dict) -> np.ndarray:
    """bool (..., 2): whether benign and whether malignant remains possible. Both is the answer "uncertain".

    A probability between two limits that do not meet is like neither class: then both are kept.
    """
    probability = np.asarray(probability, np.float64)
    both = np.stack([probability <= limits["benign_up_to"], probability >= limits["malignant_from"]], axis=-1)
    return both | ~both.any(axis=-1, keepdims=True)


def decisions(probability, card: dict) -> np.ndarray:
    """bool (n, 3): what calibrated probabilities decide by a card: at or above the threshold, and `possible`."""
    probability = np.asarray(probability)
    return np.column_stack([probability >= card["threshold"], possible(probability, card["conformal"])])


def settled(probability, card: dict, error: float) -> np.ndarray:
    """bool (n,): whether the model's log-odds may be wrong by `error`, and the answer would still be the same.

    That is, with the card's calibration, threshold and limits, every decision, and the probability to 0.01.
    """
    slope, intercept = card["calibration"]["slope"], card["calibration"]["intercept"]
    least, said, most = (
        calibrated(_probability(log_odds(probability) + shift), slope, intercept) for shift in (-error, 0, error)
    )
    near = np.maximum(most - said, said - least) <= SAME
    return near & (decisions(least, card) == decisions(most, card)).all(axis=1)


def positive_predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Of those whose answer is above the threshold, the share with cancer, by Bayes' rule; NaN where there are none."""
    if not 0 <= prevalence <= 1:
        raise MammoError(f"A prevalence of {prevalence} is not a share: give one between 0 and 1, such as 0.006.")
    right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return right / (right + wrong) if right + wrong > 0 else float("nan")


def combine(scored: pd.DataFrame, level: str = "patient") -> pd.DataFrame:
    """Scored images -> one row for each breast or each patient, with its `probability`; fits into `mammo.evaluate`.

    A breast has the mean of its views' log-odds: each view is one more opinion on the same tissue. A patient has the
    higher of her two breasts: cancer in one is enough. A label that is there becomes the worst of its rows.
    Raises MammoError where a row does not say which breast it shows.
    """
    if level not in LEVELS:
        raise MammoError(f"There is no level {level!r}; choose {' or '.join(LEVELS)}.")
    if "laterality" not in scored or not scored["laterality"].isin(["L", "R"]).all():
        raise MammoError("Views can only be combined where the column laterality says L or R for every image.")
    table = scored.assign(probability=log_odds(scored["probability"]))
    rules = {name: "first" for name in table.columns if name not in LEVELS["breast"]} | {"probability": "mean"}
    if "label" in table:
        table["label"] = table["label"].astype("category").cat.set_categories(SEVERITY, ordered=True)
        rules["label"] = "max"
    table = table.groupby(LEVELS["breast"], as_index=False, sort=False).agg(rules)
    if level == "patient":
        rules |= {"probability": "max"}
        table = table.groupby(LEVELS["patient"], as_index=False, sort=False).agg(rules)
    if "label" in table:
        table["label"] = table["label"].astype(str)
    return table.assign(probability=_probability(table["probability"]))


def log_odds(probability) -> np.ndarray:
    """The log-odds of a probability, which is kept away from 0 and 1 by 1e-7."""
    probability = np.clip(np.asarray(probability, np.float64), 1e-7, 1 - 1e-7)
    return np.log(probability / (1 - probability))


def _probability(odds):
    # scipy.special's expit, whose import would cost an answer a tenth of a second
    return 1 / (1 + np.exp(-odds))
