"""Folders of synthetic images: what was drawn with other settings is removed, what others put there is not touched."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from joblib import Parallel, delayed
from tqdm.auto import tqdm

from mammo.core.errors import MammoError
from mammo.core.files import PART, errors_of_writing, is_abandoned, is_data, write_atomically

# How a file of settings begins; the second is of version 0.1.0. Other programs use the name dataset.json, too.
OURS = re.compile(r'{\s*"source": "(synthetic|noise|CMMD|CBIS-DDSM)",\s*"recipe": |\d+, seed ')


@dataclass(frozen=True)
class Layout:
    """The names in the folder of a synthetic data set."""

    stamp: str
    """The file that holds the settings."""
    parts: tuple[str, ...]
    """Sub-folders."""
    tables: tuple[str, ...]
    files: re.Pattern
    """Matches the paths of the files in the sub-folders, with slashes."""


def claim(folder: Path, layout: Layout, settings: dict) -> bool:
    """Leave the folder with these settings, and no file of others; True where it had them already.

    The tables are removed first, and the settings are the last thing that is written over: wherever this is
    interrupted, the folder is still known as ours and is not taken for whole. Raises MammoError, and removes nothing,
    where the folder holds what is not of the data set, or cannot be written.
    """
    stamp, text = folder / layout.stamp, json.dumps(settings, indent=2) + "\n"
    with errors_of_writing(f"The data set in {folder}"):
        held = [path for path in folder.iterdir() if path.suffix != ".partial"] if folder.exists() else []
        if held and not (stamp.is_file() and OURS.match(stamp.read_text(errors="replace"))):
            raise holds_others(folder, held[0])
        stale = (path for part in (".", *layout.parts) for path in (folder / part).glob("*.partial"))
        for path in filter(is_abandoned, list(stale)):  # what is younger may be another process at work
            path.unlink()
        if held and stamp.read_text() == text:
            return True
        remove_drawn(folder, layout)
        write_atomically(stamp, lambda path: path.write_text(text))
    return False


def remove_drawn(folder: Path, layout: Layout) -> None:
    """Remove the tables and files of a data set, and the folders that are empty then.

    What is no data, such as hidden files of other programs, stays where it is.
    """
    drawn = []
    for place, folders, files in (entry for part in layout.parts for entry in os.walk(folder / part)):
        folders[:] = [name for name in folders if is_data(name, folder=True)]
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for path in (Path(place, name) for name in sorted([*files, *links])):
            if layout.files.fullmatch(PART.sub("", path.relative_to(folder).as_posix())):
                drawn.append(path)
            elif is_data(path.name):
                raise holds_others(folder, path)
    for path in [*(folder / table for table in layout.tables), *drawn]:
        path.unlink(missing_ok=True)
        for parent in path.relative_to(folder).parents[:-1]:
            with suppress(OSError):  # not empty yet
                (folder / parent).rmdir()


def draw_rows(draw: Callable[[int], list], patients: int, processes: int, title: str) -> Iterator:
    """The rows that `draw` gives for each number of a patient, in order; so many processes draw at once."""
    work = Parallel(n_jobs=processes, return_as="generator")(delayed(draw)(number) for number in range(patients))
    for rows in tqdm(work, total=patients, desc=title, unit="patient"):
        yield from rows


def holds_others(folder: Path, other: Path) -> MammoError:
    """The error for a folder that holds what is not ours, such as the file `other`."""
    return MammoError(
        f"{folder} holds other files and is not touched, such as {other.relative_to(folder)}. Choose a new folder for "
        "the data set, or move them out of this one."
    )
