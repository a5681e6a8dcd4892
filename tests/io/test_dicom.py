"""DICOM files: what a viewer would show, in every compression, and what the header says."""

import struct
import sys

import numpy as np
import pydicom
import pytest
from files import HTJ2K, RAMP, SIDE, SYNTAXES, encapsulated, stored, table, written_by_pydicom
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

import mammo

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


def test_padding_may_need_more_bits_than_the_header_promises(write_dicom):
    pixels = stored(12)
    pixels[:, 100:] = 65535
    film = mammo.read_mammogram(write_dicom(pixels, bits=12, PixelPaddingValue=65535))
    np.testing.assert_allclose(film.image[:, :100], stored(12)[:, :100] / 4095, atol=1e-6)
    assert (film.image[:, 100:] == 0).all()
    assert not film.warnings


def test_padding_below_zero_where_the_sign_is_not_extended(write_dicom):
    pixels = (stored(12).astype(np.int32) // 2 - 500).astype(np.int16)
    pixels[:, 100:] = -2000
    bare = (pixels & 0xFFF).astype(np.int16)
    film = mammo.read_mammogram(write_dicom(bare, bits=12, PixelPaddingValue=-2000))
    np.testing.assert_allclose(film.image[:, :100], (pixels[:, :100] + 500) / 4095, atol=1e-6)
    assert (film.image[:, 100:] == 0).all()


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_tissue_as_white_as_the_padding_is_no_padding(kind, write_dicom):
    """At the edge and within; what is padding has a step around it."""
    rows, columns = np.mgrid[-1:1:200j, 0:1.4:140j]
    pixels = (6000 * np.clip(1 - np.hypot(rows, columns), 0, 1)).clip(0, 4095).astype(np.uint16)
    expected = pixels / 4095
    pixels[:20] = 4095
    expected[:20] = 0
    value = 4095
    if kind == "MONOCHROME1":
        pixels, value = 4095 - pixels, 0
    film = mammo.read_mammogram(write_dicom(pixels, bits=12, PhotometricInterpretation=kind, PixelPaddingValue=value))
    np.testing.assert_allclose(film.image, expected, atol=1e-6)
    assert (expected[100:, 0] == 1).any()


def test_more_pixels_than_announced_are_a_warning(write_dicom):
    (warning,) = mammo.read_mammogram(write_dicom(stored(12), bits=12, Rows=120)).warnings
    assert "more pixels than its header announces" in warning


def test_a_photometric_interpretation_in_small_letters(write_dicom):
    path = write_dicom(stored(12), bits=12)
    path.write_bytes(path.read_bytes().replace(b"MONOCHROME2 ", b"monochrome 1"))
    film = mammo.read_mammogram(path)
    np.testing.assert_allclose(film.image, 1 - stored(12) / 4095, atol=1e-6)
    assert film.inverted


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


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("planar", [0, 1])
def test_grey_stored_as_colour_is_read_as_grey(photometric, planar, write_dicom):
    grey = stored(8, np.uint8)
    others = np.full_like(grey, 128) if photometric == "YBR_FULL" else grey
    path = write_dicom(grey, bits=8)
    header = pydicom.dcmread(path)
    header.SamplesPerPixel, header.PlanarConfiguration, header.PhotometricInterpretation = 3, planar, photometric
    header.PixelData = np.stack([grey, others, others], axis=0 if planar else -1).tobytes()
    header.save_as(path)
    np.testing.assert_allclose(mammo.read_mammogram(path).image, RAMP, atol=1 / 255)


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
