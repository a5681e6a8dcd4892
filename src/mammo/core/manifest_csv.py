"""Reading the CSV file of a manifest: what spreadsheets make of it, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mammo.core.errors import MammoError, short_reason
from mammo.core.files import errors_of_reading

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("path", "label", "patient_id")
PATH_COLUMNS = ("path", "mask_path")
WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
SAVE_AS = 'Save it as CSV in UTF-8 (in Excel: File, Save As, "CSV UTF-8").'
CELLS = "A cell that holds a comma needs quotes around it, and a number a decimal point."
SHOWN = 12  # columns that a message names


@errors_of_reading()
def read_csv(path: Path) -> pd.DataFrame:
    """The table with ids and paths as text; raises MammoError where the file is no such table."""
    import pandas as pd  # costs as much time and memory as an answer, which needs no table

    if path.is_dir():
        raise MammoError(f"{path} is a folder. Give the CSV file in it, or build one with mammo.datasets.folder.")
    if not path.is_file():
        raise MammoError(f"{path}: there is no such manifest. Generate one, or build one with mammo.datasets.")
    if path.suffix.lower() in WORKBOOKS:
        raise MammoError(f"{path.name} is a workbook, not a CSV table. {SAVE_AS}")
    try:
        check_needed(pd.read_csv(path, nrows=0).columns)
        table = pd.read_csv(path, dtype=dict.fromkeys(("patient_id", *PATH_COLUMNS), str))
        # an id may be NA, and is not empty then
        table["patient_id"] = pd.read_csv(path, usecols=["patient_id"], dtype=str, keep_default_na=False)
    except UnicodeError:
        raise MammoError(f"{path.name} is not text in UTF-8. {SAVE_AS}") from None
    except ValueError as error:  # what is damaged
        raise MammoError(f"{path.name} cannot be read as a CSV table ({short_reason(error)}). {CELLS}") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the first cells for row names: all others move
        raise MammoError(f"{path.name} has rows with more cells than the table has columns. Mend them. {CELLS}")
    return table


def check_needed(columns: Iterable) -> None:
    """Raise MammoError where a needed column is missing; it says which are there, and what may be meant."""
    columns = list(columns)
    absent = [name for name in NEEDED if name not in columns]
    if not absent:
        return
    there = ", ".join(map(repr, columns[:SHOWN])) + (" and more" if len(columns) > SHOWN else "")
    message = (
        f"The manifest has no column {', '.join(absent)}; it needs {', '.join(NEEDED)}, and has {there or 'none'}."
    )
    separator = re.search("[;\t|]", str(columns[0])) if len(columns) == 1 else None
    if separator:
        raise MammoError(
            f"{message} The separator is {separator[0]!r} and should be a comma; numbers need a decimal point. Convert "
            f"it: pandas.read_csv(file, sep={separator[0]!r}, decimal=',', dtype={{'patient_id': str}})"
            ".to_csv(file, index=False)"
        )
    meant = {_letters(name): name for name in columns}
    alike = {meant[_letters(name)]: name for name in absent if _letters(name) in meant}
    if alike:
        renamed = ", ".join(f"{found!r} to {name}" for found, name in alike.items())
        message += f" Names are written in lower case and without blanks: rename {renamed}."
    raise MammoError(message)


def _letters(name) -> str:
    """A column's name without capitals, blanks and signs."""
    return re.sub(r"[\W_]", "", str(name)).casefold()
