"""The table of functions, ordered and cut as by pstats; callers and callees of one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from math import isfinite
from typing import Any

from flaskprof.errors import ConfigError
from flaskprof.profiles.columns import Columns
from flaskprof.profiles.model import CallGraph, Function, Sums
from flaskprof.profiles.paths import label

__all__ = [
    "Edge",
    "Row",
    "all_callees",
    "callees",
    "callers",
    "longest",
    "ordered",
    "row_of",
    "rows",
    "rows_of",
]


@dataclass(frozen=True, slots=True)
class Row:
    """A function with its sums; shares are parts of the profile's time.

    As in pstats, the self time is divided by all calls and the cumulative time by the
    primitive ones. What would be divided by zero is zero.
    """

    function: Function
    calls: int
    primitive_calls: int
    self_seconds: float
    cumulative_seconds: float
    self_share: float
    cumulative_share: float
    self_per_call: float
    cumulative_per_call: float


@dataclass(frozen=True, slots=True)
class Edge:
    """A caller or callee of a function, and the sums of the calls between the two."""

    function: Function
    sums: Sums


# Of each sort key the values of all functions and whether the greatest comes first.
_ORDERS: dict[str, tuple[Callable[[Columns], Sequence[Any]], bool]] = {
    "calls": (lambda columns: columns.total.calls, True),
    "cumulative": (lambda columns: columns.total.cumulative_seconds, True),
    "file": (lambda columns: [name.file for name in columns.names], False),
    "line": (lambda columns: [name.line for name in columns.names], False),
    "name": (lambda columns: [name.name for name in columns.names], False),
    "per_call": (
        lambda columns: list(map(_ratio, columns.total.self_seconds, columns.total.calls)),
        True,
    ),
    "primitive": (lambda columns: columns.total.primitive_calls, True),
    "self": (lambda columns: columns.total.self_seconds, True),
}


def rows(
    graph: CallGraph,
    sort_by: Sequence[str] = ("self",),
    restrictions: Sequence[int | float | str] = (),
    search: str = "",
    *,
    descending: bool | None = None,
) -> list[Row]:
    """Return the functions of `graph` that match, in order.

    `search` keeps those whose `label` holds that text, whatever its case. `sort_by` names
    the columns, the most important first; numbers begin with the greatest and texts with
    the least, unless `descending` says how all of them go. What is equal in all of them is
    in the order of file, line and name. Then each of `restrictions` is applied to what the
    one before left, as by pstats: a count keeps so many rows, a share below 1.0 that part
    of them, a regular expression those whose label it is found in. Raises `ConfigError` for
    an expression that is none.
    """
    found = ordered(graph, sort_by, restrictions, search, descending=descending)
    return rows_of(graph, found)


def ordered(
    graph: CallGraph,
    sort_by: Sequence[str] = ("self",),
    restrictions: Sequence[int | float | str] = (),
    search: str = "",
    *,
    descending: bool | None = None,
) -> list[Function]:
    """Return the functions of `rows` only: who shows a few of many makes `rows_of` these."""
    text, columns = search.casefold(), graph.columns
    names = columns.names
    found: Sequence[int] = columns.by_name
    if text:
        found = [at for at in found if text in label(names[at]).casefold()]
    for key in reversed(sort_by):
        values, is_descending = _ORDERS[key]
        found = sorted(
            found,
            key=values(columns).__getitem__,
            reverse=is_descending if descending is None else descending,
        )
    functions = [names[at] for at in found]
    for restriction in restrictions:
        functions = _restricted(functions, restriction)
    return functions


def longest(graph: CallGraph, most: int) -> list[Function]:
    """Return the first `most` functions of ``ordered(graph)``, without ordering all of them."""
    columns = graph.columns
    names, seconds = columns.names, columns.total.self_seconds
    least = min(nlargest(most, seconds), default=0.0)
    found = [at for at, own in enumerate(seconds) if own >= least]
    found.sort(key=lambda at: (-seconds[at], names[at]))
    return [names[at] for at in found[:most]]


def rows_of(graph: CallGraph, functions: Iterable[Function]) -> list[Row]:
    """Return the rows of these functions of `graph`, in their order."""
    columns, whole = graph.columns, graph.total_seconds
    return [
        _row(function, columns.total.row(columns.index[function]), whole)
        for function in functions
    ]


def row_of(graph: CallGraph, function: Function) -> Row:
    """Return the row of one function; `KeyError` if it is not in `graph`."""
    return _row(function, graph.functions[function].total, graph.total_seconds)


def callers(graph: CallGraph, function: Function) -> list[Edge]:
    """Return who called `function`, by cumulative time; `KeyError` if it is not in `graph`."""
    return _by_time([Edge(*item) for item in graph.functions[function].callers.items()])


def callees(graph: CallGraph, function: Function) -> list[Edge]:
    """Return what `function` called, by cumulative time; `KeyError` if it is not in `graph`."""
    columns = graph.columns
    number = columns.index[function]
    return _by_time(
        [
            Edge(columns.callee(edge), columns.edges.row(edge))
            for edge, caller in enumerate(columns.caller)
            if caller == number
        ]
    )


def all_callees(graph: CallGraph) -> dict[Function, list[Edge]]:
    """Return what each function called, as `callees` does, of all that called any."""
    columns = graph.columns
    found: dict[Function, list[Edge]] = {}
    for edge, caller in enumerate(columns.caller):
        called = Edge(columns.callee(edge), columns.edges.row(edge))
        found.setdefault(columns.names[caller], []).append(called)
    return {caller: _by_time(edges) for caller, edges in found.items()}


def _by_time(edges: list[Edge]) -> list[Edge]:
    return sorted(edges, key=lambda edge: (-edge.sums.cumulative_seconds, edge.function))


def _row(function: Function, total: Sums, whole_seconds: float) -> Row:
    calls, primitive_calls, self_seconds, cumulative_seconds = total
    return Row(
        function,
        *total,
        self_share=_ratio(self_seconds, whole_seconds),
        cumulative_share=_ratio(cumulative_seconds, whole_seconds),
        self_per_call=_ratio(self_seconds, calls),
        cumulative_per_call=_ratio(cumulative_seconds, primitive_calls),
    )


def _ratio(part: float, whole: float) -> float:
    """Divide, or return zero where that gives nothing to show."""
    ratio = part / whole if whole > 0 else 0.0
    return ratio if isfinite(ratio) else 0.0


def _restricted(found: list[Function], restriction: float | str) -> list[Function]:
    if isinstance(restriction, str):
        try:
            search = re.compile(restriction).search
        except re.error as error:
            raise ConfigError(f"{restriction!r} is no regular expression: {error}") from None
        return [function for function in found if search(label(function))]
    if isinstance(restriction, int):
        return found[:restriction]
    return found[: int(len(found) * restriction + 0.5)] if restriction < 1.0 else found
