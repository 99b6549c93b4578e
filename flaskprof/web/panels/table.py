"""The table of functions, sorted, searched and restricted as its address says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flaskprof.profiles.model import Function
from flaskprof.profiles.table import ordered, rows_of
from flaskprof.web.figures import Figure, count
from flaskprof.web.panels import Panel
from flaskprof.web.rows import FunctionRow, function_row, row_data
from flaskprof.web.state import MANY_ROWS, Head, TableState, heads
from flaskprof.web.subject import Subject

__all__ = ["table"]


class TableView(NamedTuple):
    """The rows that are shown, and the addresses of other ones."""

    heads: Sequence[Head]
    rows: Sequence[FunctionRow]
    matching: Figure
    first: int
    last: int
    previous_url: str
    next_url: str
    is_sampled: bool
    search: str
    hidden: Sequence[tuple[str, str]]
    clear_url: str
    many: Figure | None
    all_url: str
    restrictions: Sequence[str]
    restrict_url: str


def table(subject: Subject, function: Function | None) -> Panel:
    """Show the functions of a profile as rows."""
    visit = subject.visit
    state = TableState.from_query(visit.query, visit.settings)
    restrictions = visit.settings.restrictions
    graph = subject.graph
    found = ordered(
        graph,
        state.sort_by,
        restrictions if state.is_restricted else (),
        state.search,
        descending=state.is_descending,
    )
    shown = rows_of(graph, found[state.window])
    is_paged = state.limit is None and len(found) > MANY_ROWS
    has_more = len(found) > state.page * MANY_ROWS and shown

    def here(**changes: str) -> str:
        return subject.page(view="table", fn=subject.key(function), **state.to_query(**changes))

    view = TableView(
        heads=heads(state, here),
        rows=[
            function_row(
                row,
                url=subject.function_page(row.function),
                kinds=subject.kinds,
                recording_ns=subject.recording_ns(row.function),
                is_selected=row.function == function,
            )
            for row in shown
        ],
        matching=count(len(found)),
        first=state.window.start + 1,
        last=state.window.start + len(shown),
        previous_url=here(page=str(state.page - 1)) if state.page > 1 else "",
        next_url=here(page=str(state.page + 1)) if is_paged and has_more else "",
        is_sampled=subject.truth == "sampled",
        search=state.search,
        hidden=subject.hidden(
            view="table",
            fn=subject.key(function),
            **{name: value for name, value in state.to_query().items() if name != "search"},
        ),
        clear_url=here(search=""),
        many=count(MANY_ROWS) if len(found) > MANY_ROWS else None,
        all_url=here(rows="all") if not is_paged and len(shown) < len(found) else "",
        restrictions=[str(item) for item in restrictions] if state.is_restricted else [],
        restrict_url=here(restricted="no" if state.is_restricted else ""),
    )

    def data() -> Mapping[str, Any]:
        return {
            "table": {
                "sort_by": list(state.sort_by),
                "search": state.search,
                "restrictions": list(restrictions) if state.is_restricted else [],
                "matching": len(found),
                "rows": [
                    row_data(row, url=subject.function_page(row.function), kinds=subject.kinds)
                    # Programs have no trouble with long lists.
                    for row in (rows_of(graph, found) if state.limit is None else shown)
                ],
            }
        }

    return Panel("_table.html", view, data)
