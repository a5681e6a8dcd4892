"""What several tests share. Everything is written to temporary folders, the notebooks' artifacts too.

Of several processes (pytest-xdist) each has folders and fixtures of its own.
"""

import builtins
import errno
import io
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

os.environ["MAMMO_ARTIFACTS"] = tempfile.mkdtemp(prefix="mammo-artifacts-")
os.environ["MAMMO_CACHE"] = os.path.join(os.environ["MAMMO_ARTIFACTS"], "cache")
os.environ["MPLBACKEND"] = os.environ.get("MPLBACKEND", "agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # one process a core: more threads would only wait for each other
    for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

import files
import numpy as np
import pytest
from PIL import Image

import mammo
from mammo.synthetic import draw_patient, phantom


def pytest_unconfigure(config):
    shutil.rmtree(os.environ["MAMMO_ARTIFACTS"], ignore_errors=True)


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A small synthetic data set of 20 patients, 80 images."""
    folder = tmp_path_factory.mktemp("data") / "demo"
    return mammo.generate_dataset(folder, patients=20, seed=3, image_size=(192, 144), formats=["png8"], processes=1)


@pytest.fixture(scope="session")
def image():
    """One synthetic right MLO view, chest wall on the right, float32 (256, 192)."""
    rng = np.random.default_rng(0)
    view, _ = phantom(draw_patient(rng, "malignant", 0.2, "digital"), "R", "MLO", (256, 192), rng)
    return np.ascontiguousarray(view[:, ::-1])


@pytest.fixture(scope="session")
def model():
    """The real architecture, small and with random weights. Tests that train it must take a copy."""
    import keras

    keras.utils.set_random_seed(0)
    return mammo.build_model(weights=None, image_size=(64, 64))


@pytest.fixture
def fresh_model():
    """A model of one's own to train."""
    import keras

    keras.utils.set_random_seed(0)
    return mammo.build_model(weights=None, image_size=(64, 64))


@pytest.fixture(scope="session")
def classifier():
    """The demo classifier, loaded once."""
    return mammo.load_classifier()


@pytest.fixture(scope="session")
def looks_at():
    """Where a change of the input, 256 x 256, moves a cell of a network's last map most: (row, column) of the input."""
    from mammo.core.backend import tf

    def centre(network, cell):
        x = tf.constant(np.random.default_rng(0).random((4, 256, 256, 1), np.float32))
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(network(x, training=False)[:, cell[0], cell[1]])
        moves = np.abs(tape.gradient(total, x)).sum(axis=(0, 3))
        return [np.average(np.arange(256), weights=moves.sum(axis=1 - axis) ** 2) for axis in (0, 1)]

    return centre


@pytest.fixture(scope="session")
def report(demo, model):
    return mammo.evaluate(mammo.predict_manifest(model, demo))


@pytest.fixture(scope="session")
def saved(tmp_path_factory, model, report):
    """The folder of a saved classifier."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    mammo.save_classifier(folder, model, report)
    return folder


@pytest.fixture(scope="session")
def exporting(saved, tmp_path_factory):
    """The folder of an exported classifier, and by how many MB the memory of writing it peaked."""
    folder = tmp_path_factory.mktemp("exported") / "fast"
    code = f"""
    import resource, sys, mammo
    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024**2 if sys.platform == "darwin" else 1024)
    classifier = mammo.load_classifier({str(saved)!r})
    before = peak()
    classifier.export({str(folder)!r})
    print(peak() - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True, text=True)
    return folder, int(done.stdout)


@pytest.fixture(scope="session")
def exported(exporting):
    """A folder that holds only what answers without TensorFlow."""
    return exporting[0]


@pytest.fixture
def lock(monkeypatch):
    """Makes a file or folder one that may not be read, also for root."""

    def lock(locked):
        locked = os.fspath(locked)

        def refusing(module, name):
            function = getattr(module, name)

            def run(path=".", *arguments, **options):
                text = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
                # the folder itself can still be seen, by what lies above
                if text.startswith(f"{locked}{os.sep}") or (text == locked and name != "stat"):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), text)
                return function(path, *arguments, **options)

            monkeypatch.setattr(module, name, run)

        for module, name in ((os, "stat"), (os, "scandir"), (os, "listdir"), (io, "open"), (builtins, "open")):
            refusing(module, name)

    return lock


@pytest.fixture
def write_png(tmp_path):
    def write(pixels, name="image.png", **options) -> Path:
        Image.fromarray(pixels).save(tmp_path / name, **options)
        return tmp_path / name

    return write


@pytest.fixture
def write_dicom(tmp_path):
    """Write stored values as an uncompressed DICOM mammogram; any tag can be set by keyword."""

    def write(stored, name="image.dcm", bits=16, **tags) -> Path:
        return files.write_dicom(tmp_path / name, stored, bits, **tags)

    return write
