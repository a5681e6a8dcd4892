"""TIFF files: every bit, either polarity, and of several pages the one that is asked for."""

import struct

import numpy as np
import pytest
import tifffile
from files import RAMP, stored, write_packed_tiff
from PIL import Image

import mammo

GREY8, GREY12, GREY16 = stored(8, np.uint8), stored(12), stored(16)
COLOUR = np.stack([GREY16] * 3, axis=-1)
OPAQUE = np.full_like(GREY16, 65535)
LINEAR_PALETTE = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))

KINDS = {
    "16 bits": (GREY16, {}),
    "strips": (GREY16, {"rowsperstrip": 16, "compression": "lzw"}),
    "tiles": (GREY16, {"tile": (64, 64), "compression": "deflate", "predictor": True}),
    "big-endian": (GREY16, {"byteorder": ">"}),
    "BigTIFF": (GREY16, {"bigtiff": True}),
    "JPEG 2000": (GREY16, {"compression": "jpeg2000"}),
    "signed": ((GREY12.astype(np.int32) - 2048).astype(np.int16), {}),
    "32 bits": (GREY16.astype(np.uint32), {}),
    "all of 32 bits": (GREY16.astype(np.uint32) * 65537, {}),
    "float, 16 bits": (RAMP.astype(np.float16), {}),
    "float, 32 bits": (RAMP.astype(np.float32), {}),
    "float, 64 bits": (RAMP, {}),
    "float, whole numbers": (GREY12.astype(np.float32), {}),
    "float, very dim": ((RAMP / 1000).astype(np.float32), {}),
    "float, negative": ((RAMP * 5 - 2).astype(np.float32), {}),
    "grey as colour": (COLOUR, {"photometric": "rgb"}),
    "grey as colour, planar": (np.moveaxis(COLOUR, -1, 0), {"photometric": "rgb", "planarconfig": "separate"}),
    "colour with alpha": (np.dstack([COLOUR, OPAQUE]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    "grey with alpha": (np.dstack([GREY16, OPAQUE]), {"photometric": "minisblack", "extrasamples": ["unassalpha"]}),
    "palette": (GREY8, {"photometric": "palette", "colormap": LINEAR_PALETTE}),
    "palette, reversed": (255 - GREY8, {"photometric": "palette", "colormap": LINEAR_PALETTE[:, ::-1]}),
    "white is zero, 8 bits": (255 - GREY8, {"photometric": "miniswhite"}),
    "white is zero, 12 bits": (4095 - GREY12, {"photometric": "miniswhite"}),
    "white is zero, 16 bits": (65535 - GREY16, {"photometric": "miniswhite"}),
    "white is zero, float": ((1 - RAMP).astype(np.float32), {"photometric": "miniswhite"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_bits_and_the_polarity_that_the_file_states(kind, tmp_path):
    pixels, options = KINDS[kind]
    tifffile.imwrite(tmp_path / "film.tif", pixels, **options)
    film = mammo.read_mammogram(tmp_path / "film.tif")
    tolerance = (
        1e-3 if "16 bits" in kind and "float" in kind else 0.5 / (255 if "palette" in kind or "8" in kind else 4095)
    )
    np.testing.assert_allclose(film.image, RAMP, atol=tolerance + 1e-6)
    assert film.format == "TIFF"
    assert film.inverted == kind.startswith("white")
    assert not film.warnings
    if pixels.dtype == np.uint16 and "12" not in kind:
        assert len(np.unique(film.image)) > 16000, "nothing is rounded"


def test_packed_values_of_12_bits(tmp_path):
    film = mammo.read_mammogram(write_packed_tiff(tmp_path / "film.tif", GREY12))
    np.testing.assert_allclose(film.image, RAMP, atol=0.6 / 4095)
    assert film.bits == 12


def test_black_and_white(tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", RAMP > 0.7, photometric="minisblack")
    np.testing.assert_array_equal(mammo.read_mammogram(tmp_path / "film.tif").image, RAMP > 0.7)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "CMYK"])
def test_what_pillow_writes(mode, tmp_path):
    Image.fromarray(GREY8).convert(mode).save(tmp_path / "film.tif")
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "film.tif").image, RAMP, atol=0.01)


def test_pages_are_chosen_or_refused(tmp_path):
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(GREY16)
        file.write(np.ascontiguousarray(GREY16[:, ::-1]))
    with pytest.raises(mammo.MammoError, match=r"2 pages \(128 x 128, 128 x 128\).*frame=0 to frame=1"):
        mammo.read_mammogram(path)
    np.testing.assert_allclose(mammo.read_mammogram(path, frame=1).image, RAMP[:, ::-1], atol=1e-4)
    with pytest.raises(mammo.MammoError, match="no frame 2"):
        mammo.read_mammogram(path, frame=2)


@pytest.mark.parametrize("first", ["reduced", "whole"])
def test_reduced_copies_are_no_images_of_their_own(first, tmp_path):
    pages = [(np.ascontiguousarray(GREY16[::4, ::4]), 1), (GREY16, 0)]
    with tifffile.TiffWriter(tmp_path / "film.tif") as file:
        for pixels, kind in pages if first == "reduced" else pages[::-1]:
            file.write(pixels, subfiletype=kind)
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "film.tif").image, RAMP, atol=1e-4)


