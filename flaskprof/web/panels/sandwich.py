"""One function between its callers and its callees, with the sums of each edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flaskprof.profiles.model import Function
from flaskprof.profiles.table import Edge, callees, callers, row_of
from flaskprof.web.figures import Figure, seconds, share
from flaskprof.web.panels import Panel
from flaskprof.web.rows import FunctionRow, edge_data, edge_row, function_row, row_data
from flaskprof.web.subject import Subject

__all__ = ["sandwich"]


class SandwichView(NamedTuple):
    """A function, those who called it and those that it called."""

    sums: FunctionRow | None
    is_sampled: bool
    is_recursive: bool = False
    recording: Figure | None = None
    recording_share: Figure | None = None
    callers: Sequence[FunctionRow] = ()
    callees: Sequence[FunctionRow] = ()


def sandwich(subject: Subject, function: Function | None) -> Panel:
    """Show callers above and callees below; without a selection, of the hottest function."""
    function = function or subject.overall.hottest
    is_sampled = subject.truth == "sampled"
    if function is None:
        return Panel("_sandwich.html", SandwichView(None, is_sampled), dict)
    graph, kinds = subject.graph, subject.kinds
    row = row_of(graph, function)
    above, below = callers(graph, function), callees(graph, function)

    def shown(edge: Edge) -> FunctionRow:
        url = subject.function_page(edge.function)
        return edge_row(edge, url=url, kinds=kinds, whole_seconds=row.cumulative_seconds)

    url = subject.function_page(function)
    recording_ns = subject.recording_ns(function)
    recorded = row.calls * (recording_ns or 0.0) / 1e9
    whole = row.cumulative_seconds
    view = SandwichView(
        sums=function_row(row, url=url, kinds=kinds, recording_ns=recording_ns),
        is_sampled=is_sampled,
        is_recursive=row.calls != row.primitive_calls,
        recording=seconds(recorded) if recorded else None,
        recording_share=share(min(recorded / whole, 1.0)) if recorded and whole else None,
        callers=[shown(edge) for edge in above],
        callees=[shown(edge) for edge in below],
    )

    def edges(found: Sequence[Edge]) -> list[dict[str, Any]]:
        return [
            edge_data(edge, url=subject.function_page(edge.function), kinds=kinds)
            for edge in found
        ]

    def data() -> Mapping[str, Any]:
        return {
            "function": row_data(row, url=url, kinds=kinds),
            "callers": edges(above),
            "callees": edges(below),
        }

    return Panel("_sandwich.html", view, data)
