"""Size, side and view of a file without its pixels; masks."""

import numpy as np
import pytest
from files import stored
from PIL import Image

import mammo
from mammo.io.headers_and_masks import image_size, is_mask, read_mask, side_and_view

SPOT = np.zeros((120, 150), np.uint8)
SPOT[30:60, 40:90] = 255


def test_the_size_of_a_file(write_dicom, write_png):
    assert image_size(write_dicom(stored(12)[:100], bits=12)) == (100, 128)
    assert image_size(write_png(stored(16)[:100])) == (100, 128)


def test_side_and_view(write_dicom):
    assert side_and_view(write_dicom(stored(12), bits=12, ImageLaterality="L", ViewPosition="MLO")) == ("L", "MLO")
    assert side_and_view(write_dicom(stored(12), bits=12)) == (None, None)


def test_a_mask_in_any_format(write_dicom, write_png, tmp_path):
    Image.fromarray(SPOT).save(tmp_path / "mask.jpg", quality=90)
    for path in (write_dicom(SPOT, bits=8), write_png(SPOT), tmp_path / "mask.jpg"):
        assert is_mask(path)
        np.testing.assert_array_equal(read_mask(path), SPOT > 0)


def test_a_mask_is_turned_and_inverted_as_its_file_says(write_dicom, tmp_path):
    """As `read_mammogram` does with the film."""
    inverted = write_dicom(255 - SPOT, bits=8, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_mask(inverted), SPOT > 0)
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in ("mask.jpg", "mask.png", "mask.tif"):
        Image.fromarray(SPOT).save(tmp_path / name, exif=turned, **({"quality": 90} if "jpg" in name else {}))
        np.testing.assert_array_equal(read_mask(tmp_path / name), np.rot90(SPOT, -1) > 0)
        assert image_size(tmp_path / name) == mammo.read_mammogram(tmp_path / name).image.shape == (150, 120)


def test_what_is_no_mask_is_refused(write_png):
    path = write_png(stored(8, np.uint8))
    assert not is_mask(path)
    with pytest.raises(mammo.MammoError, match="more than two grey values"):
        read_mask(path)


@pytest.mark.parametrize("read", [image_size, side_and_view, read_mask, is_mask])
def test_files_that_cannot_be_used(read, tmp_path):
    with pytest.raises(mammo.MammoError, match="no such file"):
        read(tmp_path / "missing.dcm")
    (tmp_path / "text.dcm").write_text("hello")
    with pytest.raises(mammo.MammoError, match=r"text\.dcm is damaged"):
        read(tmp_path / "text.dcm")
