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
from mammo.research.benchmark import NAMES, load, located
from mammo.evaluation.bootstrap import bootstrap
from mammo.evaluation.metrics import weighted_mean
from mammo.data.preprocessing import CELL

HALF_A_CELL = CELL // 2  # in pixels of the model's input


def pointed(answer, lesions) -> tuple[float, float, float]:
    """1 or 0 for the highest heat on a lesion and near one; the share of the breast that is near one."""
    shape = answer.breast.image.shape
    near_is = HALF_A_CELL / min(side / of_breast for side, of_breast in zip(answer.image_size, shape, strict=True))
    rows, columns = np.indices(answer.heatmap.shape)
    away = np.min([np.hypot(rows - r.y, columns - r.x) - r.radius for r in lesions.itertuples()], axis=0)
    place = np.unravel_index(np.argmax(answer.heatmap), away.shape)
    return float(away[place] <= 0), float(away[place] <= near_is), float((away <= near_is)[answer.breast.mask].mean())


def main(name: str, root: str, partial: bool) -> None:
    """Print a table."""
    table = load(name, root, partial=partial)
    lesions = located(name, root, table, partial=partial)
    lesions = lesions[lesions["label"] == "malignant"].dropna(subset=["x", "y", "radius"])
    by_image = dict(list(lesions.groupby("path")))
    asked = table[(table["label"] == "malignant") & table["path"].isin(by_image)]
    classifier, found = mammo.load_classifier(), []
    for path in tqdm(asked["path"], desc="heatmaps", unit="image"):
        found.append(pointed(classifier.predict(path), by_image[path]))
    patients = asked["patient_id"]
    print(f"{len(asked)} malignant images of {patients.nunique()} patients\n| highest heat | share |\n|---|---|")
    everyone = np.arange(len(asked)) % 2  # the bootstrap asks for two classes; shares need none
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
