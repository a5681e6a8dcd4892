"""Files -> rows of a table of scores, in a pipeline: threads read and prepare files ahead while the network computes.

scorer = Scorer(classifier, Path("films"))
for rows in scorer.rows(["a.dcm", "b.dcm"]):
    print(rows)
print(scorer.utilisation)
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mammo.core.errors import MammoError, UnreadableFile
from mammo.data.image_loader import WORKERS, fitting_batch
from mammo.inference.classifier import Classifier, ModelInput, model_input_of
from mammo.io import files_read

BATCH = 16
AHEAD = 2  # batches that are read while the network computes another one


@dataclass
class Utilisation:
    """How busy the parts of a pipeline were; `str` gives their shares of the time."""

    workers: int
    """Threads that read and prepare files."""
    files: int = 0
    seconds: float = 0.0
    """From the first file to the last row."""
    network_seconds: float = 0.0
    """In which the network had a batch to compute."""
    reading_seconds: float = 0.0
    """In which a thread had a file to read and prepare; the sum over the threads."""
    reading_cpu_seconds: float = 0.0
    """Processor time of these threads."""
    cpu_seconds: float = 0.0
    """Processor time of the whole process."""

    @property
    def network(self) -> float:
        """Share of the time in which the network had a batch; the rest is waiting for files."""
        return self.network_seconds / self.seconds if self.seconds else 0.0

    @property
    def reading(self) -> float:
        """Share of the time in which a reading thread had a file, their mean; the rest is waiting for the network."""
        return self.reading_seconds / (self.workers * self.seconds) if self.seconds else 0.0

    @property
    def processors(self) -> float:
        """Share of the processor time of all cores that this process used."""
        return self.cpu_seconds / ((os.cpu_count() or 1) * self.seconds) if self.seconds else 0.0

    def __str__(self) -> str:
        return (
            f"{self.files} files in {self.seconds:.1f} s. Busy: network {self.network:.0%}, reading and preparing "
            f"{self.reading:.0%} of {self.workers} threads, processors {self.processors:.0%} of {os.cpu_count()} cores."
        )


def file_stamp(path: Path) -> dict[str, str]:
    """Size (`bytes`) and time of the last change (`modified`, UTC) of all that is read for an image.

    Nothing where the file is gone.
    """
    try:
        stats = [os.stat(file) for file in files_read(path)]
    except OSError:
        return {}
    modified = max(stat.st_mtime_ns for stat in stats) // 1000
    return {"bytes": str(sum(stat.st_size for stat in stats)), "modified": f"{np.datetime64(modified, 'us')}Z"}


class _Reading(NamedTuple):
    """What reading and preparing a file gave, and its seconds, of the clock and of the processor."""

    result: ModelInput | MammoError
    stamp: dict[str, str]
    """`file_stamp` from before it was read; empty where it was not read."""
    seconds: float
    cpu_seconds: float


class Scorer:
    """Scores files by name.

    Parameters
    ----------
    classifier : Classifier
    folder : Path
        Where the names start.
    workers : int
        Threads that read and prepare files.
    """

    def __init__(self, classifier: Classifier, folder: Path, workers: int = WORKERS):
        if not isinstance(workers, Integral) or workers < 1:
            raise MammoError(f"workers is a number of threads, 1 or more, not {workers!r}.")
        self.classifier, self.folder, self.model = classifier, folder, classifier.id
        self.utilisation = Utilisation(workers)

    def rows(self, names: list[str]) -> Iterator[list[dict]]:
        """The rows of a batch of files at a time, in the order of the names."""
        size = fitting_batch(BATCH, self.classifier.image_size)
        batches = [names[start : start + size] for start in range(0, len(names), size)]
        used, begun, begun_cpu = self.utilisation, time.perf_counter(), time.process_time()
        pool, waiting = ThreadPoolExecutor(used.workers), deque()
        try:
            for following in [*batches, *[[]] * AHEAD]:
                waiting.append({name: pool.submit(self._read, name) for name in following})
                if len(waiting) > AHEAD and (batch := waiting.popleft()):
                    rows = self._rows({name: self._read_in(reading) for name, reading in batch.items()})
                    used.files += len(rows)
                    used.seconds, used.cpu_seconds = time.perf_counter() - begun, time.process_time() - begun_cpu
                    yield rows
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, name: str) -> _Reading:
        begun, begun_cpu = time.perf_counter(), time.thread_time()
        stamp = file_stamp(self.folder / name)
        try:
            result = model_input_of(self.classifier.prepare(self.folder / name))
        except MammoError as error:
            if not self._folder_is_there():
                raise MammoError(
                    f"{self.folder} can no longer be read. Connect its drive again (in Colab: mount Google Drive "
                    "again), then repeat the same call: it goes on where it stopped."
                ) from None
            result = error
            if isinstance(error, UnreadableFile):
                stamp = {}
        return _Reading(result, stamp, time.perf_counter() - begun, time.thread_time() - begun_cpu)

    def _folder_is_there(self) -> bool:
        try:
            with os.scandir(self.folder) as entries:
                return any(True for _ in entries)  # where a drive was connected, an empty folder is left
        except OSError:
            return False

    def _read_in(self, reading: Future[_Reading]) -> _Reading:
        read = reading.result()
        self.utilisation.reading_seconds += read.seconds
        self.utilisation.reading_cpu_seconds += read.cpu_seconds
        return read

    def _rows(self, readings: dict[str, _Reading]) -> list[dict]:
        """The rows of a batch, by the name of the file."""
        results = {name: read.result for name, read in readings.items() if isinstance(read.result, MammoError)}
        readable = {name: read.result for name, read in readings.items() if name not in results}
        if readable:
            begun = time.perf_counter()
            results |= dict(zip(readable, self.classifier.assess(list(readable.values())), strict=True))
            self.utilisation.network_seconds += time.perf_counter() - begun
        rows = []
        for name, read in readings.items():
            row, result = {"file": name, "model": self.model} | read.stamp, results[name]
            if name in readable:
                row |= {"laterality": read.result.laterality, "view": read.result.view}
            if isinstance(result, MammoError):
                row["error"] = " ".join(str(result).split())
            else:
                row["probability"] = f"{result.probability:.6f}"
                row["result"] = self.classifier.card.result_rule.result(result.probability, result.doubts)
                row["warnings"] = " ".join(result.doubts)
            rows.append(row)
        return rows
