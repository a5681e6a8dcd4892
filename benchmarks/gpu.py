"""What fine-tuning costs on a graphics card, side by side with the plain Keras loop; under 8 minutes.

    python benchmarks/gpu.py                       # on a GPU
    python benchmarks/gpu.py --miniature           # the same in small, to try it on a CPU

Plain is `model.fit` over all layers in float32, on images in memory. Ours is `mammo.fine_tune`: all stages, and the
last one on cached features of the frozen stages, in each precision. XLA compiles the plain loop in a row of its own.
A row has images trained a second (the second of two epochs), the mean utilisation of the card while it trains
(nvidia-smi) and the peak of its memory. A second table has the AUC on test patients of the same training in each
precision, on synthetic mammograms.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
from training import RATE, an_epoch, auc, plain, seconds

import mammo
from mammo.core.backend import keras, native_precision, tf
from mammo.core.manifest import class_indices
from mammo.data.image_loader import load_images
from mammo.training.feature_batches import one_hot

SIZES, PATIENTS, AUC_PATIENTS, BATCH = ((384, 288), (1024, 768)), 60, 200, 8
MINIATURE = {
    "sizes": ((64, 64),),
    "patients": 20,
    "auc_patients": 20,
    "precisions": ("float32",),
    "rows": 2,
    "xla": (False,),
}
PRECISIONS = ("float32", "float16", "bfloat16")


class Utilisation(threading.Thread):
    """The card's utilisation in %, asked every half second until `stop`; None where there is no nvidia-smi."""

    def __init__(self):
        super().__init__(daemon=True)
        self.values, self.ended = [], threading.Event()

    def run(self):
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while shutil.which("nvidia-smi") and not self.ended.wait(0.5):
            self.values.append(float(subprocess.run(command, capture_output=True, text=True).stdout.split()[0]))

    def stop(self) -> float | None:
        """The mean."""
        self.ended.set()
        self.join()
        return float(np.mean(self.values)) if self.values else None


def plain_epoch(manifest, size, jit: bool) -> float:
    """Seconds of the second of two epochs of the plain loop, since the first one compiles."""
    train = manifest[manifest["split"] == "train"]
    x, y = load_images(train, size), one_hot(class_indices(train))
    model = plain(mammo.build_model("demo", size, quiet=True), lambda layer: True, RATE, jit_compile=jit)
    return [seconds(model.fit, x, y, BATCH, verbose=0) for _ in range(2)][1]


def our_epoch(manifest, size, stages: int, precision: str, cache: Path) -> float:
    """Seconds of an epoch of `fine_tune`, validation included."""
    return an_epoch(mammo.build_model("demo", size, quiet=True), manifest, cache, stages, BATCH, precision)


def measured(name: str, images: int, epoch, *given) -> str:
    """A row of the table; an error takes the place of its figures."""
    cards = tf.config.list_physical_devices("GPU")
    for number in range(len(cards)):
        tf.config.experimental.reset_memory_stats(f"GPU:{number}")
    watch = Utilisation()
    watch.start()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            rate = f"{images / epoch(*given):.1f}"
    except tf.errors.OpError as error:  # out of memory, or no kernel for this precision
        rate = type(error).__name__
    busy = watch.stop()
    peak = [tf.config.experimental.get_memory_info(f"GPU:{number}")["peak"] / 1e9 for number in range(len(cards))]
    return f"| {name} | {rate} | {'' if busy is None else f'{busy:.0f} %'} | {f'{max(peak):.1f}' if peak else ''} |"


def trained_auc(manifest, size, precision: str, cache: Path) -> float:
    """AUC on test patients after head and fine-tuning from demo weights."""
    keras.utils.set_random_seed(0)
    model = mammo.build_model("demo", size, quiet=True)
    options = {"n_augmentations": 0, "cache": cache, "precision": precision}
    mammo.train_head(model, manifest, 20, **options)
    mammo.fine_tune(model, manifest, epochs=1, **options)
    return auc(model, manifest)


def _some(manifest, rows):
    return manifest.groupby(["split", "label"]).head(rows) if rows else manifest


def main(
    sizes=SIZES, patients=PATIENTS, auc_patients=AUC_PATIENTS, precisions=PRECISIONS, rows=None, xla=(False, True)
) -> None:
    """Print both tables; of each split and label so many `rows`."""
    details = [tf.config.experimental.get_device_details(card) for card in tf.config.list_physical_devices("GPU")]
    names = ", ".join(detail.get("device_name", "GPU") for detail in details) or "CPU"
    print(f"{names}, TensorFlow {tf.__version__}; precision by default: {native_precision()}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with contextlib.redirect_stdout(io.StringIO()):
            manifest = _some(mammo.generate_dataset(folder / "speed", patients, seed=20_301), rows)
        images = int((manifest["split"] == "train").sum())
        print("| training | images/s | utilisation | peak, GB |\n|---|---|---|---|")
        for size in sizes:
            at = f"{size[0]} x {size[1]}"
            for jit in xla:
                row = measured(f"{at}, plain Keras{', XLA' * jit}", images, plain_epoch, manifest, size, jit)
                print(row, flush=True)
            for precision in precisions:
                for stages, of in ((5, "all stages"), (1, "last stage, cached")):
                    given = (manifest, size, stages, precision, folder / "cache")
                    print(measured(f"{at}, {of}, {precision}", images, our_epoch, *given), flush=True)
        print("\n| precision | AUC on test patients |\n|---|---|")
        with contextlib.redirect_stdout(io.StringIO()):
            manifest = _some(mammo.generate_dataset(folder / "auc", auc_patients, seed=20_302), rows)
        for precision in precisions:
            with contextlib.redirect_stdout(io.StringIO()):
                found = trained_auc(manifest, sizes[0], precision, folder / "auc_cache")
            print(f"| {precision} | {found:.3f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--miniature", action="store_true", help="small, to try it on a CPU")
    main(**(MINIATURE if parser.parse_args().miniature else {}))
