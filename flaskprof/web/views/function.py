"""One function of a capture, between its callers and its callees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import NotFound

from flaskprof.profiles.model import Function
from flaskprof.profiles.table import Edge, callees, callers, rows
from flaskprof.web.links import function_key
from flaskprof.web.rows import (
    FunctionName,
    FunctionRow,
    Summary,
    edge_data,
    edge_row,
    function_name,
    function_row,
    profile_data,
    record_data,
    row_data,
    summary,
)
from flaskprof.web.subject import Subject, subject_of
from flaskprof.web.visit import Page, Visit

__all__ = ["function", "sandwich"]


@dataclass(frozen=True, slots=True)
class FunctionView:
    """One function of a capture between its callers and its callees."""

    summary: Summary
    capture_url: str
    function: FunctionName
    sums: FunctionRow
    is_recursive: bool
    callers: Sequence[FunctionRow]
    callees: Sequence[FunctionRow]


def function(visit: Visit, capture_id: str, key: str) -> Page:
    """Show one function of a capture, at the address that it had before."""
    return sandwich(visit, subject_of(visit, capture_id), key)


def sandwich(visit: Visit, subject: Subject, key: str) -> Page:
    """Show who called a function and what it called, with the sums of each edge."""
    record, graph = subject.whole_record, subject.graph
    wanted = subject.function(key)
    if wanted is None:
        raise NotFound("This capture holds no function of that address.")
    row = next(row for row in rows(graph) if row.function == wanted)
    above, below = callers(graph, wanted), callees(graph, wanted)

    def url(other: Function) -> str:
        return subject.page(view="sandwich", fn=function_key(other))

    def shown(edge: Edge) -> FunctionRow:
        whole = row.cumulative_seconds
        return edge_row(edge, url=url(edge.function), whole_seconds=whole)

    view = FunctionView(
        summary=summary(record, graph, now=visit.now),
        capture_url=subject.page(),
        function=function_name(wanted, url=url(wanted)),
        sums=function_row(row, url=url(wanted)),
        is_recursive=row.calls != row.primitive_calls,
        callers=[shown(edge) for edge in above],
        callees=[shown(edge) for edge in below],
    )

    def data() -> Mapping[str, Any]:
        return {
            "capture": record_data(record, visit.links),
            "profile": profile_data(graph, is_sampled=view.summary.is_sampled),
            "function": row_data(row, url=url(wanted)),
            "callers": [edge_data(edge, url=url(edge.function)) for edge in above],
            "callees": [edge_data(edge, url=url(edge.function)) for edge in below],
        }

    return Page("function.html", view, data)
