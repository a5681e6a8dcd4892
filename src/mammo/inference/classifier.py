"""A trained model that predicts files.

classifier = mammo.load_classifier("artifacts/model")
classifier.predict("image.dcm").probability
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mammo.core.errors import MammoError
from mammo.core.files import as_path, errors_of_writing
from mammo.data.preprocessing import PreparedImage, image_warnings, prepare, preprocessing_version, shape_warning
from mammo.evaluation.combine_views import combine_views
from mammo.evaluation.operating_point import SCREENING_PREVALENCE
from mammo.inference.out_of_distribution import ood_scores
from mammo.inference.prediction import Prediction
from mammo.models import network_export, runtimes
from mammo.models.model_card import ModelCard, card_json, read_card, write_card
from mammo.models.saved_model import write_ood_detector

if TYPE_CHECKING:
    import keras
    import pandas as pd

NOT_A_MAMMOGRAM = 2.5  # times the limit of known content: above what real mammograms reach
SYNTHETIC_ONLY = "The model was trained on synthetic images only; it is not validated on real mammograms."


@dataclass(frozen=True)
class ModelInput:
    """What is kept of a prepared file until the network has run: no image of full size."""

    file: str
    laterality: str | None
    view: str | None
    array: np.ndarray
    """float32 (height, width, channels) in [0, 1]."""
    shape_warning: str | None
    warnings: tuple[str, ...]
    """About the file and the image; the model adds its own."""
    synthetic: bool = False
    """True where the file says that this package drew it."""


@dataclass(frozen=True)
class Assessment:
    """What the model says of one image."""

    probability: float
    doubts: tuple[str, ...]
    """Warnings about the image: that it is not known to be synthetic, as all of the model's training images are; of
    its file; of the image; of its distance from the training distribution."""
    ood_scores: dict[str, float]
    evidence: np.ndarray


def model_input_of(prepared: PreparedImage) -> ModelInput:
    """What the model needs of a prepared file, with the warnings about it."""
    mammogram, breast = prepared.mammogram, prepared.breast
    shape = shape_warning(breast)
    warnings = mammogram.warnings + image_warnings(mammogram, breast, shape)
    return ModelInput(
        mammogram.file,
        mammogram.laterality,
        mammogram.view,
        prepared.model_input,
        shape,
        warnings,
        mammogram.synthetic,
    )


@dataclass(frozen=True)
class Classifier:
    """A trained model with its card; `predict` takes a file."""

    card: ModelCard
    run: runtimes.Runtime
    """Model inputs (n, height, width, channels) -> ModelOutputs."""
    ood_detector: dict[str, np.ndarray] | None = None
    """Arrays of `mammo.fit_ood_detector`; None where none was fitted."""
    load_model: Callable[[], keras.Model] | None = None
    """Loads the Keras model; None where the classifier's folder has none."""

    @cached_property
    def model(self) -> keras.Model | None:
        """The Keras model, which can be trained further; loaded when it is asked for. None where there is none."""
        return self.load_model and self.load_model()

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the model's input."""
        return self.card.image_size

    @property
    def id(self) -> str:
        """12 hexadecimal digits that stand for the card and the preprocessing."""
        return hashlib.sha256(f"{card_json(self.card)} {preprocessing_version()}".encode()).hexdigest()[:12]

    def warm_up(self) -> None:
        """Run once on an empty image, so that the first file need not wait for the network to be compiled."""
        self.run(np.zeros((1, *self.image_size, self.card.channels), np.float32))

    def prepare(self, path, frame: int | None = None) -> PreparedImage:
        """The input that the model takes, from a file; raises MammoError as `mammo.data.preprocessing.prepare`."""
        return prepare(path, self.image_size, frame, image_kind=self.card.image_kind)

    def predict(self, path, frame: int | None = None, prevalence: float = SCREENING_PREVALENCE) -> Prediction:
        """Read a file and classify it.

        Parameters
        ----------
        path : path
            Any file that `mammo.read_mammogram` reads; for a model of micrographs, that `mammo.io.read_micrograph`
            reads.
        frame : int, optional
            Of a file with several frames (tomosynthesis), counted from 0.
        prevalence : float
            Share of cancers among the images that are scored; what a positive result is worth depends on it.

        Raises
        ------
        MammoError
            Where the file cannot be read, shows no breast, or is not of the kind that the model takes.
        """
        predictive_value = self.card.predictive_value(prevalence)
        prepared = self.prepare(path, frame)
        (assessment,) = self.assess([model_input_of(prepared)])
        if isinstance(assessment, MammoError):
            raise assessment
        return Prediction(
            probability=assessment.probability,
            rule=self.card.result_rule,
            prevalence=prevalence,
            predictive_value=predictive_value,
            ood_scores=assessment.ood_scores,
            evidence=assessment.evidence,
            image_size=self.image_size,
            breast=prepared.breast,
            mammogram=prepared.mammogram,
            doubts=assessment.doubts,
            model_warnings=self.warnings,
        )

    def predict_patient(self, paths) -> tuple[pd.DataFrame, list[Prediction]]:
        """Several views of one patient -> a table of the breasts and of the patient, and the prediction for each file.

        `paths` are the files; one path alone is taken as a list of one.
        The rule is `mammo.combine_views`': the mean of the log-odds in a breast, the higher breast for the patient.
        Raises MammoError where a file does not say which breast it shows: only DICOM files and films of DDSM can.
        """
        import pandas as pd  # takes as much time and memory as a prediction; only tables need it

        if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable):  # text would be taken by letters
            paths = [paths]
        predictions = [self.predict(path) for path in paths]
        unknown = [each.mammogram.file for each in predictions if each.mammogram.laterality is None]
        if unknown or not predictions:
            raise MammoError(
                f"Which breast is it in {', '.join(unknown) or 'no file at all'}? Views are combined by the laterality "
                "in their DICOM headers; predict such files one by one."
            )
        views = pd.DataFrame(
            [("1", each.mammogram.laterality, each.probability) for each in predictions],
            columns=["patient_id", "laterality", "probability"],
        )
        breasts = combine_views(views, "breast").assign(of=lambda table: table["laterality"] + " breast")
        table = pd.concat([breasts, combine_views(views).assign(of="patient")])
        return table[["of", "probability"]], predictions

    def assess(self, images: Sequence[ModelInput]) -> list[Assessment | MammoError]:
        """The model's assessment of each image, computed as one batch; a MammoError in place of one that is refused."""
        outputs = self.run(np.stack([image.array for image in images]))
        return [self._assessment(image, outputs[index]) for index, image in enumerate(images)]

    def _assessment(self, image: ModelInput, outputs: runtimes.ModelOutputs) -> Assessment | MammoError:
        distance = ood_scores(outputs, self.ood_detector) if self.ood_detector else {}
        if distance.get("content", 0) > (1 if image.shape_warning else NOT_A_MAMMOGRAM):
            return MammoError(
                f"{image.file} does not look like a {self.card.image_kind}: its content is at "
                f"{distance['content']:.1f} times the limit that {self._level} of the images known to the model keep. "
                f"{image.shape_warning or ''} Choose a {self.card.image_kind}."
            )
        return Assessment(
            probability=float(self.card.calibration(float(outputs.probabilities[1]))),
            doubts=(() if image.synthetic else self.warnings) + image.warnings + tuple(self._far_from_known(distance)),
            ood_scores=distance,
            evidence=outputs.evidence,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """About the model, whatever the image."""
        return (SYNTHETIC_ONLY,) if set(self.card.sources) <= {"synthetic", "noise"} else ()

    @property
    def _level(self) -> str:
        return f"{float(self.ood_detector['level']):.1%}"

    def _far_from_known(self, distance: dict[str, float]):
        for name, what in (("texture", "grain or sharpness"), ("content", "content")):
            if distance.get(name, 0) > 1:
                yield (
                    f"The image's {what} is out of distribution: at {distance[name]:.1f} times the limit that "
                    f"{self._level} of known images keep."
                )

    def export(self, folder) -> Path:
        """Write the same model for ONNX Runtime and OpenVINO; returns the folder.

            classifier.export("fast")
            mammo.load_classifier("fast", runtime="onnx")

        The folder may be the one that the classifier was loaded from. Raises MammoError where a package for it is
        missing, or the folder holds another model.
        """
        folder = as_path(folder)
        if self.load_model is None:
            raise MammoError("This classifier was exported already; copy its folder.")
        with errors_of_writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / "card.json").is_file() and read_card(folder) != self.card:
                raise MammoError(f"{folder} holds another model. Choose another folder.")
            network_export.export(self.model, folder, self.card.model_id)
            if self.ood_detector is not None:
                write_ood_detector(folder, self.ood_detector)
            write_card(folder, self.card)
        return folder


def predict_manifest(model: keras.Model, manifest: pd.DataFrame, batch_size: int = 32) -> pd.DataFrame:
    """The manifest with a column `probability`: the model's own for malignant, before calibration.

    Parameters
    ----------
    model : keras.Model
        From `mammo.build_model`.
    manifest : DataFrame
        It needs no `split`.
    batch_size : int
        Images at a time; fewer where they are large.

    Returns
    -------
    DataFrame
        A copy; `probability` is float64 in [0, 1].

    Raises
    ------
    MammoError
        One that names all files that cannot be used.
    """
    from mammo.data.image_loader import ImageLoader, predict_batches  # imports pandas, which a single file need not
    from mammo.models.saved_model import image_size_of

    predicted = predict_batches(model, ImageLoader(manifest, image_size_of(model)), batch_size, "predicting")
    return manifest.assign(probability=predicted[:, 1].astype(np.float64))
