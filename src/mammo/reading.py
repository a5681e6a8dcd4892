"""Any mammogram file -> one 2-D image and what was learned about the file.

    mammogram = mammo.read_mammogram("image.dcm")
    mammogram.image          # float32 (height, width) in [0, 1], dense tissue bright

The order of the steps is the DICOM standard's (PS3.4, N.2): stored values -> modality LUT -> VOI LUT or
window -> polarity. Nothing is rounded to 8 bits on the way. Of a DICOM header only what is needed to
read the pixels leaves this module: no name, no date, no identifier.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, ImageOps, UnidentifiedImageError
from pydicom.misc import is_dicom
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder
from pydicom.uid import UID

from mammo.errors import MammoError

MIN_SIDE = 100  # pixels; the smallest published lesion crops of whole breasts are larger
MAX_PIXELS = 100_000_000  # three times the largest mammogram: more is a mistake or an attack
PICTURE_FORMATS = ("PNG", "JPEG", "TIFF", "PPM", "BMP", "WEBP")
TIFF_POLARITY = 262  # PhotometricInterpretation; 0 is WhiteIsZero
BREAST_MODALITIES = {"MG"}
VAGUE_MODALITIES = {"", "OT", "CR", "SC"}  # digitised films are sometimes filed under these


@dataclass(frozen=True)
class Mammogram:
    """One image and the facts about its file that the next steps need."""

    image: np.ndarray
    """float32 (height, width) in [0, 1], dense tissue bright (MONOCHROME2)."""
    file: str
    """Name of the file, without its folder."""
    format: str
    """`"DICOM"`, `"PNG"`, `"JPEG"`, `"TIFF"`, ..."""
    bits: int
    """Bits a pixel that the file really uses."""
    inverted: bool = False
    """True where the file stored dense tissue dark (MONOCHROME1) and was turned round."""
    view: str | None = None
    laterality: str | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()


def read_mammogram(path) -> Mammogram:
    """Read a DICOM, PNG, JPEG, TIFF, PGM or BMP file of 8 to 16 bits.

    Raises MammoError, and nothing else, where the file is missing, empty, damaged, not an image, in
    colour, blank, absurdly small or large, or a DICOM of another kind of examination.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise MammoError(f"{path}: there is no such file. Check the path and the spelling.")
        if path.stat().st_size == 0:
            raise MammoError(f"{path.name} is empty (0 bytes). The copy or upload was probably cut off: repeat it.")
        return _checked(_read_dicom(path) if is_dicom(path) else _read_picture(path))
    except MammoError:
        raise
    except MemoryError:
        raise MammoError(f"{path.name} does not fit into memory. Export it at a smaller size.") from None
    except Exception as error:  # damaged files fail anywhere inside the decoders, in any way
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise MammoError(
            f"{path.name} is damaged, cut off, or written in a way that is not known here ({reason}). "
            "Copy or export it again."
        ) from None


def _read_dicom(path: Path) -> Mammogram:
    header = pydicom.dcmread(path)
    modality = _text(header, "Modality")
    if not modality and "Rows" not in header:
        raise MammoError(f"{path.name} is cut off: its DICOM header ends too early. Copy or export it again.")
    if modality not in BREAST_MODALITIES and not _vague_but_breast(header, modality):
        raise MammoError(
            f"{path.name} is a DICOM file of modality {modality or 'unknown'}, not a mammogram (MG). "
            "Choose a mammography image."
        )
    if "Rows" not in header or "PixelData" not in header:
        raise MammoError(f"{path.name} is a DICOM file without an image. Choose the mammogram itself.")
    frames = int(header.get("NumberOfFrames", 1) or 1)
    if frames > 1:
        raise MammoError(
            f"{path.name} holds {frames} frames (tomosynthesis?). Export one slice, or the synthetic 2-D view."
        )
    if header.Rows * header.Columns > MAX_PIXELS:
        raise MammoError(_too_large(path, header.Columns, header.Rows))
    _check_decoder(path, header)
    stored = header.pixel_array
    if stored.ndim == 3:
        stored = _grey_from_channels(stored, path)
    notes = []
    if modality not in BREAST_MODALITIES:
        notes.append("The DICOM header does not say that this is mammography; it was read because it says breast.")
    if _text(header, "PresentationIntentType") == "FOR PROCESSING":
        notes.append("This is a raw image (For Processing). The model expects one made for viewing (For Presentation).")
    pixels, bits = _displayed(header, stored, notes)
    inverted = _text(header, "PhotometricInterpretation") == "MONOCHROME1"
    return Mammogram(
        image=1 - pixels if inverted else pixels,
        file=path.name,
        format="DICOM",
        bits=bits,
        inverted=inverted,
        view=_view(header),
        laterality=_text(header, "ImageLaterality") or _text(header, "Laterality") or None,
        pixel_spacing_mm=_spacing(header),
        warnings=tuple(notes),
    )


def _text(header, tag: str) -> str:
    """A tag's first value in capitals; empty where the tag is missing."""
    value = header.get(tag)
    if isinstance(value, MultiValue):
        value = value[0] if value else ""
    return str(value or "").strip().upper()


def _check_decoder(path: Path, header) -> None:
    syntax = UID(str(header.file_meta.get("TransferSyntaxUID", "")))
    if not syntax.is_transfer_syntax or not syntax.is_compressed:
        return
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise MammoError(
            f"{path.name} is compressed as {syntax.name}, for which no decoder is installed. "
            "Install one with `pip install python-gdcm`, or export the image uncompressed."
        )


