"""How fast synthetic mammograms are made, how that grows with the processes, and what memory it takes.

    python benchmarks/generation.py

Whole data sets of 512 x 512 images in all four formats, with masks and manifest, written to a temporary folder. Every
row is the median of five runs, and runs with one process and with more take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import mammo
from mammo.synthetic import draw_patient, phantom

SIZE = (512, 512)
RUNS = 5


def seconds(patients: int, processes: int, seed: int) -> float:
    """Wall time of one data set; a small one before it, which is not timed, starts the worker processes."""
    with tempfile.TemporaryDirectory() as folder:
        mammo.generate_dataset(Path(folder) / "set", 20, seed, image_size=(160, 120), processes=processes)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        mammo.generate_dataset(Path(folder) / "set", patients, seed, image_size=SIZE, processes=processes)
        return time.perf_counter() - begun


def peak_memory_mb(patients: int) -> float:
    """Of a fresh process that makes a data set by itself."""
    with tempfile.TemporaryDirectory() as folder:
        code = f"import mammo; mammo.generate_dataset(r'{folder}/set', {patients}, image_size=(192, 144), processes=1)"
        child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        assert status == 0
        return usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def main(patients: int) -> None:
    """Print the table of `README.md`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    counts = [n for n in (1, 2, 4, 8, 16, 32) if n <= cores]
    taken = {count: [] for count in counts}
    for run in range(RUNS):
        for count in counts:
            taken[count].append(seconds(patients, count, seed=run))
    print("| processes | images a second | a second and process | times one process |\n|---|---|---|---|")
    for count in counts:
        rate = 4 * patients / statistics.median(taken[count])
        ratio = statistics.median(one / more for one, more in zip(taken[1], taken[count], strict=True))
        print(f"| {count} | {rate:.1f} | {rate / count:.1f} | {ratio:.2f} |")

    patient = draw_patient(np.random.default_rng(0), "malignant", 0.3)
    drawn = []
    for run in range(10 * RUNS):
        begun = time.perf_counter()
        phantom(patient, patient.side, ("CC", "MLO")[run % 2], SIZE, np.random.default_rng(run))
        drawn.append(time.perf_counter() - begun)
    print(f"\nOne image, drawn and not written: {1000 * statistics.median(drawn):.0f} ms")
    few, many = peak_memory_mb(40), peak_memory_mb(400)
    print(f"Peak memory of one process, images of 192 x 144: {few:.0f} MB for 160 of them, {many:.0f} MB for 1,600")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=100, help="of each data set; each gives four images")
    main(parser.parse_args().patients)
