"""DICOM files: which image of which examination, its stored values, and what the header says of them."""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from scipy import ndimage

from mammo.core.errors import MammoError
from mammo.io.codecs import LOSSY, decompressed
from mammo.io.decoding import START, decoding, read_bytes
from mammo.io.examination import chest_wall_of, laterality_of, shows_breast, spacing_of, special_views, view_of
from mammo.io.grey_levels import displayed, is_inverted
from mammo.io.header import integer, items, numbers, text, with_sign
from mammo.io.mammogram import MAX_PIXELS, SYNTHETIC, Mammogram, check_size, frame_index, grey_from_channels
from mammo.io.stored_bits import significant

FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")  # where a file without preamble starts, either byte order
META_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"  # (0002,0000), the length of the group before the data set
FRAME_GROUPS = (
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "PixelMeasuresSequence",
    "FrameAnatomySequence",
)
STEP = 0.1  # of the range, between white padding and what is beside it
TOO_LONG = "The file holds more pixels than its header announces; those beyond were left out."
ALL_PADDING = "By its header every pixel is padding; the padding value was left out."


def looks_like_dicom(start: bytes) -> bool:
    """True for the first bytes of a DICOM file, also of one that lost the 132 bytes before its header."""
    return start[:2] in FIRST_GROUPS or start[128:START] == b"DICM"


def read_dicom(path: Path, frame: int | None) -> Mammogram:
    """Read a DICOM mammogram; raises MammoError where it is something else or cannot be decoded."""
    _check_inflated_size(path)
    with decoding(path), path.open("rb") as file:
        header = pydicom.dcmread(file, force=True)
    notes = _examination_notes(path, header)
    _fill_in(header, notes)
    photometric = text(header, "PhotometricInterpretation")
    if photometric == "PALETTE COLOR":
        raise MammoError(f"{path.name} is stored with a table of colours, which no mammogram is. Choose another file.")
    check_size(path, integer(header, "Columns"), integer(header, "Rows"))
    frames = max(1, integer(header, "NumberOfFrames", 1))
    index = frame_index(path, frame, frames, "frames (tomosynthesis?)", "export the synthetic 2-D view")
    stored, is_lossy = _stored_values(path, header, index, frames, notes)
    with decoding(path):
        _use_functional_groups(header, index)
    notes += special_views(header)
    if text(header, "PresentationIntentType") == "FOR PROCESSING":
        notes.append("This is a raw image (For Processing). The model expects one made for viewing (For Presentation).")
    inverted = is_inverted(header)
    shape = text(header, "PresentationLUTShape")
    if shape and (shape == "INVERSE") != inverted:
        notes.append(f"The header contradicts itself: {photometric}, but presentation {shape}. The first was believed.")
    padding = _padding(header, stored, notes)  # before bits are left out: it may need more than the header promises
    if padding is not None:
        stored = np.where(padding, stored.dtype.type(0), stored)
    stored, bits = significant(header, stored, is_lossy, notes)
    if padding is None and ALL_PADDING not in notes:
        padding = _padding(header, stored, notes)
    image, bits = displayed(header, stored, stored if padding is None else stored[~padding], bits, notes)
    return Mammogram(
        image=image if padding is None else np.where(padding, np.float32(0), image),
        file=path.name,
        format="DICOM",
        bits=bits,
        inverted=inverted,
        view=view_of(header),
        laterality=laterality_of(header),
        chest_wall=chest_wall_of(header),
        pixel_spacing_mm=spacing_of(header),
        warnings=tuple(notes),
        synthetic=text(header, "Manufacturer") == SYNTHETIC.upper(),
    )


def _examination_notes(path: Path, header) -> list[str]:
    """Raise MammoError where this is no mammogram; else warn where the header does not say outright that it is one."""
    modality = text(header, "Modality")
    if not modality and "Rows" not in header:
        kind = UID(text(header.file_meta, "MediaStorageSOPClassUID")).name
        if kind and "Mammography" not in kind:
            raise MammoError(f"{path.name} is a DICOM file of the kind {kind}. Choose a mammography image.")
        raise MammoError(f"{path.name} is cut off: its DICOM header ends too early. Copy or export it again.")
    if modality != "MG" and not shows_breast(header):
        raise MammoError(
            f"{path.name} is a DICOM file of modality {modality or 'unknown'}, not a mammogram (MG). "
            "Choose a mammography image."
        )
    if "Rows" not in header or "PixelData" not in header:
        raise MammoError(f"{path.name} is a DICOM file without an image. Choose the mammogram itself.")
    if modality == "MG":
        return []
    filed = f"is filed as {modality}, not as mammography (MG)" if modality else "has no modality"
    return [f"The file {filed}; it was read because its header says breast."]


