"""What the drive or the permissions prevent is said as that; only a decoder's failure is called damage."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from files import stored

import mammo
from mammo.io import grey_levels, image_files
from mammo.io.decoding import decoding, read_bytes
from mammo.io.headers_and_masks import image_size, read_mask, side_and_view


def failing(number, place):
    """`Path.open` of a drive that fails, when the file is opened or when it is read."""
    real = Path.open

    class Broken:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def read(self, *_):
            raise OSError(number, os.strerror(number))

    def opened(self, *arguments, **options):
        if self.name.startswith("film"):
            if place == "open":
                raise OSError(number, os.strerror(number), str(self))
            return Broken(real(self, *arguments, **options))
        return real(self, *arguments, **options)

    return opened


@pytest.mark.parametrize("place", ["open", "read"])
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "may not be read"),
        (errno.EPERM, "may not be read"),
        (errno.EIO, "drive"),
        (errno.ENOTCONN, "Google Drive"),
        (errno.ESTALE, "drive"),
        (errno.ETIMEDOUT, "drive"),
        (errno.EMFILE, "Close other files"),
        (errno.ENOENT, "no such file"),
    ],
)
def test_what_the_operating_system_says_is_no_damage(place, number, said, write_dicom, write_png, monkeypatch):
    paths = [write_dicom(stored(12), "film.dcm", bits=12), write_png(stored(16), "film.png")]
    monkeypatch.setattr(Path, "open", failing(number, place))
    for path in paths:
        for read in (mammo.read_mammogram, image_size, read_mask, side_and_view):
            with pytest.raises(mammo.MammoError, match=said) as refusal:
                read(path)
            assert "damaged" not in str(refusal.value)
            assert path.name in str(refusal.value)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may read everything")
def test_a_file_without_permission(write_png):
    path = write_png(stored(16))
    path.chmod(0)
    with pytest.raises(mammo.MammoError, match="may not be read"):
        mammo.read_mammogram(path)


@pytest.mark.parametrize("path", ["name" * 100, "a\0b"])
def test_paths_that_no_file_can_have(path, tmp_path):
    with pytest.raises(mammo.MammoError, match=r"name|no such file"):
        mammo.read_mammogram(tmp_path / path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.dcm")
    with pytest.raises(mammo.MammoError, match="but a device"):
        mammo.read_mammogram(tmp_path / "pipe.dcm")


@pytest.mark.parametrize("module", [grey_levels, image_files])
def test_an_error_of_our_own_is_not_called_damage(module, write_dicom, write_png, monkeypatch):
    def wrong(*_):
        raise TypeError("a mistake in this package")

    monkeypatch.setattr(module, "scale_to_unit", wrong)
    path = write_dicom(stored(12), bits=12) if module is grey_levels else write_png(stored(16))
    with pytest.raises(TypeError, match="a mistake in this package"):
        mammo.read_mammogram(path)


def test_whatever_a_decoder_raises_is_damage(tmp_path):
    for error in (ValueError("x"), OSError("cut"), OSError(errno.EINVAL, "seek"), AssertionError(), RecursionError()):
        with pytest.raises(mammo.MammoError, match=r"film\.png is damaged, cut off"), decoding(tmp_path / "film.png"):
            raise error


def test_a_drive_that_goes_away_while_a_decoder_reads(tmp_path):
    with pytest.raises(mammo.MammoError, match="the drive or the network"), decoding(tmp_path / "film.png"):
        raise OSError(errno.EIO, "Input/output error")


def test_only_the_beginning_is_read_where_that_is_asked(tmp_path):
    (tmp_path / "film").write_bytes(np.arange(200, dtype=np.uint8).tobytes())
    assert read_bytes(tmp_path / "film", 3) == b"\0\1\2"
    assert len(read_bytes(tmp_path / "film")) == 200
