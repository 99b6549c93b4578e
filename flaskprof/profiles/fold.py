"""Folds functions into whoever called them: the rest of a profile, with all of its time.

What is folded goes, and its self time becomes that of the caller, or of the caller's caller
where that goes too. Whatever it called stays, called by that caller. So a profile can be
looked at as if it held nothing but the application's own code, and still sums up to the
same time. A root is never folded: there is nobody that it could be folded into.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from math import fsum
from operator import itemgetter
from typing import overload

from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.estimate import EstimatedTree, Mark
from flaskprof.profiles.merge import added
from flaskprof.profiles.model import CallGraph, CallTree, Function, FunctionStats, Sums

__all__ = ["folded"]

# Rounds after which what is folded within a circle of calls has gone round often enough, the
# change from one to the next that is none, and among how many callers time is shared out.
_ROUNDS = 20
_NO_CHANGE = 1e-4
_MOST_HEIRS = 8


@overload
def folded(profile: CallGraph, is_folded: Callable[[Function], bool]) -> CallGraph: ...
@overload
def folded(profile: CallTree, is_folded: Callable[[Function], bool]) -> CallTree: ...
@overload
def folded(profile: EstimatedTree, is_folded: Callable[[Function], bool]) -> EstimatedTree: ...
def folded(
    profile: CallGraph | CallTree | EstimatedTree, is_folded: Callable[[Function], bool]
) -> CallGraph | CallTree | EstimatedTree:
    """Return `profile` with each function for which `is_folded` holds folded into its caller.

    Of a tree the result is as true as the tree; bounds of an estimate are added up where
    nodes meet. A graph does not say on whose behalf a function with several callers was
    busy: its time is shared out among them by the times of the edges. So self times and
    edges are then estimates, while the cumulative times of the functions stay what they were.
    """
    if isinstance(profile, CallTree):
        return _folded_tree(profile, is_folded)
    if isinstance(profile, EstimatedTree):
        return _folded_estimate(profile, is_folded)
    return _folded_graph(profile, is_folded)


def _folded_tree(tree: CallTree, is_folded: Callable[[Function], bool]) -> CallTree:
    goes = [is_folded(function) for function in tree.functions]
    builder = TreeBuilder()
    place: list[int] = []
    for above, function, calls, self_ns in zip(
        tree.parent, tree.function, tree.calls, tree.self_ns, strict=True
    ):
        caller = place[above] if above >= 0 else -1
        if goes[function] and caller >= 0:
            place.append(caller)
            builder.add(caller, 0, self_ns)
        else:
            place.append(builder.node(caller, function))
            builder.add(place[-1], calls, self_ns)
    return builder.tree(tree.functions, is_sampled=tree.is_sampled)


def _folded_estimate(
    tree: EstimatedTree, is_folded: Callable[[Function], bool]
) -> EstimatedTree:
    goes = [is_folded(function) for function in tree.functions]
    builder = TreeBuilder()
    place: list[int] = []
    total, low, high, unseen = (array("q") for _ in range(4))
    marks: list[Mark] = []
    may_be_missing = _may_be_missing(tree)
    for node, (above, function) in enumerate(zip(tree.parent, tree.function, strict=True)):
        caller = place[above] if above >= 0 else -1
        # Calls and self time become those of several nodes, of which some may be left out.
        mark = Mark(tree.marks[node]) & ~Mark.UNDIVIDED
        # The first node is the synthetic root, below which the roots are.
        if goes[function] and caller > 0:
            place.append(caller)
            builder.add(caller, 0, tree.self_ns[node])
            marks[caller] |= mark & Mark.FOLDED
            # What was left out below it may hold more calls of what is below the caller.
            unseen[caller] += may_be_missing[node]
            continue
        here = builder.node(caller, function)
        place.append(here)
        builder.add(here, tree.calls[node], tree.self_ns[node])
        if here == len(marks):
            for column in (total, low, high):
                column.append(0)
            unseen.append(0)
            marks.append(mark)
        marks[here] |= mark & ~Mark.EXACT
        if not mark & Mark.EXACT:
            marks[here] &= ~Mark.EXACT
        total[here] += tree.total_ns[node]
        low[here] += tree.low_ns[node]
        high[here] += tree.high_ns[node]
        unseen[here] += may_be_missing[node]
    order, columns = builder.columns(key=total.__getitem__)
    for node, above in zip(order, columns[0], strict=True):
        if above >= 0 and unseen[order[above]] and order[above]:
            high[node] = min(high[node] + unseen[order[above]], high[order[above]])
            marks[node] &= ~Mark.EXACT

    def in_order(column: Sequence[int]) -> array[int]:
        return array("q", [column[node] for node in order])

    return EstimatedTree(
        tree.functions,
        *columns,
        in_order(total),
        in_order(low),
        in_order(high),
        in_order(marks),
        tree.is_sampled,
    )


def _may_be_missing(tree: EstimatedTree) -> list[int]:
    """Return how long callees that have no node may have taken, of each node."""
    least_below = [0] * len(tree)
    for above, low in zip(tree.parent, tree.low_ns, strict=True):
        if above >= 0:
            least_below[above] += low
    return [
        max(0, high - below) if mark & Mark.FOLDED else 0
        for mark, high, below in zip(tree.marks, tree.high_ns, least_below, strict=True)
    ]


def _folded_graph(graph: CallGraph, is_folded: Callable[[Function], bool]) -> CallGraph:
    functions = dict(graph.functions.items())  # each is looked at several times
    goes = {function for function in functions if is_folded(function)} - _roots(functions)
    shares = _shares(functions, goes)
    # What nobody who stays was seen to call stays too.
    goes = {function for function in goes if shares[function]}
    own: dict[Function, list[float]] = {}
    edges: dict[Function, dict[Function, list[Sums]]] = {}
    for function, stats in functions.items():
        if function in goes:
            for heir, share in shares[function].items():
                own.setdefault(heir, []).append(share * stats.total.self_seconds)
            continue
        callers = edges.setdefault(function, {})
        for caller, sums in stats.callers.items():
            heirs = shares[caller] if caller in goes else {caller: 1.0}
            for heir, share in heirs.items():
                callers.setdefault(heir, []).append(_part(sums, share))
    return CallGraph(
        {
            function: FunctionStats(
                stats.total._replace(
                    self_seconds=fsum([stats.total.self_seconds, *own.get(function, ())])
                ),
                {caller: added(parts) for caller, parts in edges[function].items()},
            )
            for function, stats in functions.items()
            if function not in goes
        },
        is_sampled=graph.is_sampled,
    )


def _roots(functions: Mapping[Function, FunctionStats]) -> set[Function]:
    """Return the functions that were called by nobody who was seen."""
    roots = {
        function
        for function, stats in functions.items()
        if stats.total.calls > sum(edge.calls for edge in stats.callers.values())
    }
    if not roots and functions:
        most = max(functions, key=lambda each: functions[each].total.cumulative_seconds)
        roots.add(most)
    return roots


def _shares(
    functions: Mapping[Function, FunctionStats], goes: set[Function]
) -> dict[Function, Mapping[Function, float]]:
    """Return for each function that goes those who stay and what part of it is theirs."""
    weights = {function: _weights(function, functions[function]) for function in goes}
    shares: dict[Function, Mapping[Function, float]] = {function: {} for function in goes}
    order = _callers_first(weights)
    place = {function: at for at, function in enumerate(order)}
    # Where each comes after all of its callers one round is enough.
    has_circles = any(
        place.get(caller, -1) >= place[function]
        for function in order
        for caller in weights[function]
    )
    for _ in range(_ROUNDS if has_circles else 1):
        change = 0.0
        for function in order:
            found: dict[Function, float] = {}
            for caller, weight in weights[function].items():
                heirs = shares[caller] if caller in goes else {caller: 1.0}
                for heir, share in heirs.items():
                    found[heir] = found.get(heir, 0.0) + weight * share
            if len(found) > _MOST_HEIRS:
                found = dict(nlargest(_MOST_HEIRS, found.items(), key=itemgetter(1)))
            whole = fsum(found.values())
            kept = {heir: share / whole for heir, share in found.items()}
            before = shares[function]
            change = max(
                [change, *(abs(share - before.get(heir, 0.0)) for heir, share in kept.items())]
            )
            shares[function] = kept
        if change < _NO_CHANGE:
            break
    return shares


def _weights(function: Function, stats: FunctionStats) -> dict[Function, float]:
    """Return what part of a function's time is each caller's, its own recursion aside."""
    others = {caller: sums for caller, sums in stats.callers.items() if caller != function}
    times = {caller: sums.cumulative_seconds for caller, sums in others.items()}
    whole = fsum(times.values())
    if whole <= 0:
        times = {caller: float(sums.calls) for caller, sums in others.items()}
        whole = fsum(times.values())
    return {caller: time / whole for caller, time in times.items()} if whole > 0 else {}


def _callers_first(weights: Mapping[Function, Mapping[Function, float]]) -> list[Function]:
    """Order functions so that each comes after its callers, but for circles."""
    order: list[Function] = []
    seen: set[Function] = set()
    for start in weights:
        if start in seen:
            continue
        seen.add(start)
        path = [(start, iter(weights[start]))]
        while path:
            function, left = path[-1]
            for caller in left:
                if caller in weights and caller not in seen:
                    seen.add(caller)
                    path.append((caller, iter(weights[caller])))
                    break
            else:
                order.append(function)
                path.pop()
    return order


def _part(sums: Sums, share: float) -> Sums:
    """Return a part of an edge; of its calls at least one, for there was one."""
    if share == 1.0:
        return sums
    calls, primitive_calls, self_seconds, cumulative_seconds = sums
    return Sums(
        max(round(calls * share), min(calls, 1)),
        max(round(primitive_calls * share), min(primitive_calls, 1)),
        self_seconds * share,
        cumulative_seconds * share,
    )
