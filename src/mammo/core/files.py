"""Files that appear whole or not at all, their checksums, and the files of a folder."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np

MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
PART = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.partial$")
LEFT_AFTER_S = 3600
JUNK = {"DICOMDIR", "Thumbs.db", "desktop.ini"}  # what archives and file managers leave behind


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a name of its own, then rename: the file appears whole, or what was there stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(f"{path.name}.{MACHINE}-{os.getpid()}-{uuid.uuid4().hex[:8]}.partial")
    try:
        write(partial_path)
        os.replace(partial_path, path)
    finally:
        partial_path.unlink(missing_ok=True)


def is_abandoned(path: Path) -> bool:
    """Whether it is a part that nobody writes any more: its process is gone or, elsewhere, an hour has passed."""
    name = PART.search(path.name)
    try:
        if name and name[1] == MACHINE:
            os.kill(int(name[2]), 0)  # sends nothing
            return False
        return path.suffix == ".partial" and time.time() - path.stat().st_mtime > LEFT_AFTER_S
    except ProcessLookupError:
        return True
    except OSError:  # another user's process, or the file is gone
        return False


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Named arrays as `np.load` reads them, whole or not at all."""

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez(file, **arrays)

    write_atomically(path, write)


def sha256_of(path: Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def list_files(root: Path) -> list[Path]:
    """The files in a folder and its sub-folders, sorted, without hidden ones and `JUNK`."""
    return [
        path for path in sorted(root.rglob("*")) if path.is_file() and path.name not in JUNK and path.name[0] != "."
    ]
