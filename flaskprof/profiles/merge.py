"""Adds profiles up: many captures of one route as if they were one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum

from flaskprof.errors import ConfigError
from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.model import (
    CallGraph,
    CallTree,
    Function,
    FunctionStats,
    Profile,
    Sums,
)
from flaskprof.profiles.sums import call_graph

__all__ = ["added", "merge"]


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
    found: dict[Function, list[FunctionStats]] = {}
    for graph in graphs:
        for function, stats in graph.functions.items():
            found.setdefault(function, []).append(stats)
    functions = {}
    for function, parts in found.items():
        edges: dict[Function, list[Sums]] = {}
        for part in parts:
            for caller, sums in part.callers.items():
                edges.setdefault(caller, []).append(sums)
        functions[function] = FunctionStats(
            added([part.total for part in parts]),
            {caller: added(sums) for caller, sums in edges.items()},
        )
    return CallGraph(functions, is_sampled=any(graph.is_sampled for graph in graphs))


def added(parts: Sequence[Sums]) -> Sums:
    """Add sums up; times are rounded once, so that their order changes nothing."""
    return Sums(
        sum(part.calls for part in parts),
        sum(part.primitive_calls for part in parts),
        fsum(part.self_seconds for part in parts),
        fsum(part.cumulative_seconds for part in parts),
    )
