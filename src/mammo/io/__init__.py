"""Any mammogram file -> one 2-D image and what was learned about the file.

    mammogram = mammo.read_mammogram("image.dcm")
    mammogram.image          # float32 (height, width) in [0, 1], dense tissue bright

Nothing is rounded to 8 bits on the way. Of a DICOM header only what is needed to read the pixels leaves
this module: no name, no date, no identifier.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image

from mammo.core.errors import MammoError
from mammo.io.ddsm_ljpeg import read_ljpeg
from mammo.io.dicom import looks_like_dicom, read_dicom
from mammo.io.image_files import read_picture
from mammo.io.mammogram import MIN_SIDE, Mammogram, checked, scale_to_unit

__all__ = ["MIN_SIDE", "Mammogram", "read_mammogram", "scale_to_unit"]


def read_mammogram(path, frame: int | None = None) -> Mammogram:
    """Read a DICOM, PNG, JPEG, TIFF, PGM or BMP file of 8 to 16 bits, or an .LJPEG film of DDSM.

    Of an image of several frames (tomosynthesis) `frame` chooses one, counted from 0.
    Raises MammoError, and nothing else, where the file is missing, empty, damaged, not an image, in
    colour, blank, absurdly small or large, or a DICOM of another kind of examination.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise MammoError(f"{path}: there is no such file. Check the path and the spelling.")
        if path.stat().st_size == 0:
            raise MammoError(f"{path.name} is empty (0 bytes). The copy or upload was probably cut off: repeat it.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a reader should know comes as the mammogram's own warnings
            if looks_like_dicom(path):
                return checked(read_dicom(path, frame))
            if frame is not None:
                raise MammoError(f"{path.name} is not a DICOM file, so it has no frames. Leave frame out.")
            return checked(read_ljpeg(path) if path.suffix.upper() == ".LJPEG" else read_picture(path))
    except MammoError:
        raise
    except Image.DecompressionBombError:
        raise MammoError(f"{path.name} claims an absurd number of pixels and was not opened.") from None
    except MemoryError:
        raise MammoError(f"{path.name} does not fit into memory. Export it at a smaller size.") from None
    except Exception as error:  # damaged files fail anywhere inside the decoders, in any way
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise MammoError(
            f"{path.name} is damaged, cut off, or written in a way that is not known here ({reason}). "
            "Copy or export it again."
        ) from None
