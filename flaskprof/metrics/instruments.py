"""What this process counts and times: the face of the metrics to all other code.

Everything is counted in the cells of a worker file, which other processes read. Methods and
status codes that are not standard are folded to those that are, so that nobody who only sends
requests can add a series.
"""

from __future__ import annotations

import platform
import time
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from flaskprof import __version__, log
from flaskprof.metrics import process, table
from flaskprof.metrics.collector import DirectoryCollector
from flaskprof.metrics.extras import OWN_WEIGHT, SAMPLED, Extras, Label, Wanted
from flaskprof.metrics.layout import FIXED_CELLS, Cell, Header, bounds_in_ns
from flaskprof.metrics.totals import overflow_of_exceptions
from flaskprof.metrics.worker_file import WorkerFile

__all__ = ["METHODS", "Metrics", "known_method", "known_status"]

METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
OTHER_METHOD = "_OTHER"

_STATUSES = frozenset(str(status.value) for status in HTTPStatus)

_NOTE_NS = 5 * 10**9
_TRY_AGAIN_NS = 30 * 10**9


class Metrics:
    """Counters and histograms of the requests, captures and failures of one process.

    They are in memory until `start` places them in `directory`, beside those of other
    processes; without one they stay there. `registry` has the sums of all. `measure` is
    what is measured beyond the basics, as in the setting of that name. From
    `next_note_ns` on, of the clock of ``perf_counter``, `note_process` is due. Every method is
    cheap and may be called from any thread, but not from ``__del__`` or a
    garbage-collection callback.
    """

    def __init__(
        self,
        buckets: Sequence[float],
        *,
        directory: Path | None = None,
        max_series: int = 500,
        measure: Collection[str] = (),
        label: Label | None = None,
    ) -> None:
        self._wanted = Wanted(
            cpu="cpu" in measure and not process.shares_threads(),
            queue="queue" in measure,
            own="own" in measure,
            stream="stream" in measure,
            label=label,
        )
        self._is_extra_for_all = self._wanted.is_of_all
        self.measures_length = "length" in measure
        self._measures_workers = "workers" in measure
        self._directory = directory
        self._bounds_ns = bounds_in_ns(buckets)
        self._max_series = max_series
        self._info: tuple[str, ...] = ()
        self._cpu_base_ns = 0
        self._is_started = False
        self.next_note_ns = 0
        self._next_try_ns = 0
        self._file = self._new_file(workers_started=1)
        self.collector = DirectoryCollector(
            directory, role="app", own=lambda: self._file, before=self.note_process, folds=True
        )
        self.registry = CollectorRegistry(support_collectors_without_names=True)
        self.registry.register(self.collector)

    def _new_file(self, workers_started: int) -> WorkerFile:
        """Return cells that begin at zero."""
        file = WorkerFile(self._bounds_ns, self._max_series)
        self._overflow_of_exceptions = _counter_place(file, overflow_of_exceptions())
        file.words[_counter_place(file, (table.STARTED_WORKERS.name,))] = workers_started
        if self._info:
            file.words[_counter_place(file, (table.INFO.name, *self._info))] = 1
        return file

    # What a request does

    def request_started(
        self, method: str, environ: dict[str, Any], entered: int
    ) -> Extras | None:
        """Count a request in; `answered` or `request_ended` counts it out.

        Returns where to note what is measured of this request and not of all.
        """
        file = self._file
        try:
            place = file.active[method]
        except KeyError:
            place = self._active_place(file, method)
        file.add(place, 1)
        if (
            entered & SAMPLED
            and not self._is_extra_for_all
            and "HTTP_X_REQUEST_START" not in environ
            and "HTTP_X_QUEUE_START" not in environ
        ):
            return None
        return Extras(self._wanted, environ, entered)

    def request_ended(self, method: str) -> None:
        """Count a request out that is counted nowhere else."""
        file = self._file
        file.add(self._active_place(file, method), -1)

    def active_requests(self) -> int:
        """How many requests of this process are counted in and not yet out."""
        file = self._file
        return sum(file.words[place] for place in {*file.active.values()})

    def answered(  # noqa: PLR0917  by position: it costs every request
        self,
        method: str,
        route: str,
        status: str,
        duration_ns: int,
        length: int | None = None,
        extras: Extras | None = None,
        profile_id: str | None = None,
    ) -> None:
        """Count a request out and record it; `profile_id` is the exemplar of its bucket."""
        file = self._file
        label_value = "" if extras is None else extras.label_value
        try:
            place = file.requests[method, route, status, label_value]
            active = file.active[method]
        except KeyError:
            place = self._request_place(file, method, route, status, label_value)
            active = self._active_place(file, method)
        bucket = bisect_left(self._bounds_ns, duration_ns)
        counted = place + FIXED_CELLS + bucket
        if length is None:
            unknown = place + Cell.LENGTH_UNKNOWN
            file.add(active, -1, counted, 1, place, duration_ns, unknown, 1)
        else:
            known = place + Cell.LENGTH
            file.add(active, -1, counted, 1, place, duration_ns, known, length)
        if extras is not None:
            _count_extras(file, place, extras, length)
        if profile_id is not None:
            file.add_exemplar(place, bucket, duration_ns, profile_id)

    def count_exception(self, method: str, route: str, name: str) -> None:
        """Count one unhandled exception by the name of its class."""
        file = self._file
        # An application can make classes without bound; other counters keep their room.
        place: int | None = None
        if file.words[Header.COUNTERS] < file.layout.slots:
            labels = (table.EXCEPTIONS.name, known_method(method), route, name)
            place = file.counter_place(labels)
        if place is None:
            place = self._overflow_of_exceptions
        file.add(place, 1)

    # What we do ourselves

    def count_capture(self, trigger: str, outcome: str) -> None:
        """Count what became of one capture: stored, skipped, dropped or failed."""
        self._count(table.CAPTURES, (trigger, outcome))

    def count_skip(self, reason: str) -> None:
        """Count one capture that was not made."""
        self._count(table.SKIPPED, (reason,))

    def count_failure(self, place: str) -> None:
        """Count one failure of our own."""
        self._count(table.FAILURES, (place,))

    def count_own_time(self, part: str, spent_ns: int) -> None:
        """Add to the time that was spent in flaskprof itself, in the background."""
        if self._wanted.own:
            self._count(table.OWN_SECONDS, (part,), spent_ns)

    def count_sampled_own_time(self, spent_ns: int) -> None:
        """Add what a request that was sampled spent in flaskprof, for all that were not."""
        self.count_own_time("requests", spent_ns * OWN_WEIGHT)

    def describe(self, labels: Mapping[str, str]) -> None:
        """Publish ``flaskprof_info`` with `labels` beside the versions."""
        labels = {"version": __version__, "python": platform.python_version(), **labels}
        self.collector.role = labels.pop("role")
        names = [name for name in table.INFO.labels if name != "role"]
        self._info = tuple(labels.get(name, "") for name in names)
        self._set(table.INFO, self._info, 1)

    def start(self) -> None:
        """Place what is counted in the directory, where other processes see it."""
        self._is_started = self._directory is not None
        self.note_process()

    def note_process(self) -> None:
        """Note what this process uses, and look whether its file is still its own."""
        now_ns = time.perf_counter_ns()
        self.next_note_ns = now_ns + _NOTE_NS
        if self._file.is_lost():
            self._begin_anew()
        if self._is_started and not self._file.is_placed and now_ns >= self._next_try_ns:
            self._place()
        if self._measures_workers:
            self._set(table.RESIDENT, (), process.resident_bytes())
            self._set(table.CPU_OF_WORKERS, (), process.cpu_ns() - self._cpu_base_ns)

    def close(self) -> None:
        """Leave the file to whoever sums up; what is counted from now on is lost."""
        self.note_process()
        self._is_started = False
        self._file.leave()

    def _place(self) -> None:
        assert self._directory is not None  # noqa: S101  started with one
        try:
            self._file.place(self._directory)
        except OSError as error:
            self._next_try_ns = time.perf_counter_ns() + _TRY_AGAIN_NS
            self.count_failure("metrics")
            log.once(
                "metrics in memory",
                "the metrics of this process cannot be written to %s and stay in its memory, "
                "where no other process sees them: %s",
                self._directory,
                error,
            )

    def _begin_anew(self) -> None:
        """Go on in another file, as the one so far was deleted or given up."""
        lost = self._file
        file = self._new_file(workers_started=0)
        for method, place in lost.active.items():
            file.words[self._active_place(file, method)] = lost.words[place]
        self._cpu_base_ns = process.cpu_ns()
        self._file = file
        lost.leave()

    def _count(self, metric: table.Metric, labels: tuple[str, ...], number: int = 1) -> None:
        file = self._file
        file.add(_counter_place(file, (metric.name, *labels)), number)

    def _set(self, metric: table.Metric, labels: tuple[str, ...], number: int) -> None:
        file = self._file
        file.words[_counter_place(file, (metric.name, *labels))] = number

    def _active_place(self, file: WorkerFile, method: str) -> int:
        place = file.active.get(method)
        if place is None:
            place = _counter_place(file, (table.ACTIVE.name, known_method(method)))
            file.active.setdefault(known_method(method), place)
        return place

    def _request_place(
        self, file: WorkerFile, method: str, route: str, status: str, label_value: str
    ) -> int:
        labels: tuple[str, ...] = (known_method(method), route, known_status(status))
        if self._wanted.label is not None:
            labels = (*labels, self._wanted.label.name, label_value)
        place = file.request_place(labels)
        # What clients or an application without bound could fill memory with is not kept.
        if labels[:3] == (method, route, status) and place != file.overflow:
            file.requests[method, route, status, label_value] = place
        return place


