"""What the tests of all readers share."""

import pytest


@pytest.fixture
def leave_junk():
    """Puts beside every file below a folder what operating systems, file managers and notebooks leave there."""

    def leave(root):
        for path in [path for path in root.rglob("*") if path.is_file()]:
            for place in ("", ".ipynb_checkpoints", "__MACOSX", "@eaDir", ".Trash-0/files", ".git"):
                folder = path.parent / place
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"._{path.name}").write_bytes(b"\0\5\x16\7" + bytes(4092))
                if place:
                    (folder / path.name).write_bytes(b"thumbnail")
            for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
                (path.parent / name).touch()

    return leave
