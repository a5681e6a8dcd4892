import errno
import os
from pathlib import Path

import keras
import numpy as np
import pytest

import mammo
from mammo.core.files import MACHINE
from mammo.training import feature_cache
from mammo.training.feature_cache import FeatureCache, make_room


class Source:
    """Eight inputs, and a record of which were asked for."""

    keys = tuple(f"image {number}" for number in range(8))

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 8

    def __getitem__(self, items):
        self.asked.extend(items)
        return np.asarray(items, np.float32)[:, None] * np.ones((1, 3), np.float32)


def network(factor=0.5):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, use_bias=False, kernel_initializer="ones")])
    net.layers[0].set_weights([np.full((3, 4), factor, np.float32)])
    return net


class LargeInputs(Source):
    """Eight inputs of 1,024 x 1,024 pixels."""

    def __getitem__(self, items):
        return super().__getitem__(items)[:, :1, None, None] * np.ones((1, 1024, 1024, 1), np.float32)


def test_few_large_inputs_are_computed_at_a_time(tmp_path, monkeypatch):
    net = keras.Sequential([keras.Input((1024, 1024, 1)), keras.layers.GlobalAveragePooling2D()])
    predict, sizes = net.predict_on_batch, []
    monkeypatch.setattr(net, "predict_on_batch", lambda values: sizes.append(len(values)) or predict(values))
    data = FeatureCache(net, LargeInputs(), tmp_path)
    data.compute("test")
    assert sizes == [4, 4]
    for path in data.paths:
        path.unlink()
    np.testing.assert_allclose(data[range(8)], np.arange(8)[:, None], rtol=1e-3)
    assert sizes == [4, 4, 4, 4]


EXPECTED = np.arange(8)[:, None] * 1.5 * np.ones((1, 4))


def test_what_is_there_is_not_computed_again(tmp_path):
    first, second = Source(), Source()
    data = FeatureCache(network(), first, tmp_path)
    data.compute("test")
    np.testing.assert_array_equal(data[range(8)], EXPECTED)
    assert first.asked == [*range(8)]
    again = FeatureCache(network(), second, tmp_path)
    again.compute("test")
    np.testing.assert_array_equal(again[[5, 2, 5]], EXPECTED[[5, 2, 5]])
    assert second.asked == []
    assert again[[1]].dtype == np.float32


def test_interrupted_work_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, "BATCH", 2)
    inner, calls = feature_cache.write_atomically, []

    def interrupted(path, write):
        calls.append(path)
        if len(calls) == 4:
            raise KeyboardInterrupt
        inner(path, write)

    monkeypatch.setattr(feature_cache, "write_atomically", interrupted)
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(network(), Source(), tmp_path).compute("test")
    source = Source()
    data = FeatureCache(network(), source, tmp_path)
    data.compute("test")
    assert source.asked == [3, 4, 5, 6, 7]
    np.testing.assert_array_equal(data[range(8)], EXPECTED)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:1] + b"x" + data[2:]])
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    data = FeatureCache(network(), Source(), tmp_path)
    data.compute("test")
    path = data._path(3)
    path.write_bytes(damage(path.read_bytes()))
    np.testing.assert_array_equal(data[range(8)], EXPECTED)
    source = Source()
    np.testing.assert_array_equal(FeatureCache(network(), source, tmp_path)[range(8)], EXPECTED)
    assert source.asked == []


def test_other_weights_number_formats_and_inputs_have_other_names(tmp_path):
    names = set(FeatureCache(network(), Source(), tmp_path).keys)
    other = Source()
    other.keys = tuple(f"picture {number}" for number in range(8))
    assert not names & set(FeatureCache(network(0.25), Source(), tmp_path).keys)
    assert not names & set(FeatureCache(network(), other, tmp_path).keys)
    half = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, use_bias=False, dtype="mixed_bfloat16")])
    half.layers[0].set_weights(network().layers[0].get_weights())
    assert not names & set(FeatureCache(half, Source(), tmp_path).keys)
    assert names == set(FeatureCache(network(), Source(), tmp_path / "elsewhere").keys)


def test_another_setting_of_a_layer_is_another_network():
    """Without weights of its own, a layer's setting is all that tells."""
    once, twice = (keras.Sequential([keras.Input((4,)), keras.layers.Rescaling(scale)]) for scale in (1.0, 2.0))
    again = keras.Sequential([keras.Input((4,)), keras.layers.Rescaling(1.0)])
    assert feature_cache.model_digest(once) == feature_cache.model_digest(again) != feature_cache.model_digest(twice)


def test_what_does_not_fit_is_said_and_computed_on_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MAMMO_CACHE_GB", str(40 / 1e9))
    source = Source()
    data = FeatureCache(network(), source, tmp_path)
    assert "more than there is room for" in capsys.readouterr().out
    data.compute("test")
    assert source.asked == []
    np.testing.assert_array_equal(data[[1, 2]], EXPECTED[[1, 2]])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_was_not_used_for_longest_goes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_CACHE_GB", str((2.5 * 8 * 12 + 1) / 1e9))  # two and a half times what one network needs
    old, newer = FeatureCache(network(1), Source(), tmp_path), FeatureCache(network(2), Source(), tmp_path)
    for data in (old, newer):
        data.compute("test")
    for place, path in enumerate(sorted(newer.paths)):
        os.utime(path, (place, place))
    FeatureCache(network(1), Source(), tmp_path)  # used again, so the other one is older now
    FeatureCache(network(3), Source(), tmp_path).compute("test")
    assert all(path.is_file() for path in old.paths)
    assert [path.is_file() for path in sorted(newer.paths)] == [False] * 4 + [True] * 4
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 2.5 * 8 * 12