def _vague_but_breast(header, modality: str) -> bool:
    return modality in VAGUE_MODALITIES and "BREAST" in _text(header, "BodyPartExamined")


def _view(header) -> str | None:
    """The view; CBIS-DDSM keeps it under Patient Orientation."""
    elsewhere = _text(header, "PatientOrientation")
    return _text(header, "ViewPosition") or (elsewhere if elsewhere in ("CC", "MLO") else None)


def _spacing(header) -> tuple[float, float] | None:
    spacing = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    try:
        rows, columns = (float(value) for value in spacing)
    except (TypeError, ValueError):
        return None
    return rows, columns


def _displayed(header, stored: np.ndarray, notes: list[str]) -> tuple[np.ndarray, int]:
    """Stored values as the header wants them shown, before polarity: float32 in [0, 1]; and the bits used.

    A window or table that cannot be applied is left out, with a note.
    """
    values = apply_modality_lut(stored, header)
    if header.get("VOILUTSequence") or ("WindowCenter" in header and "WindowWidth" in header):
        with suppress(Exception):  # a broken window can make pydicom raise anything
            shown = np.asarray(apply_voi_lut(values, header), np.float32)
            low, high = _shown_range(header)
            if high != low and np.isfinite(shown).all():
                return np.clip((shown - low) / (high - low), 0, 1), int(header.BitsStored)
        notes.append("The window in the header cannot be applied; the image is shown at its full range.")
    return scale_to_unit(values)


def _shown_range(header) -> tuple[float, float]:
    """Lowest and highest value that pydicom's VOI step returns for this header."""
    if header.get("VOILUTSequence"):
        return 0.0, 2.0 ** int(header.VOILUTSequence[0].LUTDescriptor[2]) - 1
    if header.get("ModalityLUTSequence"):
        return 0.0, 2.0 ** int(header.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    bits = int(header.BitsStored)
    signed = int(header.PixelRepresentation) == 1
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def _read_picture(path: Path) -> Mammogram:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked below, before a pixel is decoded
            picture = Image.open(path, formats=PICTURE_FORMATS)
    except Image.DecompressionBombError:
        raise MammoError(f"{path.name} claims an absurd number of pixels and was not opened.") from None
    except UnidentifiedImageError:
        raise MammoError(
            f"{path.name} is not an image in a format known here. Use DICOM, PNG, JPEG, TIFF or PGM; "
            "renaming another file does not make it one."
        ) from None
    with picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise MammoError(_too_large(path, *picture.size))
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in ("1", "LA"):
            upright = upright.convert("L")
        elif upright.mode not in ("L", "I", "F") and not upright.mode.startswith("I;16"):
            upright = upright.convert("RGB")
        pixels = np.asarray(upright)
        # Pillow turns 8-bit TIFFs that store white as 0, but not 16-bit ones.
        inverted = upright.mode.startswith("I;16") and getattr(picture, "tag_v2", {}).get(TIFF_POLARITY) == 0
        kind = {"PPM": "PGM", "MPO": "JPEG"}.get(picture.format, picture.format)
    image, bits = scale_to_unit(_grey_from_channels(pixels, path) if pixels.ndim == 3 else pixels)
    return Mammogram(image=1 - image if inverted else image, file=path.name, format=kind, bits=bits, inverted=inverted)


def scale_to_unit(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Grey values of any type -> float32 in [0, 1], and the number of bits they use.

    12-bit data in a 16-bit file would come out black if divided by 65,535, so whole numbers are divided
    by the full scale of the bits that occur (8, 10, 12, 14 or 16). Signed values are shifted to start at
    0; fractions that leave [0, 1] are stretched between their lowest and highest value, and count as 32 bits.
    """
    values = np.asarray(pixels)
    low, high = float(values.min()), float(values.max())
    if np.issubdtype(values.dtype, np.integer) or (high > 1 and (values == np.rint(values)).all()):
        shift = min(low, 0.0)
        bits = next((n for n in (8, 10, 12, 14, 16) if high - shift < 2**n), None)
        full = 2.0**bits - 1 if bits else high - shift
        return ((values - shift) / full).astype(np.float32), bits or 32
    if low < 0 or high > 1:
        return ((values - low) / (high - low)).astype(np.float32), 32
    return values.astype(np.float32), 32


def _grey_from_channels(pixels: np.ndarray, path: Path) -> np.ndarray:
    """The one channel of a grey image stored as colour; a real colour image is refused."""
    pixels = pixels[..., :3]
    spread = pixels.max(axis=2).astype(np.int32) - pixels.min(axis=2)
    if (spread > 24).mean() > 0.01:  # JPEG rounding stays below this
        raise MammoError(
            f"{path.name} is a colour picture, and a mammogram has only greys. "
            "Choose the mammogram itself, not a photograph or a screenshot of it."
        )
    return pixels[..., 1]


def _checked(mammogram: Mammogram) -> Mammogram:
    image, name = mammogram.image, mammogram.file
    if not np.isfinite(image).all():
        raise MammoError(f"{name} has pixels that are not numbers (NaN or infinity). Export it again.")
    height, width = image.shape
    if min(height, width) < MIN_SIDE:
        raise MammoError(
            f"{name} is only {width} x {height} pixels; a mammogram needs at least {MIN_SIDE} a side. "
            "Choose the full-size image, not its thumbnail."
        )
    if float(np.ptp(image)) < 0.01:
        raise MammoError(f"{name} is blank: all its pixels are nearly the same. Export it again.")
    return mammogram


def _too_large(path: Path, width: int, height: int) -> str:
    return f"{path.name} claims {width} x {height} pixels, more than any mammogram. It was not opened."
