import numpy as np
import pytest

import mammo
from mammo.synthetic.image_writers import FORMATS, extension, write_image


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_gives_back_the_image(file_format, inverted, tmp_path, image):
    tags = {"PatientID": "S1", "ImageLaterality": "R", "ViewPosition": "MLO"}
    path = tmp_path / f"image{extension(file_format)}"
    write_image(path, image, file_format, tags, inverted, origin="0")
    read = mammo.read_mammogram(path)
    bits = int(file_format.strip("pngdicom"))
    assert read.bits == bits
    np.testing.assert_allclose(read.image, image, atol=0.51 / (0.79 * (2**bits - 1)) + 1e-6)
    if file_format.startswith("dicom"):
        assert read.inverted == inverted
        assert not read.warnings
        assert read.synthetic
    assert not list(tmp_path.glob("*.partial"))


def test_every_format_says_that_it_is_synthetic(demo):
    for _, rows in demo.groupby("file_format"):
        assert mammo.read_mammogram(rows.path.iloc[0]).synthetic