def _fill_in(header, notes: list[str]) -> None:
    """Give empty elements that decoders need the value that they have in nearly every mammogram."""
    bits = integer(header, "BitsAllocated", 16)
    usual = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelRepresentation": 0}
    for tag, assumed in {**usual, "BitsStored": bits}.items():
        if not text(header, tag) or (tag == "BitsStored" and integer(header, tag) == 0):
            header.add_new(tag, dictionary_VR(tag), assumed)
            notes.append(f"{tag} in the header has no value; {assumed} was assumed.")
    photometric = text(header, "PhotometricInterpretation").replace(" ", "")
    if photometric in ("MONOCHROME1", "MONOCHROME2"):  # in capitals, which decoders insist on
        header.PhotometricInterpretation = photometric


def _check_inflated_size(path: Path) -> None:
    """A deflated file is inflated when its header is read: refuse one that would fill the memory."""
    head = read_bytes(path, 1 << 16)
    group = head.find(META_LENGTH)
    if DeflatedExplicitVRLittleEndian.encode() not in head or group < 0:
        return
    inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    rest = read_bytes(path)[group + 12 + int.from_bytes(head[group + 8 : group + 12], "little") :]
    with suppress(zlib.error):  # then it is damaged, and reading it will say so
        while rest:
            size += len(inflate.decompress(rest, 1 << 22))
            rest = inflate.unconsumed_tail
            if size > 4 * MAX_PIXELS:
                raise MammoError(f"{path.name} unpacks to more than any mammogram holds. It was not opened.")


def _stored_values(path: Path, header, index: int, frames: int, notes: list[str]) -> tuple[np.ndarray, bool]:
    """The values of one frame as they are stored, (height, width), and whether their compression loses detail."""
    with decoding(path):
        if "TransferSyntaxUID" not in header.file_meta:
            implicit, little = header.original_encoding
            guess = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            header.file_meta.TransferSyntaxUID = guess if little else ExplicitVRBigEndian
        syntax = UID(str(header.file_meta.TransferSyntaxUID))
        in_colour = syntax == RLELossless and integer(header, "SamplesPerPixel", 1) > 1
        is_compressed = syntax.is_transfer_syntax and syntax.is_encapsulated and not in_colour
        if is_compressed:
            data = get_frame(header.PixelData, index, number_of_frames=frames)
        else:
            stored = pixel_array(header, index=index, correct_unused_bits=False)
            if not syntax.is_encapsulated and len(header.PixelData) >= frames * stored.nbytes + stored[0].nbytes:
                notes.append(TOO_LONG)
    if is_compressed:
        stored = decompressed(path, data, syntax, header)
    return grey_from_channels(stored, path) if stored.ndim == 3 else stored, syntax in LOSSY


def _use_functional_groups(header, index: int) -> None:
    """Multi-frame images keep window, spacing and side in groups, shared or for each frame: move them to the top."""
    shared = items(header, "SharedFunctionalGroupsSequence")
    each = items(header, "PerFrameFunctionalGroupsSequence")
    for group in [*shared[:1], *each[index : index + 1]]:
        for name in FRAME_GROUPS:
            for element in (element for item in items(group, name)[:1] for element in item):
                header[element.tag] = element


def _padding(header, stored: np.ndarray, notes: list[str]) -> np.ndarray | None:
    """bool, where the image was filled up with a value that stands for nothing; None where it was not."""
    ends = [*numbers(header, "PixelPaddingValue")[:1], *numbers(header, "PixelPaddingRangeLimit")[:1]]
    if not ends or None in ends:
        return None
    ends = [with_sign(header, end) for end in ends]
    padding = (stored >= min(ends)) & (stored <= max(ends))
    if padding.all():
        notes.append(ALL_PADDING)
    if padding.all() or not padding.any():
        return None
    low, high = int(stored.min()), int(stored.max())
    is_white = min(ends) <= low if is_inverted(header) else max(ends) >= high
    return _without_tissue(padding, stored, STEP * (high - low)) if is_white else padding


def _without_tissue(padding: np.ndarray, stored: np.ndarray, step: float) -> np.ndarray | None:
    """White padding without the regions that are tissue as white as can be: what is around them is nearly as white."""
    regions, count = ndimage.label(padding)
    around = np.where(padding, 0, ndimage.grey_dilation(regions, size=3))
    each = np.arange(1, count + 1)
    distance = np.abs(ndimage.mean(stored, around, each) - ndimage.mean(stored, regions, each))
    kept = np.append(False, distance > step)[regions]
    return kept if kept.any() else None
