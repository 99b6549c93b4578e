"""What one process shares for one data directory: engines, budget, spool, watcher, metrics.

Any number of applications, factories and middlewares in a process use the same
`Recorder`. It is started by the first request, so that a master that only loads the
application, or the parent of a reloader, never starts a thread; after a fork the child
begins anew with locks, counters and threads of its own.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from werkzeug.wsgi import ClosingIterator

from flaskprof import log
from flaskprof.capture.budget import Budget
from flaskprof.capture.choice import choose_engine
from flaskprof.capture.engines import Engine, EngineBusyError, Recording
from flaskprof.capture.flights import InFlight
from flaskprof.capture.overlaps import Overlaps
from flaskprof.capture.sampling.sampler import SamplingEngine
from flaskprof.capture.sampling.watcher import NoWatcherError, Watcher
from flaskprof.capture.spool import Spool
from flaskprof.capture.triggers import Ask, Skip, TokenUses
from flaskprof.capture.upkeep import Upkeep, chores_for, usage_of
from flaskprof.config import PREFIX, Settings
from flaskprof.errors import FlaskprofError
from flaskprof.metrics.in_flight import in_flight_directory
from flaskprof.metrics.instruments import Label, Metrics
from flaskprof.metrics.layout import metrics_directory
from flaskprof.metrics.visit import Plan
from flaskprof.profiles.kinds import Kinds
from flaskprof.queries.log import QueryLog
from flaskprof.record import CaptureRecord
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.layout import make_data_directory
from flaskprof.store.owner import claim

__all__ = ["Recorder", "SkippedError", "close_all", "recorder_for", "recorder_of_process"]

_EXIT_SECONDS = 3.0
_LONG_PAUSE_SECONDS = 1.0


class SkippedError(Exception):
    """A capture that was asked for is not made; `skip` is why, `args[0]` in words."""

    def __init__(self, skip: Skip, text: str = "") -> None:
        super().__init__(text or skip.value)
        self.skip = skip


class Endable(Protocol):
    """Something that ends once."""

    def end(self) -> None:
        """End it."""
        ...


class Recorder:
    """Makes recordings within the budget and hands finished ones to the spool."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # A path of its own: the process may change its working directory later.
        self.directory = settings.dir.absolute()
        self.store = DirectoryStore(self.directory)
        self._token_uses = TokenUses(self.directory)
        self.slow_ns = round(settings.slow_seconds * 1e9)
        # What begins to count queries and says whether it does; wiring knows of some.
        self.watch_queries: Callable[[], bool] = lambda: False
        self.watches_queries = False
        self.kinds = Kinds()
        self.add_packages(settings.app_packages)
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Drop all that must not outlive a fork: locks, counters, threads."""
        settings = self.settings
        self.is_started = False
        self._starting = threading.Lock()
        self.engine: Engine | None = None
        # Why it is not a better one; empty where it is the best.
        self.engine_limit = ""
        self.metrics = Metrics(
            settings.buckets,
            directory=metrics_directory(self.directory),
            max_series=settings.max_series,
            measure=settings.measure,
            label=_label_of(settings),
        )
        self.metrics.collector.usage = lambda: usage_of(self.store)
        self._budget = Budget(
            settings.max_captures, settings.capture_rate, settings.capture_burst
        )
        self.overlaps = Overlaps()
        # What was left by servers that never closed a response. Finalizers put it here,
        # which may take no lock; `end_abandoned` ends it.
        self.abandoned: deque[Endable] = deque()
        self._spool = Spool(self.store, self.metrics, settings.max_bytes)
        self.in_flight = InFlight(in_flight_directory(self.directory), self.end_abandoned)
        metrics = self.metrics
        self.plan = Plan(
            metrics.cells,
            metrics.active,
            metrics.active_place,
            metrics.places,
            metrics.measures,
            self.in_flight.flights,
            ClosingIterator,
            recorder=self,
            metrics=metrics,
        )
        self._watcher = Watcher(self.metrics, self.in_flight)
        self._sampler = SamplingEngine(self._watcher)
        self._upkeep = Upkeep(
            self.directory,
            chores_for(settings, self.store),
            lambda _: self.metrics.count_failure("upkeep"),
        )
        self._rival = ""

    def add_packages(self, packages: Iterable[str]) -> None:
        """Say which packages are an application's own, beside those of others of the process.

        Captures made from now on say so too.
        """
        self.kinds |= Kinds(frozenset(packages))
        self.app_packages = tuple(sorted(self.kinds.packages))

    def start(self, who: str) -> None:
        """Choose the engine and log the line of the start; only the first call does so.

        `who` says who may ask and look.
        """
        with self._starting:
            if self.is_started:
                return
            self._rival = self._claim_directory()
            if self._rival:
                # What is another's is neither added to nor looked after.
                self.metrics.keep_apart()
                self.in_flight.keep_apart()
            self.watches_queries = self.watch_queries()
            self.engine, why = choose_engine(self.settings.engine, self.settings.clock)
            self.engine_limit = why
            name = "none" if self.engine is None else self.engine.name
            self.metrics.describe(
                {
                    "service": self.settings.service_name,
                    "service_version": self.settings.service_version,
                    "engine": name,
                    "role": "app",
                }
            )
            if not self._rival:
                with suppress(OSError):  # which the first file in it says, too
                    make_data_directory(self.directory)
                self.metrics.start()
                self._upkeep.start()
            with suppress(NoWatcherError):  # nothing is shown as in flight; a capture says why
                self._watcher.start()
            log.start_line(
                "%s may ask and look; captures in %s; engine %s%s",
                who,
                self.directory,
                name,
                f" ({why})" if why else "",
            )
            self.is_started = True

    def _claim_directory(self) -> str:
        """Return the name of the other service that the data directory belongs to, or ""."""
        try:
            rival = claim(self.directory, self.settings.service_name)
        except OSError:
            return ""  # what writes there says what is wrong
        if rival:
            log.once(
                f"rival {self.directory}",
                "the data directory %s belongs to the service %r: no captures are made for "
                "%r, and its metrics are those of each process alone; set FLASKPROF_DIR to "
                "another directory, or delete the file 'service' in it if the service has a "
                "new name",
                self.directory,
                rival,
                self.settings.service_name,
            )
        return rival

    def request_started(self) -> None:
        """Say that a request starts while `overlaps.is_counting`."""
        self.overlaps.request_started()
        # A response that is streamed slowly must not slow down the requests that come
        # between two of its chunks.
        if self.engine is not None:
            self.engine.rest(_LONG_PAUSE_SECONDS)

    def record(self, ask: Ask) -> tuple[Engine, Recording]:
        """Return a recording that is off, and the engine that makes it.

        Raises `SkippedError` where none can be made. What is returned must be ended with
        `give_back`, whatever becomes of it.
        """
        # The application may import what it needs when it needs it.
        self.watches_queries = self.watch_queries()
        engine: Engine | None = self._sampler if ask.exactness == "sampled" else self.engine
        if engine is None:
            raise SkippedError(Skip.no_engine)
        if self._rival:
            raise SkippedError(Skip.other_service)
        if (self.directory / "stop").exists():
            raise SkippedError(Skip.stopped)
        if self._spool.is_full():
            raise SkippedError(Skip.full)
        if self._spool.is_behind():
            raise SkippedError(Skip.writing)
        refusal = self._budget.take(is_at_home=ask.is_at_home)
        if refusal is not None:
            raise SkippedError(refusal)
        try:
            return engine, self._start(engine, ask)
        except BaseException:
            self._budget.give_back()
            raise

    def _start(self, engine: Engine, ask: Ask) -> Recording:
        try:
            recording = engine.start()
        except EngineBusyError as error:
            raise SkippedError(Skip.busy, str(error)) from None
        if ask.token is not None and not self._token_uses.use(ask.token):
            raise SkippedError(Skip.used_up)
        return recording

    def wake_watcher(self) -> None:
        """Have the watcher look at what is in flight; it found nothing for a while."""
        self.in_flight.is_parked = False
        self._watcher.wake()

    def give_back(self) -> None:
        """Say that a recording that `record` returned has ended."""
        self._budget.give_back()

    def store_later(
        self,
        record: CaptureRecord,
        recording: Recording,
        queries: QueryLog | None = None,
        sender: object = None,
    ) -> None:
        """Hand a finished recording to the spool, with the queries of its request.

        `sender` is whose capture it is, in the signals that say what became of it.
        """
        self._spool.put(record, recording, queries, sender)

    def end_abandoned(self) -> None:
        """End what was left without an end."""
        while self.abandoned:
            try:
                left = self.abandoned.popleft()
            except IndexError:
                return  # another thread took the last one
            left.end()

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Wait until all captures so far are written; false if that took too long."""
        return self._spool.flush(timeout_seconds)

    def close(self, timeout_seconds: float = _EXIT_SECONDS) -> None:
        """Write what is left and end the threads; the next request starts anew."""
        self._close_threads(timeout_seconds)
        self.metrics.close()
        self._begin_anew()

    def _close_threads(self, timeout_seconds: float) -> None:
        self._upkeep.close(timeout_seconds)
        if self._watcher.close(timeout_seconds):
            self.in_flight.close()
        self._spool.close(timeout_seconds)


