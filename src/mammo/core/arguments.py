"""Whether an argument is the number that is asked for: words, NaN and infinity are none."""

from __future__ import annotations

import math
from numbers import Integral, Real

from mammo.core.errors import MammoError

SEEDS = 2**32  # seeds lie below it, as scikit-learn and numpy want them


def is_number(value) -> bool:
    """True for a finite number, also one of numpy's."""
    return isinstance(value, Real) and math.isfinite(value)


def check_whole(name: str, value, least: int = 1, why: str = "") -> None:
    """Raise MammoError where a value is no whole number of at least `least`."""
    if not isinstance(value, Integral) or value < least:
        raise MammoError(f"{name} is a whole number of at least {least}, not {value!r}{why}.")


def check_seed(seed) -> None:
    """Raise MammoError where a seed is no whole number from 0 to below 2**32."""
    if not (isinstance(seed, Integral) and 0 <= seed < SEEDS):
        raise MammoError(f"seed is a whole number from 0 to below 2**32, not {seed!r}.")
