"""Score every file in a folder -> a table of results.

    table = mammo.score_folder("films", "scores.csv")

Rows are written as they come. The same command goes on where it was interrupted, and a file that cannot be used is a
row with the reason. Whatever the number of files, only a few images are in memory. At the end a line says how busy the
network, the threads that read files, and the processors were.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from mammo.core.errors import MammoError
from mammo.core.files import as_path, errors_of_writing, list_files, normalized
from mammo.data.image_loader import WORKERS
from mammo.inference.classifier import Classifier
from mammo.inference.loading import load_classifier
from mammo.inference.scoring import Scorer

COLUMNS = ("file", "laterality", "view", "probability", "result", "warnings", "error", "model")
AS_TEXT = {"encoding": "utf-8", "newline": "", "errors": "backslashreplace"}  # a file's name may be in any encoding


def score_folder(folder, table, classifier: Classifier | None = None, workers: int = WORKERS) -> pd.DataFrame:
    """Score every file in a folder and its sub-folders; write, and return, a table with a row for each.

    Files that have a row already are not scored again: delete the table to begin anew.

    Parameters
    ----------
    folder : path
    table : path
        The CSV file to write or to continue. Columns: `file` (relative to the folder), `laterality` and `view` (where
        the header says them), `probability` (calibrated, of malignant), `result` (negative, uncertain or positive),
        `warnings` (about the image), `error` (the reason why there is no result), and `model` (an id of the model card
        and the preprocessing).
    classifier : Classifier, optional
        Without one it is the demo model.
    workers : int
        Threads that read and prepare files.

    Returns
    -------
    DataFrame
        The whole table. `attrs["utilisation"]` is the `mammo.inference.scoring.Utilisation` of this call.

    Raises
    ------
    MammoError
        For a folder without files, or one that can no longer be read; for a table of something else, of another model
        or another preprocessing, or one that cannot be written.
    """
    folder, table = as_path(folder), as_path(table)
    classifier = classifier or load_classifier()
    with errors_of_writing(table):
        return _score_folder(folder, table, classifier, workers)


def _score_folder(folder: Path, table: Path, classifier: Classifier, workers: int) -> pd.DataFrame:
    names, done = files_to_score(folder, table), _rows_in(table, classifier.id)
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("a", **AS_TEXT) as file, tqdm(total=len(names), unit="file") as progress:
        writer = csv.DictWriter(file, COLUMNS)
        if file.tell() == 0:
            writer.writeheader()
        new = [name for name in names if normalized(name.encode(errors=AS_TEXT["errors"]).decode()) not in done]
        progress.update(len(names) - len(new))
        scorer = Scorer(classifier, folder, workers)
        for rows in scorer.rows(new):
            writer.writerows(rows)
            file.flush()
            progress.update(len(rows))
    if new:
        print(scorer.utilisation)
    scores = read_scores(table)
    scores.attrs["utilisation"] = scorer.utilisation
    return scores


def files_to_score(folder: Path, table: Path) -> list[str]:
    """The files to score, relative to the folder; raises MammoError where there are none."""
    files, own = list_files(folder), table.resolve()
    names = [path.relative_to(folder).as_posix() for path in files if path.name != own.name or path.resolve() != own]
    if not names:
        raise MammoError(f"There are no files in {folder}. Check the path and the spelling.")
    return names


def read_scores(table: Path) -> pd.DataFrame:
    """A table of scores, as it was written."""
    words = dict.fromkeys(set(COLUMNS) - {"file", "probability"}, object)
    empty = {column: [""] for column in COLUMNS if column != "file"}  # a file may be called NA
    return pd.read_csv(table, dtype={"file": str} | words, na_values=empty, keep_default_na=False)


def is_begun(table: Path, columns: Sequence[str]) -> bool:
    """Whether there is a table of scores already; raises MammoError for a file that is none."""
    if not table.exists() or table.stat().st_size == 0:
        return False
    with table.open(**AS_TEXT) as file:
        if file.readline().rstrip("\r\n") != ",".join(columns):
            raise MammoError(f"{table} is not a table of scores. Name another file, or delete this one.")
    return True


def _rows_in(table: Path, model: str) -> set[str]:
    """The files with a row, by `normalized` names; what an interruption left of a last row is cut off."""
    if not is_begun(table, COLUMNS):
        return set()
    content = table.read_bytes()
    with table.open("r+b") as file:
        file.truncate(content.rfind(b"\n") + 1)
    scores = read_scores(table)
    others = set(scores["model"]) - {model}
    if others:
        raise MammoError(
            f"{table} holds scores of another model or preprocessing ({min(others)}, not {model}). Name another table."
        )
    return set(map(normalized, scores["file"]))
