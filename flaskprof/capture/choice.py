"""Which engine this process has, and why it is not a better one."""

from __future__ import annotations

from flaskprof.capture.availability import why_no_calltree
from flaskprof.capture.engines import Engine
from flaskprof.capture.python_engine.engine import PythonEngine, self_test

__all__ = ["choose_engine"]


def choose_engine(wanted: str = "auto", clock: str = "auto") -> tuple[Engine | None, str]:
    """Return the best engine that works here and is `wanted`, and why not a better one.

    `wanted` and `clock` are the settings of those names. Without an engine there are no
    captures, but everything else goes on.
    """
    why_not_c = "" if wanted == "python" else why_no_calltree() or ""
    if wanted != "python" and not why_not_c:
        # Importing it fails where it is not available.
        from flaskprof.capture.calltree import CallTreeEngine  # noqa: PLC0415

        return CallTreeEngine(clock=clock), ""
    if wanted == "calltree":
        return None, f"calltree: {why_not_c}"
    why_not_python = self_test() or ""
    reasons = [
        f"{name}: {why}"
        for name, why in (("calltree", why_not_c), ("python", why_not_python))
        if why
    ]
    return (None if why_not_python else PythonEngine()), "; ".join(reasons)
