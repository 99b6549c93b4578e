"""Functions of a profile as rows of text, with their callers or callees below them."""

from __future__ import annotations

from collections.abc import Sequence

from flaskprof.profiles.model import CallGraph, Function, Sums
from flaskprof.profiles.paths import label, short_path
from flaskprof.profiles.table import Edge, Row, all_callees, callers
from flaskprof.text.layout import Column, figure
from flaskprof.web.figures import calls, seconds, share

__all__ = ["COLUMNS", "EDGE_COLUMNS", "edge_cells", "function_cells", "related"]

COLUMNS = (
    Column("Calls", is_number=True),
    Column("Self", is_number=True),
    Column("%", is_number=True),
    Column("Cumulative", is_number=True),
    Column("%", is_number=True),
    Column("Function", gives_way=True, keeps_end=True),
)
EDGE_COLUMNS = (
    Column("Calls", is_number=True),
    Column("Self", is_number=True),
    Column("Cumulative", is_number=True),
    Column("Function", gives_way=True, keeps_end=True),
)


def function_cells(row: Row) -> Sequence[str]:
    """Return the cells of a function, one for each of `COLUMNS`."""
    return (
        calls(row.calls, row.primitive_calls).text,
        figure(seconds(row.self_seconds)),
        share(row.self_share).text,
        figure(seconds(row.cumulative_seconds)),
        share(row.cumulative_share).text,
        _name(row.function),
    )


def related(graph: CallGraph, found: Sequence[Row], relation: str) -> list[list[Edge]]:
    """Return the "callers" or "callees" of each row, as `relation` says."""
    if relation == "callers":
        return [callers(graph, row.function) for row in found]
    called = all_callees(graph)
    return [called.get(row.function, []) for row in found]


def edge_cells(graph: CallGraph, shown: Sequence[Row], relation: str) -> list[Sequence[str]]:
    """Return the cells of each row, and of its "callers" or "callees", for `EDGE_COLUMNS`."""
    arrow = "  <- " if relation == "callers" else "  -> "
    cells: list[Sequence[str]] = []
    for row, edges in zip(shown, related(graph, shown, relation), strict=True):
        own = Sums(row.calls, row.primitive_calls, row.self_seconds, row.cumulative_seconds)
        for prefix, function, sums in [
            ("", row.function, own),
            *((arrow, edge.function, edge.sums) for edge in edges),
        ]:
            cells.append(
                (
                    calls(sums.calls, sums.primitive_calls).text,
                    figure(seconds(sums.self_seconds)),
                    figure(seconds(sums.cumulative_seconds)),
                    prefix + _name(function),
                )
            )
    return cells


def _name(function: Function) -> str:
    return label(Function(short_path(function.file), function.line, function.name))
