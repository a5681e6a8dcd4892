"""TIFF files, by tifffile: all bits, all pages, and the polarity that the file states."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from mammo.core.errors import MammoError
from mammo.io.decoding import decoding
from mammo.io.mammogram import Samples, check_size, frame_index

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # damaged files are reported by what is raised
STARTS_OF_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR, LINEAR_RAW = 0, 1, 2, 3, 6, 34892
JPEG_COMPRESSIONS = {6, 7}  # whose colours tifffile turns into RGB
ORIENTATION, REDUCED, MASK = 274, 1, 4  # a tag, and two bits of NewSubfileType
ALPHA = {1, 2}  # values of ExtraSamples


def read_tiff(path: Path, frame: int | None) -> Samples | None:
    """The chosen page as it is stored; None where its colours are of a kind that tifffile leaves to others.

    Pages that the file marks as reduced copies or as masks are no images of their own.
    Raises MammoError where there are several images and none is chosen.
    """
    import tifffile  # takes a tenth of a second, which other formats need not wait for

    with decoding(path), path.open("rb") as file, tifffile.TiffFile(file) as tiff:
        everything = [tiff.pages.get(index) for index in range(len(tiff.pages))]
        pages = [page for page in everything if not int(page.subfiletype) & (REDUCED | MASK)] or everything[:1]
        sizes = ", ".join(f"{page.imagewidth} x {page.imagelength}" for page in pages[:4])
        index = frame_index(path, frame, len(pages), f"pages ({sizes})", "save the one you mean as a file of its own")
        page = pages[index]
        check_size(path, page.imagewidth, page.imagelength)
        # ImageJ describes further images in words only.
        if page.imagedepth > 1 or (len(everything) == 1 and max(series.size for series in tiff.series) > page.size):
            raise MammoError(f"{path.name} is a stack of images. Save the one you mean as a file of its own.")
        photometric = int(page.photometric)
        is_rgb = photometric == RGB or (photometric == YCBCR and int(page.compression) in JPEG_COMPRESSIONS)
        if not is_rgb and photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE, LINEAR_RAW):
            return None
        ends = [at + length for at, length in zip(page.dataoffsets, page.databytecounts, strict=True) if at]
        if max(ends, default=0) > tiff.filehandle.size:  # some decoders fill what is missing
            raise MammoError(f"{path.name} is damaged, cut off before its end. Copy or export it again.")
        values = page.asarray()
        if page.axes.startswith("S"):  # planar
            values = np.moveaxis(values, 0, -1)
        if values.size == 0 or values.shape[:2] != (page.imagelength, page.imagewidth) or values.ndim > 3:
            raise ValueError(f"values of the shape {values.shape}")
        if photometric == PALETTE:
            values = np.moveaxis(np.asarray(page.colormap)[:, values.astype(np.intp)], 0, -1)
        extra = [int(kind) for kind in page.extrasamples]
        orientation, bits = page.tags.valueof(ORIENTATION, default=1), int(page.bitspersample)
    if values.dtype.kind not in "biuf":
        raise MammoError(f"{path.name} holds values of the type {values.dtype}, and a mammogram has grey values.")
    if photometric != PALETTE and (values.dtype.kind == "b" or bits in (1, 2, 4)):  # as the other formats have them
        values = values.astype(np.uint8) * np.uint8(255 // (2**bits - 1))
    colours = 3 if is_rgb or photometric == PALETTE else 1
    pixels, alpha = values, None
    if values.ndim == 3:
        alpha = values[..., colours] if extra and extra[0] in ALPHA else None
        if colours == 1 and alpha is None and (values != values[..., :1]).any():
            raise MammoError(
                f"{path.name} holds {values.shape[2]} channels that differ. Save the one you mean as a file of its own."
            )
        pixels = values[..., :3] if colours == 3 else values[..., 0]
    return Samples(pixels, "TIFF", orientation, photometric == WHITE_IS_ZERO, alpha)