def _counter_place(file: WorkerFile, labels: Sequence[str]) -> int:
    place = file.counter_place(labels)
    return Header.UNCOUNTED if place is None else place


def _count_extras(file: WorkerFile, place: int, extras: Extras, length: int | None) -> None:
    if extras.cpu_ns is not None:
        file.add(place + Cell.CPU_COUNT, 1, place + Cell.CPU, extras.cpu_ns)
    if extras.queued_ns is not None:
        file.add(place + Cell.QUEUED_COUNT, 1, place + Cell.QUEUED, extras.queued_ns)
    if extras.stream is not None:
        first_byte_ns, sent_bytes, is_disconnected = extras.stream.seen(length)
        file.add(place + Cell.SENT_COUNT, 1, place + Cell.SENT, sent_bytes)
        file.add(place + Cell.DISCONNECTS, int(is_disconnected))
        if first_byte_ns is not None:
            file.add(place + Cell.FIRST_BYTE_COUNT, 1, place + Cell.FIRST_BYTE, first_byte_ns)


def known_method(method: str) -> str:
    """Return a standard method as it is and any other as ``_OTHER``."""
    return method if method in METHODS else OTHER_METHOD


def known_status(status: str) -> str:
    """Return a standard status code as it is, any other as RFC 9110, section 15, takes it.

    An unknown code of a class is that class's first, and what is no code at all is 500.
    """
    if status in _STATUSES:
        return status
    if len(status) == 3 and status.isascii() and status.isdecimal() and "1" <= status[0] <= "5":
        return status[0] + "00"
    return "500"
