"""File -> Prediction.

classifier = mammo.load_classifier("artifacts/model")
classifier.predict("image.dcm").probability
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mammo import network
from mammo.card import read_card, read_familiar, write_card, write_familiar
from mammo.decision import SCREENING_PREVALENCE, calibrated, combine, positive_predictive_value, possible, settled
from mammo.errors import MammoError
from mammo.explanation import heatmap
from mammo.familiar import unlike
from mammo.manifest import CLASS_NAMES
from mammo.preprocessing import Breast, image_doubts, on_original, prepare, shape_doubt
from mammo.reading import Mammogram

if TYPE_CHECKING:
    import keras
    import pandas as pd

RUNTIMES = ("keras", "onnx", "openvino")
DISCLAIMER = "This is a demonstration, not a medical device. It is no diagnosis; ask a radiologist."
NOT_A_MAMMOGRAM = 2.5  # times the limit of familiar content: above what real mammograms reach that only look strange
SYNTHETIC_ONLY = "The model was trained on synthetic images only: what it says about a real mammogram means little."


@dataclass(frozen=True)
class Prediction:
    """The answer for one file, and all that is needed to judge it."""

    probability: float
    """Calibrated probability of malignant, in [0, 1]."""
    threshold: float
    """What the probability is compared with; fixed on validation patients, from the model's card."""
    possible: tuple[str, ...]
    """The classes that remain possible; both means that the answer is "uncertain", as it is for a strange image."""
    coverage: float
    """How often what remains holds the truth, for images like those that the limits were fixed on."""
    prevalence: float
    """Share of cancers among those who are asked about."""
    predictive_value: float
    """At that prevalence, the share of malignant ones among images at or above the threshold."""
    unlike: dict[str, float]
    """How far the image's texture and content are from what the model knows, in multiples of the limit of
    99 of 100 familiar images; empty where the model has not learned what is familiar."""
    evidence: np.ndarray
    """What each cell of the network's last map adds to the log-odds of malignant, float32 (rows, columns)."""
    image_size: tuple[int, int]
    """(height, width) of the model's input."""
    breast: Breast
    mammogram: Mammogram
    warnings: tuple[str, ...]
    disclaimer: str = DISCLAIMER

    @cached_property
    def heatmap(self) -> np.ndarray:
        """float32 in [0, 1], of the size of `mammogram.image`: Grad-CAM; 0 beside the breast."""
        return on_original(heatmap(self.evidence, self.image_size), self.breast)

    @property
    def above_threshold(self) -> bool:
        return self.probability >= self.threshold

    @property
    def uncertain(self) -> bool:
        return len(self.possible) > 1

    def __str__(self) -> str:
        side = "at or above" if self.above_threshold else "below"
        if self.uncertain:
            remains = "Uncertain: neither benign nor malignant can be left out."
        else:
            remains = (
                f"{self.possible[0].capitalize()} alone remains; among images like those it was validated on, what "
                f"remains holds the truth for {self.coverage:.0%} of each class."
            )
            if self.above_threshold != (self.possible == ("malignant",)):
                remains += " The threshold, fixed by another rule, says otherwise."
        lines = [
            f"{self.mammogram.file}: probability of malignant {self.probability:.3f}, "
            f"{side} the model's threshold of {self.threshold:.3f}.",
            remains,
            f"Were it as good here as on its own test images, and had {self.prevalence:.1%} cancer, "
            f"{self.predictive_value:.1%} of the images at or above the threshold would be malignant.",
        ]
        return "\n".join([*lines, *(f"Warning: {warning}" for warning in self.warnings), self.disclaimer])


