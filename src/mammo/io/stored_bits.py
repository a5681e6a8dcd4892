"""Which bits of a stored value are the image: BitsStored of them, if the header is right.

The others may hold an overlay, as files from before 2004 do, or the header promises fewer bits than there are.
"""

from __future__ import annotations

import numpy as np

from mammo.io.header import integer

OVERSHOOT = 1 / 8  # of the range; lossy compression goes so far beyond the highest value, and an overlay further
MASKED = "{} pixels have bits above the {} that the header promises (an overlay?); those bits were left out."
KEPT = "The values need {} bits and the header promises {}; they are taken as they are."
CUT = "Lossy compression took {} pixels beyond the {} bits that the header promises; they are taken as its limit."
OVERLAYS = "By its header bits {} hold overlays; they were left out."
UNSIGNED = (
    "The header says that values are signed, but then they break in the midst of the image; they were read unsigned."
)
SIGN_BREAKS = 1 / 4  # so much smaller are steps between neighbours where the sign is wrong
SHIFTED = "The values lie in the upper {} of {} bits, as the header says, and were moved down."


def significant(header, stored: np.ndarray, is_lossy: bool, notes: list[str]) -> tuple[np.ndarray, int]:
    """The stored values without what is no part of the image, and the bits they have.

    Parameters
    ----------
    header : pydicom.Dataset
    stored : ndarray of int
        As they were decoded, with all bits.
    is_lossy : bool
        Whether the compression can change values.
    notes : list of str
        A warning is added where values exceed what the header promises.

    Returns
    -------
    (ndarray of int, int)
    """
    room = 8 * stored.dtype.itemsize
    bits = integer(header, "BitsStored", integer(header, "BitsAllocated", room))
    bits = bits if 0 < bits <= room else room
    is_signed = integer(header, "PixelRepresentation") == 1
    upper = integer(header, "HighBit", bits - 1) + 1 - bits
    stored = _without_overlays(header, stored, range(upper, upper + bits), notes)
    if 0 < upper <= room - bits and not (stored & (2**upper - 1)).any():
        notes.append(SHIFTED.format(bits, bits + upper))
        stored = stored >> upper
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    if stored.dtype.kind == ("i" if is_signed else "u") and (
        bits == room or (int(stored.max()) <= high and (not is_signed or low <= int(stored.min())))
    ):
        return _signed(stored, bits, notes) if is_signed else stored, bits
    raw = stored.view(f"u{stored.dtype.itemsize}")
    masked = raw & raw.dtype.type(2**bits - 1)
    if is_signed:  # the highest bit is the sign
        masked = (masked << (room - bits)).view(f"i{stored.dtype.itemsize}") >> (room - bits)
    whole = stored if is_signed == (stored.dtype.kind == "i") else raw.view(masked.dtype)
    # A decoder that does not know of the sign gives the bits alone: nothing is lost where the others are 0.
    exceeding = (whole != masked) & (raw >> bits != 0) if bits < room else np.zeros(stored.shape, bool)
    if not exceeding.any():
        return _signed(masked, bits, notes) if is_signed else masked, bits
    count = np.count_nonzero(exceeding)
    if is_lossy and _distance(whole, low, high) <= OVERSHOOT * 2**bits:
        notes.append(CUT.format(count, bits))
        return np.clip(whole, low, high), bits
    if _jumps(masked, exceeding) <= _jumps(whole, exceeding):
        notes.append(MASKED.format(count, bits))
        return masked, bits
    needed = int(np.abs(whole.astype(np.int64)).max()).bit_length() + is_signed
    notes.append(KEPT.format(needed, bits))
    return whole, needed


def _without_overlays(header, stored: np.ndarray, of_image: range, notes: list[str]) -> np.ndarray:
    """The same without the bits in which the header says that overlays are (retired in DICOM, and still met)."""
    groups = [group for group in range(0x6000, 0x6020, 2) if (group, 0x3000) not in header]
    elements = [header[group, 0x0102].value for group in groups if (group, 0x0102) in header]
    room = 8 * stored.dtype.itemsize
    bits = sorted({bit for bit in elements if isinstance(bit, int) and 0 <= bit < room and bit not in of_image})
    raw = stored.view(f"u{stored.dtype.itemsize}")
    overlays = raw.dtype.type(sum(2**bit for bit in bits))
    if not bits or not (raw & overlays).any():
        return stored
    notes.append(OVERLAYS.format(", ".join(map(str, bits))))
    return (raw & ~overlays).view(stored.dtype)


def _signed(values: np.ndarray, bits: int, notes: list[str]) -> np.ndarray:
    """Signed values, or the same bits unsigned where the sign tears neighbours apart.

    The lowest value does not count: it fills what is no image.
    """
    some = values[::4, ::4].astype(np.int64)
    negative = (some < 0) & (some > -(2 ** (bits - 1)))
    if not negative.any() or _jumps(some % 2**bits, negative) >= SIGN_BREAKS * _jumps(some, negative):
        return values
    notes.append(UNSIGNED)
    raw = values.view(f"u{values.dtype.itemsize}")
    return raw & raw.dtype.type(2**bits - 1)


def _distance(values: np.ndarray, low: int, high: int) -> int:
    return max(int(values.max()) - high, low - int(values.min()))


def _jumps(values: np.ndarray, exceeding: np.ndarray) -> float:
    """How much neighbours differ along the outline of `exceeding`: an overlay is a step, a bright region is none."""
    values = values.astype(np.float64)
    return sum(
        float(np.abs(np.diff(values, axis=axis))[np.diff(exceeding, axis=axis)].sum())  # diff of bool: not equal
        for axis in (0, 1)
    )
