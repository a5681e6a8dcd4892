import numpy as np
import pytest

import mammo
from mammo.models import weights

RNG = np.random.default_rng(0)
ARRAYS = {
    "conv:0": RNG.normal(size=(3, 3, 8, 16)).astype(np.float32) * np.geomspace(0.001, 10, 16, dtype=np.float32),
    "conv:1": RNG.normal(size=16).astype(np.float32),
    "zero:0": np.zeros((4, 5), np.float32),
}


def test_int8_weights_are_within_half_a_step_in_every_channel(tmp_path):
    sha256 = weights.write_int8(tmp_path / "w.npz", ARRAYS)
    restored = weights.read_int8(tmp_path / "w.npz", sha256)
    assert set(restored) == set(ARRAYS)
    step = np.abs(ARRAYS["conv:0"]).max(axis=(0, 1, 2)) / weights.STEPS
    assert (np.abs(restored["conv:0"] - ARRAYS["conv:0"]) <= 0.51 * step).all()
    np.testing.assert_array_equal(restored["conv:1"], ARRAYS["conv:1"])
    np.testing.assert_array_equal(restored["zero:0"], ARRAYS["zero:0"])
    assert all(array.dtype == np.float32 for array in restored.values())
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]


def test_int8_weights_take_a_quarter_of_the_size(tmp_path):
    weights.write_int8(tmp_path / "w.npz", {"k:0": RNG.normal(size=(512, 512)).astype(np.float32)})
    assert (tmp_path / "w.npz").stat().st_size < 512 * 512 * 1.05


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?")]
)
def test_a_damaged_file_is_refused(tmp_path, damage):
    sha256 = weights.write_int8(tmp_path / "w.npz", ARRAYS)
    damage(tmp_path / "w.npz")
    with pytest.raises(mammo.MammoError, match="checksum"):
        weights.read_int8(tmp_path / "w.npz", sha256)
