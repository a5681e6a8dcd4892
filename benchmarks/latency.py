"""How long a prediction takes once the model is loaded, and where the time goes.

    python benchmarks/latency.py

A synthetic mammogram of 4,700 x 2,700 pixels and 12 bits, as DICOM in several transfer syntaxes: from the file to the
figure (PNG, as a notebook shows it). Every row is the median of seven predictions, the files taking turns.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pydicom
from PIL import Image
from pydicom import uid

import mammo
from mammo import plots
from mammo.data import preprocessing
from mammo.inference import prediction
from mammo.synthetic import draw_patient, phantom
from mammo.synthetic.image_writers import write_image

ROWS, COLUMNS, TURNS = 4700, 2700, 7
WITH_12_BITS = {"bitspersample": 12}
LOSSLESS_JPEG = {"lossless": True, "predictor": 1, **WITH_12_BITS}
J2K = {"codecformat": "j2k", "reversible": True, **WITH_12_BITS}
COMPRESSED = {
    "JPEG lossless": (uid.JPEGLosslessSV1, lambda pixels: imagecodecs.jpeg8_encode(pixels, **LOSSLESS_JPEG)),
    "JPEG-LS": (uid.JPEGLSLossless, imagecodecs.jpegls_encode),
    "JPEG 2000 lossless": (uid.JPEG2000Lossless, lambda pixels: imagecodecs.jpeg2k_encode(pixels, **J2K)),
}
STEPS = {  # the functions of one prediction, each with the module that it is looked up in
    "read": (preprocessing, "read_mammogram"),
    "find the breast": (preprocessing, "find_breast"),
    "model input": (preprocessing, "model_input"),
    "Grad-CAM": (prediction, "heatmap"),
    "heatmap on the original": (prediction, "on_original"),
    "draw": (mammo.notebook, "figure_of"),
}


def files(folder: Path) -> dict[str, Path]:
    """The same image, uncompressed and compressed."""
    patient = draw_patient(np.random.default_rng(0), "malignant", 0.3)
    image, _ = phantom(patient, patient.side, "MLO", (ROWS // 4, COLUMNS // 4), np.random.default_rng(1))
    large = np.asarray(Image.fromarray(image).resize((COLUMNS, ROWS), Image.BICUBIC))
    grain = 0.004 * np.random.default_rng(2).standard_normal(large.shape, dtype=np.float32)
    tags = {"PatientID": "none", "ImageLaterality": patient.side, "ViewPosition": "MLO"}
    written = {"uncompressed": folder / "uncompressed.dcm"}
    write_image(written["uncompressed"], np.clip(large + grain, 0, 1), "dicom12", tags, False, "latency")
    pixels = pydicom.dcmread(written["uncompressed"]).pixel_array
    for name, (syntax, encode) in {"RLE": (uid.RLELossless, None), **COMPRESSED}.items():
        header = pydicom.dcmread(written["uncompressed"])
        header.compress(syntax) if encode is None else _encapsulate(header, encode(pixels), syntax)
        written[name] = folder / f"{name}.dcm"
        header.save_as(written[name])
    return written


def _encapsulate(header, frame: bytes, syntax) -> None:
    header.file_meta.TransferSyntaxUID = syntax
    header.PixelData = pydicom.encaps.encapsulate([frame])
    header["PixelData"].VR = "OB"


def timed(steps: dict, seconds: dict) -> None:
    """Let every step add its own time to `seconds`."""

    def with_a_clock(name, function):
        def step(*arguments, **options):
            begun = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                seconds[name] += time.perf_counter() - begun

        return step

    for name, (module, function) in steps.items():
        setattr(module, function, with_a_clock(name, getattr(module, function)))


def predict_and_draw(classifier, path) -> None:
    """From a file to its figure."""
    figure = mammo.notebook.figure_of(classifier.predict(path))
    figure.savefig(io.BytesIO(), format="png", bbox_inches="tight")
    plots.close()


def main() -> None:
    """Print the tables of `README.md`."""
    classifier = mammo.load_classifier()
    classifier.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        paths = files(Path(folder))
        begun = time.perf_counter()
        predict_and_draw(classifier, paths["uncompressed"])
        first = time.perf_counter() - begun
        seconds, rows = defaultdict(float), []
        timed(STEPS, seconds)
        for _ in range(TURNS):
            for name, path in paths.items():
                seconds.clear()
                begun = time.perf_counter()
                predict_and_draw(classifier, path)
                whole = time.perf_counter() - begun
                rest = whole - sum(seconds.values())
                rows.append({"file": name, **seconds, "network and PNG": rest, "all": whole})
    table = pd.DataFrame(rows).groupby("file", sort=False).median()
    print("| milliseconds | " + " | ".join(table.index) + " |\n" + "|---" * (len(table) + 1) + "|")
    for step in table:
        print(f"| {step} | " + " | ".join(f"{1000 * value:.0f}" for value in table[step]) + " |")
    print(f"\nThe very first prediction, uncompressed: {1000 * first:.0f} ms")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    main()
