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
from time import perf_counter_ns
from types import FrameType
from typing import Any, NamedTuple

from flaskprof.capture import stacks
from flaskprof.capture.engines import EngineBusyError, Facts, RecordingLostError
from flaskprof.capture.native import original
from flaskprof.capture.samples import MAX_DEPTH, MAX_STACKS, Samples
from flaskprof.capture.watcher import NoWatcherError, Watcher
from flaskprof.profiles.model import CallTree

__all__ = ["SamplingEngine", "SamplingRecording"]

_NOTE = (
    "Sampled: builtins are not seen, their time is that of the functions that called them; "
    "computing in stretches shorter than 5 ms is partly seen as the waiting that follows it."
)
_DEEP = f"Stacks of more than {MAX_DEPTH:,} calls were seen: their middle is (more)."
_FULL = f"More than {MAX_STACKS:,} different stacks were seen: further ones end in (more)."
_MIXED = (
    "Two threads worked on the request at the same time: only one of them is in the profile."
)


class _Segment(NamedTuple):
    """A stretch of time in which a recording is on.

    `base` is the frame above which the recorded code runs, `before_ns` the time that
    earlier segments took.
    """

    thread: int
    greenlet: Any
    base: FrameType
    since_ns: int
    before_ns: int


class SamplingRecording:
    """A recording of `SamplingEngine`: a target of its watcher while it is on.

    The recorded thread only ever stores values that the watcher reads; it waits for
    nothing that the watcher, in which code of the application may run when garbage is
    collected, could hold.
    """

    def __init__(self, watcher: Watcher) -> None:
        self.notes: list[str] = []
        self.facts = Facts()
        self._watcher = watcher
        self._pid = os.getpid()
        self._samples = Samples()
        self._collecting: Any = original("_thread", "allocate_lock")()
        self._segment: _Segment | None = None
        self._on_ns = 0
        # How many more times it is on than it can be.
        self._surplus = 0
        self._is_mixed = False

    def on(self) -> None:
        """Sample what the caller calls on this thread from here on."""
        if self._segment is not None:
            self._surplus += 1
            self._is_mixed = True
            return
        thread = original("_thread", "get_ident")()
        base = sys._getframe(1)  # noqa: SLF001  documented
        now_ns = perf_counter_ns()
        self._segment = _Segment(thread, _current_greenlet(), base, now_ns, self._on_ns)
        self._watcher.watch(self)

    def off(self) -> None:
        """Sample no more until the next `on`."""
        if self._surplus:
            self._surplus -= 1
            return
        segment = self._segment
        if segment is not None:
            self._on_ns = segment.before_ns + perf_counter_ns() - segment.since_ns
            self._segment = None
            self._watcher.forget(self)

    def stop(self) -> None:
        """Be off for good, and say what limits the profile."""
        self._surplus = 0
        self.off()
        limits = (
            (_MIXED, self._is_mixed),
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
        codes = stacks.of_thread(segment.thread, segment.base)
        if codes is None and segment.greenlet is not None:
            codes = stacks.of_greenlet(segment.greenlet, segment.base)
        at_ns = segment.before_ns + perf_counter_ns() - segment.since_ns
        if not codes:
            return  # between two calls, or switching: the next sample has this time as well
        with self._collecting:
            if self._segment is segment:
                self._samples.add(codes, at_ns)


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


def _current_greenlet() -> Any:
    """Return the greenlet that runs; None where there are none in this process."""
    greenlet = sys.modules.get("greenlet")
    current = getattr(greenlet, "getcurrent", None)
    return None if current is None else current()
