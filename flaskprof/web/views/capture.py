"""One capture: what is known of it, and the table of its functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flaskprof.profiles.model import Function
from flaskprof.profiles.table import rows
from flaskprof.web.figures import Figure, count, seconds
from flaskprof.web.links import function_key
from flaskprof.web.rows import (
    FunctionRow,
    Summary,
    function_row,
    profile_data,
    record_data,
    row_data,
    summary,
)
from flaskprof.web.state import MANY_ROWS, Head, TableState, heads
from flaskprof.web.subject import Subject, merged, subject_of
from flaskprof.web.views.function import sandwich
from flaskprof.web.visit import Page, Visit

__all__ = ["capture", "merge"]


@dataclass(frozen=True, slots=True)
class CaptureView:
    """One capture with its function table."""

    summary: Summary
    profile_url: str
    stacks_url: str
    record_url: str
    total: Figure
    total_calls: Figure
    functions: Figure
    heads: Sequence[Head]
    rows: Sequence[FunctionRow]
    matching: Figure
    is_whole: bool
    search: str
    hidden: Mapping[str, str]
    clear_url: str
    many: Figure
    many_url: str
    all_url: str
    restrictions: Sequence[str]
    restrict_url: str


def capture(visit: Visit, capture_id: str) -> Page:
    """Show one capture: its metadata and the table of its functions."""
    return _page(visit, subject_of(visit, capture_id))


def merge(visit: Visit) -> Page:
    """Show several captures added up, as one is shown."""
    return _page(visit, merged(visit, visit.query.getlist("c")))


def _page(visit: Visit, subject: Subject) -> Page:
    if visit.query.get("view") == "sandwich" and visit.query.get("fn"):
        return sandwich(visit, subject, visit.query["fn"])
    return _table(visit, subject)


def _table(visit: Visit, subject: Subject) -> Page:
    graph = subject.graph
    record = subject.whole_record
    state = TableState.from_query(visit.query, visit.settings)
    found = rows(
        graph,
        state.sort_by,
        visit.settings.restrictions if state.is_restricted else (),
        state.search,
        descending=state.is_descending,
    )
    shown = found[: state.limit]

    def url(function: Function) -> str:
        return subject.page(view="sandwich", fn=function_key(function))

    def here(**changes: str) -> str:
        return subject.page(**state.to_query(**changes))

    restrictions = visit.settings.restrictions
    view = CaptureView(
        summary=summary(record, graph, now=visit.now),
        profile_url=subject.export("prof"),
        stacks_url=subject.export("pprof") if subject.has_stacks else "",
        record_url=visit.links.download_record(subject.ids[0]) if subject.record else "",
        total=seconds(graph.total_seconds),
        total_calls=count(graph.total_calls),
        functions=count(len(graph.functions)),
        heads=heads(state, here),
        rows=[function_row(row, url=url(row.function)) for row in shown],
        matching=count(len(found)),
        is_whole=len(shown) == len(found),
        search=state.search,
        hidden={k: v for k, v in state.to_query().items() if k != "search"},
        clear_url=here(search=""),
        many=count(MANY_ROWS),
        many_url=here(rows=str(MANY_ROWS)) if len(shown) < MANY_ROWS < len(found) else "",
        all_url=here(rows="all"),
        restrictions=[str(item) for item in restrictions] if state.is_restricted else [],
        restrict_url=here(restricted="no" if state.is_restricted else ""),
    )

    def data() -> Mapping[str, Any]:
        return {
            "capture": record_data(record, visit.links),
            "profile": profile_data(graph, is_sampled=view.summary.is_sampled),
            "table": {
                "sort_by": list(state.sort_by),
                "search": state.search,
                "restrictions": list(restrictions) if state.is_restricted else [],
                "matching": len(found),
                "rows": [row_data(row, url=url(row.function)) for row in shown],
            },
        }

    return Page("capture.html", view, data)
