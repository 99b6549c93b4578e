"""Every metric of flaskprof, in one table.

The worker files, what is served at the metrics' path and ``docs/reference/metrics.md`` are all
made from it. Names and labels follow OpenTelemetry's semantic conventions for HTTP servers
where they have one; all others begin with ``flaskprof_``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = [
    "ACTIVE",
    "CAPTURES",
    "CPU",
    "CPU_OF_WORKERS",
    "DATA_BYTES",
    "DATA_FILES",
    "DISCONNECTS",
    "DURATION",
    "EXCEPTIONS",
    "FAILURES",
    "FILES_SET_ASIDE",
    "FILES_SKIPPED",
    "FIRST_BYTE",
    "GENERATION",
    "INFO",
    "IN_MEMORY",
    "LENGTH",
    "LIVE_WORKERS",
    "METRICS",
    "OWN_SECONDS",
    "QUERIES",
    "QUEUED",
    "REFUSED",
    "RESIDENT",
    "SECTIONS",
    "SENT",
    "SKIPPED",
    "STARTED_WORKERS",
    "TEMPLATES",
    "Kind",
    "Metric",
]

_METHOD = "http_request_method"
_ROUTE = "http_route"
_STATUS = "http_response_status_code"


class Kind(enum.Enum):
    """What a metric is to Prometheus."""

    counter = "counter"
    gauge = "gauge"
    histogram = "histogram"
    info = "info"
    summary = "summary"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table.

    `name` is that of the family, as OpenMetrics has it: a counter's samples add ``_total``.
    `measure` is the choice of the setting ``measure`` without which it has no samples.
    `is_extended` says that the label of the setting ``label`` is added to `labels`.
    `scale` is what a stored whole number is divided by: durations are stored in nanoseconds.
    `most` is how many label sets there are at most where its label sets are bounded apart
    from those of all others; its cells are counters then (`flaskprof.metrics.series`).
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    meaning: str = ""
    measure: str = ""
    is_extended: bool = False
    most: int = 0

    @property
    def unit(self) -> str:
        """Its unit, which its name ends with; empty for what is merely counted."""
        last = self.name.rpartition("_")[2]
        return last if last in {"bytes", "seconds"} else ""

    @property
    def scale(self) -> int:
        """What the whole number that is stored is divided by."""
        return 1_000_000_000 if self.unit == "seconds" else 1

    @property
    def samples(self) -> tuple[str, ...]:
        """The names of its samples, as a query has them."""
        return tuple(self.name + suffix for suffix in _SUFFIXES[self.kind])


_SUFFIXES = {
    Kind.counter: ("_total",),
    Kind.gauge: ("",),
    Kind.histogram: ("_bucket", "_count", "_sum"),
    Kind.info: ("_info",),
    Kind.summary: ("_count", "_sum"),
}

DURATION = Metric(
    "http_server_request_duration_seconds",
    Kind.histogram,
    (_METHOD, _ROUTE, _STATUS),
    "Seconds from the call of the application to the end of its response.",
    "Its count is the number of requests answered. An exemplar leads to the capture of a "
    "request that was in the bucket.",
    is_extended=True,
)
CPU = Metric(
    "flaskprof_request_cpu_seconds",
    Kind.summary,
    (_METHOD, _ROUTE),
    "Processor time of the thread that answered, from the call to the end of the response.",
    "An estimate, unless `every_cpu` is measured: one request in 16, at random, is measured "
    "and counted for 16, so that rates and means are right on the average, and rough where "
    "there are few requests. Those whose response ended in another thread are left out of sum "
    "and count, and so is everything where greenlets share a thread.",
    measure="cpu",
    is_extended=True,
)
QUEUED = Metric(
    "flaskprof_request_queue_seconds",
    Kind.summary,
    (_METHOD, _ROUTE),
    "Time from the proxy's X-Request-Start or X-Queue-Start to the call of the application.",
    "Requests without such a header, or with one that cannot be true, are left out. It is as "
    "good as the agreement of the two clocks.",
    measure="queue",
    is_extended=True,
)
LENGTH = Metric(
    "flaskprof_response_length_bytes",
    Kind.summary,
    (_METHOD, _ROUTE),
    "Bytes of response bodies, as their Content-Length says.",
    "Responses without that header, or without a body, are left out.",
    measure="length",
    is_extended=True,
)
FIRST_BYTE = Metric(
    "flaskprof_response_first_byte_seconds",
    Kind.summary,
    (_METHOD, _ROUTE),
    "Time from the call of the application to the first part of the body that is not empty.",
    measure="stream",
    is_extended=True,
)
SENT = Metric(
    "flaskprof_response_sent_bytes",
    Kind.summary,
    (_METHOD, _ROUTE),
    "Bytes of response bodies that the server took, counted part by part.",
    measure="stream",
    is_extended=True,
)
DISCONNECTS = Metric(
    "flaskprof_response_disconnects",
    Kind.counter,
    (_METHOD, _ROUTE),
    "Responses that were closed before their body was at its end: the client went away.",
    measure="stream",
    is_extended=True,
)
ACTIVE = Metric(
    "http_server_active_requests",
    Kind.gauge,
    (_METHOD,),
    "Requests that are being answered, by all live workers.",
    "The route is not known before the application has matched it.",
)
EXCEPTIONS = Metric(
    "flaskprof_exceptions",
    Kind.counter,
    (_METHOD, _ROUTE, "error_type"),
    "Unhandled exceptions of the application, by class.",
)
SECTIONS = Metric(
    "flaskprof_section_duration_seconds",
    Kind.histogram,
    ("section",),
    "Seconds that sections of code took, as the application names them.",
    "They are what `flaskprof.profile` and `flaskprof.profile_endpoint` mark. A section within "
    "one of the same name is part of that; one within another counts in both. The buckets are "
    "those of the request durations.",
    most=50,
)
TEMPLATES = Metric(
    "flaskprof_template_seconds",
    Kind.summary,
    ("template",),
    "Seconds that Flask took to render templates, by template.",
    "What a template includes or inherits from is part of it; one that is rendered while "
    "another is counts by itself and not in the other.",
    measure="templates",
    most=100,
)
QUERIES = Metric(
    "flaskprof_database_query_seconds",
    Kind.summary,
    (_METHOD, _ROUTE),
    "Seconds until databases had answered the queries of requests, and how many queries.",
    "The queries are those of SQLAlchemy, where `FLASKPROF_SQLALCHEMY` is on. What is fetched "
    "after the answer is not in it. Divided by the number of requests, the count says how many "
    "queries a request of the route makes.",
    most=200,
)
CAPTURES = Metric(
    "flaskprof_captures",
    Kind.counter,
    ("trigger", "outcome"),
    "Captures that were wanted, by what became of them: stored, skipped, dropped or failed.",
)
SKIPPED = Metric(
    "flaskprof_captures_skipped",
    Kind.counter,
    ("reason",),
    "Captures that were wanted and not made, by reason.",
)
FAILURES = Metric(
    "flaskprof_failures",
    Kind.counter,
    ("place",),
    "Failures inside flaskprof that the application did not notice, by place.",
    "The places spool and metrics are failures to write: of a capture, of a worker file. The "
    "places upkeep and sidecar are chores in the data directory that failed: those of workers, "
    "and those of the sidecar since it started.",
)
OWN_SECONDS = Metric(
    "flaskprof_own_seconds",
    Kind.counter,
    ("part",),
    "Time spent inside flaskprof itself.",
    "The part requests is on the path of requests, of which one in 64 is timed and counted 64 "
    "times; captures is the processor time of their conversion and writing, in the background.",
    measure="own",
)
INFO = Metric(
    "flaskprof",
    Kind.info,
    ("version", "service", "service_version", "engine", "python", "role"),
    "Always 1; the labels say what runs.",
    "The role is app or sidecar: who was scraped. Where workers of several versions live, "
    "each has a series.",
)
LIVE_WORKERS = Metric(
    "flaskprof_workers",
    Kind.gauge,
    (),
    "Processes alive that have answered a request.",
)
STARTED_WORKERS = Metric(
    "flaskprof_workers_started",
    Kind.counter,
    (),
    "Processes that began to answer requests.",
)
RESIDENT = Metric(
    "flaskprof_workers_resident_memory_bytes",
    Kind.gauge,
    (),
    "Resident memory of all live workers; pages that they share count once for each.",
    "Each worker notes its own about every five seconds while it answers requests.",
    measure="workers",
)
CPU_OF_WORKERS = Metric(
    "flaskprof_workers_cpu_seconds",
    Kind.counter,
    (),
    "Processor time of all workers, those that ended included.",
    "Each worker notes its own about every five seconds while it answers requests.",
    measure="workers",
)
DATA_BYTES = Metric(
    "flaskprof_data_bytes",
    Kind.gauge,
    (),
    "Bytes of the captures and metrics in the data directory.",
)
DATA_FILES = Metric(
    "flaskprof_data_files",
    Kind.gauge,
    (),
    "Files of captures and metrics in the data directory.",
)
REFUSED = Metric(
    "flaskprof_label_sets_refused",
    Kind.counter,
    ("metric",),
    "Observations counted under `_overflow_`, because there was no room for their labels.",
)
FILES_SKIPPED = Metric(
    "flaskprof_metrics_files_skipped",
    Kind.gauge,
    (),
    "Worker files that were not read: damaged, of another layout or of other buckets.",
)
FILES_SET_ASIDE = Metric(
    "flaskprof_metrics_files_set_aside",
    Kind.counter,
    (),
    "Worker files and archives that were given up, because what they hold cannot be added up.",
)
IN_MEMORY = Metric(
    "flaskprof_metrics_in_memory",
    Kind.gauge,
    (),
    "1 where the data directory cannot be written and the metrics are those of one process.",
    "No other process sees them then, and they end with it.",
)
GENERATION = Metric(
    "flaskprof_metrics_generation",
    Kind.gauge,
    (),
    "How often all series began at zero: 1, and 1 more for each change of the buckets.",
)

METRICS: tuple[Metric, ...] = (
    DURATION,
    ACTIVE,
    CPU,
    QUEUED,
    LENGTH,
    FIRST_BYTE,
    SENT,
    DISCONNECTS,
    EXCEPTIONS,
    SECTIONS,
    TEMPLATES,
    QUERIES,
    CAPTURES,
    SKIPPED,
    FAILURES,
    OWN_SECONDS,
    INFO,
    LIVE_WORKERS,
    STARTED_WORKERS,
    RESIDENT,
    CPU_OF_WORKERS,
    DATA_BYTES,
    DATA_FILES,
    REFUSED,
    FILES_SKIPPED,
    FILES_SET_ASIDE,
    GENERATION,
    IN_MEMORY,
)
