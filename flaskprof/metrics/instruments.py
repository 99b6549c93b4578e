"""What this process counts and times: the face of the metrics to all other code.

Everything is counted in the cells of a worker file, which other processes read. Methods and
status codes that are not standard are folded to those that are, so that nobody who only sends
requests can add a series.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from flaskprof import __version__, log
from flaskprof.metrics import process, table
from flaskprof.metrics.collector import DirectoryCollector
from flaskprof.metrics.layout import OVERFLOW, Cell, Header, bounds_in_ns
from flaskprof.metrics.series import COUNT, SUM, Declaration, bucket_of
from flaskprof.metrics.stream import Stream
from flaskprof.metrics.totals import overflow_of_exceptions
from flaskprof.metrics.visit import (
    CPU_SHARE,
    MEASURE_CPU,
    MEASURE_EVERY_CPU,
    MEASURE_LENGTH,
    MEASURE_MORE,
    MEASURE_QUEUE,
    MEASURE_TRACES,
)
from flaskprof.metrics.worker_file import WorkerFile
from flaskprof.tracing import Trace, sees_spans

__all__ = [
    "METHODS",
    "Label",
    "Metrics",
    "known_method",
    "known_status",
]

METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
OTHER_METHOD = "_OTHER"
OTHER_VALUE = "_other_"

_STATUSES = frozenset(str(status.value) for status in HTTPStatus)

_NOTE_NS = 5 * 10**9
_TRACE_NS = 10**9
_TRY_AGAIN_NS = 30 * 10**9


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the application's own: its name, its values, and what returns the value.

    `source` is called with the WSGI environ of a request.
    """

    name: str
    values: frozenset[str]
    source: Callable[[dict[str, Any]], object]

    def of(self, environ: dict[str, Any]) -> str:
        """Return the value for a request if it is declared, else ``_other_``."""
        value = self.source(environ)
        return value if isinstance(value, str) and value in self.values else OTHER_VALUE


