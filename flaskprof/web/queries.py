"""The queries of a captured request, as its page prints them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flaskprof.queries.groups import QueryGroup, is_repeated, place_of
from flaskprof.queries.sql import shortened
from flaskprof.record import CaptureRecord
from flaskprof.web.figures import Figure, count, seconds, share

__all__ = ["QueriesView", "QueryRow", "queries_view"]


class QueryRow(NamedTuple):
    """One statement from one line of code; the bar is its share of the database's time."""

    statement: str
    short: str
    place: str
    full_place: str
    function: str
    runs: Figure
    is_repeated: bool
    failed: str
    time: Figure
    time_share: Figure
    time_bar: float


class QueriesView(NamedTuple):
    """What a request asked of databases; rows that were repeated come first."""

    runs: Figure
    time: Figure
    time_share: Figure
    rows: Sequence[QueryRow]
    left_out: Figure | None


def queries_view(record: CaptureRecord) -> QueriesView:
    """Show the queries of a capture that made some."""
    assert record.query_count, "nobody asks otherwise"  # noqa: S101  for mypy
    spent = record.query_seconds or 0.0
    shown = sum(group.runs for group in record.queries)
    return QueriesView(
        runs=count(record.query_count),
        time=seconds(spent),
        time_share=share(min(_part(spent, record.duration_seconds), 1.0)),
        rows=[_row(group, spent) for group in record.queries],
        left_out=count(record.query_count - shown) if shown < record.query_count else None,
    )


def _row(group: QueryGroup, spent: float) -> QueryRow:
    part = min(_part(group.seconds, spent), 1.0)
    return QueryRow(
        statement=group.statement,
        short=shortened(group.statement),
        place=place_of(group),
        full_place=f"{group.file}:{group.line}" if group.file else "",
        function=group.function,
        runs=count(group.runs),
        is_repeated=is_repeated(group),
        failed=f"{group.failed:,} failed" if group.failed else "",
        time=seconds(group.seconds),
        time_share=share(part),
        time_bar=round(part * 100, 2),
    )


def _part(value: float, whole: float) -> float:
    return value / whole if whole > 0 else 0.0
