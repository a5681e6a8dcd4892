"""Two models on the same patients: is one better, or was it luck?

mammo.compare_models(mammo.predict_manifest(model, manifest), mammo.predict_manifest(other, manifest))
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from mammo.core.errors import MammoError
from mammo.core.manifest import PATCH, class_indices, image_names, rows_in_split
from mammo.evaluation.delong import clustered_variance, degrees_of_freedom, placements
from mammo.evaluation.operating_point import probabilities


def compare_models(scored_a: pd.DataFrame, scored_b: pd.DataFrame) -> dict:
    """The AUC of a minus that of b on the test images, its 95 % interval and two-sided p value, by DeLong's method.

    The placements of both models are subtracted image by image, so what an image does to both cancels, and summed over
    each patient; the quantile is Student's t (`mammo.evaluation.delong`). How often p is below 0.05 between equally
    good models, and how often the interval holds the true difference, is in docs/evaluation.md.

    Parameters
    ----------
    scored_a, scored_b : DataFrame
        Manifests of the same images with a column `probability`, as `predict_manifest` returns them.

    Returns
    -------
    dict
        `auc_a`, `auc_b`, `difference`, `interval`, `p`, `images` and `patients`; fits into JSON. Interval and p are
        None where every image has the same difference, as of a model and itself.

    Raises
    ------
    MammoError
        Where images, labels or patients differ, a class has a single patient, or there are no test rows.
    """
    a, b = _same_images(rows_in_split(scored_a, "test"), rows_in_split(scored_b, "test"))
    truth, patients = class_indices(a), a["patient_id"].to_numpy()
    both = np.stack([probabilities(a), probabilities(b)], axis=1)
    auc_a, auc_b = (float(roc_auc_score(truth, both[:, model])) for model in (0, 1))
    difference = auc_a - auc_b
    placed = placements(truth, both[:, 0]) - placements(truth, both[:, 1])
    variance = clustered_variance(truth, placed, patients)
    if np.isnan(variance):
        raise MammoError(
            "The test images of one class come from a single patient; nothing can be concluded about others."
        )
    degrees = degrees_of_freedom(truth, placed, patients)
    error = float(np.sqrt(variance))  # 0 where every image has the same difference, as between twins
    half = float(t.ppf(0.975, degrees)) * error
    return {
        "auc_a": auc_a,
        "auc_b": auc_b,
        "difference": difference,
        "interval": [difference - half, difference + half] if error > 0 else None,
        "p": float(2 * t.sf(abs(difference) / error, degrees)) if error > 0 else None,
        "images": len(a),
        "patients": int(a["patient_id"].nunique()),
    }


def _same_images(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both in the order of a; raises MammoError where they are not the same images with the same truth."""
    if ("patch_size" in a) != ("patch_size" in b):
        raise MammoError("One table is of patches and one of whole images. Score one manifest with both models.")
    key = ["path", *(PATCH if "patch_size" in a else ())]
    in_a, in_b = (pd.MultiIndex.from_frame(table.assign(path=image_names(table))[key]) for table in (a, b))
    apart = in_a.symmetric_difference(in_b)
    if len(apart):
        raise MammoError(
            f"The two models were not scored on the same test images: {len(apart)} are in one table only, first "
            f"{apart[0][0]}. Score one manifest with both."
        )
    b = b.iloc[in_b.get_indexer(in_a)].reset_index(drop=True)
    for column in ("label", "patient_id"):
        differ = a["path"][a[column].to_numpy() != b[column].to_numpy()]
        if len(differ):
            raise MammoError(
                f"The two tables give {len(differ)} test images another {column}, first {differ.iloc[0]}. Score one "
                "manifest with both models."
            )
    return a, b
