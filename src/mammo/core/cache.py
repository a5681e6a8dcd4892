"""The folder for what can be computed again: prepared images and features, checkpoints, scores, the demo network."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

from mammo.core.errors import MammoError
from mammo.core.files import as_path, errors_of_writing


def cache_folder(folder=None) -> Path:
    """`folder`, else $MAMMO_CACHE, else .cache/mammo in the home folder; made where it is not there.

    Raises MammoError where it cannot be made.
    """
    try:
        folder = as_path(folder or os.environ.get("MAMMO_CACHE") or "~/.cache/mammo")
    except MammoError as error:
        raise MammoError(f"{error} For the cache, set $MAMMO_CACHE to a folder.") from None
    with errors_of_cache(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def errors_of_cache(folder: Path) -> AbstractContextManager[None]:
    """Raise MammoError that says what to do where the folder cannot be written."""
    advice = "Set $MAMMO_CACHE to a folder that can, or give one as `cache`."
    return errors_of_writing(f"The cache in {folder}", advice)
