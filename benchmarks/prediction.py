"""How many images a second are scored, and are the results of every runtime the same?

    python benchmarks/prediction.py

The demo model on 1,000 synthetic mammograms: Keras' `predict` in batches of 32, and what `Classifier.export` wrote, by
ONNX Runtime and OpenVINO; in bfloat16 where the processor has it. Speed: the network alone, five times 128 images, the
runtimes taking turns. Results: the largest difference of a calibrated probability, and how many decisions differ, at
the threshold and in the prediction set.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
from sklearn.metrics import roc_auc_score

import mammo
from mammo.core.manifest import class_indices
from mammo.data.image_loader import ImageLoader

PATIENTS, RUNS, TIMED, BATCH = 250, 5, 128, 32
RUNTIMES = {"ONNX Runtime": ("onnx", "float32")} | {f"OpenVINO, {p}": ("openvino", p) for p in ("float32", "bfloat16")}


def runtimes_of(classifier, folder: Path) -> dict:
    """Name -> function of model inputs that gives their probabilities of malignant."""
    classifier.export(folder)
    runtimes = {"Keras predict": lambda x: classifier.model.predict(x, batch_size=BATCH, verbose=0)[:, 1]}
    for name, given in RUNTIMES.items():
        try:
            run = mammo.load_classifier(folder, *given).run
        except mammo.MammoError as error:
            print(f"Without {name}: {error}")
            continue
        runtimes[name] = lambda x, run=run: in_batches(run, x)
    return runtimes


def in_batches(run, x: np.ndarray) -> np.ndarray:
    """Probabilities of malignant, a batch at a time."""
    return np.concatenate([run(x[start : start + BATCH]).probabilities[:, 1] for start in range(0, len(x), BATCH)])


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as scratch:
        manifest = mammo.generate_dataset(Path(scratch) / "data", patients=PATIENTS, seed=20_273)
        classifier = mammo.load_classifier()
        runtimes, card = runtimes_of(classifier, Path(scratch) / "fast"), classifier.card
        inputs, found = ImageLoader(manifest, card.image_size), {name: [] for name in runtimes}
        times = {name: [] for name in runtimes}
        for start in range(0, len(inputs), TIMED):
            x = inputs[np.arange(start, min(start + TIMED, len(inputs)))]
            for name, predict in runtimes.items():
                begun = time.perf_counter()
                found[name].append(predict(x))
                times[name].append((time.perf_counter() - begun) / len(x))
    truth, first = class_indices(manifest), next(iter(runtimes))
    expected = card.calibration(np.concatenate(found[first]))
    expected_decisions = card.result_rule.decisions(expected)
    print("| runtime | images a second | times Keras | largest difference | other decisions | AUC |")
    print("|---" * 6 + "|")
    for name in runtimes:
        raw = np.concatenate(found[name])
        calibrated = card.calibration(raw)
        other = (card.result_rule.decisions(calibrated) != expected_decisions).any(axis=1)
        took, ratio = (
            np.array(times[name][1 : RUNS + 1]),
            np.array(times[first][1 : RUNS + 1]) / times[name][1 : RUNS + 1],
        )
        print(
            f"| {name} | {1 / np.median(took):.1f} | {np.median(ratio):.1f} ({ratio.min():.1f} to {ratio.max():.1f}) | "
            f"{np.abs(calibrated - expected).max():.1e} | {other.sum()} of {len(truth)} | "
            f"{roc_auc_score(truth, raw):.4f} |"
        )


if __name__ == "__main__":
    main()
