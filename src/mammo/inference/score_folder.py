"""Score every file in a folder -> a table of results.

    table = mammo.score_folder("films", "scores.csv")

Rows are written as they come. The same command goes on where it was interrupted: rows of files that have changed
since, or are gone, are dropped. A file that cannot be used is a row with the reason. Whatever the number of files, only
a few images are in memory. At the end a line says how busy the network, the threads that read files, and the processors
were.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from mammo.core.errors import MammoError
from mammo.core.files import as_path, errors_of_writing, list_files, normalized, write_atomically
from mammo.data.image_loader import WORKERS
from mammo.inference.classifier import Classifier
from mammo.inference.loading import load_classifier
from mammo.inference.scoring import Scorer, file_stamp

COLUMNS = ("file", "laterality", "view", "probability", "result", "warnings", "error", "model", "bytes", "modified")
AS_TEXT = {"encoding": "utf-8", "newline": "", "errors": "backslashreplace"}  # a file's name may be in any encoding


def score_folder(folder, table, classifier: Classifier | None = None, workers: int = WORKERS) -> pd.DataFrame:
    """Score every file in a folder and its sub-folders; write, and return, a table with a row for each.

    A table that is there already is continued. A row is kept where the file has the size and the time of its last
    change that the row states; other rows are dropped, and their number is printed. So a file that was replaced is
    scored again, and one that is not in the folder any more has no row. Delete the table to begin anew.

    Parameters
    ----------
    folder : path
    table : path
        The CSV file to write or to continue. Columns: `file` (relative to the folder), `laterality` and `view` (where
        the header says them), `probability` (calibrated, of malignant), `result` (negative, uncertain or positive),
        `warnings` (all that make the result uncertain), `error` (the reason why there is no result), `model` (an id of
        the model card and the preprocessing), `bytes` and `modified` (size and time of the last change of the file, in
        UTC, of a film of DDSM with its .ics file; empty where it could not be opened, and it is tried again next time).
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
        For a folder without files, or one that can no longer be read; for another value of `classifier` or `workers`
        than these; for a table of something else, of an older version, of another folder (no row is of a file as it is
        there), of another model or another preprocessing, or one that cannot be written.
    """
    folder, table = as_path(folder), as_path(table)
    classifier = load_classifier() if classifier is None else classifier
    if not isinstance(classifier, Classifier):
        raise MammoError(f"{classifier!r} is no classifier. Give what mammo.load_classifier(folder) returns.")
    with errors_of_writing(table):
        return _score_folder(folder, table, classifier, workers)


def _score_folder(folder: Path, table: Path, classifier: Classifier, workers: int) -> pd.DataFrame:
    names, scorer = files_to_score(folder, table), Scorer(classifier, folder, workers)
    kept = _rows_to_keep(folder, table, names, classifier.id)
    write_atomically(table.resolve(), partial(_write_rows, rows=kept.values()))  # a link to a table stays one
    new = [name for name in names if name not in kept]
    with table.open("a", **AS_TEXT) as file, tqdm(total=len(names), initial=len(kept), unit="file") as progress:
        for rows in scorer.rows(new):
            csv.DictWriter(file, COLUMNS).writerows(rows)
            file.flush()
            progress.update(len(rows))
    if new:
        print(scorer.utilisation)
    scores = read_scores(table)
    scores.attrs["utilisation"] = scorer.utilisation
    return scores


def _write_rows(path: Path, rows: Iterable[dict]) -> None:
    with path.open("w", **AS_TEXT) as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def files_to_score(folder: Path, table: Path) -> list[str]:
    """The files to score, relative to the folder; raises MammoError where there are none."""
    files, own = list_files(folder), table.resolve()
    names = [path.relative_to(folder).as_posix() for path in files if path.name != own.name or path.resolve() != own]
    if not names:
        raise MammoError(f"There are no files in {folder}. Check the path and the spelling.")
    return names


def read_scores(table: Path) -> pd.DataFrame:
    """A table of scores, as it was written."""
    words = dict.fromkeys(set(COLUMNS) - {"file", "probability"}, object) | {"bytes": "Int64"}
    empty = {column: [""] for column in COLUMNS if column != "file"}  # a file may be called NA
    return pd.read_csv(table, dtype={"file": str} | words, na_values=empty, keep_default_na=False)


def is_begun(table: Path, columns: Sequence[str]) -> bool:
    """Whether there is a table of scores already; raises MammoError for a file that is none."""
    if not table.exists() or table.stat().st_size == 0:
        return False
    with table.open(**AS_TEXT) as file:
        if file.readline().rstrip("\r\n") != ",".join(columns):
            raise MammoError(
                f"{table} is not a table of scores of this version. Name another file, or delete this one."
            )
    return True


def _rows_to_keep(folder: Path, table: Path, names: list[str], model: str) -> dict[str, dict]:
    """The table's rows of files that are in the folder and have not changed since, by the file's name there."""
    if not is_begun(table, COLUMNS):
        return {}
    with table.open(**AS_TEXT) as file:
        rows = [row for row in csv.DictReader(file) if row["modified"]]  # the last column: no row that was cut has it
    others = {row["model"] for row in rows} - {model}
    if others:
        raise MammoError(
            f"{table} holds scores of another model or preprocessing ({min(others)}, not {model}). Name another table."
        )
    written = {name.encode(errors=AS_TEXT["errors"]).decode(): name for name in names}
    composed = {normalized(text): name for text, name in written.items()}  # for a table that another machine began
    kept = {}
    for row in rows:
        name = written.get(row["file"]) or composed.get(normalized(row["file"]))
        if name and file_stamp(folder / name) == {column: row[column] for column in ("bytes", "modified")}:
            kept[name] = row
    if rows and not kept:
        raise MammoError(
            f"None of the rows in {table} is of a file as it is in {folder}: it is the table of another folder, or all "
            "files have changed since. Name another table, or delete this one."
        )
    if len(kept) < len(rows):
        print(f"{len(rows) - len(kept)} rows in {table} are dropped: their files have changed or are gone.")
    return kept
