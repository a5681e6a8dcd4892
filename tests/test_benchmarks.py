"""What the benchmark scripts compute before they print it."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mammo.core.files import sha256_of
from mammo.data.preprocessing import prepare
from mammo.io import read_mammogram

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch):
    """Loads a script as a module; what it registers is forgotten afterwards."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # they import each other

    def load(name):
        spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_every_script_finds_what_it_imports(name, script):
    assert script(name).__doc__


def test_the_pointing_rate_knows_a_heatmap_on_the_lesion_from_one_beside_it(demo, monkeypatch, script):
    import mammo

    demo_model = script("demo_model")
    model = mammo.build_model(weights=None, image_size=(192, 144), quiet=True)
    lesions = iter(demo[demo["label"] == "malignant"].itertuples())

    def on_the_lesion(model, x):
        row = next(lesions)
        breast = prepare(row.path, x.shape[:2]).breast
        return demo_model.mask_in_input(breast, row, x.shape[:2]).astype(float)

    monkeypatch.setattr(mammo, "grad_cam", on_the_lesion, raising=False)
    hit, near, chance = demo_model.pointing(model, demo)
    assert hit == near == 1
    assert 0 < chance < 0.5
    monkeypatch.setattr(mammo, "grad_cam", lambda model, x: (np.indices(x.shape[:2]).sum(axis=0) == 0) * 1.0)
    assert demo_model.pointing(model, demo)[:2] == (0, 0)


@pytest.mark.parametrize(("x", "expected"), [(200, (1, 1)), (185, (0, 1)), (150, (0, 0))])
def test_heat_is_on_a_circle_near_it_or_elsewhere(x, expected, script):
    """A breast of 300 x 200 pixels, shown at half its size: 16 pixels of the input are 32 here."""
    heatmap, mask = np.zeros((400, 300)), np.zeros((400, 300), bool)
    heatmap[100, 210], mask[:300, 100:] = 1, True
    prediction = SimpleNamespace(
        heatmap=heatmap,
        image_size=(150, 100),
        breast=SimpleNamespace(image=np.zeros((300, 200)), mask=mask),
    )
    lesions = pd.DataFrame({"x": [x, 100], "y": [100, 290], "radius": [10, 1]})
    on, near, chance = script("pointing").pointed(prediction, lesions)
    assert (on, near) == expected
    assert chance == pytest.approx((np.pi * 42**2 + np.pi * 33**2 / 4) / 60_000, rel=0.2)


def test_files_of_an_archive_are_links_or_differ_behind_the_pixels(tmp_path, write_dicom, script):
    path = write_dicom(np.random.default_rng(0).integers(0, 4096, (300, 240), np.uint16), bits=12)
    archive = script("archive").archive
    links = list(archive(path, 3, tmp_path / "links").iterdir())
    assert {link.stat().st_ino for link in links} == {path.stat().st_ino}
    unique = list(archive(path, 3, tmp_path / "unique", unique=True).iterdir())
    assert len({sha256_of(each) for each in (*unique, path)}) == 4
    expected = read_mammogram(path)
    for each in unique:
        np.testing.assert_array_equal(read_mammogram(each).image, expected.image)
        assert read_mammogram(each).warnings == expected.warnings


@pytest.mark.parametrize("job", ["training", "scoring"])
def test_the_jobs_of_the_scaling_script_call_what_there_is(job, script, monkeypatch):
    import mammo

    called = []
    for name in ("load_manifest", "build_model", "train_head", "fine_tune", "score_folder", "load_classifier"):
        signature = inspect.signature(getattr(mammo, name))

        def call(*args, name=name, signature=signature, **options):
            signature.bind(*args, **options)
            called.append(name)

        monkeypatch.setattr(mammo, name, call)
    exec(script("scaling").JOBS[job], {"folder": "folder", "exported": "exported"})
    assert called[-1] == {"training": "fine_tune", "scoring": "score_folder"}[job]


@pytest.mark.training
@pytest.mark.slow
def test_the_script_for_graphics_cards_runs_in_miniature_on_a_processor(script, capsys):
    gpu = script("gpu")
    gpu.main(**gpu.MINIATURE)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| 64 x 64")]
    assert [name.removeprefix("| 64 x 64, ") for name, *_ in rows] == [
        "plain Keras",
        "all stages, float32",
        "last stage, cached, float32",
    ]
    assert all(float(rate) > 0 for _, rate, *_ in rows)
    assert 0 <= float(lines[-1].split(" | ")[1].removesuffix(" |")) <= 1
