"""Where captures are kept and found again.

`Store` is what the viewer and the command line see of a place that holds captures;
`flaskprof.store.directory` is the data directory that applications write to, and
`flaskprof.store.files` shows given ``.prof`` files as if they were captures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from flaskprof.record import CaptureRecord

__all__ = ["CapturePage", "CaptureQuery", "Store"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureQuery:
    """Which captures to list: exact matches on the given fields, newest first.

    `limit` captures are listed after the first `offset` ones.
    """

    route: str | None = None
    method: str | None = None
    trigger: str | None = None
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


class Store(Protocol):
    """A readable collection of captures.

    Raises `CaptureNotFound` for an ID it does not hold, `StoreError` where the place
    cannot be read.
    """

    def list(self, query: CaptureQuery) -> CapturePage:
        """Return one page of captures, newest first."""
        ...

    def record(self, capture_id: str) -> CaptureRecord:
        """Return the metadata of one capture."""
        ...

    def read(self, capture_id: str, suffix: str) -> bytes:
        """Return one file of a capture, named by its suffix, as `.prof`."""
        ...
