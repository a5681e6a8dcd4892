"""The model's inputs for the rows of a manifest, read when they are needed.

    images = ImageLoader(manifest, image_size=(224, 224), n_augmentations=3)
    images[[0, 1]]                         # the first image as it is, and the first of its three augmentations

Whatever the number of images, only a few are in memory, and the next ones are read while the network works.
"""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from mammo.core.errors import MammoError
from mammo.core.files import find_files
from mammo.core.manifest import IMAGE_KINDS, check_images, image_kind, patches_of
from mammo.data import augmentation
from mammo.data.augmentation import augment, versions_of
from mammo.data.preprocessing import prepare, preprocessing_version
from mammo.io import content_id

WORKERS = min(8, os.cpu_count() or 1)  # each holds an image of full size
BATCH_PIXELS = 2**22  # of the inputs that a network computes with at a time: its memory grows with them


class ImageLoader:
    """The model input of every row, each followed by its augmentations; `images[items]` reads them.

    Parameters
    ----------
    manifest : DataFrame
    image_size : (int, int)
        Height and width in pixels.
    n_augmentations : int or sequence of int
        For all rows, or for each of them.
    seed : int
        Of the augmentations.
    """

    def __init__(self, manifest: pd.DataFrame, image_size, n_augmentations=0, seed: int = 0):
        check_images(manifest)
        self.paths = find_files(manifest["path"])
        self.patches = patches_of(manifest)
        self.image_size, self.seed, self.image_kind = tuple(image_size), seed, image_kind(manifest)
        self.rows, self.version = versions_of(len(self.paths), n_augmentations)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, items) -> np.ndarray:
        """float32 (items, height, width, channels) in [0, 1]; raises one MammoError for all files it cannot use."""
        wanted = np.atleast_1d(items)
        rows = sorted(set(self.rows[wanted]))
        with ThreadPoolExecutor(WORKERS) as pool:
            read = dict(zip(rows, pool.map(self._read, rows), strict=True))
        failed = [str(answer) for answer in read.values() if isinstance(answer, MammoError)]
        if failed:
            raise MammoError("\n".join(failed))
        return np.stack([self._version(read[self.rows[item]], item) for item in wanted])

    def _read(self, row: int):
        try:
            prepared = prepare(self.paths[row], self.image_size, patch=self.patches[row], image_kind=self.image_kind)
            return prepared.model_input
        except MammoError as error:
            return error

    def _version(self, x: np.ndarray, item: int) -> np.ndarray:
        if self.version[item] == 0:
            return x
        content = int(self._contents[self.rows[item]][:16], 16)
        return augment(x, np.random.default_rng([self.seed, self.version[item], content]))

    @cached_property
    def _contents(self) -> list[str]:
        """The SHA-256 of every file; of one that cannot be read, a number that no other file has."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(_sha256, self.paths))

    @cached_property
    def keys(self) -> list[str]:
        """What an input depends on: the file's content, the preprocessing, size, augmentation and seed."""
        made = f"{preprocessing_version()}, augmentation {augmentation.RECIPE}, {self.image_size}"
        return [
            f"{self._contents[row]} {self.patches[row]} {made} {f'{version} {self.seed}' if version else 0}"
            for row, version in zip(self.rows, self.version, strict=True)
        ]


def _sha256(path: Path) -> str:
    try:
        return content_id(path)
    except OSError:
        return uuid.uuid4().hex * 2  # reading it will say what is wrong


def load_images(manifest: pd.DataFrame, image_size) -> np.ndarray:
    """The inputs for all rows of a small manifest, float32 (rows, height, width, channels) in [0, 1]."""
    return ImageLoader(manifest, image_size)[np.arange(len(manifest))]


def check_image_kind(network, source) -> None:
    """Raise MammoError where a network takes another number of channels than the images of an ImageLoader have."""
    takes = network.input_shape[-1]
    if isinstance(source, ImageLoader) and takes != IMAGE_KINDS[source.image_kind]:
        raise MammoError(
            f"The manifest has {source.image_kind}s, and the model takes {takes} channels. Build the model with "
            f"channels={IMAGE_KINDS[source.image_kind]}, or choose another manifest."
        )


def prefetch(read: Callable, parts: Iterable) -> Iterator[tuple]:
    """(part, what `read` made of it) for each part, the next one read while the caller works on this one."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for part in parts:
            following = part, pool.submit(read, part)
            if waiting:
                yield waiting[0], waiting[1].result()
            waiting = following
        if waiting:
            yield waiting[0], waiting[1].result()


def in_batches(source, items, batch_size: int, title: str) -> Iterator[tuple]:
    """(items, `source[items]`) a batch at a time, read ahead, with a progress bar that says how long was waited for it.

    Raises at its end one MammoError that names the files that cannot be used: they are mended at one go.
    """
    parts = [items[start : start + batch_size] for start in range(0, len(items), batch_size)]
    failed, waited, begun = [], 0.0, time.perf_counter()
    with tqdm(total=len(items), desc=title, unit="image") as progress:
        asked = time.perf_counter()
        for part, values in prefetch(lambda part: _or_error(source, part), parts):
            waited += time.perf_counter() - asked
            if isinstance(values, MammoError):
                failed += str(values).splitlines()
            else:
                yield part, values
            asked = time.perf_counter()
            progress.set_postfix_str(f"waiting for files {waited / (asked - begun):.0%}", refresh=False)
            progress.update(len(part))
    if failed:
        listed = "\n".join(sorted(set(failed))[:10])
        raise MammoError(f"{len(set(failed))} images cannot be used; take them out of the manifest.\n{listed}")


def _or_error(source, part):
    try:
        return source[part]
    except MammoError as error:
        return error


def fitting_batch(batch_size: int, image_size: tuple[int, int], pixels: int = BATCH_PIXELS) -> int:
    """`batch_size`, or as many inputs of (height, width) as have at most so many `pixels`, and at least one."""
    return max(1, min(batch_size, pixels // math.prod(image_size)))


def predict_batches(model, source, batch_size: int, title: str) -> np.ndarray:
    """A Keras model's output for every item of `source` (inputs, or an array), in inference mode."""
    check_image_kind(model, source)
    batch_size = fitting_batch(batch_size, model.input_shape[1:3])
    parts = in_batches(source, np.arange(len(source)), batch_size, title)
    return np.concatenate([np.asarray(model.predict_on_batch(values), np.float32) for _, values in parts])
