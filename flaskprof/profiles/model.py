"""The two shapes of a profile: the exact call tree and the call graph of pstats sums.

A `CallTree` is a calling-context tree: one node for each distinct stack that was seen.
Only an engine that sees whole stacks can record one. A `CallGraph` holds what cProfile's
``.prof`` files hold: sums per function and per caller→callee edge. A tree determines
its graph (`flaskprof.profiles.sums`); a graph does not determine a tree.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from flaskprof.profiles.columns import Columns, columns_of
from flaskprof.profiles.function import Function, FunctionStats, Sums

__all__ = ["CallGraph", "CallTree", "Function", "FunctionStats", "Profile", "Sums"]


@dataclass(frozen=True, slots=True)
class CallGraph:
    """Sums per function: everything that a ``.prof`` file says.

    Every caller named in an edge is itself a key of `functions`. `is_sampled` is true
    for profiles whose counts are samples rather than calls.
    """

    functions: Mapping[Function, FunctionStats]
    is_sampled: bool = False

    @property
    def columns(self) -> Columns:
        """The functions in columns: made anew, unless they are such already."""
        return columns_of(self.functions)

    @property
    def total_seconds(self) -> float:
        """The sum of all self times: the time that the profile covers."""
        if isinstance(self.functions, Columns):
            return sum(self.functions.total.self_seconds)
        # Of large profiles a list is summed up in half the time that a generator takes.
        return sum([stats.total.self_seconds for stats in self.functions.values()])

    @property
    def total_calls(self) -> int:
        """The sum of all calls, recursive ones included."""
        if isinstance(self.functions, Columns):
            return sum(self.functions.total.calls)
        return sum(stats.total.calls for stats in self.functions.values())


@dataclass(frozen=True, slots=True)
class CallTree:
    """A calling-context tree in preorder, as parallel arrays of one item a node.

    Node ``i`` is a call of ``functions[function[i]]`` from node ``parent[i]``, which is
    smaller than ``i``; roots have parent -1. ``calls[i]`` and ``self_ns[i]`` are the
    calls made on exactly this stack and the nanoseconds spent in them without callees.
    The total time of a node is derived: its own self time plus its children's totals, so
    that totals always sum exactly (`totals_ns`).
    """

    functions: tuple[Function, ...]
    parent: array[int]
    function: array[int]
    calls: array[int]
    self_ns: array[int]
    is_sampled: bool = False

    def __len__(self) -> int:
        return len(self.parent)

    def totals_ns(self) -> array[int]:
        """Nanoseconds of each node with its callees, in node order."""
        totals = array("q", self.self_ns)
        parent = self.parent
        for node in range(len(totals) - 1, -1, -1):
            above = parent[node]
            if above >= 0:
                totals[above] += totals[node]
        return totals

    @property
    def total_ns(self) -> int:
        """Nanoseconds of the whole tree."""
        return sum(self.self_ns)


Profile = CallTree | CallGraph
