"""Which images the demo model's out-of-distribution detector flags: real mammograms, photographs, new synthetic ones.

    python benchmarks/out_of_distribution.py SYNTHETIC          # or PHOTOGRAPHS, or a TABLE.csv with a column `file`

Prints how many images are refused before and by the model, and how many get a warning. New synthetic ones should get
none. PHOTOGRAPHS are the greys of those that scikit-image ships.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
import skimage.data
from PIL import Image
from tqdm import tqdm

import mammo

PHOTOGRAPHS = (
    *("astronaut", "brick", "camera", "cat", "cell", "clock", "coffee", "coins", "colorwheel", "grass", "gravel"),
    *(
        "horse",
        "hubble_deep_field",
        "immunohistochemistry",
        "microaneurysms",
        "moon",
        "page",
        "retina",
        "rocket",
        "text",
    ),
)


def photographs(folder: Path) -> list[Path]:
    """Grey PNG files of what scikit-image has at hand without a download."""
    written = []
    for name in PHOTOGRAPHS:
        pixels = np.asarray(getattr(skimage.data, name)()).astype(np.float32)
        grey = pixels[..., :3].mean(axis=2) if pixels.ndim == 3 else pixels
        Image.fromarray(np.rint(255 * grey / grey.max()).astype(np.uint8)).save(folder / f"{name}.png")
        written.append(folder / f"{name}.png")
    return written


def main(table: str) -> None:
    """One table."""
    classifier = mammo.load_classifier()
    with tempfile.TemporaryDirectory() as scratch:
        if table == "SYNTHETIC":
            files = list(mammo.generate_dataset(scratch, patients=100, seed=20_273)["path"])
        elif table == "PHOTOGRAPHS":
            files = photographs(Path(scratch))
        else:
            files = [Path(table).parent / name for name in pd.read_csv(table)["file"].drop_duplicates()]
        refused, refused_by_model, found = 0, 0, []
        for path in tqdm(files):
            try:
                found.append(classifier.predict(path).ood_scores)
            except mammo.MammoError as error:
                refused_by_model += "does not look like" in str(error)
                refused += "does not look like" not in str(error)
    found = pd.DataFrame(found, columns=["texture", "content"])
    warned = (found > 1).sum()
    either = int((found > 1).any(axis=1).sum())
    print("| images | refused before the model | refused by it | with a warning | for texture | for content |")
    print("|---|---|---|---|---|---|")
    print(f"| {len(files)} | {refused} | {refused_by_model} | {either} | {warned['texture']} | {warned['content']} |")
    print(f"Median score of those that are predicted: {found.median().round(2).to_dict()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", help="CSV, or SYNTHETIC, or PHOTOGRAPHS")
    main(parser.parse_args().table)
