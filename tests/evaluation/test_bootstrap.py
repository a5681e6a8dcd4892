import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mammo.evaluation.bootstrap import Estimate, bootstrap, roc_band
from mammo.evaluation.metrics import auc, per_draw


def scored(patients=120, images=2, signal=1.5, seed=0):
    """Truth, probability and patient: the log-odds differ by `signal` and share an effect of the patient."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), images)
    truth = patient % 2
    odds = signal * (truth - 0.5) + rng.normal(size=patients)[patient] + 0.1 * rng.normal(size=len(patient))
    return truth, 1 / (1 + np.exp(-odds)), patient


def test_the_estimate_names_its_value_and_ends():
    estimate = bootstrap(auc, *scored(), resamples=50)
    assert isinstance(estimate, Estimate)
    truth, probability, _ = scored()
    assert estimate.value == pytest.approx(roc_auc_score(truth, probability))
    assert estimate.low < estimate.value < estimate.high


def test_resampling_patients_is_wider_than_resampling_images():
    truth, probability, patients = scored(60, images=8)
    by_patient = bootstrap(auc, truth, probability, patients)
    by_image = bootstrap(auc, truth, probability, np.arange(len(truth)))
    assert by_patient.high - by_patient.low > 1.8 * (by_image.high - by_image.low)


def test_the_interval_covers_as_often_as_it_says():
    """40 data sets whose true AUC is known: a 95 % interval misses it about twice."""
    true_auc = roc_auc_score(*scored(20000, 1)[:2])
    inside = 0
    for seed in range(40):
        estimate = bootstrap(auc, *scored(80, seed=seed + 1), resamples=100, seed=seed)
        inside += estimate.low <= true_auc <= estimate.high
    assert inside >= 34


def test_the_draws_are_the_same_however_many_are_in_memory_at_once(monkeypatch):
    """... and a metric of one draw can be computed draw by draw."""
    table = scored()
    at_once = bootstrap(auc, *table, resamples=100)
    monkeypatch.setattr("mammo.evaluation.bootstrap.AT_ONCE", 7 * len(table[0]))
    assert bootstrap(auc, *table, resamples=100) == at_once
    draw_by_draw = per_draw(lambda y, p, w: roc_auc_score(y, p, sample_weight=w))
    assert bootstrap(draw_by_draw, *table, resamples=100) == pytest.approx(at_once)


def test_the_roc_band_holds_the_curve():
    band = roc_band(*scored())
    assert all(part.shape == (101,) for part in band)
    assert (band.low <= band.sensitivity + 0.05).all()
    assert (band.sensitivity <= band.high + 0.05).all()


def test_the_seed_decides_and_one_class_has_no_interval():
    truth, probability, patients = scored(40)
    assert bootstrap(auc, truth, probability, patients, resamples=50, seed=1) != bootstrap(
        auc, truth, probability, patients, resamples=50, seed=2
    )
    estimate = bootstrap(auc, truth, probability, np.zeros(80), resamples=50)
    assert estimate.low == estimate.value == estimate.high, "one patient, drawn again and again"
    never = bootstrap(per_draw(lambda y, p, w: np.nan), truth, probability, patients, resamples=5)
    assert np.isnan([never.low, never.high]).all()
