"""Whether a test that lacks something is skipped or fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WHOLE_MODULE = """
import pytest
pytest.importorskip("no_such_package")
def test():
    pass
"""
ONE_TEST = """
import pytest
def test():
    pytest.importorskip("no_such_package")
"""
IN_A_FIXTURE = """
import pytest
@pytest.fixture
def browser():
    pytest.skip("there is no browser")
def test(browser):
    pass
"""
ANOTHER_SYSTEM = """
import pytest
@pytest.mark.skipif(True, reason="on another system")
def test():
    pass
"""
EXPECTED_TO_FAIL = """
import pytest
@pytest.mark.xfail(reason="not yet")
def test():
    assert False
"""


SOURCES = {
    "whole_module": (WHOLE_MODULE, "no_such_package"),
    "one_test": (ONE_TEST, "no_such_package"),
    "in_a_fixture": (IN_A_FIXTURE, "there is no browser"),
    "another_system": (ANOTHER_SYSTEM, None),
    "expected_to_fail": (EXPECTED_TO_FAIL, None),
}


@pytest.mark.parametrize(
    ("setting", "processes", "failures", "others"),
    [
        ("", "0", [], ["4 skipped", "1 xfailed"]),
        ("1", "0", ["whole_module", "one_test", "in_a_fixture"], ["1 failed", "1 skipped", "1 xfailed", "2 errors"]),
        ("1", "1", ["whole_module", "one_test", "in_a_fixture"], ["1 failed", "1 skipped", "1 xfailed", "2 errors"]),
    ],
)
def test_what_is_missing_is_skipped_or_a_failure(setting, processes, failures, others, tmp_path):
    for name, (source, _) in SOURCES.items():
        (tmp_path / f"test_{name}.py").write_text(source)
    shutil.copy(ROOT / "conftest.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-n", processes, "--continue-on-collection-errors"]
    environment = os.environ | {"MAMMO_NO_SKIPS": setting, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    *details, counts = done.stdout.splitlines()
    for count in others:
        assert count in counts
    assert (done.returncode == 0) == (not failures)
    for name in failures:
        assert any(line.startswith(("FAILED", "ERROR")) and f"test_{name}.py" in line for line in details)
        reason = SOURCES[name][1]
        assert any(reason in line and "install what is missing" in line for line in details)


def test_the_makefile_allows_no_skips_where_it_installs_what_the_tests_need():
    makefile = (ROOT / "Makefile").read_text()
    assert "export MAMMO_NO_SKIPS := 1" in makefile
