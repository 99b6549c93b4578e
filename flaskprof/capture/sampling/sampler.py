"""The engine that samples: it looks at the stack of a request about 100 times a second.

The request itself runs at full speed, whatever it does, where recording every call would
make it several times slower or the profile too large. The times are estimates, and what
builtins do is seen as time of the functions that called them.

It follows greenlets: of one that waits while others run on its thread, the stack at which it
waits is seen.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter_ns, thread_time
from types import CodeType, FrameType
from typing import Any, NamedTuple

from flaskprof.capture.engines import EngineBusyError, Facts, RecordingLostError
from flaskprof.capture.notes import MIXED
from flaskprof.capture.sampling import stacks
from flaskprof.capture.sampling.native import original
from flaskprof.capture.sampling.samples import MAX_DEPTH, MAX_STACKS, Samples
from flaskprof.capture.sampling.watcher import NoWatcherError, Watcher
from flaskprof.profiles.model import CallTree

__all__ = ["SamplingEngine", "SamplingRecording"]

_NOTE = (
    "Sampled: builtins are not seen, their time is that of the functions that called them; "
    "computing in stretches shorter than 5 ms is mostly read as the waiting that follows it."
)
_DEEP = f"Stacks of more than {MAX_DEPTH:,} calls were seen: their middle is (more)."
_FULL = f"More than {MAX_STACKS:,} different stacks were seen: further ones end in (more)."


class _Segment(NamedTuple):
    """A stretch of time in which a recording is on.

    `base` is the frame above which the recorded code runs, `below` are the callers of that
    on another thread, innermost first, which wait for it. Without a `base` they alone are
    what there is to be seen. `before_ns` is the time that earlier segments took.
    """

    thread: int
    greenlet: Any
    base: FrameType | None
    below: list[CodeType]
    since_ns: int
    before_ns: int


class _Held(NamedTuple):
    """Where a thread waits for code on another: its own segment, and what all see there."""

    segment: _Segment
    stack: list[CodeType]


class SamplingRecording:
    """A recording of `SamplingEngine`: a target of its watcher while it is on.

    The recorded thread only ever stores values that the watcher reads; it waits for
    nothing that the watcher, in which code of the application may run when garbage is
    collected, could hold.
    """

    def __init__(self, watcher: Watcher) -> None:
        self.notes: list[str] = []
        self.facts = Facts()
        self.cpu_seconds: float | None = 0.0
        self._watcher = watcher
        self._pid = os.getpid()
        self._samples = Samples()
        self._collecting: Any = original("_thread", "allocate_lock")()
        self._segment: _Segment | None = None
        self._held: list[_Held] = []
        self._on_ns = 0
        self._cpu_since = 0.0
        # How many more times it is on than it can be.
        self._surplus = 0
        self._is_mixed = False

    def on(self) -> None:
        """Sample what the caller calls on this thread from here on."""
        if self._segment is not None and self._segment.base is not None:
            self._surplus += 1
            self._is_mixed = True
            return
        self._end_segment()
        self._begin_segment(sys._getframe(1), self._waiting())  # noqa: SLF001  documented

    def off(self) -> None:
        """Sample no more until the next `on`."""
        if self._surplus:
            self._surplus -= 1
            return
        self._end_segment()
        if self._held:
            self._begin_segment(None, self._waiting())

    def hold(self, code: CodeType, /) -> bool:
        """See `Recording`."""
        segment = self._segment
        if segment is None or segment.base is None or segment.thread != _this_thread():
            return False
        above = stacks.of_thread(segment.thread, segment.base) or []
        self._end_segment()
        self._held.append(_Held(segment, [code, *above, *segment.below]))
        self._begin_segment(None, self._waiting())
        return True

    def resume(self) -> None:
        """See `Recording`."""
        if not self._held:
            return
        self._end_segment()
        segment = self._held.pop().segment
        self._begin_segment(segment.base, segment.below)

    def stop(self) -> None:
        """Be off for good, and say what limits the profile."""
        self._surplus = 0
        self._held.clear()
        self.off()
        limits = (
            (MIXED, self._is_mixed),
            (_DEEP, self._samples.is_deep),
            (_FULL, self._samples.is_full),
        )
        self.notes = [_NOTE, *(note for note, holds in limits if holds)]

    def finish(self) -> CallTree:
        """Return the tree; its times sum up to the time in which the recording was on.

        Raises `RecordingLostError` in a child that was forked while it was being made.
        """
        if os.getpid() != self._pid:
            raise RecordingLostError("the process forked, and the recording is its parent's")
        self.stop()
        with self._collecting:
            return self._samples.tree(self._on_ns)

    def look(self) -> None:
        """Take one sample; the watcher calls this."""
        segment = self._segment
        if segment is None:
            return
        codes: list[CodeType] | None = []
        if segment.base is not None:
            codes = stacks.of_thread(segment.thread, segment.base)
            if codes is None and segment.greenlet is not None:
                codes = stacks.of_greenlet(segment.greenlet, segment.base)
        at_ns = segment.before_ns + perf_counter_ns() - segment.since_ns
        if codes is None or not (codes or segment.below):
            return  # between two calls, or switching: the next sample has this time as well
        with self._collecting:
            if self._segment is segment:
                self._samples.add([*codes, *segment.below], at_ns)

    def _waiting(self) -> list[CodeType]:
        return self._held[-1].stack if self._held else []

    def _begin_segment(self, base: FrameType | None, below: list[CodeType]) -> None:
        greenlet = _current_greenlet()
        if greenlet is not None and greenlet.parent is not None:
            # The thread computes for other greenlets too.
            self.cpu_seconds = None
        self._cpu_since = thread_time()
        self._segment = _Segment(
            _this_thread(), greenlet, base, below, perf_counter_ns(), self._on_ns
        )
        self._watcher.watch(self)

    def _end_segment(self) -> None:
        segment = self._segment
        if segment is None:
            return
        self._on_ns = segment.before_ns + perf_counter_ns() - segment.since_ns
        self._segment = None
        self._watcher.forget(self)
        if segment.base is None:
            return  # it waited
        if segment.thread != _this_thread():
            self.cpu_seconds = None
        elif self.cpu_seconds is not None:
            self.cpu_seconds += thread_time() - self._cpu_since


class SamplingEngine:
    """Starts recordings that sample, any number at a time, with a watcher."""

    name = "sampler"
    exactness = "sampled"

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def start(self) -> SamplingRecording:
        """Return a recording that is off; raises `EngineBusyError` without a watcher."""
        try:
            self._watcher.start()
        except NoWatcherError as error:
            raise EngineBusyError(str(error)) from None
        return SamplingRecording(self._watcher)

    def rest(self, pause_seconds: float, /) -> None:
        """Do nothing: between two segments nothing is looked at."""


def _this_thread() -> int:
    """Return the identifier of the system's thread, not of a greenlet."""
    thread: int = original("_thread", "get_ident")()
    return thread


def _current_greenlet() -> Any:
    """Return the greenlet that runs; None where there are none in this process."""
    greenlet = sys.modules.get("greenlet")
    current = getattr(greenlet, "getcurrent", None)
    return None if current is None else current()
