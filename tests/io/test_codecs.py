"""What a compressed frame states before it is decoded (decoding itself is tested in `test_dicom`)."""

from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from files import encapsulated, stored
from pydicom import uid

import mammo
from mammo.io.codecs import check_complete_jpeg, jpeg_frame

GREY = stored(12)[:100]
JPEGS = {
    "baseline": imagecodecs.jpeg8_encode(stored(8, np.uint8)[:100]),
    "extended": imagecodecs.jpeg8_encode(GREY, bitspersample=12),
    "lossless": imagecodecs.jpeg8_encode(GREY, lossless=True, predictor=1, bitspersample=12),
    "JPEG-LS": imagecodecs.jpegls_encode(GREY),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_states_its_size(kind):
    frame = jpeg_frame(JPEGS[kind])
    assert (frame.height, frame.width) == (100, 128)
    assert (frame.marker == 0xF7) == (kind == "JPEG-LS")


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\4xx", b"P5 100 128", b"\xff\xd8\xff\xda" * 9])
def test_what_is_no_jpeg_states_none(data):
    assert jpeg_frame(data) is None


@pytest.mark.parametrize("kind", ["baseline", "extended", "lossless"])
def test_a_jpeg_without_its_end_is_refused(kind, write_dicom):
    syntax = {"baseline": uid.JPEGBaseline8Bit, "extended": uid.JPEGExtended12Bit, "lossless": uid.JPEGLosslessSV1}
    pixels = stored(8, np.uint8)[:100] if kind == "baseline" else GREY
    path = write_dicom(pixels, bits=8 if kind == "baseline" else 12)
    assert mammo.read_mammogram(encapsulated(path, JPEGS[kind], syntax[kind])).image.shape == (100, 128)
    for share in (0.5, 0.9):
        cut = JPEGS[kind][: int(share * len(JPEGS[kind]))]
        with pytest.raises(mammo.MammoError, match="cut off before its end"):
            mammo.read_mammogram(encapsulated(path, cut, syntax[kind]))
    check_complete_jpeg(Path("film.jpg"), JPEGS[kind] + b"\0" * 9)


def test_a_frame_of_another_size_than_the_header_says_is_refused(write_dicom):
    path = write_dicom(stored(12), bits=12)
    assert pydicom.dcmread(path).Rows == 128
    with pytest.raises(mammo.MammoError, match="announces 128 x 128 pixels, and 128 x 100"):
        mammo.read_mammogram(encapsulated(path, JPEGS["lossless"], uid.JPEGLosslessSV1))
