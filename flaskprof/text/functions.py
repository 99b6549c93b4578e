"""Functions of a profile as rows of text, with their callers or callees below them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flaskprof.profiles.model import CallGraph, Function, Sums
from flaskprof.profiles.paths import label, short_path
from flaskprof.profiles.table import Edge, Row, callees_of, callers
from flaskprof.text.layout import Column, figure
from flaskprof.web.figures import calls, seconds, share

__all__ = [
    "COLUMNS",
    "EDGE_COLUMNS",
    "edge_cells",
    "function_cells",
    "name_of",
    "related",
]

COLUMNS = (
    Column("Calls", is_number=True),
    Column("Self", is_number=True),
    Column("%", is_number=True),
    Column("per call", is_number=True, spare=1),
    Column("Cumulative", is_number=True),
    Column("%", is_number=True),
    Column("per call", is_number=True, spare=1),
    Column("Function", gives_way=True, keeps_end=True),
)
EDGE_COLUMNS = (
    Column("Calls", is_number=True),
    Column("Self", is_number=True),
    Column("Cumulative", is_number=True),
    Column("Function", gives_way=True, keeps_end=True),
)


_ARROWS = {"callers": "  <- ", "callees": "  -> "}
_EMPTY = ("",) * len(EDGE_COLUMNS)


def function_cells(row: Row, place: Callable[[str], str] = short_path) -> Sequence[str]:
    """Return the cells of a function, one for each of `COLUMNS`; `place` shortens its file."""
    return (
        calls(row.calls, row.primitive_calls).text,
        figure(seconds(row.self_seconds)),
        share(row.self_share).text,
        _per_call(row, row.self_per_call),
        figure(seconds(row.cumulative_seconds)),
        share(row.cumulative_share).text,
        _per_call(row, row.cumulative_per_call),
        name_of(row.function, place),
    )


def _per_call(row: Row, value: float) -> str:
    # Some formats have no calls, and some profilers list functions that were not called.
    return figure(seconds(value if row.calls else None))


def related(graph: CallGraph, found: Sequence[Row], relation: str) -> list[list[Edge]]:
    """Return the "callers" or "callees" of each row, as `relation` says."""
    if relation == "callers":
        return [callers(graph, row.function) for row in found]
    called = callees_of(graph, [row.function for row in found])
    return [called[row.function] for row in found]


def edge_cells(
    graph: CallGraph,
    shown: Sequence[Row],
    relations: Sequence[str],
    place: Callable[[str], str] = short_path,
) -> list[Sequence[str]]:
    """Return the cells of each row, and of its "callers" and "callees", for `EDGE_COLUMNS`.

    `relations` says which of these follow a row. Between two of them is an empty one.
    """
    edges = [related(graph, shown, relation) for relation in relations]
    cells: list[Sequence[str]] = []
    for row, *of_row in zip(shown, *edges, strict=True):
        own = Sums(row.calls, row.primitive_calls, row.self_seconds, row.cumulative_seconds)
        lines = [("", row.function, own)]
        for relation, found in zip(relations, of_row, strict=True):
            lines += [(_ARROWS[relation], edge.function, edge.sums) for edge in found]
        cells += [_EMPTY] if cells else []
        cells += [
            (
                calls(sums.calls, sums.primitive_calls).text,
                figure(seconds(sums.self_seconds)),
                figure(seconds(sums.cumulative_seconds)),
                prefix + name_of(function, place),
            )
            for prefix, function, sums in lines
        ]
    return cells


def name_of(function: Function, place: Callable[[str], str] = short_path) -> str:
    """Return a function as pstats prints it, with its file as `place` shortens it."""
    return label(Function(place(function.file), function.line, function.name))
