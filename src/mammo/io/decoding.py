"""The two things that can go wrong before there are pixels: the file is not handed over, or its content is damaged.

The first bytes are read before any decoder sees the file, so that what its permissions or its drive prevent is said
there. Later, too, an error of the operating system has a number, and one of a decoder has none.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from mammo.core.errors import MammoError, short_reason, unreadable

START = 132  # bytes; the marker of DICOM ends there


def read_bytes(path: Path, length: int = -1) -> bytes:
    """The content of a file, or its first bytes; raises MammoError where it is missing, empty or cannot be read."""
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            kind = "a folder" if stat.S_ISDIR(state.st_mode) else "a device"
            raise MammoError(f"{path}: there is no such file, but {kind}. Choose a file.")
        if state.st_size == 0:
            raise MammoError(f"{path.name} is empty (0 bytes). The copy or upload was probably cut off: repeat it.")
        with path.open("rb") as file:
            return file.read(length)
    except OSError as error:
        raise unreadable(str(path) if error.errno == errno.ENOENT else path.name, error) from None
    except ValueError as error:  # a path with a zero byte
        raise MammoError(f"{str(path)!r}: there is no such file ({short_reason(error)}). Check the path.") from None


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Around another library's decoder, and nothing else: damaged content makes one fail anywhere, in any way."""
    try:
        yield
    except (MammoError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise MammoError(f"{path.name} claims an absurd number of pixels and was not opened.") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: damaged lengths lead there
            raise unreadable(path.name, error) from None
        raise MammoError(
            f"{path.name} is damaged, cut off, or written in a way that is not known here "
            f"({short_reason(error, 200)}). Copy or export it again."
        ) from None
