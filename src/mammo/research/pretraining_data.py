"""Training data of the demo weights: patches of synthetic mammograms, and whole ones, each drawn from a number.

    images, truth = patches(7, side=96, scales=(0.7, 1.25), count=11, curriculum=1)
    images, truth = whole(7)

The same number gives the same images, and no other number gives them. The truth is exact: the kind of lesion in each
patch, and in each cell of the last map that ResNet50 computes from a whole image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image
from scipy import ndimage

from mammo.core.manifest import CLASS_NAMES
from mammo.data.augmentation import augment
from mammo.data.preprocessing import CELL, find_breast, mask_on_breast, model_input
from mammo.data.segmentation import breast_mask
from mammo.synthetic.breast import HEIGHT_MM
from mammo.synthetic.lesions import CALCIFICATIONS, MASSES, draw_lesion, with_lesion
from mammo.synthetic.phantom import VIEWS, draw_patient, phantom

SEED = 20_261_122
RENDERED, WHOLE = (512, 384), (384, 288)
APART_MM = 35.0  # least distance between the centres of two lesions in a breast
HARDEST = 0.45  # highest difficulty
EASY_KINDS = ("spiculated mass", "architectural distortion")
MM = RENDERED[0] / HEIGHT_MM
KINDS = ("normal", *(kind for label in CLASS_NAMES for group in (MASSES, CALCIFICATIONS) for kind in group[label]))
MALIGNANT_FROM = 1 + len(MASSES["benign"]) + len(CALCIFICATIONS["benign"])


def patches(number: int, side: int, scales, count: int, curriculum: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches of one breast.

    Parameters
    ----------
    number : int
        Of the breast.
    side : int
        Of a patch, in pixels.
    scales : (float, float)
        Least and greatest number of patch pixels to a pixel of the mammogram.
    count : int
        Of the patches. A breast that is too small gives none.
    curriculum : int
        Up to this number patches are nearer and their lesions easier.

    Returns
    -------
    images : ndarray, uint8 (count, side, side)
    classes : ndarray, int64 (count,)
        Indices into KINDS.
    """
    rng = np.random.default_rng([SEED, number, 1])
    view = VIEWS[number % 2]
    breast, _ = phantom(draw_patient(rng, "normal", 0.0), "L", view, RENDERED, rng)
    inside = breast_mask(breast)
    breast = np.clip(breast / np.percentile(breast[inside], 99.5), 0, 1)  # as find_breast does
    places = np.argwhere(ndimage.binary_erosion(inside[::8, ::8], iterations=2)) * 8
    ease = max(0.0, 1 - number / curriculum)
    images, classes = [], []
    for _ in range(count if len(places) else 0):
        row, column = places[rng.integers(len(places))]
        image, kind = breast, "normal"
        if rng.random() < 0.85:
            lesion = draw_lesion(rng, CLASS_NAMES[rng.integers(2)], HARDEST * rng.uniform(0, 1 - 0.8 * ease))
            image, _ = with_lesion(breast, inside, lesion, view, (row, column), MM * rng.uniform(0.85, 1.2))
            kind = lesion.kind
        seen = side / np.exp(rng.uniform(np.log(scales[0] + 0.4 * ease), np.log(scales[1])))
        top, left = (centre - seen / 2 + rng.uniform(-0.25, 0.25) * seen for centre in (row, column))
        cut = Image.fromarray(image).transform(
            (side, side), Image.EXTENT, (left, top, left + seen, top + seen), Image.BILINEAR
        )
        images.append(_vary(np.asarray(cut), rng, turn=True))
        classes.append(KINDS.index(kind))
    return np.array(images, np.uint8).reshape(-1, side, side), np.array(classes, np.int64)


