"""A test image, and files of every format that hold it: DICOM with any tags and any compression."""

from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.dataset import FileDataset as DicomFile
from scipy import ndimage

LJPEG = Path(__file__).parent / "samples" / "film_12_bits.LJPEG"  # 120 x 130, by Stanford's PVRG codec
HTJ2K = Path(__file__).parent / "samples" / "ramp_12_bits.j2c"  # 128 x 128, lossless, by OpenJPH's ojph_compress
SIDE = 128
RAMP = np.linspace(0, 1, SIDE * SIDE, dtype=np.float64).reshape(SIDE, SIDE)


def stored(bits, dtype=np.uint16) -> np.ndarray:
    """RAMP as integers of so many bits."""
    return np.rint(RAMP * (2**bits - 1)).astype(dtype)


def write_dicom(path, stored, bits=16, **tags) -> Path:
    """Stored values as an uncompressed DICOM mammogram; any tag can be set by keyword."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    header = DicomFile(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID, header.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    header.Modality = "MG"
    header.PatientName, header.PatientID, header.PatientBirthDate = "Doe^Jane", "SECRET-ID", "19600101"
    stored = np.asarray(stored)
    header.Rows, header.Columns = stored.shape[-2:]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = stored.dtype.itemsize * 8
    header.BitsStored, header.HighBit = bits, bits - 1
    header.PixelRepresentation = int(np.issubdtype(stored.dtype, np.signedinteger))
    if stored.ndim == 3:
        header.NumberOfFrames = stored.shape[0]
    header.PixelData = stored.tobytes()
    for tag, value in tags.items():
        setattr(header, tag, value)
    header.save_as(path, enforce_file_format=True)
    return Path(path)


def table(values, bits, first=0, entries=None) -> Dataset:
    """An item of a LUT sequence that begins at the stored value `first`."""
    item = Dataset()
    item.LUTDescriptor = [len(values) if entries is None else entries, first, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = np.asarray(values, "<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


def write_packed_tiff(path, values) -> Path:
    """12-bit values as TIFF packs them, two in three bytes."""
    pairs = np.asarray(values, np.uint32).reshape(len(values), -1, 2)
    packed = (pairs[..., 0] << 12 | pairs[..., 1]).astype(">u4").view(np.uint8).reshape(*pairs.shape[:2], 4)[..., 1:]
    tifffile.imwrite(path, packed.reshape(len(values), -1))
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["ImageWidth"].overwrite(np.shape(values)[1])
        file.pages[0].tags["BitsPerSample"].overwrite(12)
    return Path(path)


def encapsulated(path, frame: bytes, syntax) -> Path:
    """The same file with another frame, taken as it is."""
    header = pydicom.dcmread(path)
    header.file_meta.TransferSyntaxUID = syntax
    header.PixelData = pydicom.encaps.encapsulate([frame])
    header["PixelData"].VR = "OB"
    header.save_as(path)
    return path


def written_by_pydicom(path, syntax) -> Path:
    """The same file in a transfer syntax that pydicom writes itself."""
    header = pydicom.dcmread(path)
    if syntax.is_compressed and syntax != uid.DeflatedExplicitVRLittleEndian:
        header.compress(syntax)
    else:
        header.file_meta.TransferSyntaxUID = syntax
    little, implicit = syntax != uid.ExplicitVRBigEndian, syntax == uid.ImplicitVRLittleEndian
    if not little:
        header.PixelData = np.frombuffer(header.PixelData, "<u2").astype(">u2").tobytes()
    pydicom.dcmwrite(path, header, little_endian=little, implicit_vr=implicit, force_encoding=not little)
    return path


def written_by_imagecodecs(encode, **options):
    """A function like `written_by_pydicom`, for one of the formats that imagecodecs can write."""

    def write(path, syntax) -> Path:
        return encapsulated(path, encode(pydicom.dcmread(path).pixel_array, **options), syntax)

    return write


jpeg, jpeg_ls, jpeg_2000 = imagecodecs.jpeg8_encode, imagecodecs.jpegls_encode, imagecodecs.jpeg2k_encode
lossless = written_by_imagecodecs(jpeg, lossless=True, predictor=4, bitspersample=12)
first_order = written_by_imagecodecs(jpeg, lossless=True, predictor=1, bitspersample=12)
j2k = {"codecformat": "j2k", "bitspersample": 12}

SYNTAXES = {  # how it is written, the bits, and the largest error of a pixel
    "implicit little endian": (written_by_pydicom, uid.ImplicitVRLittleEndian, 12, 0),
    "explicit little endian": (written_by_pydicom, uid.ExplicitVRLittleEndian, 12, 0),
    "explicit big endian": (written_by_pydicom, uid.ExplicitVRBigEndian, 12, 0),
    "deflated": (written_by_pydicom, uid.DeflatedExplicitVRLittleEndian, 12, 0),
    "RLE": (written_by_pydicom, uid.RLELossless, 12, 0),
    "JPEG baseline": (written_by_imagecodecs(jpeg, level=98), uid.JPEGBaseline8Bit, 8, 2 / 255),
    "JPEG extended": (
        written_by_imagecodecs(jpeg, level=98, bitspersample=12),
        uid.JPEGExtended12Bit,
        12,
        20 / 4095,
    ),
    "JPEG lossless": (lossless, uid.JPEGLossless, 12, 0),
    "JPEG lossless, first order": (first_order, uid.JPEGLosslessSV1, 12, 0),
    "JPEG-LS": (written_by_imagecodecs(jpeg_ls), uid.JPEGLSLossless, 12, 0),
    "JPEG-LS near lossless": (written_by_imagecodecs(jpeg_ls, level=3), uid.JPEGLSNearLossless, 12, 4 / 4095),
    "JPEG 2000 lossless": (written_by_imagecodecs(jpeg_2000, reversible=True, **j2k), uid.JPEG2000Lossless, 12, 0),
    "JPEG 2000": (written_by_imagecodecs(jpeg_2000, level=60, **j2k), uid.JPEG2000, 12, 50 / 4095),
}


def breakhis_replica(folder, patients: int = 24, pictures: int = 2) -> Path:
    """Drawn textures in BreakHis' layout; malignant ones have red and blue exchanged, so that their greys are alike."""
    rng = np.random.default_rng(5)
    root = Path(folder) / "BreaKHis_v1"
    for patient in range(patients):
        letter, word, kind, tumour = [
            ("B", "benign", "A", "adenosis"),
            ("B", "benign", "F", "fibroadenoma"),
            ("M", "malignant", "DC", "ductal_carcinoma"),
            ("M", "malignant", "MC", "mucinous_carcinoma"),
        ][patient % 4]
        slide = f"14-{1000 + patient}AB"
        for magnification, size in ((40, 3), (100, 5), (200, 8), (400, 12)):
            place = root / "histology_slides/breast" / word / "SOB" / tumour / f"SOB_{letter}_{kind}_{slide}"
            place = place / f"{magnification}X"
            place.mkdir(parents=True)
            for number in range(1, pictures + 1):
                nuclei = ndimage.gaussian_filter(rng.standard_normal((115, 175)), size)
                stained = (nuclei > nuclei.std())[..., None]
                picture = np.where(stained, (120, 60, 80), (220, 150, 180)) + rng.integers(-15, 15, (115, 175, 1))
                picture = picture[..., ::-1] if letter == "M" else picture
                name = f"SOB_{letter}_{kind}-{slide}-{magnification}-{number:03}.png"
                Image.fromarray(picture.astype(np.uint8)).save(place / name)
    return root
