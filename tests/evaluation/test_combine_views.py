import numpy as np
import pandas as pd
import pytest

import mammo
from mammo.evaluation.combine_views import combine_views


def views():
    return pd.DataFrame(
        [
            ("A", "L", "CC", "normal", 0.2),
            ("A", "L", "MLO", "normal", 0.8),
            ("A", "R", "CC", "malignant", 0.6),
            ("B", "L", "CC", "benign", 0.1),
        ],
        columns=["patient_id", "laterality", "view", "label", "probability"],
    ).assign(path="", split="test", source="synthetic")


def test_views_are_combined_to_breasts_and_breasts_to_patients():
    breasts = combine_views(views(), "breast").set_index(["patient_id", "laterality"])
    assert breasts.probability["A", "L"] == pytest.approx(0.5), "log-odds of 0.2 and 0.8 cancel"
    assert breasts.label["A", "L"] == "normal"
    patients = combine_views(views()).set_index("patient_id")
    assert patients.probability["A"] == pytest.approx(0.6)
    assert (patients.label["A"], patients.label["B"]) == ("malignant", "benign")
    assert not isinstance(patients.label.dtype, pd.CategoricalDtype)
    assert list(patients.split) == ["test", "test"]


def test_a_number_and_the_same_number_as_text_are_one_patient():
    table = views().assign(laterality="L", patient_id=pd.Series([1, "1", 1.0] * 10, dtype=object)[: len(views())])
    assert combine_views(table)["patient_id"].tolist() == ["1"]


def test_log_odds_are_averaged_and_not_probabilities():
    """0.2 and 0.95 have odds of 1/4 and 19; their geometric mean is 2.179. The mean probability would be 0.575."""
    table = views().assign(probability=[0.2, 0.95, 0.6, 0.1])
    breast = combine_views(table, "breast").set_index(["patient_id", "laterality"]).probability["A", "L"]
    assert breast == pytest.approx(4.75**0.5 / (1 + 4.75**0.5))
    assert combine_views(table).set_index("patient_id").probability["A"] == pytest.approx(breast)


def test_views_without_laterality_are_refused():
    for table in (views().drop(columns="laterality"), views().assign(laterality=None), views().assign(laterality="B")):
        with pytest.raises(mammo.MammoError, match="laterality"):
            combine_views(table)
    with pytest.raises(mammo.MammoError, match="no rows"):
        combine_views(views().iloc[:0])
    with pytest.raises(mammo.MammoError, match="no level"):
        combine_views(views(), "woman")


def test_several_views_are_better_than_one():
    """Four views of 400 patients with their own errors: the breasts' AUC must be above the images'."""
    rng = np.random.default_rng(1)
    rows = []
    for patient in range(400):
        for side in "LR":
            is_malignant = patient % 2 == 1 and side == "L"
            for view in ("CC", "MLO"):
                odds = rng.normal(2 * is_malignant - 1, 1.5)
                label = "malignant" if is_malignant else "normal"
                rows.append((f"{patient}{side}{view}", f"P{patient}", side, label, odds))
    table = pd.DataFrame(rows, columns=["path", "patient_id", "laterality", "label", "odds"])
    table = table.assign(probability=1 / (1 + np.exp(-table.odds)), source="synthetic")
    table = mammo.split_by_patient(table, seed=0)
    image, breast = mammo.evaluate(table)["auc"], mammo.evaluate(combine_views(table, "breast"))["auc"]
    assert breast > image + 0.03
    assert mammo.evaluate(combine_views(table))["counts"]["test"]["images"] == (table.split == "test").sum() / 4


@pytest.mark.parametrize("probability", ["high", 1.5, None])
def test_what_is_no_probability_is_refused(probability):
    for table in (views().assign(probability=probability), views().drop(columns="probability")):
        with pytest.raises(mammo.MammoError, match="column probability"):
            combine_views(table, "breast")
