"""The network of the demo model that is put together from the graph and the weights of the package."""

import numpy as np
import pytest

import mammo
from mammo.data.image_loader import load_images
from mammo.models import demo_network, runtimes
from mammo.models.demo_network import GRAPH
from mammo.models.weights import DEMO

pytestmark = pytest.mark.training

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    monkeypatch.setenv("MAMMO_CACHE", str(cache))


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_it_computes_what_keras_computes(demo):
    fast, exact = mammo.load_classifier(runtime="onnx"), mammo.load_classifier(runtime="keras")
    assert fast.card == exact.card
    x = load_images(demo.head(4), fast.image_size)
    found, expected = fast.run(x), exact.run(x)
    for name in ("probabilities", "evidence", "texture", "content"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-3, atol=1e-4)
    assert np.ptp(found.probabilities[:, 1]) > 0.01, "or they would agree on nothing"


def test_it_is_written_once_and_again_where_it_is_damaged_or_of_another_version(cache, monkeypatch):
    folder, model_id = demo_network.demo_network()
    assert folder.parent == cache
    first = times(folder)
    assert first.keys() == {*runtimes.FILES, "network.json"}
    assert demo_network.demo_network() == (folder, model_id)
    assert times(folder) == first
    with (folder / "network.bin").open("r+b") as file:
        file.seek(10**6)
        file.write(b"damaged")
    demo_network.demo_network()
    second = times(folder)
    assert all(second[name] > first[name] for name in first)
    monkeypatch.setattr(demo_network, "sha256_of", lambda path: "of another graph")
    assert demo_network.demo_network() == (folder, f"{model_id.split()[0]} of another graph")
    assert all(times(folder)[name] > second[name] for name in second)


def test_the_shipped_graph_is_small():
    assert (DEMO / GRAPH).stat().st_size < 1e6
