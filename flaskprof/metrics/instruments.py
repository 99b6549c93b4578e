"""The metrics of one process, in a registry of their own.

Names and labels follow OpenTelemetry's semantic conventions for HTTP servers where they
have one; all others begin with ``flaskprof_``.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from flaskprof import __version__

__all__ = ["METHODS", "Metrics"]

METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
OTHER_METHOD = "_OTHER"

# An application can raise classes without bound, made at run time; a label cannot follow.
_MOST_EXCEPTIONS = 100
_OTHER_EXCEPTION = "_other_"


class Metrics:
    """Counters and histograms of the requests, captures and failures of one process.

    Every method is cheap, takes its own short locks and may be called from any thread,
    but not from ``__del__``, a signal handler or a garbage-collection callback.
    """

    def __init__(self, buckets: Sequence[float]) -> None:
        self.registry = CollectorRegistry()
        self._duration = Histogram(
            "http_server_request_duration_seconds",
            "Seconds from the call of the application to the end of its response.",
            ("http_request_method", "http_route", "http_response_status_code"),
            buckets=buckets,
            registry=self.registry,
        )
        self._active = Gauge(
            "http_server_active_requests",
            "Requests that are being answered.",
            ("http_request_method",),
            registry=self.registry,
        )
        self._exceptions = Counter(
            "flaskprof_exceptions",
            "Unhandled exceptions of the application, by class.",
            ("http_request_method", "http_route", "error_type"),
            registry=self.registry,
        )
        self._captures = Counter(
            "flaskprof_captures",
            "Captures that were asked for, by what became of them.",
            ("trigger", "outcome"),
            registry=self.registry,
        )
        self._skipped = Counter(
            "flaskprof_captures_skipped",
            "Captures that were asked for and not made, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self._failures = Counter(
            "flaskprof_failures",
            "Failures inside flaskprof that the application did not notice, by place.",
            ("place",),
            registry=self.registry,
        )
        # Children are looked up by the raw label values here, which costs a tenth of
        # what `labels()` does.
        self._durations: dict[tuple[str, str, str], Any] = {}
        self._actives: dict[str, Any] = {}
        self._exception_names: set[str] = set()

    def describe(self, labels: Mapping[str, str]) -> None:
        """Publish ``flaskprof_info`` with `labels` beside the versions."""
        labels = {"version": __version__, "python": platform.python_version(), **labels}
        Gauge(
            "flaskprof_info",
            "Always 1; the labels say what runs.",
            tuple(labels),
            registry=self.registry,
        ).labels(**labels).set(1)

    def request_started(self, method: str) -> None:
        """Count a request in; `request_ended` with the same method counts it out."""
        active = self._actives.get(method)
        if active is None:
            active = self._active_of(method)
        active.inc()

    def request_ended(self, method: str) -> None:
        """Count a request out that `request_started` counted in."""
        self._active_of(method).dec()

    def active_requests(self) -> int:
        """How many requests are counted in and not yet out."""
        return int(
            sum(sample.value for family in self._active.collect() for sample in family.samples)
        )

    def observe(
        self, method: str, route: str, status: str, seconds: float, profile_id: str | None
    ) -> None:
        """Record one answered request; `profile_id` becomes the exemplar of its bucket."""
        duration = self._durations.get((method, route, status))
        if duration is None:
            duration = self._duration_of(method, route, status)
        duration.observe(seconds, None if profile_id is None else {"profile_id": profile_id})

    def count_exception(self, method: str, route: str, name: str) -> None:
        """Count one unhandled exception by the name of its class."""
        if name not in self._exception_names:
            if len(self._exception_names) >= _MOST_EXCEPTIONS:
                name = _OTHER_EXCEPTION
            else:
                self._exception_names.add(name)
        self._exceptions.labels(_known(method), route, name).inc()

    def count_capture(self, trigger: str, outcome: str) -> None:
        """Count what became of one capture: stored, skipped, dropped or failed."""
        self._captures.labels(trigger, outcome).inc()

    def count_skip(self, reason: str) -> None:
        """Count one capture that was not made."""
        self._skipped.labels(reason).inc()

    def count_failure(self, place: str) -> None:
        """Count one failure of our own."""
        self._failures.labels(place).inc()

    def _active_of(self, method: str) -> Gauge:
        active = self._actives.get(method)
        if active is None:
            active = self._active.labels(_known(method))
            if method in METHODS:
                self._actives[method] = active
        return active

    def _duration_of(self, method: str, route: str, status: str) -> Histogram:
        duration = self._duration.labels(_known(method), route, status)
        if method in METHODS:
            self._durations[method, route, status] = duration
        return duration


def _known(method: str) -> str:
    return method if method in METHODS else OTHER_METHOD
