"""File -> Prediction.

classifier = mammo.load_classifier("artifacts/model")
classifier.predict("image.dcm").probability
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from mammo.backend import keras
from mammo.errors import MammoError
from mammo.evaluation import calibrated
from mammo.explanation import grad_cam
from mammo.manifest import CLASS_NAMES
from mammo.model import image_size_of, read_demo, read_folder
from mammo.preprocessing import Breast, load_images, on_original, prepare, side_doubt
from mammo.reading import Mammogram

DISCLAIMER = "This is a demonstration, not a medical device. It is no diagnosis; ask a radiologist."
SYNTHETIC_ONLY = "The model was trained on synthetic images only: what it says about a real mammogram means little."


@dataclass(frozen=True)
class Prediction:
    """The answer for one file, and all that is needed to judge it."""

    probability: float
    """Calibrated probability of malignant, in [0, 1]."""
    threshold: float
    """What the probability is compared with; fixed on validation patients, from the model's card."""
    heatmap: np.ndarray
    """float32 in [0, 1], of the size of `mammogram.image`: Grad-CAM; 0 beside the breast."""
    breast: Breast
    mammogram: Mammogram
    warnings: tuple[str, ...]
    disclaimer: str = DISCLAIMER

    @property
    def above_threshold(self) -> bool:
        return self.probability >= self.threshold

    def __str__(self) -> str:
        side = "at or above" if self.above_threshold else "below"
        lines = [
            f"{self.mammogram.file}: probability of malignant {self.probability:.3f}, "
            f"{side} the model's threshold of {self.threshold:.3f}."
        ]
        return "\n".join([*lines, *(f"Warning: {warning}" for warning in self.warnings), self.disclaimer])


@dataclass(frozen=True)
class Classifier:
    """A trained model with its card; `predict` takes a file."""

    model: keras.Model
    card: dict

    def predict(self, path, frame: int | None = None) -> Prediction:
        """Read a file and answer; raises MammoError where the file cannot be judged.

        Of an image of several frames (tomosynthesis) `frame` chooses one, counted from 0.
        """
        mammogram, breast, x = prepare(path, image_size_of(self.model), frame)
        calibration = self.card["calibration"]
        raw = float(np.asarray(self.model(x[None], training=False))[0, 1])
        return Prediction(
            probability=float(calibrated(raw, calibration["slope"], calibration["intercept"])),
            threshold=float(self.card["threshold"]),
            heatmap=on_original(grad_cam(self.model, x), breast),
            breast=breast,
            mammogram=mammogram,
            warnings=mammogram.warnings + tuple(self._doubts(mammogram, breast)),
        )

    def _doubts(self, mammogram: Mammogram, breast: Breast):
        if set(self.card["sources"]) <= {"synthetic", "noise"}:
            yield SYNTHETIC_ONLY
        if doubt := side_doubt(mammogram, breast):
            yield doubt
        if breast.mask.mean() > 0.97:
            yield "No background was found around the breast: is this a whole mammogram?"
        tissue = breast.image[breast.image > 0]
        if tissue.size and np.percentile(tissue, 95) - np.percentile(tissue, 5) < 0.1:
            yield "The tissue has very little contrast; the image may be badly exposed or wrongly converted."


def load_classifier(folder=None) -> Classifier:
    """The classifier that `save_classifier` wrote into `folder`; without one, the demo classifier of the package.

    Raises MammoError where the folder's model cannot be trusted.
    """
    model, card = read_demo() if folder is None else read_folder(Path(folder))
    if tuple(card["class_names"]) != CLASS_NAMES:
        raise MammoError(f"The model in {folder} answers {card['class_names']}, not {list(CLASS_NAMES)}.")
    return Classifier(model, card)


def predict_manifest(model: keras.Model, manifest: pd.DataFrame, batch_size: int = 32) -> pd.DataFrame:
    """The manifest with a column `probability`: the model's own for malignant, before calibration."""
    images = load_images(manifest, image_size_of(model))
    return manifest.assign(probability=run_batches(model, images, batch_size, "predicting")[:, 1].astype(np.float64))


def run_batches(model: keras.Model, images: np.ndarray, batch_size: int, title: str, change=None) -> np.ndarray:
    """The model's output for every image, in inference mode, with a progress bar; `change` is done to each batch."""
    outputs = []
    for start in tqdm(range(0, len(images), batch_size), desc=title, unit="batch"):
        batch = images[start : start + batch_size]
        outputs.append(model.predict_on_batch(batch if change is None else np.asarray(change(batch))))
    return np.concatenate(outputs)
