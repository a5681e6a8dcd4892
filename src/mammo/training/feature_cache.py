"""A bounded cache on disk for the features of a frozen network.

    features = FeatureCache(frozen, ImageLoader(manifest, (224, 224), n_augmentations=3), folder)
    features.compute("frozen stages")          # what is there already is not computed again
    features[[0, 1]]

One file an item, under a name that stands for all that its values depend on: the image's content, the preprocessing and
the libraries it uses, the augmentation, the network's weights and number format. The folder holds 10 GB at most
($MAMMO_CACHE_GB): what was not used for longest is deleted first. Interrupted work goes on where it was; a file that is
damaged or cannot be read is computed again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from mammo.core.cache import errors_of_cache
from mammo.core.errors import MammoError
from mammo.core.files import is_abandoned, write_atomically
from mammo.data.image_loader import check_image_kind, fitting_batch, in_batches

BATCH = 32
LIMIT_GB, LEFT_FREE = 10.0, 10**9
OWN = re.compile(r"[0-9a-f]{64}(\.[0-9a-f-]+\.partial)?$")  # the names of its files, and of parts of them


class FeatureCache:
    """What a frozen network makes of the items of `source` (inputs, or another `FeatureCache`), as float32 arrays."""

    def __init__(self, network, source, folder: Path):
        check_image_kind(network, source)
        self.network, self.source, self.folder = network, source, folder
        self.shape = tuple(network.output_shape[1:])
        self.batch_size = fitting_batch(BATCH, network.input_shape[1:3])
        digest_of_network = model_digest(network)
        self.keys = [hashlib.sha256(f"{key} {digest_of_network}".encode()).hexdigest() for key in source.keys]
        own = {self._path(item) for item in range(len(self))}
        self.paths = own | (source.paths if isinstance(source, FeatureCache) else set())
        """The files that this and its source are kept in."""
        there = {path for path in self.paths if mark_used(path)}
        needed = len(own - there) * (2 * int(np.prod(self.shape)) + 4)
        self.kept = make_room(folder, needed, there)
        if not self.kept:
            print(
                f"What is frozen takes {needed / 1e9:.1f} GB, more than there is room for in {folder} (the disk, or "
                f"the {limit() / 1e9:g} GB of $MAMMO_CACHE_GB): it is computed again whenever it is needed."
            )

    def __len__(self) -> int:
        return len(self.keys)

    def compute(self, title: str) -> None:
        """Compute and keep what is not there yet; does nothing where there is no room."""
        missing = [item for item in range(len(self)) if not self._path(item).is_file()] if self.kept else []
        if missing:
            for items, values in in_batches(self.source, missing, self.batch_size, title):
                self._keep(items, self._run(values))

    def __getitem__(self, items) -> np.ndarray:
        wanted = [int(item) for item in np.atleast_1d(items)]
        found = {item: self._read(item) for item in wanted}
        lost = [item for item in found if found[item] is None]
        for start in range(0, len(lost), self.batch_size):
            part = lost[start : start + self.batch_size]
            values = self._run(self.source[part])
            found |= dict(zip(part, values, strict=True))
            if self.kept:
                self._keep(part, values)
        return np.stack([found[item] for item in wanted]).astype(np.float32)

    def _run(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            rounded = np.asarray(self.network.predict_on_batch(values), np.float32).astype(np.float16)
        if not np.isfinite(rounded).all():
            raise MammoError("The frozen network's values are no numbers, or beyond 65,504. Choose other weights.")
        return rounded

    def _path(self, item: int) -> Path:
        return self.folder / self.keys[item][:2] / self.keys[item]

    def _keep(self, items, values: np.ndarray) -> None:
        for item, value in zip(items, values, strict=True):
            path, data = self._path(item), value.tobytes()
            with errors_of_cache(self.folder):
                write_atomically(
                    path, lambda part, data=data: part.write_bytes(data + zlib.crc32(data).to_bytes(4, "little"))
                )

    def _read(self, item: int) -> np.ndarray | None:
        """What was kept; None where nothing was, or it is damaged or cannot be read."""
        try:
            data = self._path(item).read_bytes()
        except OSError:
            return None
        if zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:] or len(data) != 2 * np.prod(self.shape) + 4:
            return None
        return np.frombuffer(data[:-4], np.float16).reshape(self.shape)


def mark_used(path: Path) -> bool:
    """Whether the file is there; if so it counts as used now."""
    with suppress(OSError):  # another user's may be read, and is not ours to mark; nor is a read-only disk
        os.utime(path)
    return os.path.isfile(path)


def model_digest(network) -> str:
    """A checksum of a network's layers, with their settings and number formats, and of its weights."""
    digest = hashlib.sha256(str(network.output_shape[1:]).encode())
    for layer in network.layers:
        settings = {name: value for name, value in layer.get_config().items() if name != "name"}
        digest.update(f"{type(layer).__name__} {layer.dtype_policy.name} {settings}".encode())
        for weights in layer.get_weights():
            digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()


def limit() -> float:
    """Bytes that the cache may hold."""
    given = os.environ.get("MAMMO_CACHE_GB", LIMIT_GB)
    with suppress(ValueError):
        if float(given) >= 0:
            return float(given) * 1e9
    raise MammoError(f"$MAMMO_CACHE_GB is {given!r}. Set it to a number of gigabytes, such as 10.")


def make_room(folder: Path, needed: int, keep: set[Path]) -> bool:
    """Delete what was not used for longest, and is not in `keep`, until `needed` bytes fit; False where they cannot.

    Whatever else lies in the folder is not touched: somebody may have named one that holds their films.
    """
    with errors_of_cache(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for path in folder.glob("*/*"):
        if OWN.match(path.name) and (is_abandoned(path) or path.suffix != ".partial"):
            with suppress(OSError):  # another process makes room, too
                files[path] = path.stat()
    held = sum(stat.st_size for stat in files.values())
    allowed = min(limit(), shutil.disk_usage(folder).free + held - LEFT_FREE)
    if needed + sum(files[path].st_size for path in keep & files.keys()) > allowed:
        return False
    for path in sorted(files.keys() - keep, key=lambda path: files[path].st_mtime):
        if held + needed <= allowed:
            break
        with suppress(OSError):  # somebody else's
            path.unlink(missing_ok=True)
            held -= files[path].st_size
    return held + needed <= allowed
