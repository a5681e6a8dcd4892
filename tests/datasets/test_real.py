"""The readers on the real data, for whoever has them: MAMMO_DATA names the folder that holds the downloads."""

import os
from importlib import import_module
from pathlib import Path

import pytest

import mammo

DOWNLOADS = {  # name of the reader -> folder in MAMMO_DATA
    "breakhis": "BreaKHis_v1",
    "cbis_ddsm": "CBIS-DDSM",
    "cmmd": "CMMD",
    "ddsm": "DDSM",
    "inbreast": "INbreast Release 1.0",
    "mini_ddsm": "MINI-DDSM-Complete-JPEG-8",
    "mini_mias": "all-mias",
    "rsna": "rsna-breast-cancer-detection",
    "vindr_mammo": "vindr-mammo-1.0.0",
}


ROOTS = {name: Path(os.environ.get("MAMMO_DATA", "")) / folder for name, folder in DOWNLOADS.items()}


def of_data_set(name):
    return pytest.param(name, marks=pytest.mark.skipif(not ROOTS[name].is_dir(), reason="not in $MAMMO_DATA"))


@pytest.mark.parametrize("name", [of_data_set(name) for name in DOWNLOADS])
@pytest.mark.filterwarnings("ignore:.*are not in the manifest")
def test_the_real_data_are_as_published(name):
    root = ROOTS[name]
    reader = import_module(f"mammo.datasets.{name}")
    table = reader.manifest(root)  # raises where a file or a count is not as published
    mammo.check_manifest(table)
    if name != "breakhis":
        assert mammo.read_mammogram(table["path"].iloc[0]).image.ndim == 2
    if hasattr(reader, "lesions"):
        assert set(reader.lesions(root)["path"]) <= set(table["path"]) or name == "ddsm"
