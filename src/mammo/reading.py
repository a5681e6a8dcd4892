"""Any mammogram file -> one 2-D image and what was learned about the file.

    mammogram = mammo.read_mammogram("image.dcm")
    mammogram.image          # float32 (height, width) in [0, 1], dense tissue bright

The order of the steps is the DICOM standard's (PS3.4, N.2): stored values -> modality LUT -> VOI LUT or
window -> polarity. Nothing is rounded to 8 bits on the way. Of a DICOM header only what is needed to
read the pixels leaves this module: no name, no date, no identifier.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, UnidentifiedImageError
from pydicom.misc import is_dicom
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from mammo.errors import MammoError

MIN_SIDE = 100  # pixels; the smallest published lesion crops of whole breasts are larger
MAX_PIXELS = 100_000_000  # three times the largest mammogram: more is a mistake or an attack
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
    if not path.is_file():
        raise MammoError(f"{path}: there is no such file. Check the path and the spelling.")
    if path.stat().st_size == 0:
        raise MammoError(f"{path.name} is empty (0 bytes). The copy or upload was probably cut off: repeat it.")
    try:
        mammogram = _read_dicom(path) if is_dicom(path) else _read_picture(path)
    except MemoryError:
        raise MammoError(f"{path.name} does not fit into memory. Export it at a smaller size.") from None
    return _checked(mammogram)


def _read_dicom(path: Path) -> Mammogram:
    try:
        header = pydicom.dcmread(path)
        modality = str(header.get("Modality", "") or "").upper()
        frames = int(header.get("NumberOfFrames", 1) or 1)
        size = int(header.Rows) * int(header.Columns) * frames
    except Exception as error:  # a damaged header can fail anywhere inside pydicom
        raise MammoError(_damaged(path, "DICOM header", error)) from None
    if modality not in BREAST_MODALITIES and not _vague_but_breast(header, modality):
        raise MammoError(
            f"{path.name} is a DICOM image of modality {modality or 'unknown'}, not a mammogram (MG). "
            "Choose a mammography image."
        )
    if frames > 1:
        raise MammoError(
            f"{path.name} holds {frames} frames (tomosynthesis?). Export one slice, or the synthetic 2-D view."
        )
    if size > MAX_PIXELS:
        raise MammoError(_too_large(path, int(header.Columns), int(header.Rows)))
    syntax = pydicom.uid.UID(header.file_meta.get("TransferSyntaxUID", ""))
    try:
        stored = header.pixel_array
    except Exception as error:
        raise MammoError(_damaged(path, f"pixel data ({syntax.name})", error)) from None
    notes = []
    if stored.ndim == 3:
        stored = _grey_from_channels(stored, path)
    if modality not in BREAST_MODALITIES:
        notes.append("The DICOM header does not say that this is mammography; it was read because it says breast.")
    if str(header.get("PresentationIntentType", "")).upper() == "FOR PROCESSING":
        notes.append("This is a raw image (For Processing). The model expects one made for viewing (For Presentation).")
    try:
        pixels, bits = _displayed(header, stored, path)
    except MammoError:
        raise
    except Exception as error:
        raise MammoError(_damaged(path, "window or look-up table", error)) from None
    inverted = str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1"
    return Mammogram(
        image=1 - pixels if inverted else pixels,
        file=path.name,
        format="DICOM",
        bits=bits,
        inverted=inverted,
        view=_view(header),
        laterality=str(header.get("ImageLaterality", "") or header.get("Laterality", "") or "") or None,
        pixel_spacing_mm=_spacing(header),
        warnings=tuple(notes),
    )


def _vague_but_breast(header, modality: str) -> bool:
    return modality in VAGUE_MODALITIES and "BREAST" in str(header.get("BodyPartExamined", "")).upper()


def _view(header) -> str | None:
    """The view; CBIS-DDSM keeps it under Patient Orientation."""
    said = [str(header.get(tag, "") or "").upper() for tag in ("ViewPosition", "PatientOrientation")]
    return said[0] or (said[1] if said[1] in ("CC", "MLO") else None)


def _spacing(header) -> tuple[float, float] | None:
    spacing = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    try:
        rows, columns = (float(value) for value in spacing)
    except (TypeError, ValueError):
        return None
    return rows, columns


def _displayed(header, stored: np.ndarray, path: Path) -> tuple[np.ndarray, int]:
    """Stored values as the header wants them shown, before polarity: float32 in [0, 1]; and the bits used."""
    values = apply_modality_lut(stored, header)
    has_voi = "VOILUTSequence" in header or ("WindowCenter" in header and "WindowWidth" in header)
    if not has_voi:
        return scale_to_unit(_finite(values, path))
    shown = np.asarray(apply_voi_lut(values, header), np.float32)
    if header.get("VOILUTSequence"):
        top = 2.0 ** int(header.VOILUTSequence[0].LUTDescriptor[2]) - 1
        return np.clip(shown / top, 0, 1), int(header.BitsStored)
    low, high = _window_output_range(header)
    return np.clip((shown - low) / (high - low), 0, 1), int(header.BitsStored)


def _window_output_range(header) -> tuple[float, float]:
    """Lowest and highest value that pydicom's windowing returns: the range of the modality LUT's output."""
    bits = int(header.BitsStored)
    signed = int(header.PixelRepresentation) == 1
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    if header.get("ModalityLUTSequence"):
        return 0.0, 2.0 ** int(header.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def _read_picture(path: Path) -> Mammogram:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked below, before a pixel is decoded
            picture = Image.open(path)
    except Image.DecompressionBombError:
        raise MammoError(f"{path.name} claims an absurd number of pixels and was not opened.") from None
    except UnidentifiedImageError:
        raise MammoError(
            f"{path.name} is not an image in a format known here. Use DICOM, PNG, JPEG, TIFF or PGM; "
            "renaming another file does not make it one."
        ) from None
    except Exception as error:
        raise MammoError(_damaged(path, "image header", error)) from None
    with picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise MammoError(_too_large(path, *picture.size))
        try:
            if picture.mode in ("P", "PA", "1", "LA", "CMYK", "YCbCr", "LAB", "HSV", "RGBA", "RGBX"):
                pixels = np.asarray(picture.convert("L" if picture.mode in ("1", "LA") else "RGB"))
            else:
                pixels = np.asarray(picture)
        except Exception as error:
            raise MammoError(_damaged(path, "pixel data", error)) from None
        kind = {"PPM": "PGM", "MPO": "JPEG"}.get(picture.format, picture.format)
    if pixels.ndim == 3:
        pixels = _grey_from_channels(pixels, path)
    image, bits = scale_to_unit(_finite(pixels, path))
    return Mammogram(image=image, file=path.name, format=kind, bits=bits)


def scale_to_unit(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Grey values of any type -> float32 in [0, 1], and the number of bits they use.

    12-bit data in a 16-bit file would come out black if divided by 65,535, so whole numbers are divided
    by the full scale of the bits that occur (8, 10, 12, 14 or 16). Signed values are shifted to start at
    0; fractions that leave [0, 1] are stretched between their lowest and highest value.
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


def _finite(values: np.ndarray, path: Path) -> np.ndarray:
    if not np.isfinite(values).all():
        raise MammoError(f"{path.name} has pixels that are not numbers (NaN or infinity). Export it again.")
    return values


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
    height, width = image.shape
    if min(height, width) < MIN_SIDE:
        raise MammoError(
            f"{name} is only {width} x {height} pixels; a mammogram needs at least {MIN_SIDE} a side. "
            "Choose the full-size image, not its thumbnail."
        )
    if float(np.ptp(image)) < 0.01:
        raise MammoError(f"{name} is blank: all its pixels are nearly the same. Export it again.")
    return mammogram


def _damaged(path: Path, part: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return f"{path.name} is damaged or cut off: its {part} cannot be read ({reason}). Copy or export it again."


def _too_large(path: Path, width: int, height: int) -> str:
    return f"{path.name} claims {width} x {height} pixels, more than any mammogram. It was not opened."