def whole(number: int, lesions: int = 1, varied: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """One whole image, prepared as for prediction.

    Parameters
    ----------
    number : int
    lesions : int
        At most so many in an image that is not normal. A benign image has benign lesions only; a malignant one has at
        least one that is malignant.
    varied : bool
        Turned, scaled and processed as other units might (`_process_anew`), so that the network learns lesions and not
        the look of the drawings.

    Returns
    -------
    images : ndarray, uint8 (1, 384, 288)
    truth : ndarray, int64 (1, 1 + cells)
        1 for malignant, else 0; then for each cell of the last map an index into KINDS, or -1 at the edge of a lesion.
    """
    rng = np.random.default_rng([SEED, number, 2])
    label = ("benign", "malignant", "normal")[rng.choice(3, p=(0.3, 0.4, 0.3))]
    patient, view = draw_patient(rng, label, 0.0), VIEWS[rng.integers(2)]
    patient = patient if label == "normal" else replace(patient, lesion=_lesion(rng, label))
    image, mask = phantom(patient, patient.side, view, RENDERED, rng)
    marks = [] if label == "normal" else [(patient.lesion, mask)]
    if marks and lesions > 1:
        image, marks = _more_lesions(image, marks, lesions, label, view, rng)
    breast = find_breast(image)
    x, masks = model_input(breast.image, WHOLE), [model_input(mask_on_breast(breast, mask), WHOLE) for _, mask in marks]
    if varied:
        x, *masks = (augment(layer, np.random.default_rng([SEED, number, 3])) for layer in (x, *masks))
    elif rng.random() < 0.5:
        x, *masks = (layer[::-1] for layer in (x, *masks))
    cells = np.zeros((WHOLE[0] // CELL, WHOLE[1] // CELL), np.int64)
    rows, columns = (np.maximum(np.arange(count) * CELL - CELL // 2, 0) for count in cells.shape)
    for (lesion, _), mask in zip(marks, masks, strict=True):
        covered = np.add.reduceat(np.add.reduceat(mask[..., 0], rows, axis=0), columns, axis=1)
        cells[(covered > 0) & (cells == 0)] = -1
        cells[(covered > 0) & (covered >= 0.5 * covered.max())] = KINDS.index(lesion.kind)
    x = _process_anew(x[..., 0], rng) if varied else _vary(x[..., 0], rng, turn=False)
    return x[None], np.concatenate([[int(label == "malignant")], cells.ravel()])[None]


def _more_lesions(image, marks, count: int, label: str, view: str, rng):
    """The image with up to `count` lesions at a distance from each other, and each lesion with its mask."""
    inside = breast_mask(image)
    centres = [np.argwhere(mask).mean(axis=0) for _, mask in marks if mask.any()]
    for centre in rng.permutation(np.argwhere(ndimage.binary_erosion(inside[::8, ::8], iterations=3)) * 8):
        if len(marks) == count:
            break
        if all(np.hypot(*(centre - other)) > APART_MM * MM for other in centres):
            lesion = _lesion(rng, CLASS_NAMES[rng.integers(1 + CLASS_NAMES.index(label))])
            image, mask = with_lesion(image, inside, lesion, view, centre, MM)
            marks, centres = [*marks, (lesion, mask)], [*centres, centre]
    return np.clip(image, 0, 1), marks


def _lesion(rng, label: str):
    """A lesion of random difficulty; two of three of the easy kinds are drawn again."""
    lesion = draw_lesion(rng, label, rng.uniform(0.0, HARDEST))
    return _lesion(rng, label) if lesion.kind in EASY_KINDS and rng.random() < 2 / 3 else lesion


def _vary(x: np.ndarray, rng, turn: bool) -> np.ndarray:
    """Random exposure, film curve, sharpness and grain, with `turn` also rotated and mirrored; uint8."""
    if turn:
        x = np.rot90(x[::-1] if rng.random() < 0.5 else x, rng.integers(4))
    x = np.clip(x, 0, None) ** rng.uniform(0.7, 1.4) * rng.uniform(0.75, 1.1)
    x = ndimage.gaussian_filter(x, rng.uniform(0, 0.7)) if rng.random() < 0.5 else x
    x = x + rng.standard_normal(x.shape) * rng.uniform(0, 0.02) * (x > 0)
    return _as_uint8(x)


def _process_anew(x: np.ndarray, rng) -> np.ndarray:
    """A prepared image as another unit or another algorithm for presentation might have shown it; uint8.

    Blur; the background taken away and the contrast evened out; sharpening; another curve; white or coarser grain.
    Three in ten images get another curve only. The ranges were chosen by eye.
    """
    inside = x > 0.008
    if rng.random() < 0.3:
        return _as_uint8(x ** rng.uniform(0.8, 1.25) * inside)
    if rng.random() < 0.4:
        x = ndimage.gaussian_filter(x, rng.uniform(0.2, 1.0))
    if rng.random() < 0.35 and inside.any():
        side = 2 * (x.shape[0] // 12) + 1
        share = np.maximum(ndimage.uniform_filter(inside.astype(np.float32), side), 0.05)
        y = x - rng.uniform(0, 0.8) * ndimage.uniform_filter(x, side) / share
        spread = max(float(y[inside].std()), 1e-3)
        x = (y - y[inside].mean()) / spread * rng.uniform(0.10, 0.22) + rng.uniform(0.2, 0.7)
    if rng.random() < 0.4:
        x = x + rng.uniform(0, 1.2) * (x - ndimage.gaussian_filter(x, 2.0))
    x = np.clip(x, 1e-4, 1) ** np.exp(rng.uniform(-0.6, 0.6)) * rng.uniform(0.75, 1.1)
    grain = rng.standard_normal(x.shape)
    grain = grain if rng.random() < 0.5 else 2 * ndimage.gaussian_filter(grain, 0.8)
    return _as_uint8((x + rng.uniform(0, 0.03) * grain) * inside)


def _as_uint8(x: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)
