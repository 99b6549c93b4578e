"""Adds up sums of functions and edges that come in columns."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from math import fsum
from typing import TypeVar

from flaskprof.profiles.columns import Columns, SumsColumns
from flaskprof.profiles.function import Function

__all__ = ["Rows", "edge_keys", "with_edges"]

_Number = TypeVar("_Number", int, float)

_MOST_CALLS = 2**63 - 1
_CALLER_BITS = 32
_CALLER = (1 << _CALLER_BITS) - 1


class Rows:
    """Sums by keys, of which those of one key are added up.

    Times are rounded once, so that the order in which they come changes nothing. Calls stay
    at what a column holds at most, which only made-up profiles come to.
    """

    def __init__(self) -> None:
        self._sums = SumsColumns.of(())
        self._rows: defaultdict[int, list[int]] = defaultdict(list)

    def add(self, keys: Iterable[int], sums: SumsColumns) -> None:
        """Add sums, with the key of each."""
        for row, key in enumerate(keys, len(self._sums.calls)):
            self._rows[key].append(row)
        self._sums.extend(sums)

    def keys(self) -> Iterable[int]:
        """Return the keys in the order of their first appearance."""
        return self._rows.keys()

    def sums(self, keys: Iterable[int]) -> SumsColumns:
        """Return what is added up, in the order of these keys."""
        groups = [self._rows[key] for key in keys]
        calls, primitive_calls, self_seconds, cumulative_seconds = self._sums
        return SumsColumns(
            array("q", _added(calls, groups, _count)),
            array("q", _added(primitive_calls, groups, _count)),
            array("d", _added(self_seconds, groups, fsum)),
            array("d", _added(cumulative_seconds, groups, fsum)),
        )


def _added(
    column: Sequence[_Number],
    groups: Iterable[list[int]],
    add: Callable[[list[_Number]], _Number],
) -> list[_Number]:
    return [
        add([column[row] for row in rows]) if len(rows) > 1 else column[rows[0]]
        for rows in groups
    ]


def _count(counts: Iterable[int]) -> int:
    return min(sum(counts), _MOST_CALLS)


def edge_keys(function: int, callers: Iterable[int]) -> list[int]:
    """Return one number for each edge of a function, by its number and those of its callers."""
    key = function << _CALLER_BITS
    return [key | caller for caller in callers]


def with_edges(names: Sequence[Function], total: SumsColumns, edges: Rows) -> Columns:
    """Return functions with their sums and edges, which are given by their `edge_keys`.

    The callers of a function are in the order of their first appearance.
    """
    keys = sorted(edges.keys(), key=_function_of)
    count = Counter(map(_function_of, keys))
    return Columns(
        tuple(names),
        total,
        array("i", accumulate(map(count.__getitem__, range(len(names))), initial=0)),
        array("i", [key & _CALLER for key in keys]),
        edges.sums(keys),
    )


def _function_of(key: int) -> int:
    return key >> _CALLER_BITS
