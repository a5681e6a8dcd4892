"""The order of the tests, how they are shared out among processes (pytest-xdist), and what nbval compares."""

import pytest

FIRST_NOTEBOOKS = ("01_", "02_", "03_")  # each uses what the one before it wrote


@pytest.hookimpl(tryfirst=True)  # pytest-xdist then sees the groups
def pytest_collection_modifyitems(config, items):
    for item in items:
        # nbval compares stderr too, where TensorFlow and others write what they like. No promise is made about it.
        skipped = getattr(item.parent, "skip_compare", None)
        if skipped is not None and "stderr" not in skipped:
            item.parent.skip_compare = (*skipped, "stderr")
        item.add_marker(pytest.mark.xdist_group(group_of(item, config)))
    items.sort(key=longest_first)


def group_of(item, config) -> str:
    """What runs in one process and in order: a file, and the first three notebooks together."""
    if item.path.suffix == ".ipynb" and item.path.name.startswith(FIRST_NOTEBOOKS):
        return "notebooks 01 to 03"
    return str(item.path.relative_to(config.rootpath)) if item.path.is_relative_to(config.rootpath) else item.path.name


def longest_first(item) -> int:
    """Notebooks, then what trains, then the rest: so that all processes end at about the same time."""
    return 0 if item.path.suffix == ".ipynb" else 1 if item.get_closest_marker("training") else 2
