"""How many images a second are scored, and are the results of every runtime the same?

    python benchmarks/prediction.py
    python benchmarks/prediction.py --bfloat16 TABLE.csv   # only the errors of bfloat16, also of these images

The demo model on 1,000 synthetic mammograms: Keras' `predict` in batches of 32, and what `Classifier.export` wrote, by
ONNX Runtime and OpenVINO; in bfloat16 where the processor has it. Speed: the network alone, five times 128 images, the
runtimes taking turns. Results: the largest difference of a calibrated probability, and how many decisions differ, at
the threshold and in the prediction set.
"""

from __future__ import annotations

import argparse
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
from mammo.evaluation.calibration import log_odds
from mammo.models.runtimes import BFLOAT16_ERROR, openvino_runtime

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
        runtimes[name] = lambda x, run=run: malignant(run, x)
    return runtimes


def malignant(run, x) -> np.ndarray:
    """Probabilities of malignant before calibration, a batch at a time; `x` may be an ImageLoader."""
    parts = (np.arange(start, min(start + BATCH, len(x))) for start in range(0, len(x), BATCH))
    return np.concatenate([run(x[part]).probabilities[:, 1] for part in parts])


def synthetic(scratch: str):
    """The manifest of the images that everything is measured on."""
    return mammo.generate_dataset(Path(scratch) / "data", patients=PATIENTS, seed=20_273)


def bfloat16_errors(tables: list[str]) -> None:
    """Print the errors of bfloat16 against float32, alone and with unstable images computed again."""
    print(
        "| images | largest error of the log-odds | 99 of 100 are below | computed again | other decisions, alone | "
        "other decisions | largest difference of a probability |"
    )
    print("|---" * 7 + "|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fast"
        card = mammo.load_classifier().card
        mammo.load_classifier(runtime="keras").export(folder)
        exact, fast = (openvino_runtime(folder, card.model_id, precision) for precision in ("float32", "bfloat16"))
        shipped = mammo.load_classifier(folder, "openvino", "bfloat16").run
        manifests = {"synthetic": synthetic(scratch)} | {table: mammo.load_manifest(table) for table in tables}
        for name, manifest in manifests.items():
            images = ImageLoader(manifest, card.image_size)
            expected, alone, found = (malignant(run, images) for run in (exact, fast, shipped))
            inside = (expected > 0.005) & (expected < 0.995)
            error = np.abs(log_odds(alone) - log_odds(expected))[inside]
            again = ~card.result_rule.is_stable(alone, BFLOAT16_ERROR, card.calibration)
            decided, *others = (card.result_rule.decisions(card.calibration(p)) for p in (expected, alone, found))
            other = [int((decided != each).any(axis=1).sum()) for each in others]
            apart = np.abs(card.calibration(found) - card.calibration(expected)).max()
            print(
                f"| {len(manifest)} {name} | {error.max():.3f} | {np.quantile(error, 0.99):.3f} | {again.mean():.1%} | "
                f"{other[0]} | {other[1]} | {apart:.3f} |"
            )


def main() -> None:
    """Print the table of runtimes."""
    with tempfile.TemporaryDirectory() as scratch:
        manifest = synthetic(scratch)
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bfloat16", nargs="*", metavar="TABLE", help="only the errors of bfloat16")
    arguments = parser.parse_args()
    if arguments.bfloat16 is None:
        main()
    else:
        bfloat16_errors(arguments.bfloat16)
