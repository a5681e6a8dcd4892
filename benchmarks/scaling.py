"""What 100, 1,000 and 10,000 images cost, in time and peak memory.

    python benchmarks/scaling.py --plot docs/scaling.png
    python benchmarks/scaling.py --job scoring

Training: `train_head` (5 epochs) and `fine_tune` (1 epoch) from an empty cache, an input of 224 x 224, no augmentation.
Scoring: `score_folder` with the demo model by ONNX Runtime. Each number of images in a process of its own, images of
192 x 144 pixels. Minutes; 10,000 take half an hour.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NUMBERS = (100, 1000, 10_000)
JOBS = {
    "training": """
import mammo
manifest = mammo.load_manifest(folder + "/manifest.csv")
model = mammo.build_model("demo", image_size=(224, 224))
options = {"n_augmentations": 0, "cache": folder + "/cache"}
mammo.train_head(model, manifest, epochs=5, patience=99, **options)
mammo.fine_tune(model, manifest, stages=1, epochs=1, **options)
""",
    "scoring": """
import mammo
mammo.score_folder(folder + "/images", folder + "/scores.csv", mammo.load_classifier(exported, runtime="onnx"))
""",
}


def measured(job: str, folder: Path, exported: Path) -> tuple[float, float]:
    """Seconds and megabytes of a job in a fresh process."""
    begun = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", f"folder, exported = {str(folder)!r}, {str(exported)!r}\n{JOBS[job]}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0
    return time.perf_counter() - begun, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def dataset(job: str, folder: Path, images: int) -> None:
    """As many images as the job is to have: for training, those of the training and validation patients."""
    spare = 40 if job == "training" else 0
    code = (
        "import mammo; from pathlib import Path; "
        f"table = mammo.generate_dataset({str(folder)!r}, patients={images // 4 + spare}, seed=7, "
        "image_size=(192, 144), formats=['png8'])"
    )
    if job == "training":
        code += (
            "; table = mammo.split_by_patient(table, (0.7, 0.2, 0.1)); "
            f"table = table[table.split != 'test'].head({images}); "
            f"mammo.save_manifest(table, Path({str(folder)!r}) / 'manifest.csv')"
        )
    in_process(code)


def in_process(code: str) -> None:
    """Run code in a process of its own: a child's peak memory is never less than its parent's."""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def plot(rows: list[tuple], path) -> None:
    """Time and memory by number of images."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2))
    numbers, seconds, megabytes = zip(*rows, strict=True)
    for axis, values, name in zip(axes, (seconds, megabytes), ("seconds", "peak memory, MB"), strict=True):
        axis.plot(numbers, values, "o-")
        axis.set(xscale="log", xlabel="images", ylabel=name)
        axis.grid(alpha=0.3)
    axes[0].set_yscale("log")
    axes[1].set_ylim(0, 1.2 * max(megabytes))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main(job: str, numbers, picture) -> None:
    """Print a table, and draw it."""
    rows = []
    print(f"{job}\n| images | seconds | milliseconds an image | peak memory, MB |\n|---|---|---|---|")
    for number in numbers:
        with tempfile.TemporaryDirectory() as scratch:
            folder, exported = Path(scratch) / "data", Path(scratch) / "exported"
            dataset(job, folder, number)
            if job == "scoring":
                in_process(f"import mammo; mammo.load_classifier().export({str(exported)!r})")
            rows.append((number, *measured(job, folder, exported)))
        print(f"| {number:,} | {rows[-1][1]:.0f} | {1000 * rows[-1][1] / number:.0f} | {rows[-1][2]:.0f} |", flush=True)
    if picture:
        plot(rows, picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", type=int, nargs="*", default=NUMBERS)
    parser.add_argument("--plot", metavar="FILE")
    parser.add_argument("--job", choices=JOBS, default="training")
    given = parser.parse_args()
    main(given.job, given.numbers, given.plot)
