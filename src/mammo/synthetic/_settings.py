"""The settings of synthetic images as plain numbers; MammoError where no image can be drawn with them."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral

from mammo.core.arguments import check_seed, check_whole, is_number
from mammo.core.errors import MammoError
from mammo.io import MIN_SIDE


def image_settings(seed: int, image_size, processes: int) -> dict:
    """`seed` and `image_size` (height, width); `processes` is checked only, since it changes no image."""
    check_seed(seed)
    if not isinstance(processes, Integral) or processes == 0:
        raise MammoError(f"processes is how many work at once, or -1 for all cores, not {processes!r}.")
    sides = tuple(image_size) if isinstance(image_size, Iterable) else (image_size,)
    if len(sides) != 2 or not all(isinstance(side, Integral) and side >= MIN_SIDE for side in sides):
        raise MammoError(
            f"image_size is (height, width) in whole pixels, at least {MIN_SIDE} a side, not {image_size!r}."
        )
    return {"seed": int(seed), "image_size": tuple(map(int, sides))}


def mammogram_settings(seed: int, image_size, difficulty: float, processes: int) -> dict:
    """Those of every image, and `difficulty`."""
    settings = image_settings(seed, image_size, processes)
    height, width = settings["image_size"]
    if width < 0.6 * height:
        raise MammoError("Synthetic mammograms need a width of at least 0.6 times their height.")
    if not (is_number(difficulty) and 0 <= difficulty <= 1):
        raise MammoError(f"difficulty is a number from 0 to 1, not {difficulty!r}.")
    return settings | {"difficulty": float(difficulty)}


def replica_settings(patients: int, **settings) -> dict:
    """Those of a folder like one of a public data set: one patient of each class at least."""
    check_whole("patients", patients, 2)
    return {"patients": int(patients)} | mammogram_settings(**settings)