def test_a_source_is_not_thrown_out_for_what_is_made_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_CACHE_GB", str(1.5 * 8 * 12 / 1e9))
    source = FeatureCache(network(), Source(), tmp_path)
    source.compute("test")
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    assert not FeatureCache(net, source, tmp_path).kept
    assert all(path.is_file() for path in source.paths)


def test_a_gigabyte_of_the_disk_stays_free(tmp_path, monkeypatch):
    usage = feature_cache.shutil.disk_usage(tmp_path)._replace(free=feature_cache.LEFT_FREE + 100)
    monkeypatch.setattr(feature_cache.shutil, "disk_usage", lambda folder: usage)
    assert make_room(tmp_path, 100, set())
    assert not make_room(tmp_path, 101, set())


def test_what_is_not_its_own_is_never_deleted(tmp_path, monkeypatch):
    film, left, old, now = (
        tmp_path / "all-mias" / "mdb001.pgm",
        tmp_path / "00" / f"{'0' * 64}.{MACHINE}-{2**22 + 1}-00000000.partial",  # no process has that number
        tmp_path / "11" / f"{'1' * 64}.00000000-1-00000000.partial",  # of another machine
        tmp_path / "22" / f"{'2' * 64}.{MACHINE}-{os.getpid()}-00000000.partial",
    )
    for path in (film, left, old, now):
        path.parent.mkdir()
        path.write_bytes(bytes(1000))
    monkeypatch.setenv("MAMMO_CACHE_GB", str(100 / 1e9))
    assert make_room(tmp_path, 100, set())
    assert [path.is_file() for path in (film, left, old, now)] == [True, False, True, True]
    os.utime(old, (0, 0))
    assert make_room(tmp_path, 100, set())
    assert [path.is_file() for path in (film, left, old, now)] == [True, False, False, True]


def test_another_process_may_make_room_at_the_same_time(tmp_path, monkeypatch):
    """What it deletes between two looks at it is computed again."""
    data, utime = FeatureCache(network(), Source(), tmp_path), os.utime
    data.compute("test")
    file = sorted(data.paths)[0]

    def deleted(path, *given):
        path.unlink()
        return utime(path, *given)

    monkeypatch.setattr(feature_cache.os, "utime", deleted)
    again = FeatureCache(network(), Source(), tmp_path)
    monkeypatch.setattr(feature_cache.os, "utime", utime)
    assert not file.is_file()
    assert make_room(tmp_path, 100, {file}), "what is to be kept may be gone"
    np.testing.assert_array_equal(again[range(8)], EXPECTED)


def test_what_cannot_be_deleted_stays_and_is_counted(tmp_path, monkeypatch):
    """Somebody else's file must not end a training."""
    monkeypatch.setenv("MAMMO_CACHE_GB", str(1.5 * 8 * 12 / 1e9))
    data = FeatureCache(network(), Source(), tmp_path)
    data.compute("test")

    def refused(path, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    assert not make_room(tmp_path, 100, set())
    assert make_room(tmp_path, 1, set())
    assert all(path.is_file() for path in data.paths)


@pytest.mark.parametrize("limit", ["10GB", "nan", "-1"])
def test_a_limit_that_is_no_number_is_refused(tmp_path, monkeypatch, limit):
    monkeypatch.setenv("MAMMO_CACHE_GB", limit)
    with pytest.raises(mammo.MammoError, match="a number of gigabytes"):
        make_room(tmp_path, 100, set())


def test_values_beyond_its_numbers_are_refused(tmp_path):
    with pytest.raises(mammo.MammoError, match="Choose other weights"):
        FeatureCache(network(1e5), Source(), tmp_path).compute("test")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(path, write):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(feature_cache, "write_atomically", full)
    with pytest.raises(mammo.MammoError, match=r"No space left.*\$MAMMO_CACHE"):
        FeatureCache(network(), Source(), tmp_path).compute("test")


def test_what_can_neither_be_read_nor_marked_is_computed_again(tmp_path, monkeypatch):
    data = FeatureCache(network(), Source(), tmp_path)
    data.compute("test")
    path = data._path(3)

    def broken(self):
        if self == path:
            raise OSError(errno.EIO, "Input/output error")
        return self.open("rb").read()

    monkeypatch.setattr(feature_cache.Path, "read_bytes", broken)
    monkeypatch.setattr(
        feature_cache.os, "utime", lambda path: (_ for _ in ()).throw(OSError(errno.EROFS, "read-only"))
    )
    source = Source()
    np.testing.assert_array_equal(FeatureCache(network(), source, tmp_path)[range(8)], EXPECTED)
    assert source.asked == [3]
