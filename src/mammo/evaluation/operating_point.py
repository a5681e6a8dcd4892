"""The operating point: which probability counts as a positive result, and what a positive result is worth.

`mammo.evaluate` fixes it on validation patients; it is stored in the model card.
"""

from __future__ import annotations

import numpy as np

from mammo.core.errors import MammoError

# Of 1,000 screened women 5.1 had a cancer that was found and 0.8 one that was missed: Lehman et al., National
# performance benchmarks for modern screening digital mammography, Radiology 283, 2017.
SCREENING_PREVALENCE = 0.006


def threshold_at_sensitivity(truth, probability, target: float) -> float:
    """The highest threshold t at which `probability >= t` finds at least the share `target` of the malignant images.

    Parameters
    ----------
    truth : array_like of int (n,)
        1 for malignant, else 0.
    probability : array_like of float (n,)
    target : float
        Sensitivity, above 0 and at most 1.
    """
    positive = np.sort(np.asarray(probability)[np.asarray(truth) == 1])
    return float(positive[int(np.floor((1 - target) * len(positive) + 1e-9))])


def positive_predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """The share of cancers among positive results at a prevalence, by Bayes' rule; NaN where nothing is positive.

    Raises
    ------
    MammoError
        Where the prevalence is not between 0 and 1.
    """
    if not 0 <= prevalence <= 1:
        raise MammoError(f"A prevalence of {prevalence} is not a share: give one between 0 and 1, such as 0.006.")
    true_positive, false_positive = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    positive = true_positive + false_positive
    return true_positive / positive if positive > 0 else float("nan")
