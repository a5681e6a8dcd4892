"""The same film under two names: found by a perceptual hash of its tissue, across splits first.

    pairs = mammo.find_duplicates(manifest)

Two data sets share films, a folder holds a film as DICOM and as PNG, an exam was exported twice: then a model is tested
on what it has learned. It is a hash by the cosine transform (as pHash: Zauner, Implementation
and benchmarking of perceptual image hash functions, 2010), not of the picture, whose outline many breasts share, but
of the grain of the tissue inside it, with the contrast made even. Of a micrograph it is the mean of the colours.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter
from tqdm.auto import tqdm

from mammo.core.arguments import is_number
from mammo.core.errors import MammoError
from mammo.core.files import find_files
from mammo.core.manifest import check_manifest, check_table, image_kind, patient_ids
from mammo.data.image_loader import WORKERS
from mammo.data.preprocessing import prepare

SIDE, WAVES, BLUR = 128, 24, 4  # pixels of the thumbnail, lowest waves kept in each direction, pixels
NEAR = 0.25  # see `find_duplicates`
BLOCK = 1000  # images that are compared with all others at once


def find_duplicates(manifest: pd.DataFrame, near: float = NEAR) -> pd.DataFrame:
    """Pairs of images whose hashes differ in a share of at most `near` of their bits.

    One row a pair: `path`, `other`, `distance` in [0, 1], `across_splits`, and `patient_id` and `split` of both
    (`other_patient_id`, `other_split`); pairs across splits first, then those under two patients, then the nearest.
    The size of the image, its bit depth and format, and which way it faces do not matter. Reading takes most of the
    time, a fifteenth of a second an image; 10,000 are then compared within seconds.

    The limit is measured on 322 film and 247 digital mammograms and 400 synthetic ones, 468,996 pairs: the nearest were
    two images of one breast, at 0.325; left and right of a woman came no nearer than 0.379. 193 such images
    (81 film, 62 digital, 50 synthetic) were written again. As JPEG of quality 60 they were at 0.089 or less from
    themselves, mirrored at 0.070, at half the size at 0.240. At a quarter of the size one of 193 was not found (0.256),
    with 1 % of noise another one (0.416). With a gamma of 0.8, 98 % were found; cut by 3 % above and below, 91 %.

    A micrograph that was mirrored or turned is not found. Of one real micrograph, 25 parts were taken, 9 or 16 at a
    time: no two were nearer than 0.446. As JPEG of quality 60, at half the size or with another stain they were at
    0.057 or less from themselves, cut by 3 % above and below at 0.221.
    Raises MammoError where a file cannot be read or shows no breast, and where the images are of several kinds.
    """
    if not (is_number(near) and 0 <= near <= 1):
        raise MammoError(f"near is a share from 0 to 1, such as {NEAR}, not {near!r}.")
    check_table(manifest)
    check_manifest(manifest.drop(columns="split", errors="ignore"))  # a leaking split is no reason not to look
    manifest = manifest.drop_duplicates("path")  # patches of one film are no duplicates
    manifest = manifest.assign(patient_id=patient_ids(manifest))
    bits = perceptual_hashes(find_files(manifest["path"]), image_kind(manifest))
    first, second, distance = _near_pairs(bits, near)
    a, b = (manifest.iloc[rows].reset_index(drop=True) for rows in (first, second))
    pairs = pd.DataFrame({"path": a["path"], "other": b["path"], "distance": distance})
    for column in ("patient_id", "split"):
        pairs[column], pairs[f"other_{column}"] = a.get(column), b.get(column)
    pairs["across_splits"] = pairs["split"].notna() & (pairs["split"] != pairs["other_split"])
    same = pairs["patient_id"] == pairs["other_patient_id"]
    order = np.lexsort([distance, same, ~pairs["across_splits"]])
    return pairs.iloc[order].reset_index(drop=True)


def perceptual_hashes(paths, kind: str = "mammogram") -> np.ndarray:
    """bool (images, WAVES * WAVES - 1): the perceptual hash of each file; all are of one of IMAGE_KINDS."""
    with ThreadPoolExecutor(WORKERS) as pool:
        files = tqdm(pool.map(partial(_thumbnail, kind=kind), paths), total=len(paths), desc="hashes", unit="image")
        return np.array([perceptual_hash(image) for image in files])


def perceptual_hash(image: np.ndarray) -> np.ndarray:
    """bool (WAVES * WAVES - 1,) of greys (SIDE, SIDE) in [0, 1]: the signs of its lowest waves but the mean."""
    inside = gaussian_filter((image > 0.02).astype(np.float32), BLUR) > 0.9
    detail = image - gaussian_filter(image, BLUR)
    even = detail / (np.sqrt(gaussian_filter(detail**2, BLUR)) + 0.01)
    return dctn(inside * even, norm="ortho")[:WAVES, :WAVES].ravel()[1:] > 0


def _thumbnail(path, kind: str) -> np.ndarray:
    image = prepare(path, (SIDE, SIDE), image_kind=kind).breast.image
    grey = image if image.ndim == 2 else image.mean(axis=2)
    return np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.BOX))


def _near_pairs(bits: np.ndarray, near: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the first and of the second image of each near pair, and their distance."""
    signs = np.where(bits, 1, -1).astype(np.float32)
    found = []
    for start in range(0, len(signs), BLOCK):
        distance = (1 - signs[start : start + BLOCK] @ signs[start:].T / signs.shape[1]) / 2
        first, second = np.nonzero(np.triu(distance <= near, k=1))
        found.append((first + start, second + start, distance[first, second]))
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))
