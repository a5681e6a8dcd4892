"""Images as files: PNG with 8 or 16 bits, DICOM with 12 or 14. Each appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from mammo.core.files import write_atomically
from mammo.io.mammogram import SYNTHETIC

FORMATS = ("png8", "png16", "dicom12", "dicom14")
VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
BREAST_CODE = ("76752008", "Breast")


def extension(file_format: str) -> str:
    """The end of the file's name."""
    return ".dcm" if file_format.startswith("dicom") else ".png"


def write_png(path: Path, pixels: np.ndarray) -> None:
    """uint8 or uint16 (height, width) as PNG, which says that it is synthetic."""
    source = PngInfo()
    source.add_text("Source", SYNTHETIC)
    write_atomically(
        path,
        lambda partial: Image.fromarray(pixels).save(partial, format="PNG", compress_level=1, pnginfo=source),
    )


def write_image(path: Path, image: np.ndarray, file_format: str, tags: dict, inverted: bool, origin: str) -> None:
    """Write a float32 (height, width) image in [0, 1] in one of `FORMATS`.

    `tags` are DICOM attributes by keyword; `inverted` stores MONOCHROME1; the unique identifiers follow from the
    tags and from `origin`, which names the data set. PNGs know none of these.
    """
    bits = int(file_format.removeprefix("png").removeprefix("dicom"))
    if extension(file_format) == ".png":
        write_png(path, np.rint(image * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16))
    else:
        header = _dicom(image, bits, tags, inverted, origin)
        write_atomically(path, lambda partial_path: header.save_as(partial_path, enforce_file_format=True))


def write_mask(path: Path, mask: np.ndarray, tags: dict, origin: str) -> None:
    """Write a bool (height, width) mask as DICOM, 0 and nothing else but the highest value."""
    header = _dicom(np.zeros(mask.shape, np.float32), 8, tags, False, origin)
    header.BitsAllocated = 8
    header.PixelData = (mask * np.uint8(255)).tobytes() + b"\0" * (mask.size % 2)
    header["PixelData"].VR = "OB"
    write_atomically(path, lambda partial_path: header.save_as(partial_path, enforce_file_format=True))


def _dicom(image: np.ndarray, bits: int, tags: dict, inverted: bool, origin: str) -> FileDataset:
    """A Digital Mammography X-Ray Image, For Presentation (DICOM PS3.3 A.26), that names no real person.

    The picture takes 80 % of the stored range, and a VOI window of exactly that range brings it back.
    """
    top, low = 2**bits - 1, 2**bits // 10
    span = 8 * low
    stored = low + np.rint(image * span).astype(np.uint16)
    names = [origin, tags["PatientID"], tags["ImageLaterality"], tags["ViewPosition"]]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=names)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID, header.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    header.StudyInstanceUID = generate_uid(entropy_srcs=["study", *names[:2]])
    header.SeriesInstanceUID = generate_uid(entropy_srcs=["series", *names])
    header.Modality, header.PresentationIntentType = "MG", "FOR PRESENTATION"
    header.Manufacturer, header.ImageComments = SYNTHETIC, "Synthetic image. It shows no person."
    header.ImageType = ["DERIVED", "PRIMARY"]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME1" if inverted else "MONOCHROME2"
    header.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    header.Rows, header.Columns = image.shape
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, bits, bits - 1, 0
    header.RescaleIntercept, header.RescaleSlope, header.RescaleType = 0, 1, "US"
    header.WindowWidth, header.VOILUTFunction = span + 1, "LINEAR"
    header.WindowCenter = (top - low - span / 2 if inverted else low + span / 2) + 0.5
    for keyword, value in tags.items():
        setattr(header, keyword, value)
    header.PixelIntensityRelationship, header.PixelIntensityRelationshipSign = "LOG", 1 if inverted else -1
    header.ViewCodeSequence = [_code(*VIEW_CODES[tags["ViewPosition"]])]
    header.ViewCodeSequence[0].ViewModifierCodeSequence = []
    header.AnatomicRegionSequence = [_code(*BREAST_CODE)]
    header.AcquisitionContextSequence = []
    header.PixelData = (top - stored if inverted else stored).astype("<u2").tobytes()
    return header


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code
