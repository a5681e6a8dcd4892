"""Files that appear whole or not at all, their checksums, their names, and the files of a folder."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
import unicodedata
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from mammo.core.errors import MammoError, unreadable

MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
PART = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.partial$")
LEFT_AFTER_S = 3600
LONGEST_NAME = 255  # bytes; of nearly every file system
JUNK_FILES = {"dicomdir", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
JUNK_FOLDERS = {  # what archives, file managers and network drives leave behind
    "__macosx",
    "__pycache__",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@tmp",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "lost+found",
    "recycler",
    "system volume information",
}


def as_path(path) -> Path:
    """A path as a user gives it, with `~` for the home folder.

    Raises MammoError where there is no home folder, and for what is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise MammoError(f"{type(path).__name__} is no path. Give the name of a file or a folder as text.")
    text = os.fspath(path)
    if "\0" in text:
        raise MammoError(f"{text!r} is no name of a file or a folder. Give a name without a NUL character.")
    expanded = os.path.expanduser(text)
    if expanded == text and Path(text).parts[:1] == ("~",):  # as in containers
        raise MammoError(f"{text}: this account has no home folder. Give the whole path, without ~.")
    return Path(expanded)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a name of its own, then rename: the file appears whole, or what was there stays."""
    path = Path(os.path.abspath(path))  # for libraries that read a `~` in front as the home folder
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = f".{MACHINE}-{os.getpid()}-{uuid.uuid4().hex[:8]}.partial"
    partial_path = path.with_name(fitting_name(path.name, ending))
    try:
        write(partial_path)
        os.replace(partial_path, path)
    finally:
        with suppress(OSError):  # it was renamed, or its folder is gone
            partial_path.unlink()


@contextmanager
def errors_of_writing(what, advice: str = "Choose another folder.") -> Iterator[None]:
    """Raise MammoError that says what to do where something, such as a path, cannot be written."""
    try:
        yield
    except OSError as error:
        raise MammoError(f"{what} cannot be written ({error.strerror or error}). {advice}") from None


@contextmanager
def errors_of_reading() -> Iterator[None]:
    """Raise MammoError that names the file or folder that cannot be read; also a decorator."""
    try:
        yield
    except OSError as error:
        raise unreadable(str(error.filename or "A file"), error) from None


def absolute(path) -> str:
    """The absolute path of a file in its real folder; the file itself keeps its name where it is a link."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


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


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote; nothing where the file is missing, damaged or cannot be opened."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception:  # a damaged archive fails anywhere inside zipfile and numpy
        return {}


def sha256_of(path: Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def fitting_name(stem: str, suffix: str) -> str:
    """`stem + suffix`, cut where the name is too long for a file system: the stem at its end, then the suffix.

    >>> fitting_name("film", ".png")
    'film.png'
    """
    while len(os.fsencode(stem + suffix)) > LONGEST_NAME:
        stem, suffix = (stem[:-1], suffix) if stem else (stem, suffix[:-1])
    return stem + suffix


def normalized(name: str) -> str:
    """A file's name with composed letters (Unicode NFC): macOS and some archives write them decomposed."""
    return unicodedata.normalize("NFC", name)


def find_files(paths: Iterable) -> list[Path]:
    """The same paths; where nothing has that name, what has the same letters in another Unicode form there.

    Raises MammoError where a folder cannot be opened, and for a name that no file can have.
    """
    listings: dict[Path, dict[str, str]] = {}

    def find(path: Path) -> Path:
        if "\0" in path.name:
            raise MammoError(f"{str(path)!r} is no name of a file. The table that names it is damaged.")
        if os.path.lexists(path) or not path.name:
            return path
        folder = find(path.parent)
        if folder not in listings:
            names = os.listdir(folder) if folder.is_dir() else []
            listings[folder] = {normalized(name): name for name in names}
        return folder / listings[folder].get(normalized(path.name), path.name)

    try:
        return [find(Path(path)) for path in paths]
    except OSError as error:
        raise _cannot_be_opened(error.filename, error) from None


def why_missing(path) -> str:
    """What is wrong with a path that leads to no file, to be said of files."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "do not exist"
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    return "are no files"


def is_data(name: str, folder: bool = False) -> bool:
    """Whether a file or folder of this name can be data: it is not hidden, nor left behind by another program.

    Hidden are names with a dot in front: `.ipynb_checkpoints`, `.Trash-0`, and the `._` files of macOS. `~$` in front
    marks the lock files of office programs.
    """
    junk = JUNK_FOLDERS if folder else JUNK_FILES
    return not name.startswith((".", "~$")) and name.casefold() not in junk


def list_files(root, *endings: str) -> list[Path]:
    """The files in a folder and its sub-folders, sorted.

    Links to folders are followed. The names above and of `root` itself do not matter.

    Parameters
    ----------
    root : path
    *endings : str
        Of the files to list, in lower case, such as ".dcm"; capitals do not matter. All files without one.

    Returns
    -------
    list of Path
        Only what `is_data`. A warning names links that lead nowhere.

    Raises
    ------
    MammoError
        Where a folder cannot be opened: its files would be missing without a word.
    """
    lost: list[str] = []
    try:
        paths = list(_walk(str(root), (), lost))
    except FileNotFoundError as error:
        raise MammoError(
            f"There are no files in {root}: {error.filename} does not exist. Check the path and the spelling."
        ) from None
    except OSError as error:
        raise _cannot_be_opened(error.filename or root, error) from None
    lost = [path for path in lost if not endings or path.lower().endswith(endings)]
    if lost:
        warnings.warn(f"{len(lost)} links in {root} lead nowhere, first {lost[0]}.", stacklevel=2)
    return [Path(path) for path in paths if not endings or path.lower().endswith(endings)]


def _cannot_be_opened(path, error: OSError) -> MammoError:
    return MammoError(
        f"{path} cannot be opened ({error.strerror or error}). Check the path and its permissions, or whether its "
        "drive is connected, and start again."
    )


def _walk(folder: str, above: tuple, lost: list[str]) -> Iterator[str]:
    """The files below a folder; `above` are the folders that lead to it, so that a link to one ends there."""
    stat = os.stat(folder)
    here = (*above, (stat.st_dev, stat.st_ino))
    if here[-1] in above:
        return
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.is_symlink() and not os.path.exists(entry.path):  # or a link to itself
            if is_data(entry.name):
                lost.append(entry.path)
        elif entry.is_dir():
            if is_data(entry.name, folder=True):
                yield from _walk(entry.path, here, lost)
        elif is_data(entry.name) and entry.is_file():
            yield entry.path
