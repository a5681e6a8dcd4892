import numpy as np
import pytest

import mammo
from mammo.evaluation.operating_point import positive_predictive_value, threshold_at_sensitivity


def test_the_threshold_is_the_highest_with_that_sensitivity():
    truth = np.array([0, 0, *[1] * 10])
    probability = np.array([0.05, 0.95, *np.arange(0.1, 1.1, 0.1)])
    assert threshold_at_sensitivity(truth, probability, 0.9) == pytest.approx(0.2)
    assert threshold_at_sensitivity(truth, probability, 1.0) == pytest.approx(0.1)


def test_the_positive_predictive_value_of_screening():
    """Lehman et al. 2017: sensitivity 86.9 %, specificity 88.9 %, 5.9 cancers in 1,000: about 4.4 %."""
    assert positive_predictive_value(0.869, 0.889, 0.0059) == pytest.approx(0.0444, abs=5e-4)
    assert positive_predictive_value(0.869, 0.889, 0.5) == pytest.approx(0.887, abs=5e-4)
    assert positive_predictive_value(0.9, 0.9, 0) == 0
    assert np.isnan(positive_predictive_value(0.0, 1.0, 0.006))
    with pytest.raises(mammo.MammoError, match="prevalence"):
        positive_predictive_value(0.9, 0.9, 6)


@pytest.mark.parametrize("target", [0, -0.1, 1.05, 90, np.nan])
def test_a_sensitivity_that_cannot_be_is_refused(target):
    with pytest.raises(mammo.MammoError, match="above 0 and at most 1"):
        threshold_at_sensitivity([0, 1, 1], [0.1, 0.5, 0.9], target)


@pytest.mark.parametrize(
    ("truth", "probability", "message"),
    [
        ([0, 0, 0], [0.1, 0.5, 0.9], "no malignant image"),
        ([], [], "no malignant image"),
        ([0, 1, np.nan], [0.1, 0.5, 0.9], "must be 0"),
        ([0, 1, 1], [0.1, 0.5, np.nan], "a number"),
    ],
)
def test_a_threshold_needs_malignant_images_labels_and_scores(truth, probability, message):
    with pytest.raises(mammo.MammoError, match=message):
        threshold_at_sensitivity(truth, probability, 0.9)
