"""Stored values of a DICOM image -> what the header wants to be seen, in the order of PS3.4, N.2.

Modality LUT or rescale -> VOI LUT or window. Polarity follows in `dicom`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mammo.io.header import items, number, numbers, text, value, with_sign
from mammo.io.mammogram import LEAST_CONTRAST, SAMPLED, depth_limits, looked_up, scale_to_unit

NOTHING_SHOWN = "The window in the header cannot be applied or shows nothing; the image is shown at its full range."
FURTHER_WINDOW = "The first window or table in the header shows nothing of the image; the next one was used."
NO_SLOPE = "The header has a rescale intercept without a slope; a slope of 1 was used."
ZERO_SLOPE = "The header has a rescale slope of 0, which leaves no image; a slope of 1 was used."
LUT_LENGTH = "A table in the header has {} entries, but announces {}; those that are there were used."
LUT_DEPTH = "A table in the header announces values of {} bits, but they need {}; that was used."
MODALITY_TABLE = "The modality LUT in the header cannot be applied and was left out."
NEARLY_CLIPPED = 1e-3
LEAST_SHARE = 0.01  # of the pixels


def displayed(header, stored: np.ndarray, counted: np.ndarray, bits: int, notes: list[str]) -> tuple[np.ndarray, int]:
    """An image as its header wants it shown, dense tissue bright.

    Parameters
    ----------
    header : pydicom.Dataset
    stored : ndarray of int, shape (height, width)
    counted : ndarray of int
        The stored values without padding: only these decide about the grey scale.
    bits : int
        Bits that the stored values have.
    notes : list of str
        Warnings are added to it.

    Returns
    -------
    (ndarray, int)
        float32 (height, width) in [0, 1], and the bits used.
    """
    low, high = int(counted.min()), int(counted.max())
    if high - low >= 2**16:
        return _shown(header, np.clip(stored, low, high), np.s_[::SAMPLED], counted, bits, notes)
    # Every step maps a value to a value, so each value that can occur is mapped once.
    sample = counted.ravel()[::SAMPLED].astype(np.int64) - low
    shown, used = _shown(header, np.arange(low, high + 1), sample, counted, bits, notes)
    table = np.zeros(2**16, np.float32)
    table[np.arange(low, high + 1).astype(np.uint16)] = shown  # negative values wrap round, here and below
    return looked_up(table, stored.astype(np.uint16, copy=False)), used


def _shown(header, levels: np.ndarray, sample, counted: np.ndarray, bits: int, notes: list[str]):
    """The same for `levels`: each value once, or the image. `sample` are the places of some pixels in it."""
    inverted = is_inverted(header)
    tables = [_looked_up(header, item, levels, notes) for item in items(header, "ModalityLUTSequence")[:1]]
    slope, intercept = (1.0, 0.0) if tables else _rescale(header, notes)
    if tables and (tables[0] is None or np.ptp(tables[0][0].ravel()[sample]) == 0):
        notes.append(MODALITY_TABLE)
        tables = []
    values = tables[0][0] if tables else levels if (slope, intercept) == (1, 0) else levels * slope + intercept
    unusable = 0
    for shown in _windows(header, values, notes):
        if shown is not None and _shows_something(shown.ravel()[sample]):
            if unusable:
                notes.append(FURTHER_WINDOW)
            return (1 - shown if inverted else shown), bits
        unusable += 1
    if unusable:
        notes.append(NOTHING_SHOWN)
    if tables:
        shown, bits = scale_to_unit(values)
    else:
        limits = depth_limits(counted, notes)
        shown, bits = scale_to_unit(levels, *limits)
    return (1 - shown if inverted != (slope < 0) else shown), bits


def is_inverted(header) -> bool:
    """True for MONOCHROME1, where the highest value is black."""
    return text(header, "PhotometricInterpretation").replace(" ", "") == "MONOCHROME1"


def _rescale(header, notes: list[str]) -> tuple[float, float]:
    if numbers(header, "RescaleIntercept") not in ([], [0]) and not numbers(header, "RescaleSlope"):
        notes.append(NO_SLOPE)
    slope = number(header, "RescaleSlope", 1, notes)
    if slope == 0:
        notes.append(ZERO_SLOPE)
    return slope or 1, number(header, "RescaleIntercept", 0, notes)


def _windows(header, values: np.ndarray, notes: list[str]) -> Iterator[np.ndarray | None]:
    """float32 in [0, 1] through each table, then each window; None where one cannot be applied."""
    for item in items(header, "VOILUTSequence"):
        yield _through_table(header, item, values, notes)
    centres, widths = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    function = text(header, "VOILUTFunction") or "LINEAR"
    for centre, width in zip(centres, widths, strict=False):
        yield _windowed(values, centre, width, function)


def _windowed(values: np.ndarray, centre: float | None, width: float | None, function: str) -> np.ndarray | None:
    """PS3.3, C.11.2.1."""
    if centre is None or width is None or width <= 0:
        return None
    if function == "SIGMOID":
        power = np.clip(-4 * (values - centre) / width, -80, 80)
        return (1 / (1 + np.exp(power))).astype(np.float32)
    if function == "LINEAR" and width > 1:
        shown = (values - (centre - 0.5)) / (width - 1) + 0.5
    elif function == "LINEAR_EXACT":
        shown = (values - centre) / width + 0.5
    else:
        return None
    return np.clip(shown, 0, 1).astype(np.float32)


def _shows_something(shown: np.ndarray) -> bool:
    """False where nearly all is clipped to black or white: the window was made for other values."""
    black, white = (shown < NEARLY_CLIPPED).mean(), (shown > 1 - NEARLY_CLIPPED).mean()
    between = 1 - black - white
    enough = max(LEAST_SHARE, 0.1 * (1 - max(black, white)))
    return between >= enough and float(np.ptp(shown)) >= LEAST_CONTRAST


def _through_table(header, item, values: np.ndarray, notes: list[str]) -> np.ndarray | None:
    found = _looked_up(header, item, values, notes)
    if found is None:
        return None
    shown, highest = found
    return np.clip(shown / np.float32(highest), 0, 1)


def _looked_up(header, item, values: np.ndarray, notes: list[str]) -> tuple[np.ndarray, float] | None:
    """Values through a LUT (PS3.3, C.11.1 and C.11.2), and the highest that it can give; None where it has no entries.

    Values below the first entry get that entry, values above the last the last one. (pydicom's own wraps
    round where the table has 8 bits and the values have more.)
    """
    descriptor, data = numbers(item, "LUTDescriptor"), value(item, "LUTData")
    if len(descriptor) != 3 or None in descriptor or data is None:
        return None
    announced, first, depth = (int(entry) for entry in descriptor)
    first = with_sign(header, first)
    announced = announced or 2**16
    if isinstance(data, bytes):
        order = "<" if header.original_encoding[1] else ">"
        is_8_bits = announced <= len(data) <= announced + 1
        data = np.frombuffer(data if is_8_bits else data[: len(data) // 2 * 2], np.uint8 if is_8_bits else f"{order}u2")
        data = data[:announced] if is_8_bits else data
    try:
        table = np.asarray(data, np.float32).ravel()
    except (TypeError, ValueError, OverflowError):
        return None
    if not len(table) or not np.isfinite(table).all():
        return None
    if len(table) != announced:
        notes.append(LUT_LENGTH.format(len(table), announced))
    needed = max(1, int(table.max()).bit_length())
    if table.max() > 0 and not depth - 1 <= needed <= depth:
        notes.append(LUT_DEPTH.format(depth, needed))
        depth = needed
    highest = 2.0 ** min(max(depth, 1), 32) - 1
    places = np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.int64)
    return table[places], highest
