"""From a DICOM file to the model's input, against the way it is usually written.

    python benchmarks/reading.py

The usual way: pydicom's pixels, its rescaling and window in floating point at full size, scikit-image's resizing; it
does not even look for the breast. The same 4,700 x 2,700 pixels as in `latency.py`, seven pairs that take turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
from latency import files
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from skimage.transform import resize

from mammo.data.preprocessing import prepare

SIZE, PAIRS = (384, 288), 7


def usual(path: Path) -> np.ndarray:
    """The usual way."""
    header = pydicom.dcmread(path)
    values = apply_voi_lut(apply_modality_lut(header.pixel_array, header), header)
    return resize((values - values.min()) / (values.max() - values.min()), SIZE, anti_aliasing=True)


def seconds(way, path: Path) -> float:
    """Wall time."""
    begun = time.perf_counter()
    way(path)
    return time.perf_counter() - begun


def main() -> None:
    """Print the table of `README.md`."""
    with tempfile.TemporaryDirectory() as folder:
        paths = files(Path(folder))
        print("| file | usual way, ms | this package, ms | times as fast |\n|---|---|---|---|")
        for name in ("uncompressed", "RLE"):
            ways = (usual, lambda path: prepare(path, SIZE))
            pairs = [[seconds(way, paths[name]) for way in ways] for _ in range(PAIRS + 1)][1:]
            slow, fast = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
            ratios = sorted(one / other for one, other in pairs)
            spread = f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
            print(f"| {name} | {slow:.0f} | {fast:.0f} | {spread} |")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    main()
