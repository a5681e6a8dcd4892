"""DICOM files, in the order of steps that the standard gives (PS3.4, N.2).

Stored values -> modality LUT -> VOI LUT or window -> polarity.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.misc import is_dicom
from pydicom.multival import MultiValue
from pydicom.pixels import apply_rescale, apply_windowing, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from mammo.core.errors import MammoError
from mammo.io.codecs import decompressed
from mammo.io.mammogram import MAX_PIXELS, Mammogram, check_size, grey_from_channels, scale_to_unit

BREAST_MODALITIES = {"MG"}
VAGUE_MODALITIES = {"", "OT", "CR", "SC"}  # digitised films are sometimes filed under these
VIEW_CODES = {"399162004": "CC", "R-10242": "CC", "399368009": "MLO", "R-10226": "MLO"}  # PS3.16, CID 4014
FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")  # where a file without preamble starts, either byte order
META_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"  # (0002,0000), the length of the group before the data set
FRAME_GROUPS = (
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "PixelMeasuresSequence",
    "FrameAnatomySequence",
)


def looks_like_dicom(path: Path) -> bool:
    """True for a DICOM file, also for one that lost the 132 bytes before its header."""
    with path.open("rb") as file:
        start = file.read(2)
    return start in FIRST_GROUPS or is_dicom(path)


def read_dicom(path: Path, frame: int | None) -> Mammogram:
    """Read a DICOM mammogram; raises MammoError where it is something else or cannot be decoded."""
    _check_inflated_size(path)
    header = pydicom.dcmread(path, force=True)
    modality = _text(header, "Modality")
    if not modality and "Rows" not in header:
        kind = UID(str(header.file_meta.get("MediaStorageSOPClassUID", ""))).name
        if kind and "Mammography" not in kind:
            raise MammoError(f"{path.name} is a DICOM file of the kind {kind}. Choose a mammography image.")
        raise MammoError(f"{path.name} is cut off: its DICOM header ends too early. Copy or export it again.")
    if modality not in BREAST_MODALITIES and not _vague_but_breast(header, modality):
        raise MammoError(
            f"{path.name} is a DICOM file of modality {modality or 'unknown'}, not a mammogram (MG). "
            "Choose a mammography image."
        )
    if "Rows" not in header or "PixelData" not in header:
        raise MammoError(f"{path.name} is a DICOM file without an image. Choose the mammogram itself.")
    photometric = _text(header, "PhotometricInterpretation")
    if photometric == "PALETTE COLOR":
        raise MammoError(f"{path.name} is stored with a table of colours, which no mammogram is. Choose another file.")
    check_size(path, header.Columns, header.Rows)
    index = _frame_index(path, header, frame)
    stored = _stored_values(path, header, index)
    _use_functional_groups(header, index)
    notes = []
    if modality not in BREAST_MODALITIES:
        notes.append("The DICOM header does not say that this is mammography; it was read because it says breast.")
    if _text(header, "PresentationIntentType") == "FOR PROCESSING":
        notes.append("This is a raw image (For Processing). The model expects one made for viewing (For Presentation).")
    inverted = photometric == "MONOCHROME1"
    shape = _text(header, "PresentationLUTShape")
    if shape and (shape == "INVERSE") != inverted:
        notes.append(f"The header contradicts itself: {photometric}, but presentation {shape}. The first was believed.")
    padding = _padding(header, stored)
    rest = stored[~padding] if padding.any() and not padding.all() else stored
    low, high = int(rest.min()), int(rest.max())
    levels = np.arange(low, high + 1) if high - low < 2**16 else np.clip(stored, low, high)
    image, bits = _displayed(header, levels, notes)
    image = 1 - image if inverted else image
    if levels.ndim == 1:
        table = np.zeros(2**16, np.float32)
        table[levels.astype(np.uint16)] = image  # negative values wrap round, here and below
        image = table[stored.astype(np.uint16, copy=False)]
    return Mammogram(
        image=np.where(padding, np.float32(0), image) if padding.any() else image,
        file=path.name,
        format="DICOM",
        bits=bits,
        inverted=inverted,
        view=view_of(header),
        laterality=laterality_of(header),
        chest_wall={"P": "right", "A": "left"}.get(_orientation(header)[:1]),
        pixel_spacing_mm=_spacing(header),
        warnings=tuple(notes),
    )


def _check_inflated_size(path: Path) -> None:
    """A deflated file is inflated when its header is read: refuse one that would fill the memory."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
        group = head.find(META_LENGTH)
        if DeflatedExplicitVRLittleEndian.encode() not in head or group < 0:
            return
        file.seek(group + 12 + int.from_bytes(head[group + 8 : group + 12], "little"))
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        with suppress(zlib.error):  # then it is damaged, and reading it will say so
            while chunk := inflate.unconsumed_tail or file.read(1 << 16):
                size += len(inflate.decompress(chunk, 1 << 22))
                if size > 4 * MAX_PIXELS:
                    raise MammoError(f"{path.name} unpacks to more than any mammogram holds. It was not opened.")


def _text(header, tag: str) -> str:
    """A tag's first value in capitals; empty where the tag is missing."""
    value = header.get(tag)
    if isinstance(value, MultiValue):
        value = value[0] if value else ""
    return str(value or "").strip().upper()


def _vague_but_breast(header, modality: str) -> bool:
    return modality in VAGUE_MODALITIES and "BREAST" in _text(header, "BodyPartExamined")


