"""Where captures are kept and found again.

`Store` is what the viewer and the command line see of a place that holds captures;
`flaskprof.store.directory` is the data directory that applications write to, and
`flaskprof.store.files` shows given ``.prof`` files as if they were captures.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Protocol

from flaskprof.record import CaptureRecord

__all__ = ["SORTS", "CapturePage", "CaptureQuery", "Look", "Store", "stamp_of"]

SORTS: Mapping[str, Callable[[CaptureRecord], Any]] = {
    "started": lambda record: record.id,
    "duration": lambda record: record.duration_seconds,
    "cpu": lambda record: (record.cpu_seconds is not None, record.cpu_seconds or 0.0),
    "status": lambda record: (record.status is not None, record.status or 0),
    "route": lambda record: record.route,
    "method": lambda record: record.method,
    "trigger": lambda record: record.trigger,
}
"""What captures can be sorted by, and the value that they are compared by.

What is not known comes before all that is.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureQuery:
    """Which captures to list: exact matches on the given fields, and in which order.

    `search` is a text that the route holds, or the name of a file, whatever its case. `sort`
    is a key of `SORTS`; captures that are equal in it have some order that stays the same.
    `limit` captures are listed after the first `offset` ones.
    """

    route: str | None = None
    method: str | None = None
    trigger: str | None = None
    search: str = ""
    sort: str = "started"
    is_descending: bool = True
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturePage:
    """One page of captures, how many match in all, and the values to filter by."""

    records: Sequence[CaptureRecord]
    matching: int
    routes: Sequence[str] = ()
    methods: Sequence[str] = ()
    triggers: Sequence[str] = ()


@dataclass(slots=True)
class Look:
    """A look for what is new; `unread` captures were found and left for another time."""

    unread: int = 0


class Store(Protocol):
    """A readable collection of captures.

    Raises `CaptureNotFound` for an ID it does not hold, `StoreError` where the place
    cannot be read.
    """

    @property
    def holds(self) -> str:
        """What it is a collection of, in the plural: "captures" or "files"."""
        ...

    def at_once(self, patience_seconds: float = inf) -> AbstractContextManager[Look]:
        """Look for what is new once, for all that this thread asks in the context.

        Where that would take much longer than `patience_seconds`, what is new is known but
        in part, the newest first: the rest is there for those who ask later.
        """
        ...

    def list(self, query: CaptureQuery) -> CapturePage:
        """Return one page of captures."""
        ...

    def spread(self, query: CaptureQuery) -> Mapping[int, int]:
        """Return how many of the captures that match are in each bin of `store.spread`."""
        ...

    def previous(self, record: CaptureRecord) -> CaptureRecord | None:
        """Return the last capture of the same route and method that began before `record`."""

    def marks(self, each: int) -> Mapping[tuple[str, str], Sequence[tuple[str, float]]]:
        """Return ID and seconds of some captures by method and route.

        They are the newest and the slowest, at most `each` of a method and route.
        """
        ...

    def record(self, capture_id: str) -> CaptureRecord:
        """Return the metadata of one capture."""
        ...

    def is_announced(self, capture_id: str) -> bool:
        """Whether a capture that is not there is being written, as far as is known."""
        ...

    def read(self, capture_id: str, suffix: str) -> bytes:
        """Return one file of a capture, named by its suffix, as `.prof`."""
        ...

    def stamp(self, capture_id: str, suffix: str) -> Hashable:
        """Return what changes when the content of that file does, without reading it."""
        ...


def stamp_of(path: Path, status: os.stat_result) -> Hashable:
    """Return what changes when the content of a file does, by its status."""
    return str(path), status.st_ino, status.st_mtime_ns, status.st_size
