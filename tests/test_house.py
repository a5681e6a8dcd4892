"""The rules of the house: who may import whom, and how a notebook is written."""

import ast
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import mammo

ROOT = Path(__file__).parents[1]
PACKAGE = Path(mammo.__file__).parent
FLOORS = {
    "errors": 1,
    "storage": 1,
    "plots": 2,
    "delong": 1,
    "reporting": 1,
    "card": 2,
    "quantised": 3,
    "backend": 2,
    "manifest": 2,
    "reading": 2,
    "model": 4,
    "network": 5,
    "decision": 3,
    "measures": 4,
    "evaluation": 5,
    "fingerprint": 4,
    "comparison": 6,
    "groups": 6,
    "synthetic": 3,
    "datasets": 3,
    "preprocessing": 3,
    "inputs": 4,
    "cache": 5,
    "stages": 5,
    "samples": 4,
    "explanation": 6,
    "familiar": 6,
    "prediction": 7,
    "scoring": 8,
    "training": 8,
    "pretraining": 8,
    "notebook": 8,
    "distributed": 9,
    "radiomics": 1,
    "folds": 6,
    "rows": 7,
    "cells": 7,
    "transfer": 9,
    "benchmark": 10,
}
WITHOUT_TENSORFLOW = {
    "measures",
    "radiomics",
    "folds",
    "rows",
    "cells",
    "errors",
    "plots",
    "manifest",
    "reading",
    "preprocessing",
    "inputs",
    "cache",
    "synthetic",
    "datasets",
    "decision",
    "evaluation",
    "delong",
    "comparison",
    "groups",
    "fingerprint",
    "reporting",
}
HOME = {
    "matplotlib": {"plots"},
    "IPython": {"notebook"},
    "ipywidgets": {"notebook"},
    "google": {"notebook"},
    "pydicom": {"reading", "synthetic"},
    "imagecodecs": {"reading"},
    "onnxruntime": {"network"},
    "openvino": {"network"},
    "tf2onnx": {"network"},
    "ray": {"distributed"},
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports hide the direction"
            names = [f"mammo.{alias.name}" for alias in node.names] if node.module == "mammo" else [node.module]
            yield from names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_floors_below_its_own(path):
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "mammo" and len(parts) > 1 and parts[1] != room(path):
            assert FLOORS[parts[1]] < FLOORS[room(path)], f"{room(path)} imports {parts[1]}"
        assert room(path) in HOME.get(parts[0], {room(path)}), f"{parts[0]} does not live in {room(path)}"
        if parts[0] in ("tensorflow", "keras") or name.startswith("mammo.backend"):
            assert room(path) not in WITHOUT_TENSORFLOW


def test_every_room_is_on_a_floor():
    assert {room(path) for path in MODULES} == set(FLOORS)


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
    assert "What this is not for" in source(words[1])
    for cell in code:
        assert not cell["outputs"] or "NBVAL_CHECK_OUTPUT" in source(cell)
        assert bool(cell["outputs"]) == ("NBVAL_CHECK_OUTPUT" in source(cell))
    metadata = json.loads(path.read_text())["metadata"]
    assert "widgets" not in metadata
    assert metadata["kernelspec"]["name"] == "python3"


def test_the_set_up_cell_is_the_same_everywhere():
    assert len({source(cells(path, "code")[0]) for path in NOTEBOOKS}) == 1
    assert len(NOTEBOOKS) >= 3


def test_every_public_name_is_there():
    for name in mammo.__all__:
        assert getattr(mammo, name).__doc__ or name == "CLASS_NAMES"
    with pytest.raises(AttributeError):
        mammo.nonsense  # noqa: B018


@pytest.mark.parametrize(("code", "outcome"), [("print('as stored')", "1 passed"), ("print('changed')", "1 failed")])
def test_stored_outputs_are_compared_and_stderr_is_not(code, outcome, tmp_path):
    import nbformat

    source = f"# NBVAL_CHECK_OUTPUT\nimport sys\nprint('a log line', file=sys.stderr)\n{code}"
    stored = [nbformat.v4.new_output("stream", name="stdout", text="as stored\n")]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, outputs=stored, execution_count=1)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, tmp_path / "book.ipynb")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "conftest", "book.ipynb"]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert outcome in done.stdout
