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
    ).assign(path=list("abcd"), split="test", source="synthetic", x=[1, 2, 3, 4])


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


def test_all_columns_are_those_of_the_image_with_the_gravest_label():
    table = views().assign(label=["normal", "benign", "malignant", "benign"])
    breasts = combine_views(table, "breast")
    assert breasts[["patient_id", "laterality"]].agg("".join, axis=1).tolist() == ["AL", "AR", "BL"], "in their order"
    assert (breasts["path"].tolist(), breasts["x"].tolist()) == (["b", "c", "d"], [2, 3, 4])
    patients = combine_views(table)
    assert (patients["path"].tolist(), patients["x"].tolist()) == (["c", "d"], [3, 4])
    assert combine_views(table[::-1], "breast")["path"].tolist() == ["d", "c", "b"], "not the alphabet's"
    assert set(table) - set(breasts) == {"view"}
    assert set(table) - set(patients) == {"view", "laterality"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.assign(label=t["label"].str.upper()),
            "Unknown labels 'BENIGN', 'MALIGNANT', 'NORMAL'; use benign",
        ),
        (lambda t: t.assign(label=t["label"] == "malignant"), "Unknown labels False, True"),
        (lambda t: t.assign(label=[0, 0, 1, 0]), "Unknown labels 0, 1"),
        (lambda t: t.assign(label=["normal", None, "malignant", "benign"]), "no label in 1 rows, first row 2"),
        (lambda t: t.assign(patient_id=["A", "A", None, "B"]), "no patient_id in 1 rows, first row 3"),
        (lambda t: t.drop(columns="patient_id"), "where a column patient_id says whose image each is"),
        (lambda t: t.assign(split=["test", "train", "test", "test"]), "1 patients are in more than one split, first A"),
    ],
)
def test_what_would_be_lost_or_merged_is_refused(change, message):
    with pytest.raises(mammo.MammoError, match=message):
        combine_views(change(views()))


def test_a_table_of_scores_with_patients_is_enough():
    """Of `score_folder`, which has no labels; a result is one image's."""
    scores = views()[["laterality", "view", "probability"]].assign(file=list("abcd"), result="negative")
    combined = combine_views(scores.assign(patient_id=["A", "A", "A", "B"]))
    assert list(combined) == ["probability", "file", "patient_id"]
    assert combined["probability"].tolist() == pytest.approx([0.6, 0.1])
    with pytest.raises(mammo.MammoError, match="patient_id"):
        combine_views(scores)
