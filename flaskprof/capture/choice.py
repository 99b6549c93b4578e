"""Which engine this process has, and why."""

from __future__ import annotations

from flaskprof.capture.engines import Engine
from flaskprof.capture.python_engine import PythonEngine, self_test

__all__ = ["choose_engine"]


def choose_engine() -> tuple[Engine | None, str]:
    """Return the best engine that works here, and why it is not a better one."""
    why_not = self_test()
    return (PythonEngine(), "") if why_not is None else (None, why_not)
