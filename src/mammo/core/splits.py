"""Train, validation and test: all images of a patient in one of them.

manifest = mammo.split_by_patient(manifest, seed=0)
manifest = mammo.add_validation_split(manifest)  # where the owner has split it into train and test
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from mammo.core.arguments import check_seed, is_number
from mammo.core.errors import MammoError
from mammo.core.manifest import CLASS_NAMES, GRAVITY, SPLITS, check_manifest, check_table, patient_ids, rows_in_split

if TYPE_CHECKING:
    import pandas as pd

MOST = 200  # patients of each class: so far it is looked for how many are enough


def split_by_patient(manifest: pd.DataFrame, fractions=(0.6, 0.15, 0.25), seed: int = 0) -> pd.DataFrame:
    """The manifest with a new `split` column, all images of a patient in one split.

    `fractions` are the shares of patients in train, validation and test, and sum to 1. Patients are
    stratified by their gravest label: every split has its share of malignant, benign and normal ones. Where the
    patients of one label are too few for that, they are stratified by malignant or not.
    Raises MammoError where a split would lack one of the two classes, and says how many patients are enough.
    """
    check_table(manifest)
    check_manifest(manifest.drop(columns="split", errors="ignore"))
    check_seed(seed)
    shares = tuple(fractions) if isinstance(fractions, Iterable) else (fractions,)
    if len(shares) != 3 or not all(is_number(f) and f > 0 for f in shares) or not np.isclose(sum(shares), 1):
        raise MammoError(
            "fractions are three positive numbers that sum to 1, such as (0.6, 0.15, 0.25) for train, validation and "
            f"test, not {fractions!r}."
        )

    _, validation_share, test_share = map(float, shares)

    def divided(labels: pd.Series) -> tuple[pd.Series, ...]:
        train, rest = _halve(labels, validation_share + test_share, seed)
        return train, *_halve(rest, test_share / (validation_share + test_share), seed)

    parts = _divide(_gravest_labels(manifest), divided, "patients", "three splits")
    split_of = {patient: s for s, part in zip(SPLITS, parts, strict=True) for patient in part.index}
    result = manifest.assign(split=patient_ids(manifest).map(split_of))
    check_manifest(result)
    return result


def add_validation_split(manifest: pd.DataFrame, fraction: float = 0.2, seed: int = 0) -> pd.DataFrame:
    """The manifest with a share of its training patients as validation; the owner's test stays as it is.

    Raises MammoError where there is no training part, a validation part already, or one of the two would lack a class.
    """
    check_seed(seed)
    if not (is_number(fraction) and 0 < fraction < 1):
        raise MammoError(f"fraction is the share of the training patients, between 0 and 1, not {fraction!r}.")
    labels = _gravest_labels(rows_in_split(manifest, "train"))
    if (manifest["split"] == "validation").any():
        raise MammoError("The manifest has validation images already. Use it as it is, or split it anew.")
    _, validation = _divide(
        labels,
        lambda some: _halve(some, float(fraction), seed),
        "training patients",
        f"a validation split of {fraction:.3g}",
    )
    moved = (manifest["split"] == "train") & patient_ids(manifest).isin(validation.index)
    return manifest.assign(split=manifest["split"].astype(object).mask(moved, "validation"))


def _gravest_labels(manifest: pd.DataFrame) -> pd.Series:
    """The gravest label of each patient, by patient id in the order of the ids."""
    gravity = manifest["label"].astype(object).map(GRAVITY.index).groupby(patient_ids(manifest)).max().sort_index()
    return gravity.map(dict(enumerate(GRAVITY)))


def _divide(labels: pd.Series, divided: Callable, who: str, into: str) -> tuple[pd.Series, ...]:
    """What `divided` makes of the patients' labels; raises MammoError that says how many would be enough."""
    try:
        return divided(labels)
    except ValueError:
        malignant = int((labels == CLASS_NAMES[1]).sum())
        enough = _enough(malignant, len(labels) - malignant, divided)
        raise MammoError(
            f"{len(labels)} {who}, {malignant} of them malignant, are too few for {into} with both classes in each. "
            f"{enough}"
        ) from None


def _enough(malignant: int, others: int, divided: Callable) -> str:
    """How many patients could be divided, as a sentence; the class with more of them stays as it is."""
    import pandas as pd

    for count in range(1, MOST + 1):
        needed = max(count, malignant), max(count, others)
        try:
            divided(pd.Series(np.repeat(CLASS_NAMES[::-1], needed)))
        except ValueError:
            continue
        return f"{needed[0]} malignant patients and {needed[1]} others would be enough."
    return "Choose a larger share for the smallest split."


def _halve(labels: pd.Series, fraction: float, seed: int) -> tuple[pd.Series, pd.Series]:
    from sklearn.model_selection import train_test_split  # costs a third of a second, which an answer need not wait for

    malignant = labels == CLASS_NAMES[1]
    try:
        first, second = train_test_split(labels, test_size=fraction, random_state=int(seed), stratify=labels)
    except ValueError:  # too few patients of one label
        first, second = train_test_split(labels, test_size=fraction, random_state=int(seed), stratify=malignant)
    if any(malignant[part.index].nunique() < 2 for part in (first, second)):
        raise ValueError("a class is missing")
    return first, second
