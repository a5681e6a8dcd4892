import pytest
from cv_data import FEATURES, PATIENTS, TRUTH

from mammo.research.cross_validation import LinearClassifier, cross_validate, patient_folds


@pytest.fixture(scope="session")
def scores():
    """Of a classifier in three repeats of five folds."""
    folds = patient_folds(TRUTH, PATIENTS, repeats=3)
    return cross_validate(LinearClassifier(FEATURES, TRUTH, PATIENTS), folds, len(TRUTH))
