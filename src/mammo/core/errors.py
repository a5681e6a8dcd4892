"""The one exception that this package raises on purpose, and what it says of files that cannot be read."""

from __future__ import annotations

import errno
import os


class MammoError(Exception):
    """Something the user can correct: the message says what is wrong, why, and what to do."""


class UnreadableFile(MammoError):
    """A file that the operating system did not open or read; it may be intact, and can be read another time."""


def short_reason(error: Exception, length: int = 300) -> str:
    """One line of another library's error, to be quoted in a MammoError."""
    return " ".join(str(error).split())[:length] or type(error).__name__


def unreadable(name: str, error: OSError) -> UnreadableFile:
    """What the operating system said when a file was opened or read, as a sentence."""
    reason = os.strerror(error.errno) if error.errno else short_reason(error)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return UnreadableFile(f"{name}: there is no such file. Check the path and the spelling.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnreadableFile(f"{name} may not be read ({reason}). Change its permissions, or copy it elsewhere.")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return UnreadableFile(f"{name} was not opened ({reason}). Close other files or programs, then repeat it.")
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
        return UnreadableFile(
            f"{name} cannot be opened under this path ({reason}). Give the file another name or folder."
        )
    return UnreadableFile(
        f"{name} could not be read ({reason}): the drive or the network connection that holds it failed. "
        "Connect the drive again (in Colab: mount Google Drive again), then repeat it."
    )
