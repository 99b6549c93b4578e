"""The ``Server-Timing`` header: where the time of a response went, for the browser's own tools.

It holds what is known when the headers go out; see https://www.w3.org/TR/server-timing/.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import get_ident
from time import perf_counter_ns, thread_time_ns

__all__ = ["HEADER", "Timing"]

HEADER = "Server-Timing"

_DESCRIPTIONS = {
    "total": "until the headers",
    "cpu": "processor time",
    "db": "database",
    "template": "templates",
    "view": "view function",
}


class Timing:
    """Begins with a request; `header` says what it took so far."""

    __slots__ = ("_cpu_ns", "_started_ns", "_thread")

    def __init__(self, *, measures_cpu: bool) -> None:
        self._thread = get_ident() if measures_cpu else 0
        self._cpu_ns = thread_time_ns() if measures_cpu else 0
        self._started_ns = perf_counter_ns()

    def header(self, parts_ns: Mapping[str, int | None]) -> str:
        """Return the value of the header; of `parts_ns` what is None is left out."""
        measured = {
            "total": perf_counter_ns() - self._started_ns,
            "cpu": self._cpu(),
            **parts_ns,
        }
        return ", ".join(
            f'{name};dur={spent_ns / 1e6:.3f};desc="{_DESCRIPTIONS[name]}"'
            for name, spent_ns in measured.items()
            if spent_ns is not None
        )

    def _cpu(self) -> int | None:
        return thread_time_ns() - self._cpu_ns if self._thread == get_ident() else None
