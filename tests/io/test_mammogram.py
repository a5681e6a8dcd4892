"""What holds for every image, whatever file it comes from."""

from pathlib import Path

import numpy as np
import pytest
from files import SIDE, stored
from PIL import Image

import mammo
from mammo.data.preprocessing import find_breast
from mammo.io import scale_to_unit
from mammo.io.mammogram import LOOKED_UP, depth_limits, grey_from_channels, looked_up


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_scale_to_unit_finds_the_bits(bits):
    scaled, found = scale_to_unit(stored(bits))
    assert found == bits
    assert (scaled.min(), scaled.max()) == (0, 1)


def test_colours_of_any_depth_are_seen():
    """Bright red of 8, 16 and 32 bits, where differences overflow a careless subtraction."""
    for dtype in (np.uint8, np.uint16, np.uint32):
        red = np.zeros((SIDE, SIDE, 3), dtype)
        red[..., 0] = np.iinfo(dtype).max
        with pytest.raises(mammo.MammoError, match="colour"):
            grey_from_channels(red, Path("red.png"))


@pytest.mark.parametrize("inverted", [False, True])
def test_white_all_around_is_a_warning(inverted, demo, tmp_path):
    for name in demo.path[:6]:
        with Image.open(name) as picture:
            pixels = np.asarray(picture)
        Image.fromarray(255 - pixels if inverted else pixels).save(tmp_path / "image.png")
        warned = any("inverted" in warning for warning in mammo.read_mammogram(tmp_path / "image.png").warnings)
        assert warned == inverted


def dark_film(full):
    """A half ellipse on black, whose greys end at `full`."""
    rows, columns = np.mgrid[-1:1:200j, 0:1.4:140j]
    return np.where(np.hypot(rows, columns) < 0.9, full * (0.5 + 0.5 * np.cos(9 * rows) ** 2), 0)


DIM = {
    "a window far above": lambda dicom: dicom(dark_film(4000), 16, WindowCenter=32768, WindowWidth=65536),
    "8 bits, a window of 12": lambda dicom: dicom(dark_film(200), 8, WindowCenter=2048, WindowWidth=4096),
    "16 bits stored": lambda dicom: dicom(dark_film(4100), 16),
}


@pytest.mark.parametrize("kind", DIM)
def test_a_dim_image_is_not_called_inverted(kind, write_dicom):
    def dicom(pixels, bits, **tags):
        return write_dicom(pixels.astype(np.uint8 if bits == 8 else np.uint16), bits=bits, **tags)

    film = mammo.read_mammogram(DIM[kind](dicom))
    assert film.image.max() < 0.3
    assert not film.warnings
    assert 0.3 < find_breast(film.image).mask.mean() < 0.7


def test_a_dim_inverted_image_is_called_inverted(write_dicom):
    pixels = (4000 - dark_film(3900)).astype(np.uint16)
    film = mammo.read_mammogram(write_dicom(pixels, bits=16, WindowCenter=32768, WindowWidth=65536))
    assert any("inverted" in warning for warning in film.warnings)


@pytest.mark.parametrize("size", [1, 20])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int16])
def test_hot_pixels_and_labels_set_no_grey_scale(size, dtype, write_dicom, tmp_path):
    pixels = dark_film(4000).astype(dtype)
    pixels[5 : 5 + size, 110 : 110 + size] = 32000
    if dtype == np.float32:
        path = tmp_path / "film.tif"
        Image.fromarray(pixels).save(path)
    else:
        path = write_dicom(pixels, bits=16)
    film = mammo.read_mammogram(path)
    assert film.image[:, :60].max() > 0.9
    assert film.image[5, 110] == 1
    (warning,) = film.warnings
    assert warning.startswith(f"{size**2} pixels")


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_large_label_sets_no_grey_scale(dtype, text, tmp_path):
    """5 % of the image, all of one white, or with letters in it."""
    pixels = dark_film(4000).astype(dtype)
    pixels[2:38, 100:139] = 60000
    pixels[2:38:5, 100:139] = 0 if text else 60000
    Image.fromarray(pixels).save(tmp_path / "film.tif")
    film = mammo.read_mammogram(tmp_path / "film.tif")
    assert film.image[:, :60].max() > 0.9
    (warning,) = film.warnings
    assert "do not set the grey scale" in warning


def test_a_bright_region_that_varies_is_no_label():
    pixels = dark_film(4000)
    pixels[60:100, 10:60] = np.linspace(40_000, 60_000, 50)
    assert depth_limits(pixels.astype(np.uint16), []) == (0, 60000)


def test_two_grey_values_are_called_a_mask(write_png):
    film = mammo.read_mammogram(write_png((dark_film(1) > 0).astype(np.uint8) * 255))
    (warning,) = film.warnings
    assert "only two grey values" in warning


@pytest.mark.parametrize("frame", ["1", 1.0, True, [0]])
def test_a_frame_is_a_whole_number(frame, write_dicom):
    for path in (write_dicom(np.stack([stored(12)] * 2), bits=12), write_dicom(stored(12), "one.dcm", bits=12)):
        with pytest.raises(mammo.MammoError, match="frame is a whole number"):
            mammo.read_mammogram(path, frame)


def test_a_dark_hot_pixel_of_signed_values(write_dicom):
    pixels = (dark_film(4000) - 2000).astype(np.int16)
    pixels[100, 30] = -32768
    film = mammo.read_mammogram(write_dicom(pixels, bits=16))
    assert film.image[100, 30] == film.image[0, 139] == 0
    assert film.image.max() > 0.9


@pytest.mark.parametrize("highest", [5000, 9000, 15000])
def test_what_is_bright_but_not_far_sets_the_grey_scale(highest, write_dicom):
    """Calcifications and metal: not clipped."""
    pixels = dark_film(4000).astype(np.uint16)
    pixels[100, 30] = highest
    film = mammo.read_mammogram(write_dicom(pixels, bits=16))
    assert film.image.argmax() == 100 * 140 + 30
    assert film.image[100, 30] < 1
    assert not film.warnings


def test_a_small_bright_breast_alone_is_no_label():
    pixels = np.full((200, 140), 300, np.uint16)
    pixels[50:150, :40] = 60000
    assert depth_limits(pixels, []) == (300, 60000)


def test_a_bright_breast_is_no_label():
    pixels = np.where(dark_film(1) > 0, 60000, 300).astype(np.uint16)
    assert depth_limits(pixels, []) == (300, 60000)


def test_a_value_between_that_few_pixels_have_makes_no_gap():
    """Pixels 1 and 2 are not among those that are looked at first."""
    pixels = np.tile(np.arange(1000, dtype=np.uint16), (200, 1))
    pixels[0, 1:4] = 60000, 15000, 3900
    assert depth_limits(pixels, notes := []) == (0, 60000)
    assert not notes


@pytest.mark.parametrize("rows", [1, LOOKED_UP, LOOKED_UP + 1, 3 * LOOKED_UP - 1])
def test_every_row_is_looked_up(rows):
    values = np.random.default_rng(rows).integers(0, 2**16, (rows, 7), np.uint16)
    table = np.random.default_rng(0).random(2**16, np.float32)
    np.testing.assert_array_equal(looked_up(table, values), table[values])
    turned = np.asfortranarray(values)
    np.testing.assert_array_equal(looked_up(table, turned), table[values])
