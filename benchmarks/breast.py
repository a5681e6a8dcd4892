"""Is the breast found in real mammograms?

    python benchmarks/breast.py TABLE.csv --sheet sheet.png

The table has a column `file` (relative to it) and may have `x` and `y`, the middle of a lesion in pixels, which must
lie inside what was found, and `laterality` (L or R), whose chest wall must be on its side. The sheet shows outlines.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from tqdm import tqdm

import mammo
from mammo.data.preprocessing import Breast, find_breast, shape_warning

HEIGHT, ACROSS = 180, 14  # pixels of an image on the sheet, images in a row of it


def outlined(image: np.ndarray, breast: Breast) -> Image.Image:
    """A small picture with the outline of the breast in red."""
    size = round(image.shape[1] * HEIGHT / image.shape[0]), HEIGHT
    small = np.asarray(Image.fromarray(np.uint8(255 * image)).resize(size).convert("RGB")).copy()
    mask = np.asarray(Image.fromarray(breast.mask).resize(size))
    small[mask & ~ndimage.binary_erosion(mask)] = 255, 60, 60
    return Image.fromarray(small)


def examined(table: pd.DataFrame, folder: Path) -> tuple[dict, list[Image.Image]]:
    """Counts, and the small pictures."""
    counts = dict.fromkeys(("images", "found", "shaped", "lesions", "inside", "sides", "agree"), 0)
    tiles = []
    for name, rows in tqdm(table.groupby("file")):
        image = mammo.read_mammogram(folder / name).image
        counts["images"] += 1
        try:
            breast = find_breast(image)
        except mammo.MammoError as error:
            print(f"{name}: {error}")
            continue
        counts["found"] += 1
        counts["shaped"] += shape_warning(breast) is None
        tiles.append(outlined(image, breast))
        if "laterality" in rows:
            counts["sides"] += 1
            counts["agree"] += breast.mirrored == (rows["laterality"].iloc[0] == "R")
        if "x" in rows:
            for x, y in rows[["x", "y"]].dropna().round().astype(int).to_numpy():
                counts["lesions"] += 1
                counts["inside"] += bool(breast.mask[y, x])
    return counts, tiles


def main(table: str, sheet: str | None) -> None:
    """One row, and the sheet where one is asked for."""
    counts, tiles = examined(pd.read_csv(table), Path(table).parent)
    print("| images | breast found | breast-shaped | lesions inside it | chest wall as the table states |")
    print("|---|---|---|---|---|")
    lesions, sides = (f"{counts[a]} of {counts[b]}" for a, b in (("inside", "lesions"), ("agree", "sides")))
    print(f"| {counts['images']} | {counts['found']} | {counts['shaped']} | {lesions} | {sides} |")
    if sheet:
        width = max(tile.width for tile in tiles)
        paper = Image.new("RGB", (width * ACROSS, HEIGHT * -(-len(tiles) // ACROSS)))
        for index, tile in enumerate(tiles):
            paper.paste(tile, (index % ACROSS * width, index // ACROSS * HEIGHT))
        paper.save(sheet)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("--sheet", help="a PNG to write")
    arguments = parser.parse_args()
    main(arguments.table, arguments.sheet)
