"""Whether an argument is a number: words, NaN and infinity are none."""

from __future__ import annotations

import math
from numbers import Real

SEEDS = 2**32  # seeds lie below it, as scikit-learn and numpy want them


def is_number(value) -> bool:
    """True for a finite number, also one of numpy's."""
    return isinstance(value, Real) and math.isfinite(value)


def is_whole(value) -> bool:
    """True for a whole number, also written as 2.0."""
    return is_number(value) and value == int(value)


def is_seed(value) -> bool:
    """True for a whole number from 0 to below 2**32."""
    return is_whole(value) and 0 <= value < SEEDS
