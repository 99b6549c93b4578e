"""Adds profiles up: many captures of one route as if they were one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice, pairwise

from flaskprof.errors import ConfigError
from flaskprof.profiles.adding import Rows, edge_keys, with_edges
from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.columns import Columns
from flaskprof.profiles.model import CallGraph, CallTree, Function, Profile
from flaskprof.profiles.sums import call_graph

__all__ = ["added_columns", "merge"]


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
    totals, edges = Rows(), Rows()
    for names, columns in parts:
        number = [index.setdefault(name, len(index)) for name in names]
        totals.add(number, columns.total)
        edges.add(_edge_keys(columns, number), columns.edges)
    return with_edges(tuple(index), totals.sums(range(len(index))), edges)


def _edge_keys(columns: Columns, number: Sequence[int]) -> Iterable[int]:
    """Return the key of each edge, with these numbers for functions."""
    callers = map(number.__getitem__, columns.caller)
    return chain.from_iterable(
        edge_keys(function, islice(callers, end - first))
        for function, (first, end) in zip(number, pairwise(columns.first_edge), strict=True)
    )