def _frame_index(path: Path, header, frame: int | None) -> int:
    frames = int(header.get("NumberOfFrames", 1) or 1)
    if frames > 1 and frame is None:
        raise MammoError(
            f"{path.name} holds {frames} frames (tomosynthesis?). Choose one with frame=0 to frame={frames - 1}, as in "
            f"classifier.predict(path, frame={frames // 2}), or export the synthetic 2-D view."
        )
    if frame is not None and not 0 <= frame < frames:
        raise MammoError(f"{path.name} has frames 0 to {frames - 1}, and no frame {frame}.")
    return frame or 0


def _stored_values(path: Path, header, index: int) -> np.ndarray:
    """The grey values of one frame as they are stored, (height, width)."""
    if "TransferSyntaxUID" not in header.file_meta:
        implicit, little = header.original_encoding
        guess = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        header.file_meta.TransferSyntaxUID = guess if little else ExplicitVRBigEndian
    syntax = UID(str(header.file_meta.TransferSyntaxUID))
    in_colour = syntax == RLELossless and int(header.SamplesPerPixel) > 1
    if syntax.is_transfer_syntax and syntax.is_encapsulated and not in_colour:
        frame = get_frame(header.PixelData, index, number_of_frames=int(header.get("NumberOfFrames", 1) or 1))
        stored = decompressed(path, frame, syntax, header)
    else:
        stored = pixel_array(header, index=index)
    return grey_from_channels(stored, path) if stored.ndim == 3 else stored


def _use_functional_groups(header, index: int) -> None:
    """Multi-frame images keep window, spacing and side in groups, shared or for each frame: move them to the top."""
    shared = header.get("SharedFunctionalGroupsSequence") or []
    each = header.get("PerFrameFunctionalGroupsSequence") or []
    for group in [*shared[:1], *each[index : index + 1]]:
        for name in FRAME_GROUPS:
            for element in (element for item in (group.get(name) or [])[:1] for element in item):
                header[element.tag] = element


def _padding(header, stored: np.ndarray) -> np.ndarray:
    """bool, where the image was filled up with a value that stands for nothing."""
    value = header.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, bool)
    low, high = sorted((int(value), int(header.get("PixelPaddingRangeLimit", value))))
    return (stored >= low) & (stored <= high)


def _orientation(header) -> str:
    """Where the rows run to (P, A, ...); empty where the tag holds something else, as in CBIS-DDSM."""
    rows = _text(header, "PatientOrientation")
    return rows if set(rows) <= set("APHFLR") else ""


def view_of(header) -> str | None:
    """The view; CBIS-DDSM keeps it under Patient Orientation, tomosynthesis as a code."""
    codes = [str(item.get("CodeValue")) for item in header.get("ViewCodeSequence") or []]
    elsewhere = _text(header, "PatientOrientation")
    coded = next((VIEW_CODES[code] for code in codes if code in VIEW_CODES), None)
    return _text(header, "ViewPosition") or (elsewhere if elsewhere in ("CC", "MLO") else coded)


def laterality_of(header) -> str | None:
    """The side of the breast, L or R."""
    tags = ("ImageLaterality", "FrameLaterality", "Laterality")
    return next((text for text in (_text(header, tag) for tag in tags) if text in ("L", "R")), None)


def _spacing(header) -> tuple[float, float] | None:
    spacing = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    try:
        rows, columns = (float(value) for value in spacing)
    except (TypeError, ValueError):
        return None
    return rows, columns


def _displayed(header, stored: np.ndarray, notes: list[str]) -> tuple[np.ndarray, int]:
    """Stored values as the header wants them shown, before polarity: float32 in [0, 1]; and the bits used.

    Each step maps a value to a value, so `stored` may be an image or all values that occur. Of several tables or
    windows the first counts, and a table before a window. One that cannot be applied is left out, with a note.
    """
    bits = int(header.BitsStored)
    signed = int(header.PixelRepresentation) == 1
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    if header.get("ModalityLUTSequence"):
        values, (low, high) = _looked_up(header, header.ModalityLUTSequence[0], stored)
    else:
        values = apply_rescale(stored, header)
        slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
        low, high = low * slope + intercept, high * slope + intercept
    if header.get("VOILUTSequence") or ("WindowCenter" in header and "WindowWidth" in header):
        with suppress(Exception):  # a broken window can make pydicom raise anything
            if header.get("VOILUTSequence"):
                shown, (low, high) = _looked_up(header, header.VOILUTSequence[0], values)
            else:
                shown = np.asarray(apply_windowing(values, header), np.float32)
            if high != low and np.isfinite(shown).all():
                return np.clip((shown - low) / (high - low), 0, 1), bits
        notes.append("The window in the header cannot be applied; the image is shown at its full range.")
    return scale_to_unit(values)


def _looked_up(header, item, values: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Values through a LUT (PS3.3, C.11.1 and C.11.2), and the lowest and highest that its depth allows.

    Values below the first entry get that entry, values above the last the last one. (pydicom's own wraps
    round where the table has 8 bits and the values have more.)
    """
    entries, first, depth = (int(number) for number in item.LUTDescriptor)
    data, entries = item.LUTData, entries or 2**16
    if isinstance(data, bytes):
        order = "<" if header.original_encoding[1] else ">"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * entries else np.uint8)
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, entries - 1)
    return np.asarray(data, np.float32)[:entries][places], (0.0, 2.0**depth - 1)
