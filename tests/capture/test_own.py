"""What flaskprof runs inside a request is told from what it only happens to look like."""

from __future__ import annotations

from pathlib import Path

import pytest

import flaskprof
from flaskprof.capture.own import is_own
from flaskprof.profiles.model import Function

PACKAGE = Path(flaskprof.__file__).parent


@pytest.mark.parametrize(
    ("file", "name", "expected"),
    [
        (str(PACKAGE / "middleware.py"), "__call__", True),
        (str(PACKAGE / "metrics" / "visit.py"), "start_response", True),
        (str(PACKAGE / "demo" / "shop.py"), "order", False),
        ("/srv/flaskprof/middleware.py", "__call__", False),
        ("~", "<method 'start_response' of 'flaskprof.metrics._request.Visit' objects>", True),
        ("~", "<built-in method flaskprof.metrics._request.now>", True),
        ("~", "<method 'execute' of 'sqlite3.Cursor' objects>", False),
        ("~", "<built-in method flaskprofile.run>", False),
    ],
)
def test_own_is_what_runs_inside_a_request_in_python_and_in_c(file, name, expected):
    assert is_own(Function(file, 1, name)) is expected