def _label_of(settings: Settings) -> Label | None:
    if not settings.label or settings.label_from is None:
        return None
    return Label(settings.label, frozenset(settings.label_values), settings.label_from)


_recorders: dict[Path, Recorder] = {}
_lock = threading.Lock()


def recorder_for(settings: Settings) -> Recorder:
    """Return this process's recorder for the data directory of `settings`.

    The first application of a directory decides the settings of its recorder.
    """
    directory = settings.dir.absolute()
    with _lock:
        recorder = _recorders.get(directory)
        if recorder is None:
            recorder = _recorders[directory] = Recorder(settings)
        return recorder


def recorder_of_process() -> Recorder | None:
    """Return the recorder of the data directory that this process used first.

    In a process without a middleware, such as a worker of a queue, it is that of
    ``FLASKPROF_DIR`` in the environment. None where neither is there.
    """
    for recorder in _recorders.values():
        return recorder
    if not os.environ.get(PREFIX + "DIR"):
        return None
    try:
        settings = Settings.load()
        if not settings.enabled:
            return None
        recorder = recorder_for(settings)
        recorder.start("nobody")
    except FlaskprofError as error:
        log.once("process settings", "nothing is counted or captured: %s", error)
        return None
    return recorder


def close_all() -> None:
    """Close every recorder of this process and forget them."""
    with _lock:
        recorders = list(_recorders.values())
        _recorders.clear()
    for recorder in recorders:
        recorder.close()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603  the thread that may have held it is not in this process
    _lock = threading.Lock()
    for recorder in _recorders.values():
        recorder._begin_anew()  # noqa: SLF001


def _at_exit() -> None:
    for recorder in list(_recorders.values()):
        recorder._close_threads(_EXIT_SECONDS)  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
