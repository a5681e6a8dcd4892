"""One image -> the breast, oriented, and the model's input.

    breast = find_breast(mammogram.image)
    x = model_input(breast.image, image_size=(224, 224))

The breast is the largest bright region that is neither a label nor a film border, cut out, everything
around it set to 0, and mirrored so that the chest wall is on the left. A micrograph is taken whole, in colour. Training
and prediction both go through `prepare`, so there is no second preprocessing to disagree with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from PIL import Image

from mammo.core.errors import MammoError
from mammo.data.segmentation import has_neck, has_seam, segment_breast
from mammo.io import Mammogram, read_mammogram, read_micrograph

RECIPE = 4  # raise it whenever the same file would give another model input, also after a change of segmentation
LIBRARIES = ("imagecodecs", "numpy", "pillow", "pydicom", "scipy", "tifffile")  # what decodes and resizes pixels
TWO_BREASTS = 0.5  # of 467 real mammograms none reaches it
SEVERAL = "Beside the breast is another region of similar size: are there several mammograms in one picture?"
LOW_CONTRAST = "The tissue has very little contrast; the image may be badly exposed or wrongly converted."
CELL = 32  # pixels of the model's input to one cell of its last map; cell i is centred on pixel 32 i


@dataclass(frozen=True)
class Breast:
    """The breast cut out of a mammogram, chest wall on the left; or a whole micrograph."""

    image: np.ndarray
    """float32 (height, width) in [0, 1], 0 outside the breast, its 99.5th percentile scaled to 1. Of a micrograph the
    colours as read, (height, width, 3)."""
    box: tuple[int, int, int, int]
    """First row, first column, row after the last, column after the last, in the original image."""
    mirrored: bool
    """True where the original has the chest wall on the right."""
    mask: np.ndarray
    """bool, of the original's size: where the breast was found."""
    second_region: float = 0.0
    """Size of the second largest bright region of the image, relative to the breast."""


def find_breast(image: np.ndarray) -> Breast:
    """Cut the breast out of a float32 (height, width) image in [0, 1].

    Raises MammoError where nothing looks like a breast.
    """
    mask, second_region = segment_breast(image)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    part = np.s_[box[0] : box[2], box[1] : box[3]]
    cut, inside = image[part], mask[part]
    mirrored = _chest_wall_is_right(mask)
    if mirrored:
        cut, inside = cut[:, ::-1], inside[:, ::-1]
    cut = np.where(inside, cut, np.float32(0))
    cut /= np.float32(np.percentile(cut[cut > 0], 99.5, overwrite_input=True))
    cut = np.clip(cut, 0, 1, out=cut)
    return Breast(image=cut, box=box, mirrored=mirrored, mask=mask, second_region=second_region)


def whole_image(image: np.ndarray) -> Breast:
    """A micrograph in place of a breast: all of it, as it was read."""
    height, width = image.shape[:2]
    return Breast(image=image, box=(0, 0, height, width), mirrored=False, mask=np.ones((height, width), bool))


