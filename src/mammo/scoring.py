"""A folder of files -> a table of answers.

    table = mammo.score_folder("films", "scores.csv")

Rows are written as they come. The same command goes on where it was interrupted, and a file that cannot be judged is a
row with the reason. Whatever the number of files, only a few images are in memory.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from mammo.datasets.folder import files_below
from mammo.errors import MammoError
from mammo.prediction import Classifier, load_classifier
from mammo.preprocessing import image_doubts, prepare, shape_doubt

COLUMNS = ("file", "laterality", "view", "probability", "above_threshold", "answer", "warnings", "error", "model")
BATCH = 16
AS_TEXT = {"encoding": "utf-8", "newline": "", "errors": "backslashreplace"}  # a file's name may be in any encoding


def score_folder(folder, table, classifier: Classifier | None = None, workers: int = 2) -> pd.DataFrame:
    """Ask about every file in a folder and its sub-folders; write, and return, a table with a row for each.

    `table` is a CSV file with the columns `file` (relative to the folder), `laterality` and `view` (where the header
    says them), `probability` (calibrated), `above_threshold`, `answer` (benign, malignant or uncertain), `warnings`,
    `error`, the reason why there is no answer, and `model`, the start of its card's checksum. Files that have a row
    already are not asked about again: delete the table to begin anew. Without a `classifier` it is the demo model.
    Raises MammoError for a folder without files, and for a table of something else or of another model.
    """
    folder, table = Path(folder), Path(table)
    classifier = classifier or load_classifier()
    names, done = files_in(folder, table), _rows_in(table, name_of(classifier))
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("a", **AS_TEXT) as file, tqdm(total=len(names), unit="file") as progress:
        writer = csv.DictWriter(file, COLUMNS)
        if file.tell() == 0:
            writer.writeheader()
        new = [name for name in names if name.encode(errors=AS_TEXT["errors"]).decode() not in done]
        progress.update(len(names) - len(new))
        for rows in answered(classifier, folder, new, workers):
            writer.writerows(rows)
            file.flush()
            progress.update(len(rows))
    return read_answers(table)


def files_in(folder: Path, table: Path) -> list[str]:
    """The files to ask about, relative to the folder; raises MammoError where there are none."""
    files = [path for path in files_below(folder) if path.resolve() != table.resolve()]
    names = [path.relative_to(folder).as_posix() for path in files]
    if not names:
        raise MammoError(f"There are no files in {folder}. Check the path and the spelling.")
    return names


def name_of(classifier: Classifier) -> str:
    """12 hexadecimal digits that stand for a classifier: the start of its card's SHA-256."""
    return hashlib.sha256(json.dumps(classifier.card, sort_keys=True).encode()).hexdigest()[:12]


def read_answers(table: Path) -> pd.DataFrame:
    """A table of answers, as it was written."""
    words = dict.fromkeys(set(COLUMNS) - {"file", "probability", "above_threshold"}, object)
    empty = {column: [""] for column in COLUMNS if column != "file"}  # a file may be called NA
    return pd.read_csv(table, dtype={"file": str} | words, na_values=empty, keep_default_na=False)


def is_begun(table: Path, columns: Sequence[str]) -> bool:
    """Whether there is a table of answers already; raises MammoError for a file that is none."""
    if not table.exists() or table.stat().st_size == 0:
        return False
    with table.open(**AS_TEXT) as file:
        if file.readline().rstrip("\r\n") != ",".join(columns):
            raise MammoError(f"{table} is not a table of answers. Name another file, or delete this one.")
    return True


def _rows_in(table: Path, model: str) -> set[str]:
    """The files that the table has a row for; what an interruption left of a last row is cut off."""
    if not is_begun(table, COLUMNS):
        return set()
    content = table.read_bytes()
    with table.open("r+b") as file:
        file.truncate(content.rfind(b"\n") + 1)
    answers = read_answers(table)
    others = set(answers["model"]) - {model}
    if others:
        raise MammoError(f"{table} holds answers of another model ({min(others)}, not {model}). Name another table.")
    return set(answers["file"])


def answered(classifier: Classifier, folder: Path, names: list[str], workers: int = 2) -> Iterator[list[dict]]:
    """Rows for a batch of files at a time; the next batch is read while the model works on this one."""
    size = classifier.image_size

    def read(name: str) -> tuple:
        mammogram, breast, x = prepare(folder / name, size)
        shape = shape_doubt(breast)
        doubts = mammogram.warnings + image_doubts(mammogram, breast, shape)
        return x, mammogram.laterality, mammogram.view, shape, doubts

    with ThreadPoolExecutor(workers) as pool:
        parts = [[(name, pool.submit(read, name)) for name in names[:BATCH]]]
        for start in itertools.count(BATCH, BATCH):
            parts.append([(name, pool.submit(read, name)) for name in names[start : start + BATCH]])
            part = parts.pop(0)
            if not part:
                return
            yield _answered(classifier, part)


def _answered(classifier: Classifier, part: list[tuple[str, Future]]) -> list[dict]:
    rows, inputs, model = [], [], name_of(classifier)
    for name, reading in part:
        rows.append({"file": name, "model": model})
        try:
            inputs.append((rows[-1], *reading.result()))
        except MammoError as error:
            rows[-1]["error"] = " ".join(str(error).split())
    if not inputs:
        return rows
    scores = classifier.run(np.stack([x for _, x, *_ in inputs]))
    for place, (row, _, laterality, view, shape, doubts) in enumerate(inputs):
        row |= {"laterality": laterality, "view": view}
        try:
            probability, remain, _, strange = classifier.judge(row["file"], [part[place] for part in scores], shape)
        except MammoError as error:
            row["error"] = " ".join(str(error).split())
            continue
        row["probability"] = f"{probability:.6f}"
        row["above_threshold"] = probability >= classifier.card["threshold"]
        row["answer"] = remain[0] if len(remain) == 1 else "uncertain"
        row["warnings"] = " ".join((*doubts, *strange))
    return rows
