"""PNG, JPEG, TIFF, PGM and BMP."""

import numpy as np
import pytest
from files import RAMP, stored
from PIL import Image

import mammo


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


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (30000, 30000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 1_000_000
    with pytest.raises(mammo.MammoError, match=r"absurd|more than any"):
        mammo.read_mammogram(tmp_path / "bomb.png")
