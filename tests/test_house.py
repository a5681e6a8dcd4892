"""The rules of the house that import-linter cannot say: where libraries live, how a notebook is written."""

import ast
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import mammo

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "mammo"
HOME = {  # a library -> the modules, or packages, that may import it
    "matplotlib": {"plots"},
    "IPython": {"notebook"},
    "ipywidgets": {"notebook"},
    "google": {"notebook"},
    "pydicom": {"io", "synthetic"},
    "imagecodecs": {"io"},
    "tifffile": {"io"},
    "onnxruntime": {"models.runtimes", "models.network_export"},
    "openvino": {"models.runtimes"},
    "tf2onnx": {"models.network_export"},
    "ray": {"inference.ray_scoring"},
    "idc_index_data": {"datasets.download"},
    "requests": {"datasets.download", "datasets._idc_series"},
}
MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def imported(path):
    """The libraries that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_every_library_is_imported_where_it_lives_and_nowhere_else():
    assert len(MODULES) > 50
    for module, path in MODULES.items():
        for library in HOME.keys() & set(imported(path)):
            lives_here = any(f"{module}.".startswith(f"{home}.") for home in HOME[library])
            assert lives_here, f"{library} does not live in mammo.{module}"


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("core/errors.py", "", None),
        ("core/manifest.py", "from mammo.io import read_mammogram", "floors"),
        ("models/gradcam.py", "from mammo.training import fine_tuning", "floors"),
        ("evaluation/metrics.py", "from mammo.io import read_mammogram", "floors"),
        ("io/dicom.py", "from mammo.core import backend", "reading and evaluating cost no TensorFlow"),
        ("evaluation/report.py", "import matplotlib.pyplot", "figures are drawn in plots"),
    ],
)
def test_import_linter_sees_an_import_that_breaks_a_contract(module, line, broken, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "mammo", ignore=shutil.ignore_patterns("demo_model", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "mammo" / module).open("a") as file:
        file.write(f"\n{line}\n")
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    told = [row.rsplit(" ", 1) for row in done.stdout.splitlines() if row.endswith((" KEPT", " BROKEN"))]
    assert [contract for contract, state in told if state == "BROKEN"] == [broken] * (broken is not None), done.stdout
    assert len(told) >= 3
    assert (done.returncode == 0) == (broken is None)


def test_every_public_name_is_there_and_says_what_it_is():
    assert {"load_classifier", "evaluate", "plots"} <= set(mammo.__all__)
    for name in mammo.__all__:
        assert getattr(mammo, name).__doc__ or name == "CLASS_NAMES"
    with pytest.raises(AttributeError):
        mammo.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("use", "costly"),
    [
        ("mammo", ("tensorflow", "keras", "torch", "pandas")),
        (
            "mammo.read_mammogram, mammo.generate_dataset, mammo.evaluate, mammo.notebook, mammo.plots",
            ("tensorflow", "keras", "torch"),
        ),
    ],
)
def test_import_mammo_costs_no_tensorflow(use, costly):
    code = f"import sys, mammo; {use}; print([name for name in {costly} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


def lines(cell):
    return sum(1 for line in source(cell).splitlines() if line.strip())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_how_a_notebook_is_written(path):
    words, code = cells(path, "markdown"), cells(path, "code")
    assert len(words) >= len(code)
    assert max(map(lines, code)) <= 15
    assert statistics.median(map(lines, code)) <= 5
    assert "colab-badge" in source(words[0])
    assert path.name in source(words[0]), "the badge opens this notebook"
    assert any("What this is not for" in source(cell) for cell in words[:4])
    for cell in code:
        assert not cell["outputs"] or "NBVAL_CHECK_OUTPUT" in source(cell)
        assert bool(cell["outputs"]) == ("NBVAL_CHECK_OUTPUT" in source(cell))
    metadata = json.loads(path.read_text())["metadata"]
    assert "widgets" not in metadata
    assert metadata["kernelspec"]["name"] == "python3"


def test_the_set_up_cell_is_the_same_everywhere():
    assert len({source(cells(path, "code")[0]) for path in NOTEBOOKS}) == 1
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize(("code", "outcome"), [("print('as stored')", "1 passed"), ("print('changed')", "1 failed")])
def test_stored_outputs_are_compared_and_stderr_is_not(code, outcome, tmp_path):
    import nbformat

    source = f"# NBVAL_CHECK_OUTPUT\nimport sys\nprint('a log line', file=sys.stderr)\n{code}"
    stored = [nbformat.v4.new_output("stream", name="stdout", text="as stored\n")]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, outputs=stored, execution_count=1)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, tmp_path / "book.ipynb")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "book.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert outcome in done.stdout
