"""What the readers of published data sets share: their tables, their files by name, their counts.

Nothing is dropped silently. A file that the owner names and that is not there, and one that is there and that the
owner does not name, are reported by name. Only `partial=True` goes on without them, and then warns with the names.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.manifest import GRAVITY, check_manifest

FIRST = ("path", "label", "patient_id", "laterality", "view", "split", "source", "lesion_type", "density")
PLACE = ("mask_path", "x", "y", "radius")
PACKAGED = Path(__file__).with_name("tables")  # of data sets whose licence lets us: its README.md says which
SHOWN = 20  # names in a message; the rest is counted
SIDES = {"LEFT": "L", "RIGHT": "R", "L": "L", "R": "R"}


def read_table(path, columns: Iterable[str] = (), **options) -> pd.DataFrame:
    """A CSV or Excel table, every cell as text without the blanks and line breaks around it.

    Column names come without blanks around them and with `_` for the blanks inside. Letters are composed (Unicode NFC).
    `options` go to pandas.
    Raises MammoError where the table is missing, damaged or without one of `columns`.
    """
    path = Path(path)
    if not path.is_file():
        raise MammoError(f"{path}: this table is missing. It is part of the download and says what the images show.")
    read = pd.read_excel if path.suffix.lower() in (".xls", ".xlsx") else pd.read_csv
    try:
        # pandas 2.2 cuts a cell off at a zero, without a word.
        zeros = path.suffix.lower() == ".csv" and b"\0" in path.read_bytes()
        table = read(path, dtype=str, **options)
    except ImportError as error:
        raise MammoError(f"{path.name}: {error} Or save the spreadsheet as {path.stem}.csv beside it.") from None
    except OSError as error:
        raise MammoError(f"{path} cannot be opened ({error.strerror or error}). Check its permissions.") from None
    except Exception as error:  # a damaged spreadsheet fails anywhere: the archive, its XML, its cells
        raise MammoError(f"{path.name} cannot be read as a table ({error}). Download it again.") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the first cells for row names, and all others move
        raise MammoError(f"{path.name} has rows with more cells than the table has columns. Get it again.")
    if zeros:
        raise MammoError(f"{path.name} is damaged: it holds zeros in its text. Get it again.")
    table.columns = [str(column).strip().replace(" ", "_") for column in table.columns]
    absent = [column for column in columns if column not in table]
    if absent:
        raise MammoError(f"{path.name} has no column {', '.join(absent)}; it has {', '.join(table.columns)}.")
    return table.apply(lambda column: column.str.strip().str.normalize("NFC")).astype(object)


def first_table(root: Path, *names: str) -> Path:
    """The first of these files that is there, else the first name, for the message that it is missing."""
    return next((root / name for name in names if (root / name).is_file()), root / names[0])


def check_filled(table: pd.DataFrame, columns: Iterable[str], name: str) -> None:
    """Raise MammoError where a cell that must say something is empty: the table was cut off or edited."""
    for column in columns:
        empty = table.index[table[column].isna() | (table[column] == "")]
        if len(empty):
            raise MammoError(f"{name} says no {column} in {len(empty)} rows, first row {empty[0] + 1}. Get it again.")


def translated(values: pd.Series, words: Mapping[str, str], name: str) -> pd.Series:
    """The owner's words in ours; raises MammoError for a word that the owner is not known to use."""
    strange = sorted(set(values.dropna()) - set(words))
    if strange:
        raise MammoError(f"{name} says {', '.join(strange)}; known are {', '.join(words)}. Is the table damaged?")
    return values.map(dict(words))


def check_files(source: str, missing: Iterable[str], extra: Iterable[str], partial: bool) -> None:
    """Raise MammoError with the names of files that are missing or that the owner does not name.

    With `partial` this is a warning instead.
    """
    missing, extra = sorted(missing), sorted(extra)
    found = []
    if missing:
        found.append(f"{len(missing)} files that its tables name are not there: {_listed(missing)}")
    if extra:
        found.append(f"{len(extra)} files are there that its tables do not name: {_listed(extra)}")
    if found and not partial:
        raise MammoError(
            f"{source} is not as published: {'; '.join(found)}. Complete the download and move other files out, or "
            "go on with what is there by partial=True."
        )
    if found:
        warnings.warn(f"{source} is taken in part: {'; '.join(found)}.", stacklevel=3)


def check_counts(source: str, found: Mapping[str, int], published: Mapping[str, int], partial: bool) -> None:
    """Raise MammoError where a number differs from the published one, unless `partial`."""
    wrong = [f"{published[what]:,} {what} were published, {found[what]:,} found" for what in published]
    wrong = [text for text, what in zip(wrong, published, strict=True) if found[what] != published[what]]
    if wrong and not partial:
        raise MammoError(
            f"{source} is not complete: {'; '.join(wrong)}. Download the rest, or go on with what is there by "
            "partial=True."
        )


def is_there(path: Path, source: str, partial: bool) -> bool:
    """Whether to read a table: False, with a warning, where it is missing and `partial` allows that."""
    if partial and not path.is_file():
        warn_of(source, "tables are missing", [path.name])
        return False
    return True


def warn_of(source: str, what: str, names: Iterable[str]) -> None:
    """Warn that something holds for a number of things, with their names; of none there is no warning."""
    names = sorted(names)
    if names:
        warnings.warn(f"{source}: {len(names)} {what}: {_listed(names)}.", stacklevel=3)


def left_out(source: str, why: str, names: Iterable[str]) -> None:
    """Warn, with the names, of images that no row can be written for."""
    warn_of(source, f"images are not in the manifest, {why}", names)


def gravest(labels: Iterable[str]) -> str:
    """The gravest of some labels: malignant before benign before normal."""
    return max(labels, key=GRAVITY.index)


def as_manifest(rows, source: str) -> pd.DataFrame:
    """The rows as a checked manifest, the columns that every manifest has in front."""
    table = in_order(pd.DataFrame(rows).assign(source=source))
    check_manifest(table)
    return table


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with known columns in front, in one order for all data sets, and rows counted from 0."""
    known = [column for column in (*FIRST, *PLACE) if column in table]
    return table[[*known, *table.columns.difference(known, sort=False)]].reset_index(drop=True)


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest
