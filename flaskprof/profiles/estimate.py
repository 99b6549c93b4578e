"""Estimates a tree of calls from the sums of a call graph, and says how far to trust it.

A graph does not determine its tree: where a function has several callers, its sums do not
say which of its callees took the time of which caller. So the time of a call is shared out
in proportion. Where ``p`` called ``f``, and that took the time ``t``, the part of ``t`` that
is the self time of ``f`` is the part that it is of the whole edge ``p -> f``; what is left is
shared among the callees of ``f`` by the cumulative times of their edges.

What the sums do determine are bounds, which each node carries. A callee has at least what
the call must have spent in callees less all that the others ever took, and at most what the
call may have spent and what its edge took in all. Where the two meet the figure is exact.

A node is the calls on one stack, and nothing else. A function that calls itself, directly or
through others, has sums that do not add up, so it has no lower bound.
Where it is called once more further down, that is a node too, under which nothing is
unfolded: how the time of a recursion spreads over its levels cannot be told.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from heapq import heappop, heappush
from typing import NamedTuple

from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.model import CallGraph, CallTree, Function, FunctionStats, Sums
from flaskprof.profiles.walk import steps

__all__ = [
    "ESTIMATED",
    "LEFT_OUT",
    "MAX_DEPTH",
    "MAX_NODES",
    "ROOT",
    "EstimatedTree",
    "Mark",
    "estimate",
]

ROOT = Function("~", 0, "<root>")
"""Stands above all that nobody was seen to call, so that there is one tree."""
ESTIMATED = Function("~", 0, "<estimated: the stacks themselves were not recorded>")
LEFT_OUT = Function("~", 0, "<callees that are not shown>")
MAX_NODES = 100_000
MAX_DEPTH = 1_000

_NS_PER_SECOND = 10**9


class Mark(IntFlag):
    """What is to be said of a node: a bit each."""

    EXACT = 1
    """The bounds meet: the time with callees is not an estimate."""
    RECURSIVE = 2
    """The function called itself, so that there is no lower bound."""
    FOLDED = 4
    """Callees were left out: too short, too many or too deep, or within a recursion."""


# A flag takes several times as long to be set as its number.
_EXACT, _RECURSIVE, _FOLDED = map(int, Mark)


@dataclass(frozen=True, slots=True)
class EstimatedTree:
    """A tree of calls in preorder, as parallel arrays of one item a node.

    Node ``i`` stands for calls of ``functions[function[i]]`` from node ``parent[i]``, which
    is smaller than ``i``; node 0 is `ROOT`, with the parent -1. ``calls[i]`` shares out the
    calls of the edge as its time is. ``total_ns[i]`` estimates the nanoseconds with
    callees, ``self_ns[i]`` those without; they lie between ``low_ns[i]`` and ``high_ns[i]``
    with callees. A total is the self time, the totals of the children, and what was left
    out under the node (`left_out_ns`). Siblings come with the longest first. `marks` holds
    a `Mark` for each node.
    """

    functions: tuple[Function, ...]
    parent: array[int]
    function: array[int]
    calls: array[int]
    self_ns: array[int]
    total_ns: array[int]
    low_ns: array[int]
    high_ns: array[int]
    marks: array[int]
    is_sampled: bool = False

    def __len__(self) -> int:
        return len(self.parent)

    def left_out_ns(self) -> array[int]:
        """Nanoseconds of each node that are neither its own nor those of its children."""
        left = array("q", map(int.__sub__, self.total_ns, self.self_ns))
        for above, total in zip(self.parent, self.total_ns, strict=True):
            if above >= 0:
                left[above] -= total
        return left

    def to_call_tree(self) -> CallTree:
        """Return the tree for tools that know of no bounds.

        Its only root is `ESTIMATED`, so that whoever sees it sees what it is; what was left
        out is called `LEFT_OUT`.
        """
        functions = (*self.functions[:-1], ESTIMATED, LEFT_OUT)
        builder = TreeBuilder()
        nodes: list[int] = []
        for node, left_out_ns in enumerate(self.left_out_ns()):
            above = self.parent[node]
            place = builder.node(nodes[above] if above >= 0 else -1, self.function[node])
            nodes.append(place)
            builder.add(place, self.calls[node], self.self_ns[node])
            if left_out_ns > 0:
                rest = builder.node(place, len(functions) - 1)
                builder.add(rest, 0, left_out_ns)
        return builder.tree(functions, is_sampled=self.is_sampled)


def estimate(
    graph: CallGraph,
    *,
    least_share: float = 0.0001,
    max_nodes: int = MAX_NODES,
    max_depth: int = MAX_DEPTH,
) -> EstimatedTree:
    """Return the tree that the sums of `graph` suggest, with bounds for each of its nodes.

    Nodes of less than `least_share` of the whole time are left out, wherever they are, and
    then the shortest beyond `max_nodes`, and those more than `max_depth` deep. Bounds are
    true of what the graph was summed up from, as far as its sums agree with each other; where
    they do not, and of sampled profiles, nothing is called exact. Times are rounded to
    nanoseconds first.
    """
    return _Estimate(_Sums(graph), least_share, max_nodes, max_depth).tree()


class _Edge(NamedTuple):
    """All calls of a function by one caller, their nanoseconds with and without callees."""

    function: int
    calls: int
    total_ns: int
    self_ns: int


class _Called(NamedTuple):
    """What is to be known of a function to unfold its calls.

    `callees` are its edges, and `missing_ns` is what its cumulative time has beside these
    and its self time. Where it `is_bounded` its sums agree with each other.
    """

    callees: Sequence[_Edge]
    missing_ns: int
    is_bounded: bool


class _Sums:
    """The sums of a graph in whole nanoseconds, by the numbers of its functions.

    `roots` are edges of a caller that is no function. `group` has the same number for
    functions that call each other in a circle; `timeless` are those whose edges have calls
    but no times. Of a large graph few functions take long enough to be unfolded, so what
    else there is to know is made of those that are asked for.
    """

    def __init__(self, graph: CallGraph) -> None:
        self.functions = tuple(graph.functions)
        self.is_sampled = graph.is_sampled
        self._stats = list(graph.functions.values())
        self._index = index = {
            function: number for number, function in enumerate(self.functions)
        }
        totals = [stats.total for stats in self._stats]
        self.self_ns = [_ns(total.self_seconds) for total in totals]
        self.total_ns = [_ns(total.cumulative_seconds) for total in totals]
        # Of each function whom it called and, in the same order, the sums of these edges.
        self._callees: list[list[int]] = [[] for _ in totals]
        self._below: list[list[Sums]] = [[] for _ in totals]
        self._calls = []
        for function, stats in enumerate(self._stats):
            calls = 0
            for caller, sums in stats.callers.items():
                number = index[caller]
                self._callees[number].append(function)
                self._below[number].append(sums)
                calls += sums.calls
            self._calls.append(calls)
        self.timeless = self._timeless()
        self.group = _groups(self._callees)
        self._known: dict[int, _Called] = {}
        self.roots = [
            self._root(function, total.calls - calls)
            for function, (total, calls) in enumerate(zip(totals, self._calls, strict=True))
            if total.calls > calls
        ]
        if not self.roots and totals:
            most = max(range(len(totals)), key=self.total_ns.__getitem__)
            self.roots.append(
                _Edge(most, totals[most].calls, self.total_ns[most], self.self_ns[most])
            )

    def of(self, function: int) -> _Called:
        """Return what there is to know of a function."""
        if function not in self._known:
            callees = [
                self._edge(callee, sums)
                for callee, sums in zip(
                    self._callees[function], self._below[function], strict=True
                )
            ]
            below_ns = sum([edge.total_ns for edge in callees])
            missing_ns = self.total_ns[function] - self.self_ns[function] - below_ns
            is_bounded = (
                not (
                    self.is_sampled or function in self.timeless or self.is_recursive(function)
                )
                and not (self.timeless and self.timeless.intersection(self._callees[function]))
                and self._agrees(function, callees, below_ns)
            )
            self._known[function] = _Called(callees, max(0, missing_ns), is_bounded)
        return self._known[function]

    def is_recursive(self, function: int) -> bool:
        """Whether a function called itself, directly or through others."""
        stats = self._stats[function]
        total = stats.total
        return total.calls != total.primitive_calls or self.functions[function] in stats.callers

    def _timeless(self) -> set[int]:
        """Return the functions that share their time by calls: some profilers count only."""
        has_times = list(map(_has_times, self._stats))
        any_times = any(has_times)
        return {
            function
            for function, calls in enumerate(self._calls)
            if not has_times[function]
            and calls > 0
            and self.total_ns[function] > 0
            and (calls >= self._stats[function].total.calls or not any_times)
        }

    def _edge(self, function: int, sums: Sums) -> _Edge:
        calls, _, self_seconds, total_seconds = sums
        if function not in self.timeless:
            return _Edge(function, calls, _ns(total_seconds), _ns(self_seconds))
        whole = max(self._calls[function], self._stats[function].total.calls)
        return _Edge(
            function,
            calls,
            self.total_ns[function] * calls // whole,
            self.self_ns[function] * calls // whole,
        )

    def _agrees(self, function: int, callees: Sequence[_Edge], below_ns: int) -> bool:
        """Whether the edges of a function fit into its sums, but for what was rounded."""
        by = self._stats[function].callers.values()
        slack = len(by) + len(callees) + 1
        return (
            sum([_ns(sums.cumulative_seconds) for sums in by])
            <= self.total_ns[function] + slack
            and sum([_ns(sums.self_seconds) for sums in by]) <= self.self_ns[function] + slack
            and self.self_ns[function] + below_ns <= self.total_ns[function] + slack
        )

    def _root(self, function: int, calls: int) -> _Edge:
        """Return what of a function is no caller's.

        Calls that are part of a recursion lie within the time of the call that began it.
        """
        total_ns, self_ns = self.total_ns[function], self.self_ns[function]
        is_recursive = self.is_recursive(function)
        for caller, sums in self._stats[function].callers.items():
            if not (is_recursive and self.group[self._index[caller]] == self.group[function]):
                edge = self._edge(function, sums)
                total_ns -= edge.total_ns
                self_ns -= edge.self_ns
        return _Edge(function, calls, max(0, total_ns), max(0, min(self_ns, total_ns)))


class _Estimate:
    """The nodes of a tree, made with the longest first, so that what is left out is short."""

    def __init__(self, sums: _Sums, least_share: float, most: int, deepest: int) -> None:
        self._sums = sums
        self._most, self._deepest = max(1, most), deepest
        # What recursive roots took in all, nobody knows: they share what others leave them.
        sure = sum(edge.total_ns for edge in sums.roots if sums.of(edge.function).is_bounded)
        whole = max(sum(sums.self_ns), sure) or sum(edge.total_ns for edge in sums.roots)
        self._least_ns = max(1.0, least_share * whole)
        self._parent, self._depth = array("q"), array("q")
        self._function, self._marks = array("q"), array("q")
        self._calls = array("q")
        self._times_ns = tuple(array("q") for _ in range(4))
        # What may become a node: minus its time, a number to tell equals apart, the node
        # above, its edge, and its bounds.
        self._waiting: list[tuple[int, int, int, _Edge, int, int]] = []
        self._offered = 0
        # Own times that do not add up to the roots (yappi's may not) leave the whole in doubt,
        # beyond the rounding of each.
        own = sum(sums.self_ns)
        is_sure = whole - own <= len(sums.functions)
        of_root = _EXACT if is_sure and not sums.is_sampled else 0
        root = _Edge(len(sums.functions), 0, whole, 0)
        self._add(-1, root, (0, whole, whole if is_sure else own, whole), of_root)
        left = whole - sure
        for edge in sums.roots:
            if sums.of(edge.function).is_bounded:
                self._offer(0, edge, edge.total_ns, edge.total_ns, edge.total_ns)
            else:
                time = min(edge.total_ns, left)
                left -= time
                self._offer(0, edge, time, 0, sums.total_ns[edge.function])

    def tree(self) -> EstimatedTree:
        while self._waiting and len(self._parent) < self._most:
            time, _, above, edge, low, high = heappop(self._waiting)
            self._unfold(above, edge, -time, low, high)
        for _, _, above, *_ in self._waiting:
            self._marks[above] |= _FOLDED
        order = [step for step in steps(self._parent) if step >= 0]
        place = dict(zip(order, range(len(order)), strict=True)) | {-1: -1}

        def in_order(column: array[int]) -> array[int]:
            return array("q", [column[node] for node in order])

        self_ns, total_ns, low_ns, high_ns = map(in_order, self._times_ns)
        return EstimatedTree(
            (*self._sums.functions, ROOT),
            array("q", [place[self._parent[node]] for node in order]),
            in_order(self._function),
            in_order(self._calls),
            self_ns,
            total_ns,
            low_ns,
            high_ns,
            in_order(self._marks),
            self._sums.is_sampled,
        )

    def _add(
        self, above: int, edge: _Edge, times_ns: tuple[int, int, int, int], marks: int
    ) -> int:
        """Add a node, of these nanoseconds of its own, with callees, at least and at most."""
        node = len(self._parent)
        self._parent.append(above)
        self._depth.append(self._depth[above] + 1 if above >= 0 else 0)
        self._function.append(edge.function)
        _, total_ns, *_ = times_ns
        share = edge.calls * total_ns // edge.total_ns if edge.total_ns else edge.calls
        self._calls.append(max(share, min(edge.calls, 1)))
        for column, time_ns in zip(self._times_ns, times_ns, strict=True):
            column.append(time_ns)
        self._marks.append(marks)
        return node

    def _offer(self, above: int, edge: _Edge, time: int, low: int, high: int) -> None:
        """Keep a call in mind that may become a node, unless it is too short."""
        if time < self._least_ns or self._depth[above] >= self._deepest:
            if high:
                self._marks[above] |= _FOLDED
            return
        self._offered += 1
        heappush(self._waiting, (-time, self._offered, above, edge, low, high))

    def _unfold(self, above: int, edge: _Edge, time: int, low: int, high: int) -> None:
        """Make a node of `time` nanoseconds, and offer its callees."""
        sums, function = self._sums, edge.function
        called = sums.of(function)
        marks = 0
        if low == high and called.is_bounded:
            marks |= _EXACT
        if sums.is_recursive(function):
            marks |= _RECURSIVE
        before = self._circle(above, function)
        if function in before:
            self._add(above, edge, (0, time, low, high), marks | _FOLDED)
            return
        is_all_own = edge.self_ns >= edge.total_ns
        own = time if is_all_own else time * edge.self_ns // edge.total_ns
        node = self._add(above, edge, (own, time, low, high), marks)
        # What was never within itself cannot be called once more from here.
        callees = [
            callee
            for callee in called.callees
            if callee.function not in before or sums.is_recursive(callee.function)
        ]
        every = sum(callee.total_ns for callee in callees)
        shared_by = every + called.missing_ns
        if not every:
            return
        below = time - own
        least, most = 0, high
        if called.is_bounded:
            least = max(0, low - edge.self_ns - called.missing_ns)
            most = min(high, max(0, edge.total_ns - edge.self_ns))
        left = below
        for callee in callees:
            upper = most
            if callee.function not in sums.timeless:
                upper = min(most, callee.total_ns)
            lower = min(upper, max(0, least + callee.total_ns - every))
            if lower and not sums.of(callee.function).is_bounded:
                lower = 0
            share = below * callee.total_ns // shared_by
            share = min(max(share, lower), upper, left)
            left -= share
            self._offer(node, callee, share, min(lower, share), upper)

    def _circle(self, node: int, function: int) -> set[int]:
        """Return the functions at and above a node that may call themselves through another.

        Those of a group stand together on a stack: what leaves the group never comes back.
        """
        group = self._sums.group
        found = set()
        while node > 0 and group[self._function[node]] == group[function]:
            found.add(self._function[node])
            node = self._parent[node]
        return found


def _has_times(stats: FunctionStats) -> bool:
    for edge in stats.callers.values():  # noqa: SIM110  a generator costs more than the loop
        if edge.cumulative_seconds > 0:
            return True
    return False


def _ns(seconds: float) -> int:
    return round(seconds * _NS_PER_SECOND) if seconds > 0 else 0


def _groups(callees: Sequence[Sequence[int]]) -> list[int]:  # noqa: C901  as it is published
    """Number the strongly connected components of a graph, by Tarjan's algorithm.

    https://doi.org/10.1137/0201010, without recursion.
    """
    count = len(callees)
    group, seen_at, earliest = [-1] * count, [-1] * count, [0] * count
    seen = groups = 0
    open_: list[int] = []
    for start in range(count):
        if seen_at[start] >= 0:
            continue
        path = [(start, iter(callees[start]))]
        seen_at[start] = earliest[start] = seen
        seen += 1
        open_.append(start)
        while path:
            function, left = path[-1]
            for callee in left:
                if seen_at[callee] < 0:
                    seen_at[callee] = earliest[callee] = seen
                    seen += 1
                    open_.append(callee)
                    path.append((callee, iter(callees[callee])))
                    break
                if group[callee] < 0:
                    earliest[function] = min(earliest[function], seen_at[callee])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    earliest[above] = min(earliest[above], earliest[function])
                if earliest[function] == seen_at[function]:
                    while True:
                        member = open_.pop()
                        group[member] = groups
                        if member == function:
                            break
                    groups += 1
    return group
