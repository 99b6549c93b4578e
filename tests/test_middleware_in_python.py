"""What the helper in C does for a request is done without it where it was not built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent

WITHOUT_HELPER = """
import sys
sys.modules["flaskprof.metrics._request"] = None
import pytest

class WithoutHelper:
    def pytest_sessionstart(self):
        from flaskprof.metrics import cells, headers, visit
        assert cells.Cells is cells.PythonCells
        assert visit.Visit is visit.PythonVisit
        assert headers.content_length is headers.python_content_length

sys.exit(pytest.main(sys.argv[1:], plugins=[WithoutHelper()]))
"""


def test_the_middleware_keeps_all_its_promises_in_python_alone():
    arguments = ["-q", "-p", "no:cacheprovider", str(TESTS / "test_middleware.py")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HELPER, *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
