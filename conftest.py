"""The order of the tests, how `pytest -n 2` shares them out among processes, what nbval compares, what may be skipped.

A test that lacks a package or a program skips itself, by `pytest.importorskip` or `pytest.skip`. With MAMMO_NO_SKIPS,
which the Makefile sets for the environments that it installs, it fails instead. What nobody can install, such as
another operating system or real data, is a `pytest.mark.skipif`, and is always skipped.
"""

import os

import pytest

FIRST_NOTEBOOKS = ("notebooks/01_", "notebooks/02_", "notebooks/03_")  # each uses what the one before it wrote


def pytest_collection_modifyitems(items):
    for item in items:
        # nbval compares stderr too, where TensorFlow and others write what they like. No promise is made about it.
        skipped = getattr(item.parent, "skip_compare", None)
        if skipped is not None and "stderr" not in skipped:
            item.parent.skip_compare = (*skipped, "stderr")
    # Notebooks, then files that train, then the rest: so that all processes end at about the same time.
    training = {item.path for item in items if item.get_closest_marker("training")}
    items.sort(key=lambda item: (item.path.suffix != ".ipynb", item.path not in training))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return not_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    return report if any(item.iter_markers("skipif")) else not_skipped(report)


def not_skipped(report):
    """The report; with MAMMO_NO_SKIPS a failure where it was skipped for something that is not installed."""
    if os.environ.get("MAMMO_NO_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr[2]}. With MAMMO_NO_SKIPS this is a failure: install what is missing."
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Files go to the next free process, one after the other; the first three notebooks go to the same one, in order.

    pytest-xdist has marks for that (--dist loadgroup), which pytest 9.2 does not hand over to its version 3.8.
    """
    from xdist.scheduler import LoadFileScheduling

    class InGroups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "notebooks 01 to 03" if nodeid.startswith(FIRST_NOTEBOOKS) else super()._split_scope(nodeid)

    config.option.loadscopereorder = False  # it would begin with the files that hold the most tests
    return InGroups(config, log)
