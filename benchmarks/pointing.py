"""Where the demo model's heatmap points on real films: at the malignant lesion, or elsewhere?

    python benchmarks/pointing.py mini_mias --root all-mias
    python benchmarks/pointing.py inbreast --root "INbreast Release 1.0"

Of each malignant image with a located malignant lesion: does the highest heat lie on one, or within half a cell of the
map that Grad-CAM is computed on? Chance is the share of the breast that such places cover, which is what a blind
pointer would hit. Lesions are circles here, as the owners' tables have them, so larger than they are.
"""

from __future__ import annotations

import argparse

import numpy as np
from tqdm import tqdm

import mammo
from mammo.data.preprocessing import CELL
from mammo.evaluation.bootstrap import bootstrap
from mammo.evaluation.metrics import weighted_mean
from mammo.research.benchmark_data import NAMES, load, located

HALF_A_CELL = CELL // 2  # in pixels of the model's input


def pointed(prediction, lesions) -> tuple[float, float, float]:
    """1 or 0 for the highest heat on a lesion and near one; the share of the breast that is near one."""
    shape = prediction.breast.image.shape
    near_is = HALF_A_CELL / min(side / of_breast for side, of_breast in zip(prediction.image_size, shape, strict=True))
    rows, columns = np.indices(prediction.heatmap.shape)
    away = np.min([np.hypot(rows - r.y, columns - r.x) - r.radius for r in lesions.itertuples()], axis=0)
    brightest = np.unravel_index(np.argmax(prediction.heatmap), away.shape)
    chance = (away <= near_is)[prediction.breast.mask].mean()
    return float(away[brightest] <= 0), float(away[brightest] <= near_is), float(chance)


def main(name: str, root: str, partial: bool) -> None:
    """Print a table."""
    table = load(name, root, partial=partial)
    lesions = located(name, root, table, partial=partial)
    lesions = lesions[lesions["label"] == "malignant"].dropna(subset=["x", "y", "radius"])
    by_image = dict(list(lesions.groupby("path")))
    chosen = table[(table["label"] == "malignant") & table["path"].isin(by_image)]
    classifier, found = mammo.load_classifier(), []
    for path in tqdm(chosen["path"], desc="heatmaps", unit="image"):
        found.append(pointed(classifier.predict(path), by_image[path]))
    patients = chosen["patient_id"]
    print(f"{len(chosen)} malignant images of {patients.nunique()} patients\n| highest heat | share |\n|---|---|")
    everyone = np.arange(len(chosen)) % 2  # the bootstrap needs two classes; shares need none
    titles = ("on a lesion", f"within {HALF_A_CELL} pixels", "chance")
    for title, values in zip(titles, np.transpose(found), strict=True):
        mean, low, high = bootstrap(lambda _, p, w: weighted_mean(p, w), everyone, values, patients)
        print(f"| {title} | {mean:.3f} ({low:.3f} to {high:.3f}) |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--root", required=True)
    parser.add_argument("--partial", action="store_true")
    main(**vars(parser.parse_args()))
