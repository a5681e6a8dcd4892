import hashlib
import os
import time

import numpy as np
import pytest

from mammo.core.files import LEFT_AFTER_S, MACHINE, is_abandoned, list_files, sha256_of, write_arrays, write_atomically

NOBODY = 2**22 + 1  # no process has this number


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    def fails_halfway(path):
        assert path.parent == tmp_path
        path.write_bytes(b"half")
        assert not (tmp_path / "file").exists(), "it is not there before it is whole"
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_atomically(tmp_path / "file", fails_halfway)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "new" / "file"
    write_atomically(path, lambda part: part.write_text("first"))
    write_atomically(path, lambda part: part.write_text("second"))
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, lambda part: part.write_text(str(1 / 0)))
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "age", "expected"),
    [
        (f"a.png.{MACHINE}-{NOBODY}-00000000.partial", 0, True),
        (f"a.png.{MACHINE}-{os.getpid()}-00000000.partial", 2 * LEFT_AFTER_S, False),
        ("a.png.00000000-1-00000000.partial", 0, False),  # of another machine: nobody here knows its process
        ("a.png.00000000-1-00000000.partial", LEFT_AFTER_S + 60, True),
        ("a.png", 2 * LEFT_AFTER_S, False),
    ],
    ids=["its process is gone", "its process lives", "elsewhere and young", "elsewhere and old", "no part"],
)
def test_a_part_is_abandoned_when_its_process_is_gone(tmp_path, name, age, expected):
    path = tmp_path / name
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    assert is_abandoned(path) == expected
    path.unlink()
    assert not is_abandoned(tmp_path / "gone.partial")


def test_the_name_of_a_part_tells_its_process(tmp_path):
    seen = []
    write_atomically(tmp_path / "file", lambda part: seen.append(part) or part.touch())
    assert not is_abandoned(seen[0])
    assert seen[0].name.startswith(f"file.{MACHINE}-{os.getpid()}-")


def test_arrays_and_checksums(tmp_path):
    write_arrays(tmp_path / "x.npz", {"a": np.arange(3), "b": np.eye(2)})
    with np.load(tmp_path / "x.npz") as stored:
        np.testing.assert_array_equal(stored["a"], np.arange(3))
        np.testing.assert_array_equal(stored["b"], np.eye(2))
    content = bytes(range(256)) * 9000  # more than one block
    (tmp_path / "large").write_bytes(content)
    assert sha256_of(tmp_path / "large") == hashlib.sha256(content).hexdigest()


def test_files_that_nobody_means_are_not_listed(tmp_path):
    for name in ("b/2.png", "a/1.dcm", ".hidden", "DICOMDIR", "a/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_files(tmp_path) == [tmp_path / "a/1.dcm", tmp_path / "b/2.png"]
