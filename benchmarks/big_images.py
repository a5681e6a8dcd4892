"""What larger model inputs cost: seconds, disk and memory an image, for prediction and for training.

    python benchmarks/big_images.py
    python benchmarks/big_images.py --rows 224 384 --images 48

Each cell is a process of its own, and its memory the peak of that process. Prediction: the network alone, by OpenVINO
in float32, in the batches of `score_folder`; median of five. Last stage: conv5 on cached maps of conv4. All stages:
every convolution, on cached images. Seconds of training are those of the second epoch, for each of its training and
validation images; batches hold at most 16 images and as many pixels as 16 images of 224 x 168. The disk is what the
cache folder grows by. The files have at most 512 x 384 pixels: reading larger ones is in `archive.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mammo.data.image_loader import fitting_batch

ROWS = (224, 384, 512, 768, 1024, 1536)
BATCH, BATCH_PIXELS = 16, 16 * 224 * 168
PREPARE = """
import pandas as pd
import mammo
from mammo.models.network_export import export
export(mammo.build_model("demo", image_size=size, quiet=True), folder, "measured")
table = mammo.generate_dataset(folder / "data", patients=20, seed=5, image_size=min(size, (512, 384)), formats=["png8"])
parts = [table[table["split"] == split].head(images // 2) for split in ("train", "validation")]
mammo.save_manifest(pd.concat(parts), folder / "manifest.csv")
"""
PREDICTION = """
import numpy as np
from mammo.data.image_loader import fitting_batch
from mammo.inference.scoring import BATCH
from mammo.models.runtimes import openvino_runtime
run, batch = openvino_runtime(folder, "measured"), fitting_batch(BATCH, size)
x = np.random.default_rng(0).random((batch, *size, 1), np.float32)
run(x)
taken = []
for _ in range(5):
    begun = time.perf_counter()
    run(x)
    taken.append((time.perf_counter() - begun) / len(x))
say(seconds=np.median(taken))
"""
TRAINING = """
import mammo
from mammo.training import feature_cache
from training import an_epoch
manifest = mammo.load_manifest(folder / "manifest.csv")
model = mammo.build_model("demo", image_size=size, quiet=True)
used, compute, spent = len(manifest), feature_cache.FeatureCache.compute, []
def timed(self, title):
    begun = time.perf_counter()
    compute(self, title)
    spent.append(time.perf_counter() - begun)
feature_cache.FeatureCache.compute = timed
cache = folder / f"cache of {stages}"
seconds = an_epoch(model, manifest, cache, stages, batch)
disk = sum(path.stat().st_size for path in cache.glob("*/*") if path.parent.name != "runs" and path.is_file())
say(seconds=seconds / used, filling=spent[0] / used, disk=disk / used / 1e6)
"""


def child(code: str, **names) -> dict[str, float]:
    """What a fresh process says of itself, and its peak memory in MB."""
    given = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    start = "import json, sys, time\nfrom pathlib import Path\n"
    start += f"sys.path.insert(0, {str(Path(__file__).parent)!r})\nfolder = Path(folder)\n"
    start += "def say(**found): print('\\n' + json.dumps(found))\n"
    process = subprocess.Popen(
        [sys.executable, "-c", given + start + code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    printed = process.stdout.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, code
    found = json.loads(printed[-1]) if code != PREPARE else {}
    return found | {"memory": usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)}


def measured(size: tuple[int, int], images: int, folder: Path) -> str:
    """The row of a size."""
    batch = fitting_batch(BATCH, size, BATCH_PIXELS)
    given = {"folder": str(folder), "size": size}
    child(PREPARE, images=images, **given)
    found = child(PREDICTION, **given)
    row = f"| {size[0]} x {size[1]} | {found['seconds']:.2f} | {found['memory']:.0f} | {batch} |"
    for stages in (1, 5):
        found = child(TRAINING, stages=stages, batch=batch, **given)
        row += f" {found['filling']:.2f} | {found['disk']:.2f} | {found['seconds']:.2f} | {found['memory']:.0f} |"
    return row


def main(rows: list[int], images: int) -> None:
    """Print the table, a row at a time."""
    cached = "filling the cache, s | disk, MB | an epoch, s | memory, MB"
    print(f"| input | prediction, s | memory, MB | batch | last stage: {cached} | all stages: {cached} |")
    print("|---" * 12 + "|")
    for height in rows:
        with tempfile.TemporaryDirectory() as scratch:
            print(measured((height, height * 3 // 4), images, Path(scratch)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS, help="heights of the input; the width is 3/4")
    parser.add_argument("--images", type=int, default=24)
    given = parser.parse_args()
    main(given.rows, given.images)
