"""The package as it is installed: what the wheel holds, and what installing it changes in Colab."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built without a network from a copy: building leaves files behind."""
    pytest.importorskip("setuptools", minversion="77")
    source, folder = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    shutil.copytree(TOP / "src/mammo", source / "src/mammo", ignore=shutil.ignore_patterns("__pycache__"))
    for path in TOP.glob("*.*"):
        if path.is_file():
            shutil.copy(path, source)
    shutil.copy(TOP / "LICENSE", source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "wheel", ".", *options, "-w", str(folder), cwd=source)
    (path,) = folder.glob("mammo-*.whl")
    return path


def test_the_wheel_holds_tables_demo_model_and_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("datasets/tables", "models/demo_model"):
        there = {f"mammo/{folder}/{path.name}" for path in (TOP / "src/mammo" / folder).iterdir()}
        assert len(there) > 3
        assert there <= names
    assert {"mammo/__init__.pyi", "mammo/py.typed", "mammo/models/checklists.csv"} <= names
    assert [name for name in names if name.endswith("dist-info/licenses/LICENSE")]
    assert not [name for name in names if name.startswith(("tests", "notebooks"))]


def test_the_wheel_works_without_the_extra(wheel, tmp_path):
    """In an environment of its own, with the dependencies of this one but what downloads need."""
    run(sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv"))
    python = str(tmp_path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(own)
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    code = """
import sys
sys.modules["idc_index_data"] = None
import mammo
from mammo.datasets import cbis_ddsm, cmmd
print(mammo.__file__, mammo.__version__, len(cmmd._breasts(__import__("pathlib").Path("nowhere"))))
print(mammo.load_classifier().card.sources)
for download in (cmmd.download, cbis_ddsm.download):
    try:
        download("data", max_gb=1)
    except mammo.MammoError as error:
        print(error)
"""
    lines = run(python, "-c", code, cwd=tmp_path).splitlines()
    assert lines[0].startswith(str(own))
    assert lines[0].split()[-1] == "1872"
    assert lines[1] == "('synthetic',)"
    assert [line.startswith("The package idc_index_data is missing. Install") for line in lines[2:]] == [True, True]
    assert not (tmp_path / "data").exists()


@pytest.mark.network
def test_installing_the_package_keeps_the_versions_of_colab(tmp_path):
    """pip finds versions of all that the package and its extra need beside Colab's, which stay as they are."""
    lines = (TOP / "requirements-colab.txt").read_text().splitlines()
    versions = dict(line.split("==") for line in lines if not line.startswith("#"))
    report = tmp_path / "report.json"
    packages = [f"{name}=={version}" for name, version in versions.items()]
    options = ["--dry-run", "--ignore-installed", "--quiet", "--report", str(report)]
    run(sys.executable, "-m", "pip", "install", *options, f"{TOP}[download]", *packages)
    found = {
        entry["metadata"]["name"].lower().replace("_", "-"): entry["metadata"]["version"]
        for entry in json.loads(report.read_text())["install"]
    }
    assert {name: found.get(name) for name in versions} == versions
    assert "idc-index-data" in found
