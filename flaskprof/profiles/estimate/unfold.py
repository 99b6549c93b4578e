"""Unfolds the sums of a graph into a tree, the longest calls first."""

from __future__ import annotations

from array import array
from heapq import heappop, heappush

from flaskprof.errors import BadProfile
from flaskprof.profiles.estimate.sums import MOST_NS, TOO_LONG, Callees, Edge, EdgeSums
from flaskprof.profiles.estimate.tree import ROOT, EstimatedTree, Mark
from flaskprof.profiles.model import CallGraph
from flaskprof.profiles.walk import steps

__all__ = ["MAX_DEPTH", "MAX_NODES", "estimate"]

MAX_NODES = 100_000
MAX_DEPTH = 1_000

# A flag takes several times as long to be set as its number.
_EXACT, _RECURSIVE, _FOLDED, _UNDIVIDED = map(int, Mark)


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
    nanoseconds first. Raises `BadProfile` where they do not fit into 64 bits.
    """
    return _Unfolding(EdgeSums(graph, least_share), least_share, max_nodes, max_depth).tree()


class _Unfolding:
    """The nodes of a tree, made with the longest first, so that what is left out is short."""

    def __init__(self, sums: EdgeSums, least_share: float, most: int, deepest: int) -> None:
        self._sums = sums
        self._most, self._deepest = max(1, most), deepest
        # What recursive roots took in all, nobody knows: they share what others leave them.
        sure = sum(edge.total_ns for edge in sums.roots if sums.is_bounded(edge.function))
        own = sum(sums.self_ns)
        whole = max(own, sure) or sum(edge.total_ns for edge in sums.roots)
        if whole > MOST_NS:
            raise BadProfile(TOO_LONG)
        self._least_ns = max(1.0, least_share * whole)
        self._parent: list[int] = []
        self._depth: list[int] = []
        self._function: list[int] = []
        self._calls: list[int] = []
        self._self_ns: list[int] = []
        self._total_ns: list[int] = []
        self._low_ns: list[int] = []
        self._high_ns: list[int] = []
        self._marks: list[int] = []
        # What may become a node: minus its time, a number to tell equals apart, the node
        # above, its edge, and its bounds.
        self._waiting: list[tuple[int, int, int, Edge, int, int]] = []
        self._offered = 0
        # Own times that do not add up to the roots (yappi's may not) leave the whole in doubt,
        # beyond the rounding of each.
        is_sure = whole - own <= len(sums.functions)
        of_root = _EXACT | _UNDIVIDED if is_sure and not sums.is_sampled else 0
        root = Edge(len(sums.functions), 0, whole, 0)
        self._add(-1, root, (0, whole, whole if is_sure else own, whole), of_root)
        left = whole - sure
        for edge in sums.roots:
            if sums.is_bounded(edge.function):
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

        def in_order(column: list[int]) -> array[int]:
            return array("q", [column[node] for node in order])

        return EstimatedTree(
            (*self._sums.functions, ROOT),
            array("q", [place[self._parent[node]] for node in order]),
            in_order(self._function),
            in_order(self._calls),
            in_order(self._self_ns),
            in_order(self._total_ns),
            in_order(self._low_ns),
            in_order(self._high_ns),
            in_order(self._marks),
            self._sums.is_sampled,
        )

    def _add(
        self, above: int, edge: Edge, times_ns: tuple[int, int, int, int], marks: int
    ) -> int:
        """Add a node, of these nanoseconds of its own, with callees, at least and at most."""
        node = len(self._parent)
        self._parent.append(above)
        self._depth.append(self._depth[above] + 1 if above >= 0 else 0)
        self._function.append(edge.function)
        own, total, low, high = times_ns
        share = edge.calls * total // edge.total_ns if edge.total_ns else edge.calls
        self._calls.append(max(share, min(edge.calls, 1)))
        self._self_ns.append(own)
        self._total_ns.append(total)
        self._low_ns.append(low)
        self._high_ns.append(high)
        self._marks.append(marks)
        return node

    def _offer(self, above: int, edge: Edge, time: int, low: int, high: int) -> None:
        """Keep a call in mind that may become a node, unless it is too short."""
        if time < self._least_ns or self._depth[above] >= self._deepest:
            if high:
                self._marks[above] |= _FOLDED
            return
        self._offered += 1
        heappush(self._waiting, (-time, self._offered, above, edge, low, high))

    def _unfold(self, above: int, edge: Edge, time: int, low: int, high: int) -> None:
        """Make a node of `time` nanoseconds, and offer its callees."""
        sums, function = self._sums, edge.function
        is_bounded = sums.is_bounded(function)
        marks = _EXACT if is_bounded and low == high else 0
        if sums.is_recursive(function):
            marks |= _RECURSIVE
        before = self._before(above, function)
        if function in before:
            self._add(above, edge, (0, time, low, high), marks | _FOLDED)
            return
        is_all_own = edge.self_ns >= edge.total_ns
        own = time if is_all_own else time * edge.self_ns // edge.total_ns
        if (
            marks & _EXACT
            and (own, time) == (edge.self_ns, edge.total_ns)
            and (not above or sums.has_one_stack(self._function[above]))
        ):
            marks |= _UNDIVIDED
        node = self._add(above, edge, (own, time, low, high), marks)
        callees = sums.callees(function)
        if before:
            # What was never within itself cannot be called once more from here.
            callees = callees.without({of for of in before if not sums.is_recursive(of)})
        if not callees.every_ns:
            return
        below = time - own
        least, most = 0, high
        if is_bounded:
            least = max(0, low - edge.self_ns - callees.missing_ns)
            most = min(high, max(0, edge.total_ns - edge.self_ns))
        if most and callees.every_ns > sum([callee.total_ns for callee in callees.edges]):
            self._marks[node] |= _FOLDED
        self._share(node, callees, below, least, most)

    def _share(self, node: int, callees: Callees, below: int, least: int, most: int) -> None:
        """Share the time of a node among its callees, together of `least` to `most`."""
        sums = self._sums
        shared_by = callees.every_ns + callees.missing_ns
        # What a callee has at least is what the others cannot have taken.
        of_others = callees.every_ns - least
        left = below
        for callee in callees.edges:
            upper = most
            if callee.function not in sums.timeless:
                upper = min(most, callee.total_ns)
            sure = callee.total_ns - of_others
            lower = 0
            if sure > 0 and sums.is_bounded(callee.function):
                lower = min(sure, upper)
            share = below * callee.total_ns // shared_by
            if share < self._least_ns > sure:
                # Neither is any of those that follow, which are shorter.
                if most:
                    self._marks[node] |= _FOLDED
                break
            share = min(max(share, lower), upper, left)
            left -= share
            self._offer(node, callee, share, min(lower, share), upper)

    def _before(self, node: int, function: int) -> set[int]:
        """Return the functions at and above a node that may call themselves through another.

        Those of a circle stand together on a stack: what leaves it never comes back.
        """
        circle, found = self._sums.circle, set[int]()
        if function in circle:
            while node > 0 and circle.get(self._function[node]) == circle[function]:
                found.add(self._function[node])
                node = self._parent[node]
        return found
