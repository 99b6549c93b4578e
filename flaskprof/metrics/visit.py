"""The clocks of one request, which is counted among those that are being answered.

`Visit` is written in C where that was built, `PythonVisit` does the same. Either is made to be
the base of a class that knows more of a request.
"""

from __future__ import annotations

from threading import get_ident
from time import perf_counter_ns, thread_time_ns
from typing import TypeAlias

from flaskprof.metrics.cells import PythonCells

__all__ = ["Measured", "PythonVisit", "Visit"]

# When it ended, by the clock of ``perf_counter``; how long it took; and how much of the
# processor's time, None where that is not known. All in nanoseconds.
Measured: TypeAlias = tuple[int, int, int | None]


class PythonVisit:
    """A request from `start` to `stop`.

    `entered_ns` is when we were called, by the clock of ``perf_counter``, and `started_ns`
    when the application is.
    """

    __slots__ = (
        "_active",
        "_cells",
        "_thread",
        "_thread_started_ns",
        "entered_ns",
        "started_ns",
    )

    def __init__(self) -> None:
        self._cells: PythonCells | None = None

    def start(
        self,
        cells: PythonCells,
        active: int,
        entered_ns: int,
        with_cpu: bool,  # noqa: FBT001  by position, as in C
        /,
    ) -> None:
        """Count it in the word `active` of `cells` until it is stopped, and start its clocks.

        It is started once.
        """
        if self._cells is not None:
            raise RuntimeError("it was started before")
        cells.add(active, 1)
        self._cells = cells
        self._active = active
        self.entered_ns = entered_ns
        self._thread = 0
        if with_cpu:
            self._thread = get_ident()
            self._thread_started_ns = thread_time_ns()
        self.started_ns = perf_counter_ns()

    @property
    def is_over(self) -> bool:
        """Whether it was stopped, or not started."""
        return self._cells is None

    def stop(self) -> Measured | None:
        """Count it out and return what was measured; None if it was stopped before.

        Processor time is that of one thread, and not known if the end comes in another.
        """
        ended = perf_counter_ns()
        cells = self._cells
        if cells is None:
            return None
        self._cells = None
        cells.add(self._active, -1)
        spent_ns = None
        if self._thread and self._thread == get_ident():
            spent_ns = thread_time_ns() - self._thread_started_ns
        return ended, ended - self.started_ns, spent_ns


try:
    from flaskprof.metrics._request import Visit
except ImportError:  # no compiler was there
    Visit = PythonVisit  # type: ignore[assignment,misc]  # the same face
