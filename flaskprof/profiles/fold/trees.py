"""Folds functions of call trees, recorded or estimated."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.estimate import EstimatedTree, Mark
from flaskprof.profiles.model import CallTree, Function

__all__ = ["folded_estimate", "folded_tree"]


def folded_tree(tree: CallTree, is_folded: Callable[[Function], bool]) -> CallTree:
    """Return `tree` with each function for which `is_folded` holds folded into its caller."""
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


def folded_estimate(
    tree: EstimatedTree, is_folded: Callable[[Function], bool]
) -> EstimatedTree:
    """Return `tree` with each function for which `is_folded` holds folded into its caller."""
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
