"""What an archive costs: how busy each part of `score_folder` is, and core-hours and disk for a million images.

    python benchmarks/archive.py                          # medians of five rounds, the kinds of files taking turns
    python benchmarks/archive.py --files 667 --rounds 1   # 2,000 files
    python benchmarks/archive.py --ray                    # two workers of Ray against one

The demo model by OpenVINO in float32, on the mammogram of `latency.py` (4,700 x 2,700 pixels, 12 bits) as uncompressed,
RLE and JPEG-lossless DICOM. The files of a kind are links to one, so the disk is a fast one: what a network drive adds
is not in the table. For Ray each file has a content of its own, and each worker a core of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
from latency import files

import mammo
from mammo.inference.score_folder import score_folder
from mammo.inference.scoring import Utilisation

KINDS = ("uncompressed", "RLE", "JPEG lossless")
MILLION, BLOCK = 10**6, 4096  # bytes that a small file takes on most disks
PARTS = ("network", "reading", "processors")


def archive(path: Path, number: int, folder: Path, unique: bool = False) -> Path:
    """A folder with a file so many times; `unique` adds a number behind the pixels, which no reader looks at."""
    folder.mkdir(parents=True)
    for copy in range(number):
        name = folder / f"{copy:06}.dcm"
        if unique:
            shutil.copy(path, name)
            with name.open("ab") as file:
                file.write(TRAILER + np.uint32([8, copy, 0]).tobytes())
        else:
            os.link(path, name)
    return folder


# Data Set Trailing Padding (FFFC,FFFC), made for this; explicit VR, OB.
TRAILER = b"\xfc\xff\xfc\xffOB\0\0"


def milliseconds(used: Utilisation) -> np.ndarray:
    """Processor time for an image: of reading and preparing, and of the rest, which is the network's."""
    return 1000 * np.array([used.reading_cpu_seconds, used.cpu_seconds - used.reading_cpu_seconds]) / used.files


def measured(classifier, folders: dict[str, Path], rounds: int) -> None:
    """Print the table of utilisation and costs."""
    found, sizes = {kind: [] for kind in folders}, {}
    for _ in range(rounds):
        for kind, folder in folders.items():
            table = folder.with_suffix(".csv")
            table.unlink(missing_ok=True)
            found[kind].append(score_folder(folder, table, classifier).attrs["utilisation"])
            sizes[kind] = table.stat().st_size / found[kind][-1].files
    print(
        "| files | images per second | network busy | reading busy | processors busy | reading and preparing, ms | "
        "network, ms | core-hours | table, MB | files, TB |"
    )
    print("|---" * 10 + "|")
    for kind, runs in found.items():
        busy = [np.median([getattr(used, part) for used in runs]) for part in PARTS]
        reading, network = np.median([milliseconds(used) for used in runs], axis=0)
        rate = np.median([used.files / used.seconds for used in runs])
        stored = next(folders[kind].iterdir()).stat().st_size
        print(
            f"| {kind} | {rate:.1f} | {' | '.join(f'{share:.0%}' for share in busy)} | {reading:.0f} | {network:.0f} | "
            f"{(reading + network) / 1000 / 3600 * MILLION:.0f} | {sizes[kind] * MILLION / 1e6:.0f} | "
            f"{stored * MILLION / 1e12:.1f} |"
        )


def pinned(exported: Path, marks: Path, processes: int):
    """The classifier, in a process that keeps to a core of its own; returned when all processes have theirs."""
    marks.mkdir(exist_ok=True)
    for core in sorted(os.sched_getaffinity(0)):
        try:
            (marks / str(core)).mkdir()
        except FileExistsError:
            continue
        os.sched_setaffinity(0, {core})
        break
    classifier = mammo.load_classifier(exported, "openvino")
    classifier.warm_up()
    (marks / f"ready {os.getpid()}").touch()
    while len(list(marks.glob("ready *"))) < processes:
        time.sleep(0.01)
    return classifier


def rate_of_ray(folder: Path, scratch: Path, exported: Path, processes: int) -> float:
    """Images per second from when all processes are ready to the last row: without what it takes to start."""
    from mammo.inference import ray_scoring

    load = partial(pinned, exported, scratch / "cores", processes)
    scratch.mkdir()
    ray_scoring.score_folder(folder, scratch / "scores.csv", load, processes)
    ready = max(path.stat().st_mtime for path in (scratch / "cores").glob("ready *"))
    rows = [path.stat().st_mtime for path in (scratch / "scores.scores").rglob("*.json")]
    return len(rows) / (max(rows) - ready)


def with_ray(path: Path, scratch: Path, exported: Path, number: int, rounds: int) -> None:
    """Print how many images two workers score in the time of one."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    folder = archive(path, number, scratch / "unique", unique=True)
    rates = np.array(
        [
            [rate_of_ray(folder, scratch / f"{round_}-{processes}", exported, processes) for processes in (1, 2)]
            for round_ in range(rounds)
        ]
    )
    one, two = np.median(rates, axis=0)
    ratio = rates[:, 1] / rates[:, 0]
    print("| workers | images per second | times one worker |\n|---|---|---|")
    print(f"| 1 | {one:.1f} | 1.00 |")
    print(f"| 2 | {two:.1f} | {np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f}) |")


def main(number: int, rounds: int, ray: bool, scratch: Path) -> None:
    """Print a table."""
    begun = time.perf_counter()
    mammo.load_classifier(runtime="keras").export(scratch / "fast")
    (scratch / "images").mkdir()
    paths = files(scratch / "images")
    if ray:
        with_ray(paths["RLE"], scratch, scratch / "fast", number, rounds)
    else:
        classifier = mammo.load_classifier(scratch / "fast", "openvino")
        classifier.warm_up()
        measured(classifier, {kind: archive(paths[kind], number, scratch / kind) for kind in KINDS}, rounds)
        exported = sum(file.stat().st_size for file in (scratch / "fast").iterdir())
        print(
            f"\nBesides: {exported / 1e6:.0f} MB for the network; with Ray {BLOCK * MILLION / 1e9:.0f} GB for the rows."
        )
    print(f"Load of this machine, last minutes: {os.getloadavg()}; all took {time.perf_counter() - begun:.0f} s.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100, help="of each kind")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ray", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        main(given.files, given.rounds, given.ray, Path(scratch))
