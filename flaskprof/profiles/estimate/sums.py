"""What the sums of a graph say of the calls that are to be unfolded."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from flaskprof.errors import BadProfile
from flaskprof.profiles.circles import circles
from flaskprof.profiles.function import nanoseconds
from flaskprof.profiles.model import CallGraph

__all__ = ["MOST_NS", "TOO_LONG", "Callees", "Edge", "EdgeSums"]

_NS_PER_SECOND = 10**9
MOST_NS = 2**63 - 1
TOO_LONG = "the times come to more than the 292 years that can be drawn"


class Edge(NamedTuple):
    """All calls of a function by one caller, their nanoseconds with and without callees."""

    function: int
    calls: int
    total_ns: int
    self_ns: int


class Callees(NamedTuple):
    """Whom a function called.

    `edges` are those that are long enough to become nodes, the longest first. `every_ns` is
    the time of all others too, and `missing_ns` what the cumulative time of the function has
    beside that and its self time.
    """

    edges: Sequence[Edge]
    every_ns: int
    missing_ns: int

    def without(self, functions: Collection[int]) -> Callees:
        """Return the same but for the calls of some functions."""
        edges = [edge for edge in self.edges if edge.function not in functions]
        gone_ns = sum(edge.total_ns for edge in self.edges if edge.function in functions)
        return Callees(edges, self.every_ns - gone_ns, self.missing_ns)


class EdgeSums:
    """The sums of a graph in whole nanoseconds, by the numbers of its functions.

    `roots` are edges of a caller that is no function. `circle` has the same number for
    all functions that call each other in a circle; `timeless` are those whose edges have calls
    but no times. Edges of less than `least_share` of all self time never become nodes: most
    of a large graph are such, and of them no more is made than their sum.
    """

    def __init__(self, graph: CallGraph, least_share: float) -> None:
        self._columns = columns = graph.columns
        self.functions = columns.names
        self.is_sampled = graph.is_sampled
        count = len(columns.names)
        self.self_ns = _nanoseconds(columns.total.self_seconds)
        self.total_ns = _nanoseconds(columns.total.cumulative_seconds)
        # How often a function was called by others, which is not always how often it was.
        self._calls = _sums_of_slices(columns.edges.calls, columns.first_edge)
        self.timeless = self._timeless()
        self._edge_ns = _nanoseconds(columns.edges.cumulative_seconds)
        self._calls_timeless = set()
        for function in self.timeless:
            for edge in self._edges_to(function):
                self._edge_ns[edge] = self._by_calls(self.total_ns, function, edge)
                self._calls_timeless.add(columns.caller[edge])
        self._below, self._below_ns = [0] * count, [0] * count
        for caller, total_ns in zip(columns.caller, self._edge_ns, strict=True):
            self._below[caller] += 1
            self._below_ns[caller] += total_ns
        self._long = self._long_edges(max(1.0, least_share * sum(self.self_ns)))
        self.circle = circles(
            {caller: [edge.function for edge in edges] for caller, edges in self._long.items()}
        )
        self._is_bounded: dict[int, bool] = {}
        self._has_one_stack: dict[int, bool] = {}
        self.roots = [
            self._root(function, calls - of_callers)
            for function, (calls, of_callers) in enumerate(
                zip(columns.total.calls, self._calls, strict=True)
            )
            if calls > of_callers
        ]
        if not self.roots and count:
            most = max(range(count), key=self.total_ns.__getitem__)
            self.roots.append(
                Edge(most, columns.total.calls[most], self.total_ns[most], self.self_ns[most])
            )

    def callees(self, function: int) -> Callees:
        """Return whom a function called."""
        own_ns, below_ns = self.self_ns[function], self._below_ns[function]
        return Callees(
            self._long.get(function, ()),
            below_ns,
            max(0, self.total_ns[function] - own_ns - below_ns),
        )

    def is_recursive(self, function: int) -> bool:
        """Whether a function called itself, directly or through others."""
        total = self._columns.total
        if total.calls[function] != total.primitive_calls[function]:
            return True
        by = self._edges_to(function)
        return function in self._columns.caller[by.start : by.stop]

    def is_bounded(self, function: int) -> bool:
        """Whether the sums of a function and of its edges agree with each other.

        Only then they say between which bounds the time of a call lies.
        """
        known = self._is_bounded.get(function)
        if known is None:
            known = self._is_bounded[function] = not (
                self.is_sampled
                or function in self.timeless
                or self.is_recursive(function)
                or function in self._calls_timeless
            ) and self._agrees(function)
        return known

    def has_one_stack(self, function: int) -> bool:
        """Whether all calls of a function were made on the same stack.

        That is so where each function on it had no other caller than the one above it.
        """
        known, path = self._has_one_stack, []
        while function not in known:
            # Whoever comes back to it goes round in a circle.
            known[function] = False
            path.append(function)
            by = self._edges_to(function)
            if len(by) != 1 or self._calls[function] != self._columns.total.calls[function]:
                known[function] = not by
                break
            function = self._columns.caller[by.start]
        is_one = known[function]
        for below in path:
            known[below] = is_one
        return is_one

    def _in_one_circle(self, function: int, other: int) -> bool:
        return function in self.circle and self.circle[function] == self.circle.get(other)

    def _edges_to(self, function: int) -> range:
        """Return the numbers of the edges that the callers of a function made."""
        first = self._columns.first_edge
        return range(first[function], first[function + 1])

    def _long_edges(self, least_ns: float) -> dict[int, list[Edge]]:
        """Return the edges of each caller that are long enough, the longest first."""
        first, caller = self._columns.first_edge, self._columns.caller
        found: dict[int, list[Edge]] = {}
        for edge, total_ns in enumerate(self._edge_ns):
            if total_ns >= least_ns:
                function = bisect_right(first, edge) - 1
                found.setdefault(caller[edge], []).append(self._edge(function, edge))
        for edges in found.values():
            edges.sort(key=_longest_first)
        return found

    def _edge(self, function: int, edge: int) -> Edge:
        sums = self._columns.edges
        if function in self.timeless:
            self_ns = self._by_calls(self.self_ns, function, edge)
        else:
            self_ns = nanoseconds(sums.self_seconds[edge])
        return Edge(function, sums.calls[edge], self._edge_ns[edge], self_ns)

    def _by_calls(self, times_ns: array[int], function: int, edge: int) -> int:
        """Return the part of a function's time that an edge has by its calls."""
        whole = max(self._calls[function], self._columns.total.calls[function])
        return times_ns[function] * self._columns.edges.calls[edge] // whole

    def _timeless(self) -> set[int]:
        """Return the functions that share their time by calls: some profilers count only."""
        columns, first = self._columns, self._columns.first_edge
        seconds = columns.edges.cumulative_seconds
        without = [edge for edge, time in enumerate(seconds) if time <= 0]
        any_times = len(without) < len(seconds)
        return {
            function
            for function in {bisect_right(first, edge) - 1 for edge in without}
            if self._calls[function] > 0
            and self.total_ns[function] > 0
            and max(seconds[first[function] : first[function + 1]]) <= 0
            and (self._calls[function] >= columns.total.calls[function] or not any_times)
        }

    def _agrees(self, function: int) -> bool:
        """Whether the edges of a function fit into its sums, but for what was rounded."""
        by = self._edges_to(function)
        self_ns, total_ns = self.self_ns[function], self.total_ns[function]
        of_callers = self._columns.edges.self_seconds[by.start : by.stop]
        slack = len(by) + self._below[function] + 1
        return (
            sum(self._edge_ns[by.start : by.stop]) <= total_ns + slack
            and sum(map(nanoseconds, of_callers)) <= self_ns + slack
            and self_ns + self._below_ns[function] <= total_ns + slack
        )

    def _root(self, function: int, calls: int) -> Edge:
        """Return what of a function is no caller's.

        Calls that are part of a recursion lie within the time of the call that began it.
        """
        total_ns, self_ns = self.total_ns[function], self.self_ns[function]
        is_recursive = self.is_recursive(function)
        for number in self._edges_to(function):
            caller = self._columns.caller[number]
            if not (is_recursive and self._in_one_circle(caller, function)):
                edge = self._edge(function, number)
                total_ns -= edge.total_ns
                self_ns -= edge.self_ns
        return Edge(function, calls, max(0, total_ns), max(0, min(self_ns, total_ns)))


def _longest_first(edge: Edge) -> int:
    return -edge.total_ns


def _nanoseconds(column: Iterable[float]) -> array[int]:
    try:  # a loop of its own is a third faster than `nanoseconds`
        return array("q", [round(_NS_PER_SECOND * s) if s > 0 else 0 for s in column])
    except OverflowError:
        raise BadProfile(TOO_LONG) from None


def _sums_of_slices(column: Iterable[int], first: Sequence[int]) -> list[int]:
    """Return the sum of each slice of a column, from one item of `first` up to the next."""
    upto = list(accumulate(column, initial=0))
    return [upto[end] - upto[begin] for begin, end in pairwise(first)]
