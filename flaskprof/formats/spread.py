"""Gives what an estimate left out to the functions whose time it is, for tools without bounds.

An estimated tree leaves out calls that are too short, and what lies within a recursion. Whose
own time that is the sums say all the same: what a function has of its own, less what the nodes
of the tree have of it. So each function gets that much below `LEFT_OUT`, where the tree has
left out callees of one of its callers, or of theirs. Summed up by function the tree then says
what the call graph says; where within `LEFT_OUT` a function stands is a guess, as the name of
the topmost frame says of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.estimate import ESTIMATED, LEFT_OUT, EstimatedTree
from flaskprof.profiles.function import nanoseconds
from flaskprof.profiles.model import CallGraph, CallTree

__all__ = ["spread"]

_LITTLE = 1_000
"""Of what part of the whole it does not matter where it stands."""
_STEPS = 10
"""How far from a function its callers are looked for."""
_PLACES = 16
"""How many of their places are tried."""


def spread(graph: CallGraph, tree: EstimatedTree) -> CallTree:
    """Return the estimate of `graph` as a call tree whose functions have their own time.

    Its only root is `ESTIMATED`. The little for which no place was found in reach, and what
    is nobody's because sums do not agree with each other, stays with `LEFT_OUT`.
    """
    return _Spread(graph, tree).tree()


class _Spread:
    """What is left at each node, what each function lacks, and where that may be put.

    Functions are given by their numbers in the columns of the graph, which are those that
    they have in the tree.
    """

    def __init__(self, graph: CallGraph, tree: EstimatedTree) -> None:
        self._tree = tree
        self._columns = columns = graph.columns
        self._callers = [
            columns.caller[first:end] for first, end in pairwise(columns.first_edge)
        ]
        self._left = [max(0, ns) for ns in tree.left_out_ns()]
        self._lacks = [*map(nanoseconds, columns.total.self_seconds), 0]
        self._calls = [*columns.total.calls, 0]
        places: dict[int, list[int]] = {}
        for node, function in enumerate(tree.function):
            self._lacks[function] -= tree.self_ns[node]
            self._calls[function] -= tree.calls[node]
            if self._left[node]:
                places.setdefault(function, []).append(node)
        # The largest place of a function is the last of its list, and used first.
        self._places = {
            function: sorted(nodes, key=self._left.__getitem__)
            for function, nodes in places.items()
        }
        self._put: dict[tuple[int, int], int] = {}

    def tree(self) -> CallTree:
        for function, caller, lacks in self._edges():
            self._fill(function, self._places.get(caller, []), lacks)
        enough = self._tree.total_ns[0] // _LITTLE
        for near in self._near():
            for function, lacks in enumerate(self._lacks):
                if lacks > 0:
                    self._fill(function, [*reversed(near[function])], lacks)
            if sum(lacks for lacks in self._lacks if lacks > 0) <= enough:
                break
        tree = self._tree
        functions = (*tree.functions[:-1], ESTIMATED, LEFT_OUT)
        builder = TreeBuilder()
        nodes: list[int] = []
        for node, above in enumerate(tree.parent):
            nodes.append(builder.node(nodes[above] if above >= 0 else -1, tree.function[node]))
            builder.add(nodes[node], tree.calls[node], tree.self_ns[node])
            if self._left[node]:
                builder.add(builder.node(nodes[node], len(functions) - 1), 0, self._left[node])
        for (node, function), ns in self._put.items():
            rest = builder.node(nodes[node], len(functions) - 1)
            calls = max(0, self._calls[function])  # all of them at one place: none is known
            self._calls[function] = 0
            builder.add(builder.node(rest, function), calls, ns)
        return builder.tree(functions, is_sampled=tree.is_sampled)

    def _edges(self) -> Iterator[tuple[int, int, int]]:
        """Yield function, caller and what it lacks, of each edge that does, the most first."""
        columns, tree = self._columns, self._tree
        lacks = [nanoseconds(own) for own in columns.edges.self_seconds]
        for node, above in enumerate(tree.parent):
            if above > 0:  # not of a root
                function, caller = tree.function[node], tree.function[above]
                edge = columns.first_edge[function] + self._callers[function].index(caller)
                lacks[edge] -= tree.self_ns[node]
        lacking = [edge for edge, ns in enumerate(lacks) if ns > 0]
        for edge in sorted(lacking, key=lacks.__getitem__, reverse=True):
            yield columns.callee(edge), columns.caller[edge], lacks[edge]

    def _fill(self, function: int, places: list[int], most: int) -> None:
        """Put what a function lacks, up to `most`, into `places`, the last one first."""
        most = min(most, self._lacks[function])
        while most > 0 and places:
            node = places[-1]
            part = min(most, self._left[node])
            if part:
                self._put[node, function] = self._put.get((node, function), 0) + part
                self._left[node] -= part
                self._lacks[function] -= part
                most -= part
            if not self._left[node]:
                places.pop()

    def _near(self) -> Iterator[Sequence[Sequence[int]]]:
        """Yield of each function some places of its callers, then of theirs, and so on.

        Only who lacks time, or stands above one that does by no more steps than are to come, is
        of use; the others have none.
        """
        near: list[Sequence[int]] = [()] * len(self._lacks)
        for function, nodes in self._places.items():
            near[function] = [node for node in reversed(nodes) if self._left[node]][:_PLACES]
        for step in range(1, _STEPS + 1):
            above: list[Sequence[int]] = [()] * len(near)
            for function in self._lacking_within(_STEPS - step):
                callers = self._callers[function]
                above[function] = self._largest(set().union(*map(near.__getitem__, callers)))
            near = above
            yield near

    def _lacking_within(self, steps: int) -> set[int]:
        """Return the functions that lack time, and who called one, up to so many steps up."""
        known = last = {function for function, lacks in enumerate(self._lacks) if lacks > 0}
        for _ in range(steps):
            last = set().union(*[self._callers[function] for function in last]) - known
            if not last:
                break
            known = known | last
        return known

    def _largest(self, nodes: Iterable[int]) -> list[int]:
        left = self._left.__getitem__
        return sorted(filter(left, nodes), key=left, reverse=True)[:_PLACES]
