"""Elements of a DICOM header as they are met: absent, empty, of the wrong type, or with a decimal comma.

pydicom converts an element when it is asked for, and raises where the element cannot be converted. Here such an
element counts as absent, or as a number that cannot be read.
"""

from __future__ import annotations

import math

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence


def value(header, tag: str):
    """The value of an element; None where there is none, or none that pydicom can convert."""
    try:
        return header.get(tag)
    except Exception:  # pydicom, which converts the element now
        return None


def text(header, tag: str) -> str:
    """The first value in capitals; empty where there is none."""
    found = value(header, tag)
    if isinstance(found, MultiValue):
        found = found[0] if found else ""
    return "" if found is None else str(found).strip(" \0").upper()


def numbers(header, tag: str) -> list[float | None]:
    """All values as finite numbers, None in place of one that is none; an empty list where there is no value."""
    found = value(header, tag)
    if found is None or isinstance(found, (bytes, Sequence)):
        return [] if found is None else [None]
    each = found if isinstance(found, (MultiValue, list)) else [found]
    return [_number(one) for one in each if str(one).strip(" \0")]


def _number(one) -> float | None:
    try:
        number = float(str(one).strip(" \0").replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def number(header, tag: str, default: float, notes: list[str]) -> float:
    """The first value as a number; the default where there is none, with a note where it cannot be read."""
    found = numbers(header, tag)
    if found and found[0] is None:
        notes.append(f"{tag} in the header is not a number; {default:g} was used.")
    return found[0] if found and found[0] is not None else default


def integer(header, tag: str, default: int = 0) -> int:
    """The first value as a whole number; the default where there is none."""
    found = numbers(header, tag)
    return int(found[0]) if found and found[0] is not None else default


def with_sign(header, value: float) -> float:
    """A stored value in the header of a signed image: some headers state it without its sign, -2000 as 63536."""
    return value - 2**16 if integer(header, "PixelRepresentation") == 1 and value >= 2**15 else value


def items(header, tag: str) -> list[Dataset]:
    """The items of a sequence; an empty list where there are none."""
    found = value(header, tag)
    return list(found) if isinstance(found, Sequence) else []


def codes(header, tag: str) -> list[str]:
    """The code values in a sequence of codes."""
    return [text(item, "CodeValue") for item in items(header, tag)]
