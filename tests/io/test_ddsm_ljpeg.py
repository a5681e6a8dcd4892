import imagecodecs
import numpy as np
import pytest

import mammo
from mammo.io.ddsm_ljpeg import read_ics

HEIGHT, WIDTH = 120, 130
GREY = ((np.arange(WIDTH) * 29 + np.arange(HEIGHT)[:, None] * 7) % 4096).astype(np.uint16)
ICS = """ics_version 1.0
filename {letter}-0029-1
DATE_OF_STUDY 6 6 1995
PATIENT_AGE 66
FILM 
FILM_TYPE REGULAR
DENSITY 3
DATE_DIGITIZED 16 11 1998 
DIGITIZER {digitizer}
SEQUENCE
LEFT_CC LINES {height} PIXELS_PER_LINE {width} BITS_PER_PIXEL 12 RESOLUTION 50 OVERLAY
LEFT_MLO LINES {height} PIXELS_PER_LINE {width} BITS_PER_PIXEL 12 RESOLUTION 50 NON_OVERLAY
"""


def write_case(folder, data, letter="C", digitizer="LUMISYS LASER", height=HEIGHT, width=WIDTH):
    facts = {"letter": letter, "digitizer": digitizer, "height": height, "width": width}
    (folder / f"{letter}-0029-1.ics").write_text(ICS.format(**facts))
    path = folder / f"{letter}_0029_1.LEFT_CC.LJPEG"
    path.write_bytes(data)
    return path


@pytest.fixture
def by_the_codec(request):
    """GREY as the program that made DDSM (Stanford's PVRG codec) writes it, with width and height swapped."""
    return (request.path.parents[1] / "samples" / "film_12_bits.LJPEG").read_bytes()


def test_the_ics_file_says_the_size_and_not_the_jpeg(tmp_path, by_the_codec):
    assert imagecodecs.jpeg8_decode(by_the_codec).shape == (WIDTH, HEIGHT)
    film = mammo.read_mammogram(write_case(tmp_path, by_the_codec))
    density = (GREY - 4096.99) / -1009.01
    assert film.image.shape == (HEIGHT, WIDTH)
    np.testing.assert_allclose(film.image, np.clip((3.60 - density) / 3.55, 0, 1), atol=1e-5)
    assert (film.format, film.bits, film.laterality, film.view) == ("LJPEG", 12, "L", "CC")
    assert film.pixel_spacing_mm == (0.05, 0.05)


@pytest.mark.parametrize(
    ("letter", "digitizer", "grey", "density"),
    [  # a grey value, and the optical density that the owner's formula gives
        ("A", "DBA M2100 ImageClear", 1000, (3 - 4.80662) / -1.07553),
        ("A", "HOWTEK 960", 2000, 3.789 - 1.89136),
        ("B", "LUMISYS LASER", 3000, 1.08719),
        ("C", "LUMISYS", 1000, 3.06934),
        ("D", "HOWTEK MultiRad850", 2000, 1.98492),
    ],
)
def test_every_digitiser_has_its_calibration(tmp_path, letter, digitizer, grey, density):
    pixels = GREY.copy()
    pixels[3, 4] = grey
    data = imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=12)
    film = mammo.read_mammogram(write_case(tmp_path, data, letter, digitizer))
    assert film.image[3, 4] == pytest.approx((3.60 - density) / 3.55, abs=1e-4)
    order = np.argsort(pixels, axis=None)
    assert (np.diff(film.image.ravel()[order]) >= 0).all(), "a brighter grey is a thinner density, dense tissue"


def test_without_an_ics_file_or_a_known_digitiser_it_says_so(tmp_path):
    data = imagecodecs.jpeg8_encode(GREY, lossless=True, predictor=4, bitspersample=12)
    path = write_case(tmp_path, data, digitizer="SOMETHING ELSE")
    film = mammo.read_mammogram(path)
    assert any("SOMETHING is not one" in warning for warning in film.warnings)
    np.testing.assert_allclose(film.image, GREY / 4095, atol=1e-6)
    (tmp_path / "C-0029-1.ics").unlink()
    assert any(".ics" in warning for warning in mammo.read_mammogram(path).warnings)


def test_what_cannot_be_read_rightly_is_refused(tmp_path, by_the_codec):
    other = imagecodecs.jpeg8_encode(GREY, lossless=True, predictor=7, bitspersample=12)
    damaged = bytearray(by_the_codec)
    damaged[200:400] = b"\xff\x9a" * 100
    for data, message in [
        (by_the_codec[:500], "cut off"),
        (other, "predictor 7"),
        (bytes(damaged), "damaged"),
        (b"\xff\xd8 no film at all \xff\xd9", "no lossless JPEG"),
    ]:
        with pytest.raises(mammo.MammoError, match=message):
            mammo.read_mammogram(write_case(tmp_path, data))
    with pytest.raises(mammo.MammoError, match=r"its \.ics file says 130 x 119"):
        mammo.read_mammogram(write_case(tmp_path, by_the_codec, height=119))


def test_an_ics_file_that_names_no_film_is_refused(tmp_path):
    (tmp_path / "A-0001-1.ics").write_text("ics_version 1.0\nfilename A-0001-1\n")
    with pytest.raises(mammo.MammoError, match="names no film"):
        read_ics(tmp_path / "A-0001-1.ics")


def test_a_header_that_is_cut_and_a_number_that_is_none_are_refused(tmp_path):
    with pytest.raises(mammo.MammoError, match="no lossless JPEG"):
        mammo.read_mammogram(write_case(tmp_path, b"\xff\xd8\xff\xc3 no more \xff\xda\xff\xd9"))
    (tmp_path / "A-0001-1.ics").write_text(
        ICS.format(letter="A", digitizer="DBA", height=9, width=9).replace(" 50 ", " 43.5.1 ")
    )
    with pytest.raises(mammo.MammoError, match="names no film"):
        read_ics(tmp_path / "A-0001-1.ics")
