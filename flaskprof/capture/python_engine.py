"""The engine in Python: exact call graphs, one thread at a time, from the standard library.

Up to Python 3.11 a `cProfile` profiler belongs to the thread that enabled it, so it is used
as it is. From 3.12 on it is process-wide: it records every thread, and a second one cannot
be enabled. There the profile function of the thread (`sys.setprofile`) drives the
callbacks of an `_lsprof.Profiler` that is never enabled itself; they are the same C
functions that an enabled one registers with `sys.monitoring`, so calls and times are
attributed just as cProfile attributes them.

The callbacks are private. `self_test` proves at start that they do what is expected of
them, so that an interpreter which changed them has no engine rather than a wrong one.
"""

from __future__ import annotations

import cProfile
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from flaskprof.capture.engines import EngineBusyError, Recording
from flaskprof.capture.own import is_own
from flaskprof.profiles.hide import without
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums

__all__ = ["PythonEngine", "self_test"]

_BUSY = "another profiler is active on this thread"
_STRANGER = "another profiler took over during the request: calls after that are missing"
_SWITCHED_OFF = "the profiler was switched off during the request: calls after that are missing"


class PythonEngine:
    """Records with the standard library alone; see the module for how."""

    name = "python"
    exactness = "exact"

    def start(self) -> Recording:
        """Return a recording; raises `EngineBusyError` if this thread has a profiler."""
        if sys.getprofile() is not None:
            raise EngineBusyError(_BUSY)
        return _start_recording()


class _Recording:
    """What both kinds of recording share: a profiler, its notes and its result."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._profiler: Any = cProfile.Profile()

    def stop(self) -> None:
        """Nothing is on between two segments."""

    def finish(self) -> CallGraph:
        return without(self.graph(), is_own)

    def graph(self) -> CallGraph:
        """Return what was recorded with the frames of flaskprof itself in it."""
        return graph_of(self._profiler.getstats())

    def _note_loss(self) -> None:
        note = _SWITCHED_OFF if sys.getprofile() is None else _STRANGER
        if note not in self.notes:
            self.notes.append(note)


class _ThreadRecording(_Recording):
    """Python 3.11: cProfile, which is per thread there."""

    def on(self) -> None:
        if sys.getprofile() is None:
            self._profiler.enable()
        else:
            self._note_loss()

    def off(self) -> None:
        active: Any = sys.getprofile()
        if active is self._profiler:
            self._profiler.disable()
        else:
            self._note_loss()


class _ForwardingRecording(_Recording):
    """Python 3.12 and later: `sys.setprofile` drives a profiler that is never enabled."""

    def __init__(self) -> None:
        super().__init__()
        self._callback = _forward_to(self._profiler)
        self._unwind = self._make_unwind()

    def on(self) -> None:
        if sys.getprofile() is None:
            sys.setprofile(self._callback)
        else:
            self._note_loss()

    def off(self) -> None:
        if sys.getprofile() is self._callback:
            sys.setprofile(None)
            self._unwind()
        else:
            self._note_loss()

    def _make_unwind(self) -> Callable[[], None]:
        """Return what closes the two calls that `off` opened before recording stopped.

        The profiler has seen the call of `off` and, within it, that of `sys.setprofile`,
        but will see neither return. Left open they would span the gap to the next segment.
        """
        c_return = self._profiler._creturn_callback  # noqa: SLF001  see the module
        py_return = self._profiler._pyreturn_callback  # noqa: SLF001
        own = _ForwardingRecording.off.__code__

        def unwind() -> None:
            c_return(None, 0, sys.setprofile, None)
            py_return(own, 0, None)

        return unwind


def _forward_to(profiler: Any) -> Callable[[FrameType, str, Any], None]:
    py_start = profiler._pystart_callback  # noqa: SLF001  see the module
    py_return = profiler._pyreturn_callback  # noqa: SLF001
    c_call = profiler._ccall_callback  # noqa: SLF001
    c_return = profiler._creturn_callback  # noqa: SLF001

    def forward(frame: FrameType, event: str, argument: Any) -> None:
        # The most frequent events first. Nothing is caught: the callbacks do not raise, and
        # what a signal handler raises here is meant for the application and reaches it.
        if event == "call":
            py_start(frame.f_code, 0)
        elif event == "return":
            py_return(frame.f_code, 0, argument)
        elif event == "c_call":
            c_call(None, 0, argument, None)
        else:
            c_return(None, 0, argument, None)

    return forward


def _start_recording() -> _ForwardingRecording | _ThreadRecording:
    return _ForwardingRecording() if sys.version_info >= (3, 12) else _ThreadRecording()


def graph_of(entries: list[Any]) -> CallGraph:
    """Return the call graph of what ``_lsprof.Profiler.getstats()`` returns.

    Different code objects may share file, line and name (two lambdas on one line); cProfile
    keeps only one of them in its statistics, here they are summed.
    """
    totals: dict[Function, list[float]] = {}
    edges: dict[Function, dict[Function, list[float]]] = {}
    for entry in entries:
        function = _function(entry.code)
        _add(totals.setdefault(function, [0, 0, 0.0, 0.0]), entry)
        for below in entry.calls or ():
            callers = edges.setdefault(_function(below.code), {})
            _add(callers.setdefault(function, [0, 0, 0.0, 0.0]), below)
    return CallGraph(
        {
            function: FunctionStats(
                _sums(total),
                {caller: _sums(edge) for caller, edge in edges.get(function, {}).items()},
            )
            for function, total in totals.items()
        }
    )


def _add(into: list[float], entry: Any) -> None:
    into[0] += entry.callcount
    into[1] += entry.callcount - entry.reccallcount
    into[2] += entry.inlinetime
    into[3] += entry.totaltime


def _sums(values: list[float]) -> Sums:
    return Sums(int(values[0]), int(values[1]), values[2], values[3])


def _function(code: CodeType | str) -> Function:
    if isinstance(code, str):
        return Function("~", 0, code)
    return Function(code.co_filename, code.co_firstlineno, code.co_name)


def self_test() -> str | None:
    """Return why this engine cannot be trusted on this interpreter; None if it can."""
    if sys.getprofile() is not None:
        return None  # the test needs the slot; each start checks it anyway
    try:
        recording = _start_recording()
        recording.on()
        try:
            _recursion(3)
        finally:
            recording.off()
        functions = recording.graph().functions
    except Exception as error:  # noqa: BLE001  whatever changed, the answer is the same
        return f"the profiler of this interpreter is not as expected: {error!r}"
    code = _recursion.__code__
    stats = functions.get(Function(code.co_filename, code.co_firstlineno, code.co_name))
    if stats is None or stats.total[:2] != (4, 1):
        return "the profiler of this interpreter does not count calls as expected"
    return None


def _recursion(depth: int) -> int:
    return len(()) if depth == 0 else _recursion(depth - 1)
