"""Windows and tables that do not fit the image, and numbers that cannot be read."""

import numpy as np
import pydicom
import pytest
from files import RAMP, stored, table
from pydicom.dataset import Dataset

import mammo

BESIDE_AIR = np.where(np.arange(128) < 60, 0, stored(16) // 2 + 30000).astype(np.uint16)
HALF = np.clip(RAMP * 2 - 0.5, 0, 1)
FULL_RANGE, NEXT = "full range", "the next one was used"
GOOD = {"WindowCenter": 2048, "WindowWidth": 2048}


def replaced(path, old: bytes, new: bytes):
    """The same file with other text in its header, which pydicom would refuse to write."""
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("pixels", "bits", "tags", "expected", "note"),
    [
        (stored(8, np.uint8), 8, {"WindowCenter": 2000, "WindowWidth": 1500}, RAMP, FULL_RANGE),
        (BESIDE_AIR, 16, {"WindowCenter": 2048, "WindowWidth": 4096}, BESIDE_AIR / 65535, FULL_RANGE),
        (stored(12), 12, {"WindowCenter": [20000, 2048], "WindowWidth": [100, 2048]}, HALF, NEXT),
        (stored(12), 12, {"WindowCenter": [-9, 9000, 2048], "WindowWidth": [2, 1, 2048]}, HALF, NEXT),
        (stored(12), 12, {"WindowCenter": 2048, "WindowWidth": -2048}, RAMP, FULL_RANGE),
        (stored(12), 12, {"WindowCenter": [2048, 1], "WindowWidth": 2048}, HALF, None),
        (stored(12), 12, {"VOILUTSequence": [table(np.zeros(4096), 12)], **GOOD}, HALF, NEXT),
        (stored(12), 12, {"VOILUTSequence": [table(np.zeros(4096), 12)]}, RAMP, FULL_RANGE),
        (stored(12), 12, {"VOILUTSequence": [Dataset()]}, RAMP, FULL_RANGE),
        (stored(12), 12, {"VOILUTSequence": [table(range(4096), 12, first=60000)]}, RAMP, FULL_RANGE),
        (stored(12), 12, {"VOILUTFunction": "SIGMOID", "WindowCenter": 9e4, "WindowWidth": 9}, RAMP, FULL_RANGE),
    ],
)
def test_the_first_window_that_shows_something_is_used(pixels, bits, tags, expected, note, write_dicom):
    film = mammo.read_mammogram(write_dicom(pixels, bits=bits, **tags))
    np.testing.assert_allclose(film.image, expected, atol=3e-3)
    assert [note in warning for warning in film.warnings] == ([True] if note else [])


def test_a_window_that_shows_nothing_of_an_inverted_image(write_dicom):
    tags = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 20000, "WindowWidth": 100}
    film = mammo.read_mammogram(write_dicom(4095 - stored(12), bits=12, **tags))
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)


def test_a_narrow_window_is_the_radiologists(write_dicom):
    film = mammo.read_mammogram(write_dicom(stored(12), bits=12, WindowCenter=2048, WindowWidth=600))
    assert not any("window" in warning for warning in film.warnings)
    assert (film.image == 0).mean() > 0.4


@pytest.mark.parametrize(
    ("entries", "bits", "note"),
    [(256, 12, "announces 256"), (5000, 12, "announces 5000"), (4096, 8, "of 8 bits"), (4096, 16, "of 16 bits")],
)
@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_that_is_not_what_its_descriptor_says(entries, bits, note, sequence, write_dicom):
    item = table(np.arange(4096), bits, entries=entries)
    film = mammo.read_mammogram(write_dicom(stored(12), bits=12, **{sequence: [item]}))
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    assert note in film.warnings[0]


