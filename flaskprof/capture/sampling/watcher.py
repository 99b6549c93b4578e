"""The thread that looks at requests from outside while they run.

What wants to be looked at is watched::

    watcher.start()
    watcher.watch(target)     # target.look(…) is called about 100 times a second from now on
    watcher.forget(target)

There is one thread however much is watched, and while nothing is it waits without polling.
It also keeps the table of requests in flight, at a pace of the table's own.
"""

from __future__ import annotations

import random
import re
import sys
from time import perf_counter, thread_time
from typing import Any, Protocol

from flaskprof import log
from flaskprof.capture.sampling.native import Signal, original, start_thread
from flaskprof.metrics.instruments import Metrics

__all__ = ["NoWatcherError", "Table", "Target", "Watcher", "next_round", "why_no_watcher"]

_PACE_SECONDS = 0.01
_MOST_OF_A_CPU = 0.05
_FOREVER = -1.0
_AFTER_FAILURE_SECONDS = 1.0


class NoWatcherError(Exception):
    """There can be no watcher in this process; the message says why."""


class Target(Protocol):
    """What is looked at; compared by identity.

    It is not told how much time passed since its last look: a round may have waited for the
    interpreter in between, and only who reads a clock beside the stack knows when it was.
    """

    def look(self, late_seconds: float, /) -> None:
        """Look, on the watcher's thread, and be quick: the other targets wait.

        `late_seconds` is how long the round had to wait for the interpreter when it was due;
        negative where it was woken before.
        """
        ...


class Table(Protocol):
    """What is kept up to date beside, at its own pace."""

    def tick(self) -> float:
        """Do what is due; return after how many seconds more is, negative for never."""
        ...


class Watcher:
    """Calls what is watched about 100 times a second, from a thread of its own.

    `start` starts the thread where there is none yet. Its use of the processor is bounded:
    after a round that took long (many targets, deep stacks) it pauses for nineteen times
    the processor time of that round, and so looks less often instead of using more than a
    twentieth of a processor.

    `watch` and `forget` take no lock and wait for nothing: they may be called from
    anywhere, and so may `wake`, after which `table` has its tick. A process that forks
    needs a new watcher in the child.
    """

    def __init__(self, metrics: Metrics, table: Table | None = None) -> None:
        self._metrics = metrics
        self._table = table
        # Changed and copied in single steps of the interpreter. The values mean nothing.
        self._targets: dict[Target, None] = {}
        self._wake = Signal()
        self._ended = Signal()
        self._is_started: Any = original("_thread", "allocate_lock")()
        self._is_parked = False
        self._is_closing = False

    def start(self) -> None:
        """Start the thread if that was not done; raises `NoWatcherError` if it cannot be."""
        reason = why_no_watcher()
        if reason is not None:
            raise NoWatcherError(reason)
        # Of several callers at the same moment one starts it, and the others do not wait.
        if not self._is_started.acquire(blocking=False):
            return
        try:
            start_thread(self._run, "flaskprof-watcher")
        except RuntimeError as error:
            self._is_started.release()
            raise NoWatcherError(f"the watcher's thread cannot be started: {error}") from None

    def watch(self, target: Target) -> None:
        """Look at `target` from now on."""
        self._targets[target] = None
        # Either this is seen here, or the watcher sees the target before it parks.
        if self._is_parked:
            self._wake.set()

    def forget(self, target: Target) -> None:
        """Look at `target` no more; one last look may still be under way."""
        self._targets.pop(target, None)

    def wake(self) -> None:
        """Let the table have its tick now."""
        self._wake.set()

    def close(self, timeout_seconds: float) -> bool:
        """End the thread; false if that took longer than `timeout_seconds`. Call it once."""
        self._is_closing = True
        self._wake.set()
        return not self._is_started.locked() or self._ended.wait(timeout_seconds)

    def _run(self) -> None:
        try:
            due = 0.0
            while not self._is_closing:
                if not self._targets:
                    due = self._park()
                else:
                    busy_seconds = self._round(perf_counter() - due)
                    due = next_round(due, perf_counter(), busy_seconds)
                    self._tick()
                self._wake.wait(max(0.0, due - perf_counter()))
        finally:
            self._ended.set()

    def _park(self) -> float:
        """Wait until there is something to look at; return when to do so."""
        self._is_parked = True
        while not self._targets and not self._is_closing:
            self._wake.wait(self._tick())
        self._is_parked = False
        # Not at once: what has just begun would always be seen at its beginning.
        return perf_counter() + random.random() * _PACE_SECONDS  # noqa: S311  no secret

    def _tick(self) -> float:
        """Keep the table; return after how many seconds to do so again."""
        if self._table is None:
            return _FOREVER
        try:
            return self._table.tick()
        except Exception:  # noqa: BLE001  requests are not seen, and answered all the same
            self._metrics.count_failure("watcher")
            log.once("table", "flaskprof failed to show requests in flight", exc_info=True)
            return _AFTER_FAILURE_SECONDS

    def _round(self, late_seconds: float) -> float:
        """Look at every target once; return the seconds of processor time that this took."""
        started = thread_time()
        for target in list(self._targets):
            try:
                target.look(late_seconds)
            except Exception:  # noqa: BLE001  one target is lost, the others are looked at
                self.forget(target)
                self._metrics.count_failure("watcher")
                log.once("watcher", "flaskprof failed to look at a request", exc_info=True)
        return thread_time() - started


def next_round(due: float, now: float, busy_seconds: float) -> float:
    """Return when to look again after a round that was due at `due` and ended at `now`.

    `busy_seconds` is the processor time of that round; all are seconds of one clock. The
    pace varies around a hundredth of a second, so that work which repeats at the same pace
    is not always met at the same place. A round that had to wait for the interpreter is
    made up for in part.
    """
    pace = random.uniform(0.5, 1.5) * _PACE_SECONDS  # noqa: S311  no secret
    rest = busy_seconds * (1 / _MOST_OF_A_CPU - 1)
    return max(due + pace, now + pace / 2, now + rest)


_OFF = frozenset({"0", "false", "no", "off"})


def why_no_watcher() -> str | None:
    """Return why requests cannot be looked at from a thread here; None if they can."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is not None and not _has_threads(uwsgi):
        return "uWSGI was started without --enable-threads: no watcher can be relied on"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "stacks cannot be read safely from outside on a free-threaded interpreter"
    if not hasattr(sys, "_current_frames"):
        return "this interpreter does not show the stacks of its threads"
    return None


def _has_threads(uwsgi: Any) -> bool:
    """Whether uWSGI lets threads of the application run at any time.

    Releases since 2.0.27 do; older ones where they are told to, or have threads themselves.
    """
    release = re.fullmatch(r"2\.0\.(\d+)[.\d]*", _text(uwsgi.version))
    if release is not None and int(release[1]) >= 27:
        return True
    options = {_text(name): _text(value) for name, value in uwsgi.opt.items()}
    return "threads" in options or options.get("enable-threads", "no").lower() not in _OFF


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
