"""Puts what was recorded on another stack under the call that waited for it.

Pure, over call graphs: the engine in Python records each stack with a profiler of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums

__all__ = ["Waiting", "graft"]

_NONE = Sums(0, 0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call of `function` that took `seconds` and was itself not recorded.

    `holder` is who waited in its stead and was recorded as if that were its own time, if
    anyone was; `stack` are the recorded functions that were under way, the caller first.
    """

    function: Function
    holder: Function | None
    stack: Sequence[Function]
    seconds: float


def graft(graph: CallGraph, part: CallGraph, waiting: Waiting) -> CallGraph:
    """Return `graph` with the call that waited, and `part` called by it.

    The waiting call's own time is what `part` does not account for. What was under way
    already is recursive in `part`: its calls are not primitive and its cumulative times
    are within those that `graph` has. The cumulative time of an edge from the waiting call
    is what the edges of `part` leave of the function's; that is exact unless the function
    recurs through others.
    """
    into = _Sums(graph)
    callee = waiting.function
    caller = waiting.stack[0] if waiting.stack else None
    under_way = set(waiting.stack)
    edges = set(zip(waiting.stack[1:], waiting.stack, strict=False))
    if waiting.holder is not None:
        into.take(waiting.holder, waiting.seconds)
    call = Sums(1, 1, max(0.0, waiting.seconds - part.total_seconds), waiting.seconds)
    into.add(callee, _recursive(call) if callee in under_way else call)
    under_way.add(callee)
    if caller is not None:
        edge = (caller, callee)
        into.add_edge(*edge, _recursive(call) if edge in edges else call)
        edges.add(edge)
    for function, stats in part.functions.items():
        total = stats.total
        into.add(function, _recursive(total) if function in under_way else total)
        for above, sums in stats.callers.items():
            is_open = (above, function) in edges
            into.add_edge(above, function, _recursive(sums) if is_open else sums)
        called = _rest(stats)
        if called.calls:
            into.add_edge(callee, function, called)
    return into.graph(is_sampled=graph.is_sampled)


class _Sums:
    """A call graph that grows."""

    def __init__(self, graph: CallGraph) -> None:
        self._totals = {function: stats.total for function, stats in graph.functions.items()}
        self._callers = {
            function: dict(stats.callers) for function, stats in graph.functions.items()
        }

    def add(self, function: Function, sums: Sums) -> None:
        self._totals[function] = _plus(self._totals.get(function, _NONE), sums)

    def take(self, function: Function, seconds: float) -> None:
        """Take own time away from a function, and from the edge that has it."""
        if function not in self._totals:
            return
        spent = Sums(0, 0, -seconds, 0.0)
        self.add(function, spent)
        callers = self._callers.get(function)
        if callers:
            caller = max(callers, key=lambda caller: callers[caller].self_seconds)
            self.add_edge(caller, function, spent)

    def add_edge(self, caller: Function, callee: Function, sums: Sums) -> None:
        # A caller whose own call is still under way may have no sums of its own yet.
        self._totals.setdefault(caller, _NONE)
        callers = self._callers.setdefault(callee, {})
        callers[caller] = _plus(callers.get(caller, _NONE), sums)

    def graph(self, *, is_sampled: bool) -> CallGraph:
        return CallGraph(
            {
                function: FunctionStats(total, self._callers.get(function, {}))
                for function, total in self._totals.items()
            },
            is_sampled,
        )


def _recursive(sums: Sums) -> Sums:
    return Sums(sums.calls, 0, sums.self_seconds, 0.0)


def _plus(one: Sums, other: Sums) -> Sums:
    return Sums(
        one.calls + other.calls,
        one.primitive_calls + other.primitive_calls,
        one.self_seconds + other.self_seconds,
        one.cumulative_seconds + other.cumulative_seconds,
    )


def _rest(stats: FunctionStats) -> Sums:
    """Return the sums of the calls of a function that had no caller."""
    edges = stats.callers.values()
    calls = stats.total.calls - sum(edge.calls for edge in edges)
    spent = stats.total.self_seconds - sum(edge.self_seconds for edge in edges)
    passed = stats.total.cumulative_seconds - sum(edge.cumulative_seconds for edge in edges)
    return Sums(calls, calls, max(0.0, spent), max(0.0, passed))