def test_a_table_of_bytes(write_dicom):
    item = table(np.arange(4096), 8)
    item.LUTData = (np.arange(4096) // 16).astype(np.uint8).tobytes()
    film = mammo.read_mammogram(write_dicom(stored(12), bits=12, VOILUTSequence=[item]))
    np.testing.assert_allclose(film.image, RAMP, atol=1 / 200)
    assert not film.warnings


def test_a_modality_table_that_maps_all_to_one_is_left_out(write_dicom):
    film = mammo.read_mammogram(write_dicom(stored(12), bits=12, ModalityLUTSequence=[table(np.full(4096, 7), 12)]))
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    assert any("modality LUT" in warning for warning in film.warnings)


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleSlope": None, "RescaleIntercept": None},
        {"RescaleSlope": 1, "RescaleIntercept": None},
        {"WindowCenter": None, "WindowWidth": None},
        {"WindowCenter": 2048},
        {"VOILUTSequence": []},
    ],
)
def test_elements_without_a_value_are_as_good_as_absent(tags, write_dicom):
    path = write_dicom(stored(12), bits=12)
    header = pydicom.dcmread(path)
    for tag, value in tags.items():
        setattr(header, tag, value)
    header.save_as(path)
    film = mammo.read_mammogram(path)
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    assert not film.warnings


def test_an_intercept_without_a_slope_counts(write_dicom):
    tags = {"RescaleIntercept": -1024, "WindowCenter": 1024, "WindowWidth": 4096}
    film = mammo.read_mammogram(write_dicom(stored(12), bits=12, **tags))
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    assert "without a slope" in film.warnings[0]


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (0.1, 5), (1e-4, 0), (3, 1000)])
def test_rescaling_alone_changes_no_grey_scale(slope, intercept, write_dicom):
    film = mammo.read_mammogram(write_dicom(stored(12), bits=12, RescaleSlope=slope, RescaleIntercept=intercept))
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 2048, "WindowWidth": 4096}])
def test_a_slope_of_zero_leaves_the_image(window, write_dicom):
    film = mammo.read_mammogram(write_dicom(stored(12), bits=12, RescaleSlope=0, RescaleIntercept=0, **window))
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    (warning,) = film.warnings
    assert "slope of 0" in warning


def test_a_negative_slope_inverts(write_dicom):
    film = mammo.read_mammogram(write_dicom(4095 - stored(12), bits=12, RescaleSlope=-1, RescaleIntercept=4095))
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)


def test_decimal_commas(write_dicom):
    tags = {"WindowCenter": "2048.0", "WindowWidth": "2048", "RescaleSlope": "1.00", "RescaleIntercept": "0"}
    path = write_dicom(stored(12), bits=12, **tags)
    film = mammo.read_mammogram(replaced(replaced(path, b"2048.0", b"2048,0"), b"1.00", b"1,00"))
    np.testing.assert_allclose(film.image, HALF, atol=1e-3)
    assert not film.warnings


@pytest.mark.parametrize("text", [b"abcdef", b"NaN   ", b"1.2.3 ", b"inf   "])
def test_numbers_that_are_none(text, write_dicom):
    path = write_dicom(stored(12), bits=12, RescaleSlope="1.0000", RescaleIntercept="0")
    film = mammo.read_mammogram(replaced(path, b"1.0000", text))
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    assert "RescaleSlope" in film.warnings[0]
    path = write_dicom(stored(12), bits=12, WindowCenter="2048.0", WindowWidth="9")
    film = mammo.read_mammogram(replaced(path, b"2048.0", text))
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    assert FULL_RANGE in film.warnings[0]


def test_the_first_entry_of_a_table_without_its_sign(write_dicom):
    """-2048 stated as 63488."""
    path = write_dicom((stored(12).astype(np.int32) - 2048).astype(np.int16), bits=12)
    header = pydicom.dcmread(path)
    header.VOILUTSequence = [table(np.arange(4096), 12, first=63488)]
    header.save_as(path)
    film = mammo.read_mammogram(path)
    np.testing.assert_allclose(film.image, RAMP, atol=1e-3)
    assert not film.warnings
