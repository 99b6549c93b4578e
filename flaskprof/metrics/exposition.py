"""The page that Prometheus reads: our families, and the application's own beside them.

Text by default, OpenMetrics, which has exemplars, where it is asked for, as
prometheus_client negotiates it. Ours have no ``_created`` in either, whatever is set for the
application's own: Prometheus asks for OpenMetrics by default and would store one more series
for each label set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from flaskprof import log
from flaskprof.metrics.collector import DirectoryCollector
from flaskprof.metrics.table import METRICS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["metrics_app", "sidecar_registry"]

_TAKEN = frozenset(
    name + suffix
    for metric in METRICS
    for name in (metric.name, *metric.samples)
    for suffix in ("", "_created")
)


def sidecar_registry(
    directory: Path,
    usage: Callable[[], tuple[int, int]] | None = None,
    failures: Callable[[], Mapping[str, int]] = dict,
) -> CollectorRegistry:
    """Return the sums over a metrics directory for a process that counts nothing itself.

    `usage` returns bytes and files of the data directory, `failures` those of the process
    itself, by place. Of the application's own
    metrics it has those of ``PROMETHEUS_MULTIPROC_DIR`` alone. Collecting raises OSError
    where the directory cannot be read.
    """
    registry = CollectorRegistry(support_collectors_without_names=True)
    collector = DirectoryCollector(directory, role="sidecar", usage=usage, failures=failures)
    registry.register(collector)
    registry.register(_HostMetrics(collector, lambda: False))
    return registry


def metrics_app(collector: DirectoryCollector) -> WSGIApplication:
    """Return the WSGI application that serves `collector` in an application's process."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Of several workers perhaps only one has answered by now, so the server is asked too.
        has_several = bool(environ.get("wsgi.multiprocess"))
        registry = CollectorRegistry(support_collectors_without_names=True)
        registry.register(collector)
        registry.register(
            _HostMetrics(collector, lambda: not has_several and collector.alive <= 1)
        )
        app: WSGIApplication = make_wsgi_app(registry)
        return app(environ, start_response)

    return serve


class _HostMetrics(Collector):
    """The application's own metrics of prometheus_client, except those named like ours.

    Its default registry holds those of one process: with several, each scrape would meet
    another and counters would fall, so that they are served only where `is_alone`. `ours`
    has been collected just before.
    """

    def __init__(self, ours: DirectoryCollector, is_alone: Callable[[], bool]) -> None:
        self._ours = ours
        self._is_alone = is_alone

    def collect(self) -> Iterator[Family]:
        """Yield what can be had; what fails in it is logged once and left out."""
        try:
            found = list(self._find())
        except Exception:  # noqa: BLE001  a collector of the application's; ours are served
            log.once("host metrics", "the application's own metrics failed", exc_info=True)
            return
        for family in found:
            names = {family.name, *(sample.name for sample in family.samples)}
            if names & _TAKEN or family.name in self._ours.declared:
                log.once(
                    f"host metric {family.name}",
                    "the application has a metric %s of its own, which is left out: flaskprof "
                    "serves one of that name",
                    family.name,
                )
            else:
                yield family

    def _find(self) -> Iterator[Family]:
        directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if directory:
            from prometheus_client.multiprocess import (  # noqa: PLC0415  for the few who use it
                MultiProcessCollector,
            )

            collector: Collector = MultiProcessCollector(None, directory)  # type: ignore[no-untyped-call]  # theirs
            yield from collector.collect()
        elif self._is_alone():
            yield from prometheus_client.REGISTRY.collect()
        else:
            self._say_why_not()

    def _say_why_not(self) -> None:
        standard = ("process_", "python_")
        names = [family.name for family in prometheus_client.REGISTRY.collect()]
        if any(not name.startswith(standard) for name in names):
            log.once(
                "host metrics of one process",
                "the application's own prometheus_client metrics are those of one process each "
                "and are not served; set PROMETHEUS_MULTIPROC_DIR to have their sums",
            )