class Metrics:
    """Counters and histograms of the requests, captures and failures of one process.

    They are in memory until `start` places them in `directory`, beside those of other
    processes; without one they stay there. `registry` has the sums of all. `measure` is
    what is measured beyond the basics, as in the setting of that name. From
    ``cells.due_ns`` on, of the clock of ``perf_counter``, `note_process` is due. Every
    method is cheap and may be called from any thread, but not from ``__del__`` or a
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
        is_cpu_known = not process.shares_threads()
        measures_every_cpu = "every_cpu" in measure and is_cpu_known
        self.measures_cpu = measures_every_cpu or ("cpu" in measure and is_cpu_known)
        # How many requests each that is measured stands for.
        self.cpu_share = 1 if measures_every_cpu else CPU_SHARE
        self.measures_queue = "queue" in measure
        self.measures_length = "length" in measure
        self.measures_own = "own" in measure
        self.measures_stream = "stream" in measure
        self.measures_traces = "traces" in measure
        self.sees_spans = False
        # Whether every request needs a step in Python: of a body's parts, or of its trace.
        self.is_attentive = self.measures_stream
        self._next_trace_ns = 0
        self._measures_workers = "workers" in measure
        self.label = label
        self.measures = (
            MEASURE_CPU * self.measures_cpu
            | MEASURE_EVERY_CPU * measures_every_cpu
            | MEASURE_LENGTH * self.measures_length
            | MEASURE_QUEUE * self.measures_queue
            | MEASURE_TRACES * self.measures_traces
            | MEASURE_MORE * (self.measures_stream or label is not None)
        )
        self._directory = directory
        self._file = WorkerFile(bounds_in_ns(buckets), max_series)
        self.cells = self._file.cells
        self._add = self._file.add
        self._observe = self._file.observe
        self._add_exemplar = self._file.add_exemplar
        self._bounds_ns = self._file.layout.bounds_ns
        self.places: dict[tuple[str, str, str, str], int] = {}
        self.active: dict[str, int] = {}
        self._counters: dict[tuple[str, ...], int] = {}
        # Counters that are cells of other metrics, and the label sets of these.
        self._apart: dict[tuple[str, ...], int] = {}
        self._series: dict[str, set[tuple[str, ...]]] = {}
        self._overflow_of_exceptions = _counter_place(self._file, overflow_of_exceptions())
        self._info_place = Header.UNCOUNTED
        self._cpu_base_ns = 0
        self._is_started = False
        self._next_try_ns = 0
        self._count(table.STARTED_WORKERS, ())
        self.collector = DirectoryCollector(
            directory, role="app", own=self._file, before=self.note_process, folds=True
        )
        self.registry = CollectorRegistry(support_collectors_without_names=True)
        self.registry.register(self.collector)

    # What a request does

    def request_started(self, method: str) -> None:
        """Count a request in; `request_ended` with the same method counts it out."""
        self._add(self.active_place(method), 1)

    def request_ended(self, method: str) -> None:
        """Count a request out that `request_started` counted in."""
        self._add(self.active_place(method), -1)

    def active_place(self, method: str) -> int:
        """Return the cell that counts the requests of a method that are being answered."""
        try:
            return self.active[method]
        except KeyError:
            known = known_method(method)
            place = self.active[known] = self._counter_place(table.ACTIVE, (known,))
            return place

    def active_requests(self) -> int:
        """How many requests of this process are counted in and not yet out."""
        words = self._file.words
        return sum(words[place] for place in set(self.active.values()))

    def observe(  # noqa: PLR0917  by position: it costs every request
        self,
        method: str,
        route: str,
        status: str,
        duration_ns: int,
        profile_id: str | None = None,
        cpu_ns: int | None = None,
        queued_ns: int | None = None,
        length: int | None = None,
        extra: str = "",
        stream: Stream | None = None,
        trace: Trace | None = None,
        cpu_share: int = 1,
    ) -> None:
        """Record one answered request; `profile_id` becomes the exemplar of its bucket.

        So does a `trace` that is sampled, now and then, where no profile is there.

        `extra` is the value of the application's own label, empty where it has none. What
        was not measured is None. `cpu_ns` stands for so many requests as `cpu_share` says.
        """
        try:
            place = self.places[method, route, status, extra]
        except KeyError:
            place = self._request_place(method, route, status, extra)
        # In the order of their cells.
        self._observe(place, duration_ns, cpu_ns, queued_ns, length)
        if cpu_ns is not None and cpu_share > 1:
            more = cpu_share - 1
            self._add(place + Cell.CPU_COUNT, more, place + Cell.CPU, more * cpu_ns)
        if profile_id:
            trace_id = "" if trace is None else trace.trace_id
            self._add_exemplar(place, duration_ns, profile_id, trace_id)
        elif trace is not None and trace.is_sampled:
            self._add_trace(place, duration_ns, trace.trace_id)
        if stream is not None:
            stream.count(self._add, place, length)

    def _add_trace(self, place: int, duration_ns: int, trace_id: str) -> None:
        """Note a trace, now and then: it may be that all requests have one."""
        now_ns = time.perf_counter_ns()
        if now_ns >= self._next_trace_ns:
            self._next_trace_ns = now_ns + _TRACE_NS
            self._add_exemplar(place, duration_ns, "", trace_id)

    def count_exception(self, method: str, route: str, name: str) -> None:
        """Count one unhandled exception by the name of its class."""
        labels = (table.EXCEPTIONS.name, known_method(method), route, name)
        file = self._file
        # An application can make classes without bound; other counters keep their room.
        others = file.words[Header.COUNTERS] - len(self._apart)
        place = None if others >= file.layout.slots else file.counter_place(labels)
        self._add(self._overflow_of_exceptions if place is None else place, 1)

    # What code is marked to be timed, and what the application counts itself

    def observe_section(self, section: str, duration_ns: int) -> None:
        """Record how long a section of the application's code took."""
        cell = bucket_of(duration_ns, self._bounds_ns)
        self.add_to_series(
            table.SECTIONS.name, (section,), {cell: 1, SUM: duration_ns}, table.SECTIONS.most
        )

    def observe_template(self, template: str, duration_ns: int) -> None:
        """Record how long a template took to render."""
        cells = {COUNT: 1, SUM: duration_ns}
        self.add_to_series(table.TEMPLATES.name, (template,), cells, table.TEMPLATES.most)

    def observe_queries(self, method: str, route: str, number: int, spent_ns: int) -> None:
        """Record how many queries a request made, and how long they took together."""
        cells = {COUNT: number, SUM: spent_ns}
        labels = (known_method(method), route)
        self.add_to_series(table.QUERIES.name, labels, cells, table.QUERIES.most)

    def declare(self, declaration: Declaration) -> None:
        """Say what a metric of the application's own is, to whoever reads it."""
        self._add_apart(declaration.to_labels(), 1)

    def add_to_series(
        self, name: str, values: tuple[str, ...], cells: Mapping[str, int], most: int
    ) -> None:
        """Add to cells of a label set, or of the overflow beyond `most` label sets."""
        known = self._series.setdefault(name, set())
        if values not in known:
            if len(known) < most:
                known.add(values)
            else:
                values = (OVERFLOW,) * len(values)
        for cell, number in cells.items():
            self._add_apart((name, *values, cell), number)

    def _add_apart(self, labels: tuple[str, ...], number: int) -> None:
        place = self._apart.get(labels)
        if place is None:
            place = self._apart[labels] = _counter_place(self._file, labels)
        self._add(place, number)

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
        """Add to the time that was spent in flaskprof itself."""
        if self.measures_own:
            self._count(table.OWN_SECONDS, (part,), spent_ns)

    def describe(self, labels: Mapping[str, str]) -> None:
        """Publish ``flaskprof_info`` with `labels` beside the versions."""
        labels = {"version": __version__, "python": platform.python_version(), **labels}
        self.collector.role = labels.pop("role")
        names = [name for name in table.INFO.labels if name != "role"]
        values = tuple(labels.get(name, "") for name in names)
        self._info_place = self._counter_place(table.INFO, values)
        self._file.words[self._info_place] = 1

    def start(self) -> None:
        """Place what is counted in the directory, where other processes see it."""
        self._is_started = self._directory is not None
        self.note_process()

    def keep_apart(self) -> None:
        """Stay in memory and serve what this process counts alone; called before `start`."""
        self._directory = None
        self.collector.keep_apart()

    def note_process(self) -> None:
        """Note what this process uses, and look whether its file is still its own."""
        now_ns = time.perf_counter_ns()
        self.cells.due_ns = now_ns + _NOTE_NS
        self.sees_spans = self.measures_traces and sees_spans()
        self.is_attentive = self.measures_stream or self.sees_spans
        if self._file.is_taking:
            return
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
        self._file.renew((self._info_place, *set(self.active.values())))
        self._cpu_base_ns = process.cpu_ns()

    def _count(self, metric: table.Metric, labels: tuple[str, ...], number: int = 1) -> None:
        self._add(self._counter_place(metric, labels), number)

    def _set(self, metric: table.Metric, labels: tuple[str, ...], number: int) -> None:
        self._file.words[self._counter_place(metric, labels)] = number

    def _counter_place(self, metric: table.Metric, labels: tuple[str, ...]) -> int:
        place = self._counters.get((metric.name, *labels))
        if place is None:
            place = _counter_place(self._file, (metric.name, *labels))
            self._counters[metric.name, *labels] = place
        return place

    def _request_place(self, method: str, route: str, status: str, extra: str) -> int:
        labels: tuple[str, ...] = (known_method(method), route, known_status(status))
        if self.label is not None:
            labels = (*labels, self.label.name, extra or OTHER_VALUE)
        place = self._file.request_place(labels)
        # What clients or an application without bound could fill memory with is not kept.
        if labels[:3] == (method, route, status) and place != self._file.overflow:
            self.places[method, route, status, extra] = place
        return place


def _counter_place(file: WorkerFile, labels: Sequence[str]) -> int:
    place = file.counter_place(labels)
    return Header.UNCOUNTED if place is None else place


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
