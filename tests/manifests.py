"""Manifests of images that need not exist."""

import pandas as pd


def table(patients=30, images=2, malignant_every=3):
    rows = [
        {
            "path": f"/x/{p}_{i}.png",
            "label": "malignant" if p % malignant_every == 0 else "benign",
            "patient_id": f"P{p}",
        }
        for p in range(patients)
        for i in range(images)
    ]
    return pd.DataFrame(rows)
