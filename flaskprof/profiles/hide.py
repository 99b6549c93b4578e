"""Leaves functions out of a profile that belong to the recording, not to what was recorded.

A hidden function goes with its time and with the builtins that it called. Whatever else it
called stays, called by whoever called the hidden function: a wrapper of ours around a view
must not take the view away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.kinds import is_builtin
from flaskprof.profiles.model import CallGraph, CallTree, Function, FunctionStats, Sums

__all__ = ["without"]

_NONE = Sums(0, 0, 0.0, 0.0)


@overload
def without(profile: CallGraph, is_hidden: Callable[[Function], bool]) -> CallGraph: ...
@overload
def without(profile: CallTree, is_hidden: Callable[[Function], bool]) -> CallTree: ...
def without(
    profile: CallGraph | CallTree, is_hidden: Callable[[Function], bool]
) -> CallGraph | CallTree:
    """Return `profile` without the functions for which `is_hidden` holds.

    The time of a hidden function and its builtins leaves the totals. In a tree it leaves the
    callers too; in a graph their cumulative times stay, since it cannot be told how much of
    them it was. A graph also cannot tell which of several callers of a hidden function made
    it call something: the calls then have no caller.
    """
    if isinstance(profile, CallTree):
        return _tree_without(profile, is_hidden)
    hidden = [function for function in profile.functions if is_hidden(function)]
    return _graph_without(profile, hidden) if hidden else profile


def _tree_without(tree: CallTree, is_hidden: Callable[[Function], bool]) -> CallTree:
    hidden = [is_hidden(function) for function in tree.functions]
    if not any(hidden):
        return tree
    builtin = [is_builtin(function) for function in tree.functions]
    builder = TreeBuilder()
    is_gone: list[bool] = []
    # Of each node the one that stands in for it as a caller; -1 where it called as a root.
    stand_in: list[int] = []
    for node, (above, function) in enumerate(zip(tree.parent, tree.function, strict=True)):
        gone = hidden[function] or (builtin[function] and above >= 0 and is_gone[above])
        caller = stand_in[above] if above >= 0 else -1
        is_gone.append(gone)
        if gone:
            stand_in.append(caller)
        else:
            stand_in.append(builder.node(caller, function))
            builder.add(stand_in[node], tree.calls[node], tree.self_ns[node])
    return builder.tree(tree.functions, is_sampled=tree.is_sampled)


def _graph_without(graph: CallGraph, hidden: list[Function]) -> CallGraph:
    functions = dict(graph.functions.items())
    totals = {function: stats.total for function, stats in functions.items()}
    callers = {function: dict(stats.callers) for function, stats in functions.items()}
    callees: dict[Function, list[Function]] = {}
    for function, edges in callers.items():
        for caller in edges:
            callees.setdefault(caller, []).append(function)
    gone = set(hidden)
    done = set()
    waiting = list(hidden)
    while waiting:
        function = waiting.pop()
        done.add(function)
        heir = _only_caller(function, totals[function], callers[function])
        for callee in callees.get(function, ()):
            edge = callers[callee].pop(function)
            if callee in done:
                continue
            if is_builtin(callee):
                totals[callee] = _less(totals[callee], edge)
                if not totals[callee].calls and callee not in gone:
                    gone.add(callee)
                    waiting.append(callee)
            elif heir is not None:
                if heir not in callers[callee]:
                    callees[heir].append(callee)
                callers[callee][heir] = _more(callers[callee].get(heir, _NONE), edge)
    return CallGraph(
        {
            function: FunctionStats(total, callers[function])
            for function, total in totals.items()
            if function not in gone
        },
        is_sampled=graph.is_sampled,
    )


def _only_caller(
    function: Function, total: Sums, callers: dict[Function, Sums]
) -> Function | None:
    """Return who made all calls of a function, its own recursion aside, if that is one."""
    others = [caller for caller in callers if caller != function]
    made = sum(edge.calls for edge in callers.values())
    return others[0] if len(others) == 1 and made == total.calls else None


def _less(total: Sums, edge: Sums) -> Sums:
    """Take an edge away from a total; rounding must not leave less than nothing."""
    return Sums(
        max(total.calls - edge.calls, 0),
        max(total.primitive_calls - edge.primitive_calls, 0),
        max(total.self_seconds - edge.self_seconds, 0.0),
        max(total.cumulative_seconds - edge.cumulative_seconds, 0.0),
    )


def _more(sums: Sums, edge: Sums) -> Sums:
    return Sums(
        sums.calls + edge.calls,
        sums.primitive_calls + edge.primitive_calls,
        sums.self_seconds + edge.self_seconds,
        sums.cumulative_seconds + edge.cumulative_seconds,
    )
