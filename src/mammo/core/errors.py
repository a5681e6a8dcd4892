"""The one exception that this package raises on purpose."""

from __future__ import annotations

import errno
import os


class MammoError(Exception):
    """Something the user can correct: the message says what is wrong, why, and what to do."""


def short_reason(error: Exception, length: int = 300) -> str:
    """One line of another library's error, to be quoted in a MammoError."""
    return " ".join(str(error).split())[:length] or type(error).__name__


def unreadable(name: str, error: OSError) -> MammoError:
    """What the operating system said when a file was opened or read, as a sentence: the file itself may be intact."""
    reason = os.strerror(error.errno) if error.errno else short_reason(error)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return MammoError(f"{name}: there is no such file. Check the path and the spelling.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return MammoError(f"{name} may not be read ({reason}). Change its permissions, or copy it elsewhere.")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return MammoError(f"{name} was not opened ({reason}). Close other files or programs, then repeat it.")
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
        return MammoError(f"{name} cannot be opened under this path ({reason}). Give the file another name or folder.")
    return MammoError(
        f"{name} could not be read ({reason}): the drive or the network connection that holds it failed. "
        "Connect the drive again (in Colab: mount Google Drive again), then repeat it."
    )
