"""The functions of a call graph in columns: what is read of a file, before anyone asks for it.

A large profile has more edges than anyone looks at. An object for each of its numbers takes
several times the memory and the time of the arrays in which they stand here; who asks for a
function is given its `FunctionStats`, and who goes through all of them takes the arrays::

    columns = graph.columns
    for function, seconds in zip(columns.names, columns.total.self_seconds, strict=True):
        ...
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from itertools import islice, pairwise
from typing import NamedTuple

from flaskprof.profiles.function import Function, FunctionStats, Sums

__all__ = ["Columns", "SumsColumns", "columns_of"]


class SumsColumns(NamedTuple):
    """Many `Sums` as parallel arrays: two of type "q", two of type "d"."""

    calls: array[int]
    primitive_calls: array[int]
    self_seconds: array[float]
    cumulative_seconds: array[float]

    @classmethod
    def of(cls, rows: Iterable[Sums]) -> SumsColumns:
        """Return sums that are given one by one as columns."""
        calls, primitive, own, cumulative = tuple(zip(*rows, strict=True)) or ((),) * 4
        return cls(
            array("q", calls), array("q", primitive), array("d", own), array("d", cumulative)
        )

    def append(self, sums: tuple[int, int, float, float]) -> None:
        """Add the sums of one more function or edge."""
        calls, primitive_calls, self_seconds, cumulative_seconds = self
        calls.append(sums[0])
        primitive_calls.append(sums[1])
        self_seconds.append(sums[2])
        cumulative_seconds.append(sums[3])

    def extend(self, more: SumsColumns) -> None:
        """Add the sums of others."""
        calls, primitive_calls, self_seconds, cumulative_seconds = more
        self.calls.extend(calls)
        self.primitive_calls.extend(primitive_calls)
        self.self_seconds.extend(self_seconds)
        self.cumulative_seconds.extend(cumulative_seconds)

    def chosen(self, rows: Sequence[int]) -> SumsColumns:
        """Return the sums of some functions or edges, in the order of these rows."""
        calls, primitive_calls, self_seconds, cumulative_seconds = self
        return SumsColumns(
            array("q", [calls[row] for row in rows]),
            array("q", [primitive_calls[row] for row in rows]),
            array("d", [self_seconds[row] for row in rows]),
            array("d", [cumulative_seconds[row] for row in rows]),
        )

    def rows(self) -> Iterator[Sums]:
        """Go through the sums of each function or edge."""
        return map(Sums, *self)

    def row(self, at: int) -> Sums:
        """Return the sums of one function or edge."""
        calls, primitive_calls, self_seconds, cumulative_seconds = self
        return Sums(calls[at], primitive_calls[at], self_seconds[at], cumulative_seconds[at])


class Columns(Mapping[Function, FunctionStats]):
    """The functions of a call graph with their sums, as parallel arrays.

    Function ``i`` is ``names[i]``, and item ``i`` of each of `total` one of its sums. Its
    edges, the calls by one caller each, are ``first_edge[i]`` up to ``first_edge[i + 1]``,
    which has one item more than there are functions; edge ``e`` is of the caller
    ``names[caller[e]]`` and has its sums in item ``e`` of each of `edges`. Both arrays are of
    type "i". No function comes twice, and no caller twice among the edges of a function.
    """

    __slots__ = ("_by_name", "_index", "caller", "edges", "first_edge", "names", "total")

    def __init__(
        self,
        names: tuple[Function, ...],
        total: SumsColumns,
        first_edge: array[int],
        caller: array[int],
        edges: SumsColumns,
    ) -> None:
        self.names = names
        self.total = total
        self.first_edge = first_edge
        self.caller = caller
        self.edges = edges
        self._index: dict[Function, int] | None = None
        self._by_name: array[int] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Function]:
        return iter(self.names)

    def __contains__(self, function: object) -> bool:
        return function in self.index

    def __getitem__(self, function: Function) -> FunctionStats:
        number = self.index[function]
        return FunctionStats(self.total.row(number), self.callers(number))

    def values(self) -> ValuesView[FunctionStats]:
        """Return the sums of all functions, as those of any mapping are."""
        return _Values(self)

    def items(self) -> ItemsView[Function, FunctionStats]:
        """Return all functions with their sums, as those of any mapping are."""
        return _Items(self)

    def stats(self) -> Iterator[FunctionStats]:
        """Go through the sums of each function; faster than to ask for one after the other."""
        edges = zip(map(self.names.__getitem__, self.caller), self.edges.rows(), strict=True)
        for total, (first, end) in zip(
            self.total.rows(), pairwise(self.first_edge), strict=True
        ):
            yield FunctionStats(total, dict(islice(edges, end - first)))

    @property
    def index(self) -> Mapping[Function, int]:
        """The number of each function."""
        if self._index is None:
            self._index = dict(zip(self.names, range(len(self.names)), strict=True))
        return self._index

    @property
    def by_name(self) -> array[int]:
        """The numbers of the functions in the order of file, line and name."""
        if self._by_name is None:
            order = sorted(range(len(self.names)), key=self.names.__getitem__)
            self._by_name = array("i", order)
        return self._by_name

    def callee(self, edge: int) -> int:
        """Return the number of the function that an edge is of."""
        return bisect_right(self.first_edge, edge) - 1

    def callers(self, number: int) -> dict[Function, Sums]:
        """Return the edges of a function by its number."""
        edges = range(self.first_edge[number], self.first_edge[number + 1])
        return {self.names[self.caller[edge]]: self.edges.row(edge) for edge in edges}


class _Values(ValuesView[FunctionStats]):
    _mapping: Columns

    def __iter__(self) -> Iterator[FunctionStats]:
        return self._mapping.stats()


class _Items(ItemsView[Function, FunctionStats]):
    _mapping: Columns

    def __iter__(self) -> Iterator[tuple[Function, FunctionStats]]:
        return zip(self._mapping.names, self._mapping.stats(), strict=True)


def columns_of(functions: Mapping[Function, FunctionStats]) -> Columns:
    """Return the functions of a call graph in columns; such that are already as they are."""
    if isinstance(functions, Columns):
        return functions
    names = tuple(functions)
    index = dict(zip(names, range(len(names)), strict=True))
    first_edge, caller = array("i", [0]), array("i")
    for stats in functions.values():
        caller.extend([index[name] for name in stats.callers])
        first_edge.append(len(caller))
    total = SumsColumns.of(stats.total for stats in functions.values())
    edges = SumsColumns.of(
        sums for stats in functions.values() for sums in stats.callers.values()
    )
    return Columns(names, total, first_edge, caller, edges)
