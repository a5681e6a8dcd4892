"""`mammo.score_folder` on all the machines of a Ray cluster, for archives of millions of files.

    from functools import partial
    from mammo import load_classifier
    from mammo.inference import ray_scoring

    load = partial(load_classifier, "fast", runtime="openvino")
    table = ray_scoring.score_folder("archive", "scores.csv", load)

Ray (https://docs.ray.io) distributes the files, supervises the machines and repeats what a lost one was doing; without
a cluster it uses the processors of this one. Every machine must reach the folder, the table and the model under the
same paths. Each content is scored once: its row lies beside the table under a name that stands for the file's bytes,
the model and the preprocessing, written whole or not at all. So a duplicate, a lost machine and a second start cost
nothing.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from mammo.core.errors import MammoError
from mammo.core.files import as_path, errors_of_writing, write_atomically
from mammo.inference.classifier import Classifier
from mammo.inference.loading import load_classifier
from mammo.inference.score_folder import AS_TEXT, COLUMNS, files_to_score, is_begun, read_scores
from mammo.inference.scoring import BATCH, Scorer, file_stamp
from mammo.io import content_id


def score_folder(
    folder, table, load: Callable[[], Classifier] = load_classifier, processes: int | None = None
) -> pd.DataFrame:
    """Score every file in a folder and its sub-folders; write, and return, the table of `mammo.score_folder`.

    Parameters
    ----------
    folder, table : path
    load : callable
        Makes the classifier, once in each process.
    processes : int, optional
        Ray spreads them over its machines, and lets each of them use one core. Without it there is one for each core.

    Returns
    -------
    DataFrame
        With a further column, `sha256`, of the file's content.

    Raises
    ------
    MammoError
        Where Ray is missing or the folder is empty.
    """
    try:
        import ray  # optional, and takes seconds
    except ImportError:
        raise MammoError("Ray is not installed. Install it with `pip install 'ray[data]'`.") from None
    folder, table = as_path(folder).resolve(), as_path(table).resolve()
    parts = table.with_suffix(".scores")
    with errors_of_writing(table):
        is_begun(table, (*COLUMNS, "sha256"))  # or it is something else, and refused
    names = [name for name in files_to_score(folder, table) if parts not in (folder / name).parents]
    ray.init(ignore_reinit_error=True)
    processes = processes or int(ray.cluster_resources()["CPU"])
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    rows = ray.data.from_items([{"file": name} for name in names]).map_batches(
        _Scorer,
        fn_constructor_args=(folder, parts, load),
        batch_size=BATCH,
        concurrency=processes,
    )
    with errors_of_writing(table):
        write_atomically(table, lambda part: _write_table(part, tqdm(rows.iter_rows(), total=len(names), unit="file")))
    return read_scores(table)


def _write_table(path: Path, rows: Iterable[dict]) -> None:
    with path.open("w", **AS_TEXT) as file:
        writer = csv.DictWriter(file, (*COLUMNS, "sha256"))
        writer.writeheader()
        writer.writerows(json.loads(row["row"]) for row in rows)


class _Scorer:
    """What runs in a process of Ray: files -> their rows, from the folder of finished rows where they are there."""

    def __init__(self, folder: Path, parts: Path, load: Callable[[], Classifier]):
        self.folder, self.parts, self.classifier = folder, parts, load()
        self.model = self.classifier.id

    def __call__(self, batch: dict) -> dict:
        names = [str(name) for name in batch["file"]]
        contents = {name: self._content(name) for name in names}
        new = [name for name, content in contents.items() if not (content and self._path(content).is_file())]
        refused = self._refused(new, contents)
        return {"row": [json.dumps(self._row(name, contents[name], refused)) for name in names]}

    def _content(self, name: str) -> str | None:
        try:
            return content_id(self.folder / name)
        except OSError:
            return None

    def _refused(self, names: list[str], contents: dict) -> dict[str, dict]:
        """Score these files and keep the rows; returns the rows of refused files, which are not kept."""
        refused = {}
        for row in (row for rows in Scorer(self.classifier, self.folder, workers=1).rows(names) for row in rows):
            if "error" in row:
                refused[row["file"]] = row
            else:
                write_atomically(self._path(contents[row["file"]]), partial(Path.write_text, data=json.dumps(row)))
        return refused

    def _row(self, name: str, content: str | None, refused: dict) -> dict:
        row = refused.get(name)
        if row is None:  # scored under this name, or another one with the same content
            row = json.loads(self._path(content).read_text(encoding="utf-8")) | file_stamp(self.folder / name)
        return row | {"file": name, "sha256": content and content.split()[0]}

    def _path(self, content: str) -> Path:
        name = hashlib.sha256(f"{content} {self.model}".encode()).hexdigest()
        return self.parts / name[:2] / f"{name}.json"
