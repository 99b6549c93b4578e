"""The engine in Python: exact call graphs, one stack at a time, from the standard library.

Each stack is recorded by a `tap`; a `place` knows how one is put on what runs now, a thread
or a greenlet. The callbacks that taps use are private to the interpreter. `self_test` proves
at start that they do what is expected of them, so that an interpreter which changed them
has no engine rather than a wrong one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, thread_time
from types import CodeType, FrameType
from typing import Any

from flaskprof.capture.engines import EngineBusyError, Facts, RecordingLostError
from flaskprof.capture.notes import MIXED, STARTED_THREADS, starts_thread
from flaskprof.capture.own import is_own
from flaskprof.capture.python_engine.graft import Waiting, graft
from flaskprof.capture.python_engine.places import Place, Threads
from flaskprof.capture.python_engine.taps import new_tap, take_off_leftover
from flaskprof.profiles.hide import without
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums

__all__ = ["PythonEngine", "PythonRecording", "self_test"]

_BUSY = "another profiler is active on this thread"
_STRANGER = "another profiler took over during the request: calls after that are missing"
_SWITCHED_OFF = "the profiler was switched off during the request: calls after that are missing"


def _place_here() -> Place:
    """Return what this process records on."""
    if sys.modules.keys().isdisjoint(("gevent", "eventlet")):
        return Threads()
    # Where there are greenlets, one may run in the middle of another's call.
    from flaskprof.capture.python_engine.greenlets import (  # noqa: PLC0415  needs greenlet
        Greenlets,
    )

    return Greenlets()


class PythonEngine:
    """Records with the standard library alone; see the module for how.

    `place` gives where a recording that starts now is to be put on.
    """

    name = "python"
    exactness = "exact"

    def __init__(self, place: Callable[[], Place] = _place_here) -> None:
        self._place = place

    def start(self) -> PythonRecording:
        """Return a recording; raises `EngineBusyError` if this thread has a profiler."""
        take_off_leftover()
        place = self._place()
        if place.is_taken():
            raise EngineBusyError(_BUSY)
        return PythonRecording(place)

    def rest(self, pause_seconds: float, /) -> None:
        """Do nothing: between two segments nothing is on."""


class _Stack:
    """What is recorded of one stack, and of others that it waited for."""

    def __init__(self) -> None:
        self.tap = new_tap()
        self.grafts: list[tuple[Waiting, _Stack]] = []
        self._earlier: list[Any] = []

    def cut(self) -> None:
        """End the tap, wherever it is left on, and go on with another."""
        self.tap.cut()
        self._earlier += self.tap.entries()
        self.tap = new_tap()

    def graph(self) -> CallGraph:
        graph = graph_of([*self._earlier, *self.tap.entries()])
        for waiting, stack in self.grafts:
            graph = graft(graph, stack.graph(), waiting)
        return graph


@dataclass(frozen=True, slots=True)
class _Held:
    """A stack that waits for another, since `since`.

    `code` is called in `holder`; `above` are the recorded functions that are under way.
    """

    stack: _Stack
    code: CodeType
    holder: CodeType
    above: list[Function]
    base: int
    since: float


class PythonRecording:
    """A recording of `PythonEngine`."""

    def __init__(self, place: Place) -> None:
        self._is_stopped = False
        self._spot: Any = None
        self._held: list[_Held] = []
        self._place = place
        self._stack = _Stack()
        self.notes: list[str] = []
        self.facts = Facts()
        self.cpu_seconds: float | None = 0.0 if place.counts_cpu else None
        self._base = 0
        self._cpu_since = 0.0
        self._lost = ""

    def on(self) -> None:
        """See `Recording`."""
        if self._is_stopped:
            return
        if self._spot is not None:
            self._note(MIXED)
            return
        # The frame that calls; it is only compared while it is on the stack.
        self._base = id(sys._getframe(1))  # noqa: SLF001
        self._cpu_since = thread_time()
        self._spot = self._place.put_on(self._stack.tap)
        if self._spot is None:
            self._note_loss()

    def off(self) -> None:
        """See `Recording`."""
        spot, self._spot = self._spot, None
        if spot is None:
            return
        if not self._place.is_here(spot):
            self._end_elsewhere(spot)
            return
        try:
            was_on = self._place.take_off(self._stack.tap, spot)
        except RecordingLostError as error:
            self._lost = str(error)
            return
        if was_on:
            self._stack.tap.close()
            self._count_cpu()
        else:
            self._note_loss()
            self._stack.cut()

    def hold(self, code: CodeType, /) -> bool:
        """See `Recording`."""
        spot = self._spot
        if spot is None or not self._place.is_here(spot):
            return False
        stack, self._stack, self._spot = self._stack, _Stack(), None
        frame = sys._getframe(1)  # noqa: SLF001  documented
        above = _functions(frame, self._base)
        self._held.append(_Held(stack, code, frame.f_code, above, self._base, perf_counter()))
        del frame
        # Two calls stay open in the tap, this one and that of `take_off`. The returns of
        # `put_on` and `resume` will end them; since those were not called while the tap was
        # on, the profiler ends them uncounted, and their time is their caller's.
        try:
            was_on = self._place.take_off(stack.tap, spot)
        except RecordingLostError as error:
            self._lost = str(error)
            return True
        if was_on:
            self._count_cpu()
        else:
            self._note_loss()
            stack.cut()
        return True

    def resume(self) -> None:
        """See `Recording`."""
        if not self._held:
            return
        held = self._held.pop()
        spot, self._spot = self._spot, None
        if spot is not None:
            self._end_elsewhere(spot)
        self._join(held, _function(held.holder))
        self._base = held.base
        self._cpu_since = thread_time()
        self._spot = self._place.put_on(held.stack.tap)
        if self._spot is None:
            self._note_loss()
            held.stack.cut()

    def stop(self) -> None:
        """See `Recording`."""
        self.off()
        take_off_leftover()
        self._is_stopped = True
        while self._held:
            held = self._held.pop()
            # The calls that are open, that of `hold` among them, are counted now.
            self._join(held, None)
            held.stack.tap.close()

    def __del__(self) -> None:
        # Abandoned while it was on.
        self.stop()

    def finish(self) -> CallGraph:
        """See `Recording`."""
        self.stop()
        if self._lost:
            raise RecordingLostError(self._lost)
        graph = without(self.graph(), is_own)
        if any(map(starts_thread, graph.functions)):
            self._note(STARTED_THREADS)
        self.facts = Facts(events=2 * graph.total_calls)
        return graph

    def graph(self) -> CallGraph:
        """Return what was recorded with the frames of flaskprof itself in it."""
        return self._stack.graph()

    def _join(self, held: _Held, holder: Function | None) -> None:
        """Go back to a stack that waited for the present one."""
        seconds = perf_counter() - held.since
        waiting = Waiting(_function(held.code), holder, held.above, seconds)
        held.stack.grafts.append((waiting, self._stack))
        self._stack = held.stack

    def _end_elsewhere(self, spot: Any) -> None:
        self._place.forsake(spot)
        self._stack.cut()
        self._note(MIXED)

    def _count_cpu(self) -> None:
        if self.cpu_seconds is not None:
            self.cpu_seconds += thread_time() - self._cpu_since

    def _note_loss(self) -> None:
        self._note(_SWITCHED_OFF if sys.getprofile() is None else _STRANGER)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _functions(frame: FrameType | None, base: int) -> list[Function]:
    """Return the functions of the frames above `base`, those of flaskprof left out."""
    functions = []
    while frame is not None and id(frame) != base:
        function = _function(frame.f_code)
        if not is_own(function):
            functions.append(function)
        frame = frame.f_back
    return functions


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
        recording = PythonRecording(Threads())
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
