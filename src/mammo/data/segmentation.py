"""Where the breast is in an image: its mask, without labels and film borders.

What changes here changes model inputs: raise `preprocessing.RECIPE`.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from mammo.core.errors import MammoError

WORK_SIZE = 256  # the breast is found on an image of this height: speed, and tolerance to grain
MIN_SHARE, MAX_FILL = 0.03, 0.995
WHITE = 0.9  # of the highest value, and of a region: so much of a label is white, and of no breast
LABELS = 3  # so often something small and bright may hide the breast
NECK = 0.5  # of the width on both sides; the narrowest of 919 real breasts has 0.61
SEAM, LEAST_SEAM = 3, 0.02  # times the usual difference between columns; of the range from black to white


def breast_mask(image: np.ndarray) -> np.ndarray:
    """bool (height, width): the breast with its pectoral muscle, without labels and film borders.

    Raises MammoError where nothing looks like a breast.
    """
    return segment_breast(image)[0]


def segment_breast(image: np.ndarray) -> tuple[np.ndarray, float]:
    """The breast's mask, and the size of the second largest bright region, relative to the breast's.

    Otsu's threshold (IEEE Trans. SMC 9, 1979) on the square root of the smoothed image tolerates a
    background that is not 0; an opening cuts off what is thin; the largest region that is left is the breast.
    Where only a label is above the threshold, or a label is the largest region, it is dimmed to the threshold and the
    rest is tried.

    Raises MammoError where nothing looks like a breast.
    """
    shrink = max(1, round(image.shape[0] / WORK_SIZE))
    reduced = np.asarray(Image.fromarray(image).reduce(shrink))
    borders = _film_borders(reduced)
    small = ndimage.gaussian_filter(reduced, 1)
    small = np.sqrt(np.clip(small - _background(small), 0, 1))
    for _ in range(LABELS):
        threshold = 0.75 * _otsu(small)
        bright = (small > threshold) & ~borders
        solid = ndimage.binary_opening(bright, iterations=max(2, small.shape[0] // 64))
        regions, count = ndimage.label(solid)
        sizes = np.bincount(regions.ravel(), minlength=2)[1:]
        largest = regions == 1 + sizes.argmax()
        sizes.sort()
        is_label = count > 0 and (reduced[largest] > WHITE * reduced.max()).mean() > WHITE
        if not is_label and (sizes[-1] >= MIN_SHARE * small.size or bright.mean() > MIN_SHARE):
            break
        small = np.minimum(small, threshold)
    if count == 0:
        raise MammoError("No breast was found in the image: nothing large is brighter than the background.")
    breast = largest
    if breast.mean() < MIN_SHARE:
        raise MammoError("No breast was found in the image: its bright parts are too small.")
    breast = ndimage.binary_fill_holes(ndimage.binary_dilation(breast, iterations=2) & bright | breast)
    if breast.mean() > MAX_FILL:
        breast = np.ones_like(breast)  # a crop that is all tissue has no background to cut off
    second = float(sizes[-2] / sizes[-1]) if count > 1 else 0.0
    return _enlarged(breast, shrink, image.shape), second


def has_neck(mask: np.ndarray) -> bool:
    """Whether a mask is two regions of similar size that touch: narrow in the middle, across or down."""
    step = max(1, round(mask.shape[0] / WORK_SIZE))
    small = mask[::step, ::step]
    for lengths in (small.sum(axis=0), small.sum(axis=1)):
        share = np.cumsum(lengths) / lengths.sum()
        sides = np.minimum(np.maximum.accumulate(lengths), np.maximum.accumulate(lengths[::-1])[::-1])
        if ((lengths < NECK * sides) & (share > 0.3) & (share < 0.7)).any():
            return True
    return False


def has_seam(image: np.ndarray, mask: np.ndarray) -> bool:
    """Whether what a mask shows changes from one column to the next, in its middle third, as no tissue does."""
    step = max(1, round(mask.shape[0] / WORK_SIZE))
    small = np.asarray(Image.fromarray(image).reduce(step))
    shown = mask[::step, ::step][: small.shape[0], : small.shape[1]]
    small, shown = small[: shown.shape[0], : shown.shape[1]], shown[:, 1:] | shown[:, :-1]
    change = (np.abs(np.diff(small, axis=1)) * shown).sum(axis=0) / np.maximum(shown.sum(axis=0), 1)
    middle = change[len(change) // 3 : -(len(change) // 3) or None]
    return bool(middle.size and middle.max() > max(SEAM * np.median(middle), LEAST_SEAM))


def _enlarged(small: np.ndarray, times: int, shape: tuple[int, int]) -> np.ndarray:
    """A mask of an image that was shrunk so many times, for the whole image; only around the mask is there work."""
    rows, columns = np.flatnonzero(small.any(axis=1)), np.flatnonzero(small.any(axis=0))
    top, left = max(0, rows[0] - 1), max(0, columns[0] - 1)
    whole = np.zeros(shape, bool)
    part = whole[top * times : (rows[-1] + 2) * times, left * times : (columns[-1] + 2) * times]
    height, width = part.shape
    box = (left, top, left + width / times, top + height / times)
    found = Image.fromarray(small.astype(np.uint8) * 255)
    part[:] = np.asarray(found.resize((width, height), Image.BILINEAR, box=box)) > 127
    return whole


def _otsu(values: np.ndarray) -> float:
    """The threshold of scikit-image's `threshold_otsu`, whose import would take as long as finding the breast."""
    if values.min() == values.max():
        return float(values.min())
    counts, edges = np.histogram(values, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * middles)
    above = below[-1] - below[:-1]
    apart = sums[:-1] / below[:-1] - (sums[-1] - sums[:-1]) / above
    return float(middles[np.argmax(below[:-1] * above * apart**2)])


def _background(small: np.ndarray) -> float:
    """The darkest level, where much of the image is at it; 0 where nothing is, as in a crop that is all tissue."""
    darkest = np.percentile(small, 1)
    return float(darkest) if (small < darkest + 0.04).mean() > 0.15 else 0.0


def _film_borders(reduced: np.ndarray) -> np.ndarray:
    """Rows or columns at the edge that are white nearly from end to end, with something darker behind them.

    Of the image before it is smoothed: what is thin is no longer white afterwards.
    """
    white = reduced > 0.87 * reduced.max()
    borders = np.zeros_like(white)
    reach = max(2, reduced.shape[0] // 20)
    for edge, marked in zip(_from_four_sides(white), _from_four_sides(borders), strict=True):
        white_share = edge[: reach + 2].mean(axis=1)
        full = np.flatnonzero(white_share[:reach] > 0.8)
        if len(full) and white_share[full[-1] + 1 :][:2].min(initial=1) < 0.5:
            marked[: full[-1] + 2] = True
    return borders


def _from_four_sides(array: np.ndarray):
    return array, array[::-1], array.T, array.T[::-1]
