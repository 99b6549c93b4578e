"""Adds up sums of functions and edges that come in columns."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from math import fsum

from flaskprof.profiles.columns import Columns, SumsColumns
from flaskprof.profiles.function import Function

__all__ = ["Rows", "edge_keys", "with_edges"]

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
        self._first: dict[int, int] = {}  # the row of a key
        self._every: dict[int, list[int]] = {}  # all rows of those keys that have several

    def add(self, keys: Iterable[int], sums: SumsColumns) -> None:
        """Add sums, with the key of each."""
        for row, key in enumerate(keys, len(self._sums.calls)):
            first = self._first.setdefault(key, row)
            if first != row:
                self._every.setdefault(key, [first]).append(row)
        self._sums.extend(sums)

    def keys(self) -> Collection[int]:
        """Return the keys in the order of their first appearance."""
        return self._first.keys()

    def sums(self, keys: Collection[int]) -> SumsColumns:
        """Return what is added up, in the order of these keys."""
        added = self._sums.chosen([self._first[key] for key in keys])
        several = [(at, self._every[key]) for at, key in enumerate(keys) if key in self._every]
        for counts, parts in (
            (added.calls, self._sums.calls),
            (added.primitive_calls, self._sums.primitive_calls),
        ):
            for at, rows in several:
                counts[at] = min(sum([parts[row] for row in rows]), _MOST_CALLS)
        for seconds, times in (
            (added.self_seconds, self._sums.self_seconds),
            (added.cumulative_seconds, self._sums.cumulative_seconds),
        ):
            for at, rows in several:
                seconds[at] = fsum([times[row] for row in rows])
        return added


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
