"""What is decided before TensorFlow is imported."""

import json
import os
import subprocess
import sys

import pytest

import mammo

SAYS = """
import mammo.core.backend
from tensorflow.python.util import _pywrap_util_port as built
print(built.IsMklEnabled())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="TensorFlow is built with oneDNN for Linux and Windows only")
@pytest.mark.parametrize(("given", "expected"), [({}, "True"), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "False")])
def test_convolutions_are_the_fast_ones_unless_told_otherwise(given, expected):
    others = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    asked = subprocess.run([sys.executable, "-c", SAYS], env=others | given, capture_output=True, text=True, check=True)
    assert asked.stdout.split()[-1] == expected


@pytest.mark.parametrize(
    ("settings", "environment", "reason"),
    [
        ({"image_data_format": "channels_first"}, {}, "image_data_format is channels_first"),
        ({"floatx": "float16"}, {}, "floatx is float16"),
        ({"backend": "theano"}, {}, "theano"),
        ({}, {"KERAS_BACKEND": "theano"}, "theano"),
    ],
)
def test_other_settings_of_keras_are_refused_in_one_sentence(tmp_path, settings, environment, reason):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    given = os.environ | {"KERAS_HOME": str(tmp_path)} | environment
    asked = subprocess.run(
        [sys.executable, "-c", "import mammo.core.backend"], env=given, capture_output=True, text=True
    )
    last = asked.stderr.splitlines()[-1]
    assert last.startswith("mammo.core.errors.MammoError: Keras is set up in a way that these models cannot use")
    assert reason in last
    assert "keras.json" in last


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [([(7, 5)], "float16"), ([(8, 0)], "bfloat16"), ([(8, 9), (7, 5)], "float16"), ([(6, 1)], "float32")],
)
def test_the_graphics_card_decides_the_precision(monkeypatch, capabilities, precision):
    """A T4 has 7.5, an A100 8.0, a P100 6.1."""
    from mammo.core.backend import native_precision, tf

    monkeypatch.delenv("MAMMO_PRECISION", raising=False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: capabilities)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda card: {"compute_capability": card})
    assert native_precision() == precision


def test_a_precision_that_there_is_not_is_refused(monkeypatch):
    from mammo.core.backend import native_precision

    monkeypatch.setenv("MAMMO_PRECISION", "fp16")
    with pytest.raises(mammo.MammoError, match="precision is one of float32, bfloat16, float16, not 'fp16'"):
        native_precision()
    monkeypatch.setenv("MAMMO_PRECISION", "float16")
    assert native_precision() == "float16"