def test_a_pyramid_is_one_image(tmp_path):
    with tifffile.TiffWriter(tmp_path / "film.tif") as file:
        file.write(GREY16, subifds=1)
        file.write(np.ascontiguousarray(GREY16[::2, ::2]), subfiletype=1)
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "film.tif").image, RAMP, atol=1e-4)


def test_a_small_first_page_that_is_not_marked_is_not_guessed_at(tmp_path):
    with tifffile.TiffWriter(tmp_path / "film.tif") as file:
        file.write(np.ascontiguousarray(GREY16[::4, ::4]))
        file.write(GREY16)
    with pytest.raises(mammo.MammoError, match=r"32 x 32, 128 x 128"):
        mammo.read_mammogram(tmp_path / "film.tif")


@pytest.mark.parametrize("options", [{"truncate": True}, {"volumetric": True, "tile": (16, 64, 64)}])
def test_stacks_in_one_page_are_refused(options, tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", np.stack([GREY16] * 16), photometric="minisblack", **options)
    with pytest.raises(mammo.MammoError, match="stack of images"):
        mammo.read_mammogram(tmp_path / "film.tif")


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_channels_that_differ_are_refused(planar, tmp_path):
    pixels = np.stack([GREY16, GREY16[::-1]], axis=-1 if planar == "contig" else 0)
    tifffile.imwrite(tmp_path / "film.tif", pixels, photometric="minisblack", planarconfig=planar)
    with pytest.raises(mammo.MammoError, match="2 channels that differ"):
        mammo.read_mammogram(tmp_path / "film.tif")


def test_complex_values_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", RAMP.astype(np.complex64))
    with pytest.raises(mammo.MammoError, match="complex64"):
        mammo.read_mammogram(tmp_path / "film.tif")


@pytest.mark.parametrize("compression", [None, "deflate", "lzw", "packbits", "jpeg"])
def test_a_file_that_is_cut_off_is_never_filled_up(compression, tmp_path):
    pixels = GREY8 if compression == "jpeg" else GREY16
    tifffile.imwrite(tmp_path / "film.tif", pixels, rowsperstrip=16, compression=compression)
    whole = (tmp_path / "film.tif").read_bytes()
    for share in (0.4, 0.8, 0.97):
        (tmp_path / "film.tif").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(mammo.MammoError, match="damaged, cut off"):
            mammo.read_mammogram(tmp_path / "film.tif")


def test_a_film_on_its_side_is_turned(tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", GREY16, extratags=[(274, "H", 1, 6, True)])
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "film.tif").image, np.rot90(RAMP, -1), atol=1e-4)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_of_few_bits(bits, tmp_path):
    """Written by hand, as no library here packs them: one strip, a palette of greys."""
    levels = 2**bits
    image = (np.arange(160)[:, None] + np.arange(160)) * levels // 320
    packed = np.packbits(np.unpackbits(image.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :].reshape(160, -1))
    greys = np.arange(levels) * 65535 // (levels - 1)
    write_tiff(
        tmp_path / "film.tif",
        {256: (4, [160]), 257: (4, [160]), 258: (3, [bits]), 259: (3, [1]), 262: (3, [3]), 277: (3, [1])}
        | {278: (4, [160]), 279: (4, [packed.size]), 320: (3, list(greys) * 3)},
        packed.tobytes(),
    )
    expected = image / (levels - 1)
    np.testing.assert_allclose(mammo.read_mammogram(tmp_path / "film.tif").image, expected, atol=0.003)


def write_tiff(path, tags, data):
    """A little-endian TIFF of one strip; `tags` by number: type (3 of 16 bits, 4 of 32) and values."""
    tags = dict(sorted((tags | {273: (4, [0])}).items()))
    entries, more, end = b"", b"", 8 + 2 + 12 * len(tags) + 4
    place = end + sum(2 * len(values) for kind, values in tags.values() if kind == 3 and len(values) > 2)
    for number, (kind, values) in tags.items():
        content = np.array([place] if number == 273 else values, "<u2" if kind == 3 else "<u4").tobytes()
        if len(content) > 4:
            entries += struct.pack("<HHII", number, kind, len(values), end + len(more))
            more += content
        else:
            entries += struct.pack("<HHI", number, kind, len(values)) + content.ljust(4, b"\0")
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + more + data)
