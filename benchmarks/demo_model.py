"""What the demo classifier of the package scores on synthetic mammograms that nobody has seen.

    python benchmarks/demo_model.py                # about a quarter of an hour on 2 cores

Prints the tables of docs/demo_weights.md: AUC for each type of lesion, over the difficulty, for two controls, and how
often the brightest place of its heatmap lies on the lesion.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy import ndimage
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from tqdm import tqdm

import mammo
from mammo.core.manifest import class_indices
from mammo.data.preprocessing import mask_on_breast, model_input, prepare
from mammo.evaluation import metrics
from mammo.evaluation.bootstrap import bootstrap
from mammo.evaluation.calibration import expit, fit_calibration, log_odds
from mammo.evaluation.combine_views import combine_views
from mammo.models.saved_model import image_size_of

SEED = 20_271
DILATION = 16  # pixels of the model's input, half a cell of the map that Grad-CAM is computed on
DIFFICULTIES = (1, 0.8, 0.6, 0.45, 0)  # beside the default


def scored(model, folder, patients: int, **options):
    """A new data set with the model's probabilities."""
    return mammo.predict_manifest(model, mammo.generate_dataset(folder, patients, **options))


def auc(rows, truth=None) -> str:
    """AUC with its 95 % interval, patients resampled."""
    truth = class_indices(rows) if truth is None else truth
    value, low, high = bootstrap(metrics.auc, truth, rows["probability"].to_numpy(), rows["patient_id"])
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def table_of_types(rows) -> None:
    """Each type against all images of the other class."""
    malignant = class_indices(rows) == 1
    print("| images | number | AUC | against |\n|---|---|---|---|")
    print(f"| malignant | {malignant.sum()} | {auc(rows)} | all others |")
    lesions = rows[rows["label"] != "normal"]
    print(f"| malignant | {malignant.sum()} | {auc(lesions)} | benign lesions |")
    types = rows["lesion_type"].fillna("no lesion").to_numpy()
    for kind in sorted(set(types), key=lambda kind: (-malignant[types == kind].mean(), kind)):
        here = types == kind
        others = malignant if not malignant[here].any() else ~malignant
        against = "all malignant" if not malignant[here].any() else "all not malignant"
        print(f"| {kind} | {here.sum()} | {auc(rows[here | others])} | {against} |")


def by_temperature(truth, probability):
    """A line through the origin of the log-odds (Guo et al., ICML 2017)."""
    odds = log_odds(probability)
    loss = lambda t: log_loss(truth, expit(np.exp(t) * odds))  # noqa: E731
    slope = np.exp(minimize_scalar(loss, bounds=(-5, 3), method="bounded").x)
    return lambda p: expit(slope * log_odds(p))


def by_platt(truth, probability):
    """What the package does."""
    return fit_calibration(truth, probability)


def by_isotonic(truth, probability):
    """Any curve that never falls."""
    return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probability, truth).predict


def table_of_calibrations(rows, draws: int = 20) -> None:
    """Methods of calibration, fitted on 80 patients (as many as notebooks have) and measured on the others."""
    truth, predicted, patients = class_indices(rows), rows["probability"].to_numpy(), rows["patient_id"].to_numpy()
    methods = {
        "none": lambda *_: lambda p: p,
        "temperature": by_temperature,
        "Platt": by_platt,
        "isotonic": by_isotonic,
    }
    found = {name: [] for name in methods}
    for seed in range(draws):
        chosen = np.random.default_rng(seed).permutation(np.unique(patients))[:80]
        fit = np.isin(patients, chosen)
        for name, calibrate in methods.items():
            p = calibrate(truth[fit], predicted[fit])(predicted[~fit])
            error = metrics.expected_calibration_error(truth[~fit], p, np.ones((1, len(p))))[0]
            found[name].append((brier_score_loss(truth[~fit], p), error, roc_auc_score(truth[~fit], p)))
    print("\n| calibration | Brier score | expected calibration error | AUC |\n|---|---|---|---|")
    for name, values in found.items():
        print(f"| {name} | {' | '.join(f'{x:.4f}' for x in np.median(values, axis=0))} |")


def mask_in_input(breast, row, size) -> np.ndarray:
    """The lesion of a manifest's row where the model's input shows it, bool (height, width)."""
    mask = mammo.read_mammogram(row.mask_path).image > 0.5
    return model_input(mask_on_breast(breast, mask), size)[..., 0] > 0


def pointing(model, rows) -> tuple[float, float, float]:
    """Shares of the malignant images whose highest heat is on the lesion's mask and on the dilated mask, and chance.

    Chance is the share of the breast that the dilated mask covers.
    """
    hits, near, chance = [], [], []
    for row in tqdm(list(rows[rows["label"] == "malignant"].itertuples()), desc="heatmaps"):
        prepared = prepare(row.path, image_size_of(model))
        x = prepared.model_input
        mask = mask_in_input(prepared.breast, row, x.shape[:2])
        wide = ndimage.distance_transform_edt(~mask) <= DILATION
        brightest = np.unravel_index(np.argmax(mammo.grad_cam(model, x)), mask.shape)
        hits.append(mask[brightest])
        near.append(wide[brightest])
        chance.append(wide[x[..., 0] > 0].mean())
    return float(np.mean(hits)), float(np.mean(near)), float(np.mean(chance))


def main(patients: int) -> None:
    """Print all tables."""
    model = mammo.load_classifier().model
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = scored(model, folder / "default", patients, seed=SEED)
        table_of_types(rows)
        print(f"\n| difficulty | AUC |\n|---|---|\n| the default | {auc(rows)} |", flush=True)
        for difficulty in DIFFICULTIES:
            some = scored(model, folder / str(difficulty), patients // 5, seed=SEED + 1, difficulty=difficulty)
            print(f"| {difficulty} | {auc(some)} |", flush=True)
        table_of_calibrations(rows)
        of_breasts, of_patients = auc(combine_views(rows, "breast")), auc(combine_views(rows))
        print(f"\nViews combined: AUC of breasts {of_breasts}, of patients {of_patients}")
        noise = mammo.predict_manifest(model, mammo.noise_dataset(folder / "noise", patients // 5, seed=SEED))
        labels = rows.groupby("patient_id")["label"].apply(lambda labels: (labels == "malignant").to_numpy())
        shuffled = np.random.default_rng(SEED).permutation(len(labels))
        truth = np.concatenate([labels.iloc[number] for number in shuffled]).astype(int)
        in_order = rows.sort_values("patient_id", kind="stable")
        print(f"\nNoise: AUC {auc(noise)}; labels shuffled between patients: {auc(in_order, truth)}")
        hit, near, chance = pointing(model, rows)
        print(
            f"Highest heat on the lesion: {hit:.3f}; within {DILATION} pixels of it: {near:.3f}; chance: {chance:.3f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=1000)
    main(parser.parse_args().patients)
