"""The two shapes of a profile: the exact call tree and the call graph of pstats sums.

A `CallTree` is a calling-context tree: one node for each distinct stack that was seen.
Only an engine that sees whole stacks can record one. A `CallGraph` holds what cProfile's
``.prof`` files hold: sums per function and per caller→callee edge. A tree determines
its graph (`flaskprof.profiles.sums`); a graph does not determine a tree.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["CallGraph", "CallTree", "Function", "FunctionStats", "Profile", "Sums"]


class Function(NamedTuple):
    """What pstats calls a function key; builtins have the file ``~`` and line 0."""

    file: str
    line: int
    name: str


class Sums(NamedTuple):
    """Calls and seconds of a function, or of one caller→callee edge.

    `calls` counts every call, `primitive_calls` only those that are not made from within
    another call of the same function (edge). `self_seconds` excludes callees;
    `cumulative_seconds` includes them and counts a recursion once.
    """

    calls: int
    primitive_calls: int
    self_seconds: float
    cumulative_seconds: float


@dataclass(frozen=True, slots=True)
class FunctionStats:
    """The sums of one function and, for each of its callers, those of the edge."""

    total: Sums
    callers: Mapping[Function, Sums] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallGraph:
    """Sums per function: everything that a ``.prof`` file says.

    Every caller named in an edge is itself a key of `functions`. `is_sampled` is true
    for profiles whose counts are samples rather than calls.
    """

    functions: Mapping[Function, FunctionStats]
    is_sampled: bool = False

    @property
    def total_seconds(self) -> float:
        """The sum of all self times: the time that the profile covers."""
        # Of large profiles a list is summed up in half the time that a generator takes.
        return sum([stats.total.self_seconds for stats in self.functions.values()])

    @property
    def total_calls(self) -> int:
        """The sum of all calls, recursive ones included."""
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
