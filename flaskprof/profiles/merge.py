"""Adds profiles up: many captures of one route as if they were one."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from math import fsum

from flaskprof.errors import ConfigError
from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.columns import Columns, SumsColumns
from flaskprof.profiles.model import CallGraph, CallTree, Function, Profile, Sums
from flaskprof.profiles.sums import call_graph

__all__ = ["added", "added_columns", "merge"]

_MOST_CALLS = 2**63 - 1


def merge(profiles: Iterable[Profile]) -> Profile:
    """Return the sum of profiles, a new one that is independent of them.

    It is a call tree where all of them are, else a call graph. The order in which they come
    changes nothing but the order of what is in the sum. Of no profiles the sum is an empty
    graph. Raises `ConfigError` where some count calls and others samples.
    """
    parts = list(profiles)
    if len({part.is_sampled for part in parts}) > 1:
        raise ConfigError(
            "sampled profiles and exact ones cannot be added up: merge each kind by itself"
        )
    trees = [part for part in parts if isinstance(part, CallTree)]
    if trees and len(trees) == len(parts):
        return _merged_trees(trees)
    return _merged_graphs([call_graph(part) for part in parts])


def _merged_trees(trees: Sequence[CallTree]) -> CallTree:
    builder = TreeBuilder()
    index: dict[Function, int] = {}
    for tree in trees:
        numbers = [index.setdefault(function, len(index)) for function in tree.functions]
        nodes: list[int] = []
        for above, function, calls, self_ns in zip(
            tree.parent, tree.function, tree.calls, tree.self_ns, strict=True
        ):
            node = builder.node(nodes[above] if above >= 0 else -1, numbers[function])
            builder.add(node, calls, self_ns)
            nodes.append(node)
    return builder.tree(tuple(index), is_sampled=trees[0].is_sampled)


def _merged_graphs(graphs: Sequence[CallGraph]) -> CallGraph:
    parts = [graph.columns for graph in graphs]
    return CallGraph(
        added_columns((part.names, part) for part in parts),
        is_sampled=any(graph.is_sampled for graph in graphs),
    )


def added_columns(parts: Iterable[tuple[Sequence[Function], Columns]]) -> Columns:
    """Add columns up, of which the functions are given these names, the same to some perhaps.

    Functions and callers are in the order in which they appear.
    """
    index: dict[Function, int] = {}
    totals, edges = _Rows(), _Rows()
    for names, columns in parts:
        number = [index.setdefault(name, len(index)) for name in names]
        totals.add(number, columns.total)
        edges.add(_edge_keys(columns, number), columns.edges)
    keys = sorted(edges.keys(), key=_function_of)
    edge_counts = array("i", bytes(4 * (len(index) + 1)))
    for key in keys:
        edge_counts[_function_of(key) + 1] += 1
    return Columns(
        tuple(index),
        totals.sums(range(len(index))),
        array("i", accumulate(edge_counts)),
        array("i", [key & _CALLER for key in keys]),
        edges.sums(keys),
    )


_CALLER_BITS = 32
_CALLER = (1 << _CALLER_BITS) - 1


def _edge_keys(columns: Columns, number: Sequence[int]) -> Iterator[int]:
    """Make one number of those of function and caller, for each edge."""
    callers = iter(columns.caller)
    for function, (first, end) in zip(number, pairwise(columns.first_edge), strict=True):
        key = function << _CALLER_BITS
        for caller in islice(callers, end - first):
            yield key | number[caller]


def _function_of(key: int) -> int:
    return key >> _CALLER_BITS


class _Rows:
    """Sums of many parts, and by key which of them are to be added up."""

    def __init__(self) -> None:
        self._sums = SumsColumns.of(())
        self._rows: dict[int, list[int]] = {}

    def add(self, keys: Iterable[int], sums: SumsColumns) -> None:
        """Add the sums of one part, with the key of each."""
        for row, key in enumerate(keys, len(self._sums.calls)):
            self._rows.setdefault(key, []).append(row)
        self._sums.extend(sums)

    def keys(self) -> Iterable[int]:
        """Return the keys in the order of their first appearance."""
        return self._rows

    def sums(self, keys: Iterable[int]) -> SumsColumns:
        """Return what is added up, in the order of these keys."""
        groups = [self._rows[key] for key in keys]
        calls, primitive_calls, self_seconds, cumulative_seconds = self._sums
        return SumsColumns(
            array("q", [_count([calls[row] for row in rows]) for rows in groups]),
            array("q", [_count([primitive_calls[row] for row in rows]) for rows in groups]),
            array("d", [fsum([self_seconds[row] for row in rows]) for rows in groups]),
            array("d", [fsum([cumulative_seconds[row] for row in rows]) for rows in groups]),
        )


def added(parts: Sequence[Sums]) -> Sums:
    """Add sums up; times are rounded once, so that their order changes nothing.

    Calls stay at what a column holds at most, which only made-up profiles come to.
    """
    return Sums(
        _count([part.calls for part in parts]),
        _count([part.primitive_calls for part in parts]),
        fsum([part.self_seconds for part in parts]),
        fsum([part.cumulative_seconds for part in parts]),
    )


def _count(counts: Sequence[int]) -> int:
    return min(sum(counts), _MOST_CALLS)
