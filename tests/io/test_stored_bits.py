"""Bits beyond BitsStored: an overlay is left out, values that need them are kept, and both are said."""

import imagecodecs
import numpy as np
import pydicom
import pytest
from files import RAMP, encapsulated, stored, written_by_pydicom
from pydicom import uid
from pydicom.dataset import Dataset

import mammo
from mammo.io.stored_bits import significant

CODERS = {
    "native": None,
    "RLE": (uid.RLELossless, None),
    "JPEG lossless": (
        uid.JPEGLosslessSV1,
        lambda pixels: imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=16),
    ),
    "JPEG-LS": (uid.JPEGLSLossless, imagecodecs.jpegls_encode),
    "JPEG 2000": (
        uid.JPEG2000Lossless,
        lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, level=0),
    ),
}


def overlay(pixels):
    marked = pixels.copy()
    marked[30:60, 20:90] |= 0x1000
    marked[80] |= 0x8000
    return marked


@pytest.fixture
def read(write_dicom):
    def read(pixels, coder="native", **tags):
        path = write_dicom(pixels, **tags)
        if CODERS[coder]:
            syntax, encode = CODERS[coder]
            path = encapsulated(path, encode(pixels), syntax) if encode else written_by_pydicom(path, syntax)
        return mammo.read_mammogram(path)

    return read


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("tags", [{}, {"WindowCenter": 2048, "WindowWidth": 4096}])
def test_an_overlay_above_the_stored_bits_does_not_shine(coder, tags, read):
    film = read(overlay(stored(12)), coder, bits=12, **tags)
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    assert "bits above the 12" in film.warnings[0]
    assert not read(stored(12), coder, bits=12, **tags).warnings


@pytest.mark.parametrize("coder", CODERS)
def test_values_that_need_more_bits_than_promised_are_kept(coder, read):
    film = read(stored(16), coder, bits=12)
    np.testing.assert_allclose(film.image, RAMP, atol=1e-4)
    assert film.bits == 16
    assert "need 16 bits and the header promises 12" in film.warnings[0]


def test_an_overlay_over_signed_values(read):
    signed = stored(12).astype(np.int32) - 2048
    marked = overlay((signed & 0xFFF).astype(np.uint16)).view(np.int16)
    film = read(marked, bits=12)
    np.testing.assert_allclose(film.image, read(signed.astype(np.int16), bits=12).image)
    assert "bits above the 12" in film.warnings[0]


def test_values_in_the_upper_bits_are_moved_down(read):
    film = read(stored(12) << 4, bits=12, HighBit=15)
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    assert "upper 12 of 16 bits" in film.warnings[0]
    assert not read(stored(12), bits=12, HighBit=15).warnings, "a wrong HighBit moves nothing"


def with_overlay_bit(position, data=None):
    header = Dataset()
    header.add_new(0x60000102, "US", position)
    if data is not None:
        header.add_new(0x60003000, "OW", data)
    return header


@pytest.mark.parametrize(("shift", "position"), [(1, 0), (4, 2), (0, 12), (0, 15)])
def test_overlays_lie_where_the_header_says(shift, position):
    """Below the image or above it, also where the overlay has no outline that a step could tell."""
    header = with_overlay_bit(position)
    header.BitsStored, header.PixelRepresentation, header.HighBit = 12, 0, 11 + shift
    pixels = stored(12) << shift
    values, bits = significant(header, pixels | np.uint16(2**position), False, notes := [])
    np.testing.assert_array_equal(values, stored(12))
    assert bits == 12
    assert notes[0] == f"By its header bits {position} hold overlays; they were left out."


def test_overlays_that_are_elsewhere_take_no_bit_of_the_image():
    for header in (with_overlay_bit(0), with_overlay_bit(13, b"1234")):
        header.BitsStored, header.PixelRepresentation, header.HighBit = 16, 0, 15
        np.testing.assert_array_equal(significant(header, stored(16), False, notes := [])[0], stored(16))
        assert not notes


@pytest.mark.parametrize(("bits", "dtype"), [(12, np.uint16), (16, np.uint16), (8, np.uint8)])
def test_unsigned_values_that_the_header_calls_signed(bits, dtype):
    header = Dataset()
    header.BitsStored, header.PixelRepresentation = bits, 1
    pixels = stored(bits, dtype)
    values, _ = significant(header, pixels.view(f"i{pixels.itemsize}"), False, notes := [])
    np.testing.assert_array_equal(values, pixels)
    assert "read unsigned" in notes[0]


@pytest.mark.parametrize("fill", [-2048, -2000])
def test_signed_values_stay_signed(fill):
    """Also beside a lowest value that fills what is no image."""
    header = Dataset()
    header.BitsStored, header.PixelRepresentation = 12, 1
    pixels = (stored(12).astype(np.int32) - 500).clip(None, 2047).astype(np.int16)
    pixels[:, 100:] = fill
    values, _ = significant(header, pixels, False, notes := [])
    np.testing.assert_array_equal(values, pixels)
    assert not notes


def test_a_lowest_value_beside_bright_tissue_stays_signed():
    header = Dataset()
    header.BitsStored, header.PixelRepresentation = 12, 1
    pixels = (stored(12) // 4 + 1000).astype(np.int16)
    pixels[:, 100:] = -2048
    np.testing.assert_array_equal(significant(header, pixels, False, notes := [])[0], pixels)
    assert not notes


def test_overlays_of_their_own_take_no_bit():
    header = with_overlay_bit(13, b"1234")
    header.BitsStored, header.PixelRepresentation = 12, 0
    np.testing.assert_array_equal(significant(header, stored(14), False, notes := [])[0], stored(14))
    assert "need 14 bits" in notes[0]


def test_what_lossy_compression_adds_is_cut_to_the_range():
    header = Dataset()
    header.BitsStored, header.PixelRepresentation = 12, 0
    pixels = stored(12) + np.uint16(20)
    values, bits = significant(header, pixels, True, notes := [])
    assert (values.max(), bits) == (4095, 12)
    assert "Lossy compression" in notes[0]
    assert significant(header, pixels, False, [])[0].max() == 4115


def test_a_value_of_zero_bits_is_the_allocated_ones(write_dicom):
    path = write_dicom(stored(12), bits=12)
    header = pydicom.dcmread(path)
    header.BitsStored = 0
    header.save_as(path)
    film = mammo.read_mammogram(path)
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    assert "BitsStored" in film.warnings[0]