@dataclass(frozen=True)
class Classifier:
    """A trained model with its card; `predict` takes a file."""

    card: dict
    run: network.Run
    """Model inputs -> all that an answer needs (`mammo.network`)."""
    familiar: dict[str, np.ndarray] | None = None
    """What the features of familiar images are like (`mammo.learn_familiar`); None where nobody has learned it."""
    model: keras.Model | None = None
    """The Keras model; None where another runtime answers."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the model's input."""
        return tuple(self.card["image_size"])

    def warm_up(self) -> None:
        """Answer about nothing, so that the first file need not wait for the network to be compiled."""
        self.run(np.zeros((1, *self.image_size, 1), np.float32))

    def export(self, folder) -> Path:
        """Write what answers the same without TensorFlow; returns the folder.

            classifier.export("fast")
            mammo.load_classifier("fast", runtime="onnx")

        The folder may be the one that the classifier was loaded from. Raises MammoError where a package for it is
        missing, or the folder holds another model.
        """
        folder = Path(folder)
        if self.model is None:
            raise MammoError("This classifier was exported already; copy its folder.")
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "card.json").is_file() and read_card(folder) != self.card:
            raise MammoError(f"{folder} holds another model. Choose another folder.")
        network.export(self.model, folder)
        if self.familiar is not None:
            write_familiar(folder, self.familiar)
        write_card(folder, self.card)
        return folder

    def predict(self, path, frame: int | None = None, prevalence: float = SCREENING_PREVALENCE) -> Prediction:
        """Read a file and answer; raises MammoError where the file cannot be judged.

        Of an image of several frames (tomosynthesis) `frame` chooses one, counted from 0. `prevalence` is the share
        of cancers among those asked about; what an answer above the threshold is worth hangs on it.
        """
        card = self.card
        worth = positive_predictive_value(card["sensitivity"], card["specificity"], prevalence)
        mammogram, breast, x = prepare(path, self.image_size, frame)
        row, shape = [part[0] for part in self.run(x[None])], shape_doubt(breast)
        probability, remain, distance, strange = self.judge(mammogram.file, row, shape)
        return Prediction(
            probability=probability,
            threshold=float(card["threshold"]),
            possible=remain,
            coverage=float(card["conformal"]["coverage"]),
            prevalence=prevalence,
            predictive_value=worth,
            unlike=distance,
            evidence=row[1],
            image_size=self.image_size,
            breast=breast,
            mammogram=mammogram,
            warnings=mammogram.warnings + strange + image_doubts(mammogram, breast, shape),
        )

    def predict_patient(self, paths) -> tuple[pd.DataFrame, list[Prediction]]:
        """Several views of one patient -> a table of her breasts and of herself, and the answer for each file.

        The rule is `mammo.combine`'s: the mean of the log-odds in a breast, the higher breast for the patient. Raises
        MammoError where a file does not say which breast it shows: only DICOM files can.
        """
        import pandas as pd  # costs as much time and memory as an answer; only tables need it

        answers = [self.predict(path) for path in paths]
        unknown = [answer.mammogram.file for answer in answers if answer.mammogram.laterality is None]
        if unknown or not answers:
            raise MammoError(
                f"Which breast is it in {', '.join(unknown) or 'no file at all'}? Views are combined by the laterality "
                "in their DICOM headers; ask about such files one by one."
            )
        views = pd.DataFrame(
            [("", answer.mammogram.laterality, answer.probability) for answer in answers],
            columns=["patient_id", "laterality", "probability"],
        )
        breasts = combine(views, "breast").assign(of=lambda table: table["laterality"] + " breast")
        return pd.concat([breasts, combine(views).assign(of="patient")])[["of", "probability"]], answers

    def judge(self, file: str, row: list[np.ndarray], shape: str | None) -> tuple[float, tuple, dict, tuple]:
        """A row of what `run` answers, `shape_doubt`'s sentence -> probability, classes that remain, distances, doubts.

        Raises MammoError for an image that is too strange to be judged.
        """
        answer, _, *features = row
        distance = unlike(dict(zip(network.LAYERS, features, strict=True)), self.familiar) if self.familiar else {}
        if distance.get("content", 0) > (1 if shape else NOT_A_MAMMOGRAM):
            raise MammoError(
                f"{file} does not look like a mammogram: it is at {distance['content']:.1f} times the "
                f"limit that 99 of 100 images known to the model keep. {shape or ''} Choose a mammogram."
            )
        probability = float(
            calibrated(float(answer[1]), self.card["calibration"]["slope"], self.card["calibration"]["intercept"])
        )
        remain = possible(probability, self.card["conformal"]) | (max(distance.values(), default=0.0) > 1)
        names = tuple(name for name, is_possible in zip(CLASS_NAMES, remain, strict=True) if is_possible)
        return probability, names, distance, tuple(self._doubts(distance))

    def _doubts(self, distance: dict[str, float]):
        if set(self.card["sources"]) <= {"synthetic", "noise"}:
            yield SYNTHETIC_ONLY
        for name, what in (("texture", "grain or sharpness"), ("content", "content")):
            if distance.get(name, 0) > 1:
                yield (
                    f"The image's {what} is strange to the model: at {distance[name]:.1f} times the limit that 99 of "
                    "100 known images keep. The answer means little here."
                )


def load_classifier(folder=None, runtime: str = "keras", precision: str = "float32") -> Classifier:
    """The classifier that `save_classifier` wrote into `folder`; without one, the demo classifier of the package.

    From a folder that `Classifier.export` has written to, `runtime="onnx"` and `"openvino"` answer without importing
    TensorFlow: ONNX Runtime at once and in a third of the memory, OpenVINO more images a second; that one also in
    `precision="bfloat16"`, which asks again in float32 where its error could change the answer. Raises MammoError where
    the folder's model cannot be trusted.
    """
    if runtime not in RUNTIMES:
        raise MammoError(f"runtime is one of {', '.join(RUNTIMES)}, not {runtime!r}.")
    if precision != "float32" and runtime != "openvino":
        raise MammoError(f'precision={precision!r} needs runtime="openvino".')
    if runtime == "keras":
        from mammo.model import read_demo, read_folder

        model, card, familiar = read_demo() if folder is None else read_folder(Path(folder))
        run = network.in_keras(model)
    else:
        if folder is None:
            raise MammoError('Export the demo model first: mammo.load_classifier().export("fast"), and load "fast".')
        card = read_card(Path(folder))
        model, familiar = None, read_familiar(Path(folder), card)
        run = network.in_onnx(Path(folder)) if runtime == "onnx" else network.in_openvino(Path(folder), precision)
        if precision == "bfloat16":
            run = _doubtful_again(run, network.in_openvino(Path(folder)), card)
    if tuple(card["class_names"]) != CLASS_NAMES:
        raise MammoError(f"The model in {folder} answers {card['class_names']}, not {list(CLASS_NAMES)}.")
    return Classifier(card, run, familiar, model)


def _doubtful_again(fast: network.Run, exact: network.Run, card: dict) -> network.Run:
    """`fast`, but an answer that its error could have changed is `exact`'s."""

    def run(x):
        answers = fast(x)
        doubtful = ~settled(answers[0][:, 1], card, network.BFLOAT16_ERROR)
        if doubtful.any():
            for part, again in zip(answers, exact(x[doubtful]), strict=True):
                part[doubtful] = again
        return answers

    return run


def predict_manifest(model: keras.Model, manifest: pd.DataFrame, batch_size: int = 32) -> pd.DataFrame:
    """The manifest with a column `probability`: the model's own for malignant, before calibration."""
    from mammo.inputs import Inputs, run_batches
    from mammo.model import image_size_of

    answers = run_batches(model, Inputs(manifest, image_size_of(model)), batch_size, "predicting")
    return manifest.assign(probability=answers[:, 1].astype(np.float64))
