"""Folders of synthetic images: what was drawn with other settings is removed, what others put there is not touched."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mammo.core.errors import MammoError
from mammo.core.files import PART, is_data, write_atomically

STAMP = "synthetic.txt"


def is_drawn(folder: Path, settings: dict, tables, images: Path, names: re.Pattern) -> bool:
    """True where the folder is whole and of these settings; else it is emptied and stamped with them.

    `names` are those of its images, as in `remove_drawn`. Raises MammoError where it holds anything else.
    """
    stamp, text = folder / STAMP, json.dumps(settings, indent=2) + "\n"
    if stamp.is_file() and stamp.read_text() == text and all(path.is_file() for path in tables):
        return True
    if folder.is_dir() and not stamp.is_file() and (other := next(folder.iterdir(), None)):
        raise holds_others(folder, other)
    remove_drawn(folder, [images], names)
    for path in tables:
        path.unlink(missing_ok=True)
    write_atomically(stamp, lambda path: path.write_text(text))
    return False


def remove_drawn(folder: Path, parts: Iterable[Path], names: re.Pattern) -> None:
    """Remove the files of a data set from its sub-folders `parts`, and the folders that are empty then.

    `names` matches their paths in `folder`, with slashes. Raises MammoError, and removes nothing, where there is
    another file. What is no data, such as hidden files of other programs, stays where it is.
    """
    drawn = []
    for place, folders, files in (entry for part in parts for entry in os.walk(part)):
        folders[:] = [name for name in folders if is_data(name, folder=True)]
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for path in (Path(place, name) for name in sorted([*files, *links])):
            if names.fullmatch(PART.sub("", path.relative_to(folder).as_posix())):
                drawn.append(path)
            elif is_data(path.name):
                raise holds_others(folder, path)
    for path in drawn:
        path.unlink(missing_ok=True)
        for parent in path.relative_to(folder).parents[:-1]:
            with suppress(OSError):  # not empty yet
                (folder / parent).rmdir()


def holds_others(folder: Path, other: Path) -> MammoError:
    """The error for a folder that holds what is not ours, such as the file `other`."""
    return MammoError(
        f"{folder} holds other files and is not touched, such as {other.relative_to(folder)}. Choose a new folder for "
        "the data set, or move them out of this one."
    )
