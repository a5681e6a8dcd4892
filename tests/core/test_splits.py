import re

import numpy as np
import pandas as pd
import pytest
from manifests import table

import mammo


def test_no_patient_is_in_two_splits():
    split = mammo.split_by_patient(table(), seed=1)
    assert split.groupby("patient_id").split.nunique().max() == 1
    assert set(split.split) == {"train", "validation", "test"}


def test_every_split_has_its_share_of_malignant_patients():
    shares = mammo.split_by_patient(table(90)).groupby("split").label.apply(lambda label: (label == "malignant").mean())
    assert shares.between(0.25, 0.42).all()


def test_every_split_has_its_share_of_each_label():
    labels = ["benign"] * 40 + ["malignant"] * 40 + ["normal"] * 20
    rows = table(100, malignant_every=1).assign(label=np.repeat(labels, 2))
    rows.loc[rows.index[:80:2], "label"] = "normal"  # the other breast of the benign ones: the gravest label counts
    for seed in range(5):
        split = mammo.split_by_patient(rows, seed=seed)
        patients = split.iloc[1::2]  # the second image of each has the gravest label
        for name, expected in {"train": (24, 24, 12), "validation": (6, 6, 3), "test": (10, 10, 5)}.items():
            counts = patients.loc[patients["split"] == name, "label"].value_counts()
            assert tuple(counts[["benign", "malignant", "normal"]]) == expected


def test_a_label_of_few_patients_does_not_prevent_a_split():
    rows = table(30)
    rows.loc[rows["patient_id"] == "P1", "label"] = "normal"
    split = mammo.split_by_patient(rows)
    assert split.groupby("split").label.apply(lambda label: (label == "malignant").mean()).between(0.25, 0.45).all()


def test_the_seed_decides_and_the_order_of_rows_does_not():
    first, again = mammo.split_by_patient(table(), seed=5), mammo.split_by_patient(table(), seed=5)
    assert first.equals(again)
    shuffled = mammo.split_by_patient(table().sample(frac=1, random_state=0), seed=5).sort_index()
    assert shuffled.split.equals(first.split)
    assert not mammo.split_by_patient(table(), seed=6).split.equals(first.split)


def test_too_few_patients_is_an_error():
    with pytest.raises(mammo.MammoError, match="3 patients, 1 of them malignant, are too few"):
        mammo.split_by_patient(table(3))
    with pytest.raises(mammo.MammoError, match="30 patients, 0 of them malignant, are too few"):
        mammo.split_by_patient(table().assign(label="benign"))


@pytest.mark.parametrize(("patients", "malignant_every"), [(3, 3), (12, 6), (40, 20), (8, 1)])
def test_the_number_that_would_be_enough_is_enough_and_one_less_is_not(patients, malignant_every):
    with pytest.raises(mammo.MammoError, match="would be enough") as error:
        mammo.split_by_patient(table(patients, 1, malignant_every), seed=4)
    malignant, others = map(int, re.search(r"(\d+) malignant patients and (\d+) others", str(error.value)).groups())
    assert malignant + others > patients

    def of(malignant, others):
        labels = ["malignant"] * malignant + ["benign"] * others
        return table(len(labels), 1).assign(label=labels)

    mammo.split_by_patient(of(malignant, others), seed=4)
    has = -(-patients // malignant_every)
    with pytest.raises(mammo.MammoError, match="too few"):
        mammo.split_by_patient(of(max(malignant - 1, has), max(others - 1, patients - has)), seed=4)


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.0, 0.0, 0.0), 0.6, "abc", (0.5, 0.25, "0.25")])
def test_fractions_must_make_sense(fractions):
    with pytest.raises(mammo.MammoError, match="fractions are three positive numbers that sum to 1"):
        mammo.split_by_patient(table(), fractions=fractions)


@pytest.mark.parametrize("seed", ["a", -1, 1.5, None, 2**32, np.nan])
def test_a_seed_that_is_none_is_named(demo, seed):
    for split in (mammo.split_by_patient, mammo.add_validation_split):
        with pytest.raises(mammo.MammoError, match="seed is a whole number from 0"):
            split(demo, seed=seed)


def test_numbers_of_numpy_are_numbers():
    fractions = np.array([0.6, 0.15, 0.25])
    assert mammo.split_by_patient(table(), fractions, np.int64(0)).equals(mammo.split_by_patient(table()))
    assert len(mammo.split_by_patient(table(), np.float32([0.5, 0.25, 0.25]))) == 60


def test_a_validation_is_taken_from_the_training_patients_and_the_test_stays(demo):
    owners = demo.assign(split=demo["split"].replace("validation", "train"))
    table = mammo.add_validation_split(owners, seed=1)
    pd.testing.assert_series_equal(table["split"] == "test", owners["split"] == "test")
    train, validation = (table[table["split"] == split] for split in ("train", "validation"))
    assert not set(train["patient_id"]) & set(validation["patient_id"])
    assert validation["patient_id"].nunique() == round(0.2 * owners[owners.split == "train"].patient_id.nunique())
    for part in (train, validation):
        assert 0 < (part["label"] == "malignant").mean() < 1
    with pytest.raises(mammo.MammoError, match=r"too few for a validation split of 0\.2"):
        mammo.add_validation_split(owners[owners["split"] == "train"].head(8))
    with pytest.raises(mammo.MammoError, match="no train images"):
        mammo.add_validation_split(owners[owners["split"] == "test"])
    with pytest.raises(mammo.MammoError, match="has validation images already"):
        mammo.add_validation_split(table)


def test_a_share_that_is_too_small_says_how_many_patients_it_needs(demo):
    owners = demo.assign(split=demo["split"].replace("validation", "train"))
    with pytest.raises(mammo.MammoError, match=r"split of 0\.01 with .*\. 51 malignant patients and 51 others"):
        mammo.add_validation_split(owners, fraction=0.01)
    with pytest.raises(mammo.MammoError, match="Choose a larger share"):
        mammo.add_validation_split(owners, fraction=0.0001)


@pytest.mark.parametrize("fraction", [0, 1.5, "0.2", np.nan])
def test_a_share_that_is_none_is_refused(demo, fraction):
    with pytest.raises(mammo.MammoError, match="between 0 and 1"):
        mammo.add_validation_split(demo, fraction=fraction)
