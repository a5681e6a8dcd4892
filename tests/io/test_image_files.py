"""PNG, JPEG, PGM, BMP, WebP, GIF and JPEG 2000 (for TIFF see `test_tiff`)."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from files import RAMP, stored
from PIL import Image, ImageOps

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


GREY8, GREY12, GREY16 = stored(8, np.uint8), stored(12), stored(16)
COLOUR = np.stack([GREY16] * 3, axis=-1)
OPAQUE = np.full_like(GREY16, 65535)
DEEP = {  # the file's content, and its bits
    "colour.png": (imagecodecs.png_encode(COLOUR), 16),
    "colour and alpha.png": (imagecodecs.png_encode(np.dstack([COLOUR, OPAQUE])), 16),
    "grey and alpha.png": (imagecodecs.png_encode(np.dstack([GREY16, OPAQUE])), 16),
    "colour.ppm": (b"P6\n128 128\n65535\n" + COLOUR.astype(">u2").tobytes(), 16),
    "text.ppm": (b"P3\n128 128\n65535\n" + b" ".join(b"%d" % value for value in COLOUR.ravel()), 16),
    "12.pgm": (b"P5\n128 128\n4095\n" + GREY12.astype(">u2").tobytes(), 16),
    "float.pfm": (b"Pf\n128 128\n-1.0\n" + RAMP[::-1].astype("<f4").tobytes(), 32),
    "extended.jpg": (imagecodecs.jpeg8_encode(GREY12, bitspersample=12, level=98), 12),
    "lossless 12.jpg": (imagecodecs.jpeg8_encode(GREY12, lossless=True, predictor=1, bitspersample=12), 12),
    "lossless 16.jpg": (imagecodecs.jpeg8_encode(GREY16, lossless=True, predictor=7, bitspersample=16), 16),
    "12.jls": (imagecodecs.jpegls_encode(GREY12), 12),
    "16.jp2": (imagecodecs.jpeg2k_encode(GREY16, codecformat="jp2", reversible=True, level=0), 16),
    "16.j2k": (imagecodecs.jpeg2k_encode(COLOUR, codecformat="j2k", reversible=True, level=0), 16),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_are_kept_in_every_format(name, tmp_path):
    content, bits = DEEP[name]
    (tmp_path / name).write_bytes(content)
    film = mammo.read_mammogram(tmp_path / name)
    np.testing.assert_allclose(film.image, RAMP, atol=0.01 if "extended" in name else 0.6 / 4095)
    assert film.bits == bits
    assert len(np.unique(film.image)) > 4000
    assert not film.warnings


@pytest.mark.parametrize("name", ["colour.png", "extended.jpg", "lossless 16.jpg", "12.jls", "16.jp2", "colour.ppm"])
def test_a_deep_file_that_is_cut_off_is_never_filled_up(name, tmp_path):
    content, _ = DEEP[name]
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(mammo.MammoError, match="damaged"):
        mammo.read_mammogram(tmp_path / name)


def shallow_png(levels, bits) -> bytes:
    """A grey PNG of fewer than 8 bits; older versions of Pillow write 8."""
    bits_of_rows = np.unpackbits(levels[..., None], axis=2)[..., -bits:].reshape(len(levels), -1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.packbits(bits_of_rows, axis=1)))
    header = struct.pack(">2I5B", levels.shape[1], levels.shape[0], bits, 0, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": data, b"IEND": b""}
    parts = [
        struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_fewer_than_8_bits_reach_from_black_to_white(bits, tmp_path):
    levels = np.rint(RAMP * (2**bits - 1)).astype(np.uint8)
    (tmp_path / "film.png").write_bytes(shallow_png(levels, bits))
    expected = levels / (2**bits - 1)
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "film.png").image, expected, atol=1e-6)


def test_transparent_parts_are_said(tmp_path):
    (tmp_path / "film.png").write_bytes(imagecodecs.png_encode(np.dstack([GREY16, OPAQUE - GREY16])))
    film = mammo.read_mammogram(tmp_path / "film.png")
    np.testing.assert_allclose(film.image, RAMP, atol=1e-4)
    assert "transparent" in film.warnings[0]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "MPO"])
def test_several_images_in_a_file_are_chosen_or_refused(kind, tmp_path):
    path = tmp_path / f"film.{kind.lower()}"
    options = {"lossless": True} if kind == "WEBP" else {"quality": 98} if kind == "MPO" else {}
    Image.fromarray(GREY8).save(
        path, kind, save_all=True, append_images=[Image.fromarray(GREY8[:, ::-1].copy())], **options
    )
    with pytest.raises(mammo.MammoError, match=r"2 images.*frame=0 to frame=1"):
        mammo.read_mammogram(path)
    for frame, expected in enumerate((RAMP, RAMP[:, ::-1])):
        np.testing.assert_allclose(mammo.read_mammogram(path, frame=frame).image, expected, atol=0.03)
    with pytest.raises(mammo.MammoError, match="no frame 2"):
        mammo.read_mammogram(path, frame=2)


@pytest.mark.parametrize("pixels", [GREY16, COLOUR])
def test_frames_of_16_bits(pixels, tmp_path):
    (tmp_path / "film.png").write_bytes(imagecodecs.apng_encode(np.stack([pixels, pixels[::-1]])))
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "film.png", frame=1).image, RAMP[::-1], atol=1e-4)


def test_the_thumbnails_of_a_jpeg_are_no_further_images(tmp_path):
    path = tmp_path / "film.jpg"
    small = Image.fromarray(GREY8[::4, ::4].copy())
    Image.fromarray(GREY8).save(path, "MPO", save_all=True, append_images=[small])
    content = path.read_bytes()
    kinds = [kind.to_bytes(4, "little") for kind in (0x030000, 0x010001)]  # primary image, large thumbnail
    first = content.index(kinds[0], content.index((0xB002).to_bytes(2, "little"), content.index(b"MPF\0")))
    path.write_bytes(content[: first + 16] + kinds[1] + content[first + 20 :])
    with Image.open(path) as picture:
        assert picture.n_frames == 2
    np.testing.assert_allclose(mammo.read_mammogram(path).image, RAMP, atol=0.03)


def test_the_only_image_is_frame_0(write_png):
    path = write_png(GREY16)
    np.testing.assert_array_equal(mammo.read_mammogram(path, frame=0).image, mammo.read_mammogram(path).image)
    with pytest.raises(mammo.MammoError, match="one image, frame 0, and no frame 1"):
        mammo.read_mammogram(path, frame=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(orientation, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = orientation
    Image.fromarray(GREY8[:100]).save(tmp_path / "film.png", exif=turned)
    with Image.open(tmp_path / "film.png") as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture)) / 255
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "film.png").image, upright, atol=1e-6)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (30000, 30000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 1_000_000
    with pytest.raises(mammo.MammoError, match=r"absurd|more than any"):
        mammo.read_mammogram(tmp_path / "bomb.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_that_follow_in_a_pgm_are_not_dropped(dtype, tmp_path):
    """The standard allows several; so does a comment behind the header shift the pixels."""
    pixels = stored(8 if dtype == np.uint8 else 16, dtype)
    content = b"P5\n128 128\n%d\n" % np.iinfo(dtype).max + pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    path = tmp_path / "film.pgm"
    path.write_bytes(content + b"\n\0")
    np.testing.assert_allclose(mammo.read_mammogram(path).image, pixels / np.iinfo(dtype).max, atol=1e-6)
    path.write_bytes(2 * content)
    with pytest.raises(mammo.MammoError, match="more than one image"):
        mammo.read_mammogram(path)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_one_grey_may_be_transparent(mode, tmp_path):
    film = Image.fromarray(GREY8).convert(mode)
    film.save(tmp_path / "film.png", transparency=3 if mode == "L" else (3, 3, 3))
    read = mammo.read_mammogram(tmp_path / "film.png")
    np.testing.assert_allclose(read.image, GREY8 / 255, atol=1e-6)
    assert "transparent" in read.warnings[0]


def test_a_gamma_is_not_applied(tmp_path):
    """PNG gAMA, before the pixels."""
    content = imagecodecs.png_encode(GREY16)
    kind = b"gAMA" + (45455).to_bytes(4, "big")
    chunk = (4).to_bytes(4, "big") + kind + zlib.crc32(kind).to_bytes(4, "big")
    at = content.index(b"IDAT") - 4
    (tmp_path / "film.png").write_bytes(content[:at] + chunk + content[at:])
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "film.png").image, GREY16 / 65535, atol=1e-6)
