"""What is decided before TensorFlow is imported."""

import os
import subprocess
import sys

import pytest

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
