import numpy as np
import pytest

from mammo.evaluation.conformal import conformal_limit


@pytest.mark.parametrize(("patients", "level"), [(12, 0.99), (20, 0.9), (30, 0.99), (120, 0.99)])
def test_an_image_of_a_new_patient_is_inside_as_often_as_stated(patients, level):
    """Patients with one to six images that resemble each other, 800 times; the new image is of a new patient."""
    rng, inside, stated = np.random.default_rng(patients), [], None
    for _ in range(800):
        images = rng.integers(1, 7, patients)
        patient = np.repeat(np.arange(patients), images)
        scores = rng.exponential(size=patients)[patient] + 0.3 * rng.normal(size=len(patient))
        limit, stated = conformal_limit(scores, patient, level)
        new = rng.exponential(size=200) + 0.3 * rng.normal(size=200)
        inside.append(np.mean(new <= limit))
    error = np.std(inside) / np.sqrt(len(inside))
    assert np.mean(inside) > stated - 3 * error
    assert stated == pytest.approx(min(level, patients / (patients + 1)))


def test_with_one_image_a_patient_it_is_the_usual_rank():
    limit, level = conformal_limit(np.arange(1, 20), range(19), 0.9)
    assert (limit, level) == (18, 0.9)


def test_a_patient_with_many_images_counts_as_one():
    scores, patient = np.append(np.arange(20), np.full(1000, 100)), np.append(np.arange(20), np.full(1000, 20))
    assert conformal_limit(scores, patient, 0.9).limit == 19