def _chest_wall_is_right(mask: np.ndarray) -> bool:
    """The chest wall is the side of the image along which the breast is longer."""
    columns = np.flatnonzero(mask.any(axis=0))
    near = max(1, (columns[-1] - columns[0]) // 10)
    left = mask[:, columns[0] : columns[0] + near].mean()
    right = mask[:, columns[-1] + 1 - near : columns[-1] + 1].mean()
    return bool(right > left)


def model_input(breast: np.ndarray, image_size) -> np.ndarray:
    """Shrink or enlarge a breast to fit `(height, width)`, aspect ratio kept, padded with 0 right and below.

    Returns float32 (height, width, 1) in [0, 1], of colours (height, width, 3). Shrinking averages areas, so fine
    bright detail is dimmed but never skipped.
    """
    shape = breast.shape[:2]
    scale = min(limit / side for limit, side in zip(image_size, shape, strict=True))
    rows, columns = (max(1, min(limit, round(side * scale))) for limit, side in zip(image_size, shape, strict=True))
    filter_ = Image.BOX if scale < 1 else Image.BILINEAR
    fitted = by_channel(breast, lambda channel: channel.resize((columns, rows), filter_))
    fitted = np.clip(fitted, 0, 1).reshape(rows, columns, -1)
    padded = np.zeros((*image_size, fitted.shape[2]), np.float32)
    padded[:rows, :columns] = fitted
    return padded


def by_channel(image: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Change each channel of a float32 image, (height, width) or (height, width, channels): Pillow takes one only."""
    if image.ndim == 2:
        return np.asarray(change(Image.fromarray(image)))
    return np.stack([by_channel(channel, change) for channel in np.moveaxis(image, 2, 0)], axis=2)


def on_original(values: np.ndarray, breast: Breast) -> np.ndarray:
    """A map over the model's input, float (height, width), where the original shows the same; 0 outside the box."""
    height, width = breast.image.shape[:2]
    scale = min(values.shape[0] / height, values.shape[1] / width)
    part = Image.fromarray(values.astype(np.float32))
    stretched = np.asarray(part.resize((width, height), Image.BILINEAR, box=(0, 0, width * scale, height * scale)))
    original = np.zeros(breast.mask.shape, np.float32)
    top, left, bottom, right = breast.box
    original[top:bottom, left:right] = stretched[:, ::-1] if breast.mirrored else stretched
    return original


def mask_on_breast(breast: Breast, mask: np.ndarray) -> np.ndarray:
    """A mask of the original's size, bool, as `breast.image` shows the original: float32 (height, width), 0 or 1."""
    top, left, bottom, right = breast.box
    part = mask[top:bottom, left:right].astype(np.float32)
    return part[:, ::-1] if breast.mirrored else part


def image_warnings(mammogram: Mammogram, breast: Breast, shape: str | None) -> tuple[str, ...]:
    """Warnings about an image, whatever the model: laterality, `shape_warning`'s, contrast."""
    tissue = breast.image[::4, ::4]
    tissue = tissue[tissue > 0]
    flat = tissue.size and np.subtract(*np.percentile(tissue, [95, 5])) < 0.1
    found = (side_warning(mammogram, breast), shape, LOW_CONTRAST if flat else None)
    return tuple(warning for warning in found if warning)


def side_warning(mammogram: Mammogram, breast: Breast) -> str | None:
    """A warning where the header has the chest wall on the other side than the image; None where they agree.

    Hung as usual, a left breast has its chest wall on the left; Patient Orientation may say otherwise.
    """
    expected = mammogram.chest_wall or {"L": "left", "R": "right"}.get(mammogram.laterality)
    seen = "right" if breast.mirrored else "left"
    if expected in (None, seen):
        return None
    return (
        f"By its header ({mammogram.laterality or 'side unknown'}) the chest wall should be on the {expected}, but it "
        f"looks to be on the {seen}: the image may be mirrored, or filed under the other breast."
    )


def shape_warning(breast: Breast) -> str | None:
    """A warning where what was found is not breast-shaped: straight along the chest wall, a nipple opposite.

    None for a micrograph.

    Of 577 real mammograms 575 keep both limits: along the chest wall at least .76 of the rows are breast, along
    the other side at most .33 (`benchmarks/breast.py`). Slices of CT are round; most photographs fill the frame.
    """
    if breast.image.ndim == 3:
        return None
    top, left, bottom, right = breast.box
    mask = breast.mask[top:bottom, left:right]
    if breast.second_region > TWO_BREASTS or has_neck(mask):
        return SEVERAL
    mask = mask[:, ::-1] if breast.mirrored else mask
    strip = max(1, round(0.03 * mask.shape[1]))
    wall, far = mask[:, :strip].any(axis=1).mean(), mask[:, -strip:].any(axis=1).mean()
    if wall < 0.65 and has_seam(breast.image, mask):  # of two breasts whose chest walls touch
        return SEVERAL
    if wall < 0.65:
        return "What was found has no straight chest wall: is this a mammogram?"
    if far > 0.4:
        return "What was found fills the image to both sides: is this a whole mammogram?"
    return None


def place_on_breast(breast: Breast, x: float, y: float) -> tuple[float, float]:
    """The column and row of `breast.image` that show the place x, y of the original."""
    top, left, _, right = breast.box
    return right - 1 - x if breast.mirrored else x - left, y - top


def cut_patch(breast: Breast, x: float, y: float, side: float) -> np.ndarray:
    """The square of `side` pixels around x, y of the original, as `breast.image` shows it; 0 beyond the breast.

    Place and side are rounded to whole pixels: interpolated, the sharpness of a square would tell its place.
    Raises MammoError for a place outside the image, where the square would be black.
    """
    height, width = breast.mask.shape
    if not (0 <= x <= width and 0 <= y <= height):
        raise MammoError(
            f"The place x = {x:g}, y = {y:g} lies outside the image, which is {width} pixels wide and {height} high. "
            "Mend it in the table: x counts to the right and y down, in pixels of the file."
        )
    size = max(1, round(side))
    left, top = (round(centre + 0.5 - size / 2) for centre in place_on_breast(breast, x, y))
    return by_channel(breast.image, lambda channel: channel.crop((left, top, left + size, top + size)))


def preprocessing_version() -> str:
    """What a model input depends on besides the file: RECIPE, and the versions of the libraries that touch pixels."""
    return " ".join([f"preprocessing {RECIPE}", *(f"{name} {version(name)}" for name in LIBRARIES)])


@dataclass(frozen=True)
class PreparedImage:
    """A file on its way into the model."""

    mammogram: Mammogram
    breast: Breast
    model_input: np.ndarray
    """float32 (height, width, 1) in [0, 1], of a micrograph (height, width, 3)."""


def prepare(path, image_size, frame: int | None = None, patch=None, image_kind: str = "mammogram") -> PreparedImage:
    """File -> model input: the one path, for training and prediction.

    Parameters
    ----------
    path : path
    image_size : (int, int)
        Height and width of the model input.
    frame : int, optional
        Of a file with several frames, counted from 0.
    patch : (float, float, float), optional
        x, y and side of a square, in pixels of the file: the input then shows what lies in there instead of the breast.
    image_kind : "mammogram" or "micrograph"
        In a micrograph no breast is looked for.

    Raises
    ------
    MammoError
        Where the file cannot be read, is of another kind, or shows no breast, and for a patch whose middle lies outside
        the image.
    """
    read, find = (read_micrograph, whole_image) if image_kind == "micrograph" else (read_mammogram, find_breast)
    mammogram = read(path, frame)
    try:
        breast = find(mammogram.image)
        shown = breast.image if patch is None else cut_patch(breast, *patch)
    except MammoError as error:
        raise MammoError(f"{mammogram.file}: {error}") from None
    return PreparedImage(mammogram, breast, model_input(shown, image_size))
