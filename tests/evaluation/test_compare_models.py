import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

import mammo
from mammo.evaluation.delong import degrees_of_freedom, placements


def scored(patients=60, images=4, signal=1.5, noise=1.0, seed=0):
    """Test images; `signal` and `noise` are the model's, a patient's own effect is the same for every model."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(patients), images)
    label = np.where(patient % 2, "malignant", "benign")
    patient_effect = rng.normal(size=patients)[patient]
    odds = signal * (patient % 2) + patient_effect + noise * np.random.default_rng(seed).normal(size=len(patient))
    path = [f"{p}_{i}" for i, p in enumerate(patient)]
    ids = [f"P{p}" for p in patient]
    table = {"path": path, "label": label, "patient_id": ids, "split": "test", "probability": 1 / (1 + np.exp(-odds))}
    return pd.DataFrame(table)


def test_the_published_example(ovarian):
    """DeLong et al. 1988 as SAS/STAT prints it: albumin 0.0108 above the K-G score, standard error 0.0953, p 0.9102."""
    truth, tests = ovarian
    ids = [f"P{i}" for i in range(len(truth))]
    table = pd.DataFrame({"path": ids, "patient_id": ids, "split": "test"}).assign(
        label=np.where(truth, "malignant", "benign")
    )
    a, b = (table.assign(probability=tests[name] / 10) for name in ("albumin", "score"))
    result = mammo.compare_models(a, b)
    assert result["difference"] == pytest.approx(0.0108, abs=5e-5)
    placed = placements(truth, tests["albumin"]) - placements(truth, tests["score"])
    half = t.ppf(0.975, degrees_of_freedom(truth, placed, ids)) * 0.0953  # SAS/STAT has the normal quantile
    assert result["interval"] == pytest.approx([0.0108 - half, 0.0108 + half], abs=2e-4)
    assert result["p"] == pytest.approx(0.9102, abs=2e-3)


def test_the_interval_holds_a_large_difference_of_few_patients():
    """1,000 pairs of models with AUCs of 0.86 and 0.74 on 20 patients; the normal quantile holds 92 %."""
    held, patient = [], np.repeat(np.arange(20), 2)
    rows = pd.DataFrame({"path": np.arange(40).astype(str), "patient_id": patient.astype(str), "split": "test"})
    rows = rows.assign(label=np.array(mammo.CLASS_NAMES)[patient % 2])
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        shared = rng.normal(size=20)[patient] + 2 * norm.ppf(0.86) * (patient % 2)
        less = 2 * (norm.ppf(0.86) - norm.ppf(0.74)) * (patient % 2)
        scores = [shared + rng.normal(size=40), shared + rng.normal(size=40) - less]
        result = mammo.compare_models(*(rows.assign(probability=norm.cdf(each / 3)) for each in scores))
        low, high = result["interval"]
        held.append(low <= 0.12 <= high)
        assert (result["p"] < 0.05) == (low > 0 or high < 0)
    assert 0.93 <= np.mean(held) <= 0.97


def test_the_difference_is_that_of_scikit_learns_aucs():
    a, b = scored(signal=2.5, seed=1), scored(signal=1, seed=2)
    result = mammo.compare_models(a, b)
    truth = a.label == "malignant"
    assert result["difference"] == pytest.approx(
        roc_auc_score(truth, a.probability) - roc_auc_score(truth, b.probability)
    )
    assert result["p"] < 0.001
    assert (result["images"], result["patients"]) == (240, 60)
    assert json.loads(json.dumps(result)) == result


def test_the_order_of_rows_and_of_models():
    a, b = scored(signal=2, seed=1), scored(signal=1, seed=2)
    one, other = (
        mammo.compare_models(a, b.sample(frac=1, random_state=0)),
        mammo.compare_models(b, a),
    )
    assert one["difference"] == pytest.approx(-other["difference"])
    assert one["p"] == pytest.approx(other["p"])
    assert one["interval"][0] == pytest.approx(-other["interval"][1])


def test_pairing_makes_the_interval_narrower():
    """Both models share the effect of the patients; the same scores on other patients would not cancel."""
    a, b = scored(noise=0.3, seed=1), scored(noise=0.3, seed=2)
    alone = mammo.compare_models(a, a.assign(probability=np.random.default_rng(3).uniform(size=len(a))))
    width = np.diff(mammo.compare_models(a, b)["interval"])
    assert width < 0.3 * np.diff(alone["interval"])


def test_patients_and_not_images_are_counted():
    """Four copies of every image add no information."""
    a, b = scored(images=1, signal=2, seed=1), scored(images=1, signal=1, seed=2)
    more = [pd.concat([t.assign(path=t.path + f"_{copy}") for copy in range(4)], ignore_index=True) for t in (a, b)]
    once, copied = mammo.compare_models(a, b), mammo.compare_models(*more)
    for key in ("interval", "p"):
        assert copied[key] == pytest.approx(once[key]), key


def test_p_of_equally_good_models_is_uniform():
    """300 pairs of models that are equally good: p below 0.05 in about 15, evenly spread."""
    p = [mammo.compare_models(scored(30, 2, seed=2 * s), scored(30, 2, seed=2 * s + 1))["p"] for s in range(300)]
    assert 5 <= np.sum(np.array(p) < 0.05) <= 27
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


def test_a_model_and_itself():
    result = mammo.compare_models(scored(), scored())
    assert (result["difference"], result["interval"], result["p"]) == (0, None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[1:], "1 are in one table only, first 0_0"),
        (lambda t: t.assign(path=t.path + "x"), "not scored on the same test images"),
        (lambda t: t.assign(label=t.label.where(t.path != "0_0", "malignant")), "another label, first 0_0"),
        (lambda t: t.assign(patient_id=t.patient_id + "x"), "another patient_id"),
        (lambda t: t.drop(columns="probability"), "no column probability"),
        (lambda t: t.drop(columns="split"), "no test images"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    with pytest.raises(mammo.MammoError, match=message):
        mammo.compare_models(scored(), change(scored()))


def test_patches_of_one_film_are_different_images():
    one = scored().assign(path=lambda t: t.patient_id, x=lambda t: t.index % 4, y=0.0, patch_size=64.0)
    other = scored(seed=1).assign(path=one.path, x=one.x, y=one.y, patch_size=one.patch_size)
    apart = mammo.compare_models(scored(), scored(seed=1))
    assert mammo.compare_models(one, other.sample(frac=1, random_state=0))["difference"] == apart["difference"]
    with pytest.raises(mammo.MammoError, match="1 are in one table only, first P0"):
        mammo.compare_models(one, other.iloc[1:])


def test_one_patient_of_a_class_is_refused():
    one = scored().assign(patient_id=lambda t: t.patient_id.where(t.label == "benign", "P1"))
    with pytest.raises(mammo.MammoError, match="single patient"):
        mammo.compare_models(one, one)


def test_patches_are_not_compared_with_images():
    """A lesion's square is another image than the film it was cut from, on whichever side it is."""
    patches = scored().assign(x=1.0, y=0.0, patch_size=64.0)
    for tables in ((patches, scored()), (scored(), patches)):
        with pytest.raises(mammo.MammoError, match="One table is of patches and one of whole images"):
            mammo.compare_models(*tables)


def test_paths_may_be_paths_and_text():
    a, b = scored(), scored(seed=1)
    as_paths = b.assign(path=[Path(path) for path in b["path"]])
    assert mammo.compare_models(a, as_paths) == mammo.compare_models(a, b)
