"""Serves the sums of a metrics directory as metric families of prometheus_client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from flaskprof import log
from flaskprof.metrics.families import Surroundings, declarations, families
from flaskprof.metrics.folding import Reading, fold, read
from flaskprof.metrics.worker_file import WorkerFile

__all__ = ["DirectoryCollector"]


class DirectoryCollector(Collector):
    """Reads a metrics directory at each scrape.

    `own` are the cells of this process where it has any; they are served alone where
    there is no directory. `before` is called first. `usage` returns bytes and files of
    the data directory, `failures` those of a process without cells, by place. With
    `folds`, what dead processes left is folded in the background once it has been seen.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        role: str,
        own: WorkerFile | None = None,
        before: Callable[[], None] | None = None,
        usage: Callable[[], tuple[int, int]] | None = None,
        failures: Callable[[], Mapping[str, int]] = dict,
        folds: bool = False,
    ) -> None:
        self.role = role
        self.usage = usage
        self._directory = directory
        self._own = own
        self._before = before
        self._failures = failures
        self._folds = folds
        self._alive = 0
        # Names of what applications declared, as of the last scrape.
        self.declared: frozenset[str] = frozenset()

    @property
    def alive(self) -> int:
        """How many processes were alive at the last scrape."""
        return self._alive

    def keep_apart(self) -> None:
        """Serve the cells of this process alone from now on."""
        self._directory = None

    def collect(self) -> Iterator[Family]:
        """Yield every family of the table; raises OSError where nothing can be read."""
        reading = self.reading()
        self._alive = reading.alive
        if reading.dead and self._folds and self._directory is not None:
            _fold_in_background(self._directory)
        is_in_memory = self._own is not None and not self._own.is_placed
        usage = self.usage() if self.usage is not None else None
        self.declared = frozenset(row.name for row in declarations(reading.totals))
        yield from families(
            reading, Surroundings(self.role, is_in_memory, usage, self._failures())
        )

    def reading(self) -> Reading:
        """Return the sums of all; raises OSError where nothing can be read."""
        if self._before is not None:
            self._before()
        own = self._own
        unplaced = () if own is None or own.is_placed else (own,)
        if self._directory is None:
            return read(None, unplaced)
        try:
            reading = read(self._directory, unplaced)
            if not reading.is_settled:
                fold(self._directory)
                reading = read(self._directory, unplaced)
        except OSError as error:
            if own is None:
                raise
            log.once("metrics unread", "%s cannot be read: %s", self._directory, error)
            return read(None, (own,))
        return reading


def _fold_in_background(directory: Path) -> None:
    def run() -> None:
        try:
            fold(directory)
        except OSError as error:
            log.once("fold", "the metrics of ended processes stay in their files: %s", error)

    threading.Thread(target=run, name="flaskprof-fold", daemon=True).start()
