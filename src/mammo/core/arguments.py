"""Whether an argument is a number: words, NaN and infinity are none."""

from __future__ import annotations

import math
from numbers import Real

from mammo.core.errors import MammoError

SEEDS = 2**32  # seeds lie below it, as scikit-learn and numpy want them


def is_number(value) -> bool:
    """True for a finite number, also one of numpy's."""
    return isinstance(value, Real) and math.isfinite(value)


def is_whole(value) -> bool:
    """True for a whole number, also written as 2.0."""
    return is_number(value) and value == int(value)


def check_seed(seed) -> None:
    """Raise MammoError where a seed is no whole number from 0 to below 2**32."""
    if not (is_whole(seed) and 0 <= seed < SEEDS):
        raise MammoError(f"seed is a whole number from 0 to below 2**32, not {seed!r}.")
