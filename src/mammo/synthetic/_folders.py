"""Folders in the layout of a published data set, drawn anew where they were drawn with other settings."""

from __future__ import annotations

import shutil
from pathlib import Path

from mammo.core.errors import MammoError
from mammo.core.files import write_atomically

STAMP = "synthetic.txt"


def is_drawn(folder: Path, settings: str, tables, images: Path) -> bool:
    """True where the folder is whole and of these settings; else it is emptied and stamped with them.

    Raises MammoError where it holds anything else.
    """
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == settings and all(path.is_file() for path in tables):
        return True
    if folder.is_dir() and any(folder.iterdir()) and not stamp.is_file():
        raise MammoError(f"{folder} holds other files and is not touched. Choose a new folder for the data set.")
    for path in tables:
        path.unlink(missing_ok=True)
    if images.is_dir():
        shutil.rmtree(images)
    write_atomically(stamp, lambda path: path.write_text(settings))
    return False
