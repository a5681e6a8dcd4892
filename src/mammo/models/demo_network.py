"""The demo model as an exported network, written without TensorFlow into the cache folder when it is first needed.

The package ships the graph of the network (`demo_model/graph.onnx`, 150 kB), which says where in a file each weight
is. That file is written from the demo weights; then ONNX Runtime writes the network as it does for `Classifier.export`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mammo.core.cache import cache_folder, errors_of_cache
from mammo.core.errors import MammoError
from mammo.core.files import sha256_of
from mammo.models import network_export
from mammo.models.model_card import read_card
from mammo.models.runtimes import verified_graph
from mammo.models.weights import DEMO, demo_weights

GRAPH, WEIGHTS = "graph.onnx", "weights.bin"


def demo_network() -> tuple[Path, str]:
    """The folder of the demo model's exported network, and the id it is bound to: that of the weights and the graph.

    A network that is missing, damaged or of another version of this package is written again. Raises MammoError where
    ONNX Runtime is missing or the cache cannot be written.
    """
    model_id = f"{read_card(DEMO).model_id} {sha256_of(DEMO / GRAPH)}"
    folder = cache_folder() / "demo_network"
    try:
        verified_graph(folder, model_id)
    except MammoError:
        with errors_of_cache(folder):
            folder.mkdir(exist_ok=True)
            network_export.write_network(_put_together, folder, model_id)
    return folder, model_id


def _put_together(path: Path) -> None:
    path.write_bytes((DEMO / GRAPH).read_bytes())
    with (path.parent / WEIGHTS).open("wb") as file:
        for values in demo_weights().values():
            file.write(np.ascontiguousarray(values, np.float32).tobytes())
