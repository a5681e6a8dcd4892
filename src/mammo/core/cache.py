"""The folder for what can be computed again: features of frozen networks, and the demo model's exported network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mammo.core.errors import MammoError


def cache_folder(folder=None) -> Path:
    """`folder`, else $MAMMO_CACHE, else .cache/mammo in the home folder; made where it is not there.

    Raises MammoError where it cannot be made.
    """
    try:
        folder = Path(folder or os.environ.get("MAMMO_CACHE") or "~/.cache/mammo").expanduser()
    except RuntimeError:  # an account without a home folder, as in containers
        raise MammoError("This account has no home folder for the cache. Set $MAMMO_CACHE to a folder.") from None
    with errors_of_cache(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def errors_of_cache(folder: Path) -> Iterator[None]:
    """Raise MammoError that says what to do where the folder cannot be written."""
    try:
        yield
    except OSError as error:
        raise MammoError(
            f"The cache in {folder} cannot be written ({error.strerror or error}). Set $MAMMO_CACHE to a folder that "
            "can, or give one as `cache`."
        ) from None
