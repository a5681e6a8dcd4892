import pytest

import mammo
from mammo.core.cache import cache_folder


@pytest.mark.parametrize("where", ["home", "MAMMO_CACHE", "given"])
def test_a_cache_that_cannot_be_made_is_said(tmp_path, monkeypatch, where):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.delenv("MAMMO_CACHE")
    if where == "home":
        monkeypatch.setenv("HOME", str(tmp_path / "file"))
    if where == "MAMMO_CACHE":
        monkeypatch.setenv("MAMMO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(mammo.MammoError, match=r"cannot be written \(Not a directory\).*\$MAMMO_CACHE"):
        cache_folder(tmp_path / "file" / "cache" if where == "given" else None)


def test_an_account_without_a_home_is_told_what_to_set(monkeypatch):
    monkeypatch.delenv("MAMMO_CACHE")
    monkeypatch.setattr("os.path.expanduser", str)  # which leaves the path as it is then
    with pytest.raises(mammo.MammoError, match=r"no home folder.*\$MAMMO_CACHE"):
        cache_folder()


def test_the_home_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAMMO_CACHE", "~/films")
    assert cache_folder() == tmp_path / "films"
