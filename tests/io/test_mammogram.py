"""What holds for every image, whatever file it comes from."""

from pathlib import Path

import numpy as np
import pytest
from files import SIDE, stored
from PIL import Image

import mammo
from mammo.io import scale_to_unit
from mammo.io.mammogram import grey_from_channels


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
