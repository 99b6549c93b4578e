"""The engine that samples: it looks at the stack of a request about 100 times a second.

The request itself runs at full speed, whatever it does, where recording every call would
make it several times slower or the profile too large. The times are estimates, and what
builtins do is seen as time of the functions that called them. So is computing that is too
short to be seen (`looks`), as long as the thread's processor clock tells of it.

It follows greenlets: of one that waits while others run on its thread, the stack at which it
waits is seen.
"""

from __future__ import annotations

import os
import sys
import time
from time import perf_counter_ns, thread_time_ns
from types import CodeType, FrameType
from typing import Any, NamedTuple

from flaskprof.capture.engines import EngineBusyError, Facts, RecordingLostError
from flaskprof.capture.notes import MIXED
from flaskprof.capture.sampling import stacks
from flaskprof.capture.sampling.looks import Look
from flaskprof.capture.sampling.native import original
from flaskprof.capture.sampling.samples import MAX_DEPTH, MAX_STACKS, Samples
from flaskprof.capture.sampling.stacks import Call
from flaskprof.capture.sampling.watcher import NoWatcherError, Watcher
from flaskprof.profiles.model import CallTree

__all__ = ["SamplingEngine", "SamplingRecording"]

_NOTE = "Sampled: builtins are not seen, their time is that of the functions that called them."
_UNSEEN = (
    "≈ {percent:.0f} % of the time was computing in stretches of up to {stretch_ms:g} ms "
    "between waits, which samples do not see: it is own time of the innermost function that "
    "ran all along. X-Profile: 1 counts every call and says where it was."
)
_BLIND = (
    "Computing in stretches of up to {stretch_ms:g} ms between waits is read as the waiting "
    "that follows it."
)
# Waking the watcher takes about 0.1 ms.
_PROMPT_SECONDS = 0.000_25
_WORTH_A_WORD = 0.01

_DEEP = f"Stacks of more than {MAX_DEPTH:,} calls were seen: their middle is (more)."
_FULL = f"More than {MAX_STACKS:,} different stacks were seen: further ones end in (more)."


class _Segment(NamedTuple):
    """A stretch of time in which a recording is on.

    `base` is the frame above which the recorded code runs, `below` are the callers of that
    on another thread, innermost first, which wait for it. Without a `base` they alone are
    what there is to be seen. `before_ns` is the time that earlier segments took, and
    `cpu_before_ns` the processor time, None where it is not known. `clock` is that of the
    thread's processor time, where the system lets another thread read it.
    """

    thread: int
    native_thread: int
    greenlet: Any
    base: FrameType | None
    below: list[Call]
    since_ns: int
    before_ns: int
    clock: int | None
    cpu_since_ns: int
    cpu_before_ns: int | None

    def elapsed_ns(self) -> int:
        """Return how long the recording was on until now."""
        return self.before_ns + perf_counter_ns() - self.since_ns

    def used_ns(self) -> int | None:
        """Return the processor time of the recording until now; None where it is not known."""
        if self.base is None or self.cpu_before_ns is None:
            return self.cpu_before_ns
        if self.clock is None:
            return None
        return self.cpu_before_ns + time.clock_gettime_ns(self.clock) - self.cpu_since_ns


class _Held(NamedTuple):
    """Where a thread waits for code on another: its own segment, and what all see there."""

    segment: _Segment
    stack: list[Call]


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
        self._held: list[_Held] = []
        self._on_ns = 0
        self._cpu_ns: int | None = 0
        # How many more times it is on than it can be.
        self._surplus = 0
        self._is_mixed = False
        self._knows_cpu = True

    @property
    def cpu_seconds(self) -> float | None:
        """See `Recording`."""
        return None if self._cpu_ns is None else self._cpu_ns / 1e9

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
        self._held.append(_Held(segment, [(code, 0), *above, *segment.below]))
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
        share = self._samples.unseen_ns / self._on_ns if self._on_ns else 0.0
        stretch_ms = sys.getswitchinterval() * 1e3
        limits = (
            (
                _UNSEEN.format(percent=share * 100, stretch_ms=stretch_ms),
                share >= _WORTH_A_WORD,
            ),
            (_BLIND.format(stretch_ms=stretch_ms), not self._knows_cpu),
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

    def look(self, late_seconds: float, /) -> None:
        """Take one sample; the watcher calls this."""
        segment = self._segment
        if segment is None:
            return
        calls: list[Call] | None = []
        if segment.base is not None:
            calls = stacks.of_thread(segment.thread, segment.base)
            if calls is None and segment.greenlet is not None:
                calls = stacks.of_greenlet(segment.greenlet, segment.base)
        if calls is None or not (calls or segment.below):
            return  # between two calls, or switching: the next sample has this time as well
        at_ns, cpu_ns = segment.elapsed_ns(), segment.used_ns()
        # Where it waited shorter, whoever had the interpreter gave it up by itself.
        was_forced = not 0 <= late_seconds < sys.getswitchinterval()
        look = Look([*calls, *segment.below], at_ns, cpu_ns, was_forced)
        # Where it did not wait, nobody had it; but code in C may compute without.
        is_prompt = 0 <= late_seconds < _PROMPT_SECONDS
        if is_prompt and self._samples.may_be_running(look):
            look = look._replace(is_running=_is_ready(segment.native_thread))
        with self._collecting:
            if self._segment is segment:
                self._samples.add(look)

    def _waiting(self) -> list[Call]:
        return self._held[-1].stack if self._held else []

    def _begin_segment(self, base: FrameType | None, below: list[Call]) -> None:
        greenlet = _current_greenlet()
        if greenlet is not None and greenlet.parent is not None:
            # The thread computes for other greenlets too.
            self._cpu_ns = None
        thread = _this_thread()
        clock = _cpu_clock(thread)
        self._knows_cpu &= clock is not None and self._cpu_ns is not None
        self._segment = _Segment(
            thread,
            original("_thread", "get_native_id")(),
            greenlet,
            base,
            below,
            perf_counter_ns(),
            self._on_ns,
            clock,
            thread_time_ns(),
            self._cpu_ns,
        )
        self._watcher.watch(self)

    def _end_segment(self) -> None:
        segment = self._segment
        if segment is None:
            return
        self._on_ns = segment.elapsed_ns()
        self._segment = None
        self._watcher.forget(self)
        if segment.base is None:
            return  # it waited
        if segment.thread != _this_thread():
            self._cpu_ns = None
        elif self._cpu_ns is not None:
            self._cpu_ns += thread_time_ns() - segment.cpu_since_ns


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


def _cpu_clock(thread: int) -> int | None:
    """Return the clock of the processor time of a living thread; None on other systems."""
    clock_of = getattr(time, "pthread_getcpuclockid", None)
    return None if clock_of is None else clock_of(thread)


def _is_ready(native_thread: int) -> bool:
    """Return whether a thread computes, or would on a free processor; false if not known.

    A thread that waits for the interpreter is not ready.
    """
    try:
        file = os.open(f"/proc/self/task/{native_thread}/stat", os.O_RDONLY)
    except OSError:
        return False  # it is over, or the system has no such files
    try:
        _, _, state = os.read(file, 1024).rpartition(b") ")
    except OSError:
        return False  # as above
    finally:
        os.close(file)
    return state.startswith(b"R")


def _current_greenlet() -> Any:
    """Return the greenlet that runs; None where there are none in this process."""
    greenlet = sys.modules.get("greenlet")
    current = getattr(greenlet, "getcurrent", None)
    return None if current is None else current()
