"""Gives what an estimate left out to the functions whose time it is, for tools without bounds.

An estimated tree leaves out calls that are too short, and what lies within a recursion. Whose
own time that is the sums say all the same: what a function has of its own, less what the nodes
of the tree have of it. So each function gets that much below `LEFT_OUT`, where the tree has
left out callees of one of its callers, or of theirs. Summed up by function the tree then says
what the call graph says; where within `LEFT_OUT` a function stands is a guess, as the name of
the topmost frame says of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    """What is left at each node, what each function lacks, and where that may be put."""

    def __init__(self, graph: CallGraph, tree: EstimatedTree) -> None:
        self._tree = tree
        self._left = [max(0, ns) for ns in tree.left_out_ns()]
        index = {function: number for number, function in enumerate(tree.functions)}
        self._edges: dict[tuple[int, int], int] = {}  # by caller and callee what it lacks
        self._lacks: list[int] = [0] * len(tree.functions)
        self._calls: list[int] = [0] * len(tree.functions)
        for function, stats in graph.functions.items():
            number = index[function]
            self._lacks[number] = nanoseconds(stats.total.self_seconds)
            self._calls[number] = stats.total.calls
            for caller, sums in stats.callers.items():
                self._edges[index[caller], number] = nanoseconds(sums.self_seconds)
        places: dict[int, list[int]] = {}
        for node, (function_of, above) in enumerate(
            zip(tree.function, tree.parent, strict=True)
        ):
            self._lacks[function_of] -= tree.self_ns[node]
            self._calls[function_of] -= tree.calls[node]
            edge = (tree.function[above], function_of)
            if above >= 0 and edge in self._edges:
                self._edges[edge] -= tree.self_ns[node]
            if self._left[node]:
                places.setdefault(function_of, []).append(node)
        # The largest place of a function is the last of its list, and used first.
        self._places = {
            function: sorted(nodes, key=self._left.__getitem__)
            for function, nodes in places.items()
        }
        self._put: dict[tuple[int, int], int] = {}

    def tree(self) -> CallTree:
        for (caller, function), lacks in sorted(self._edges.items(), key=lambda item: -item[1]):
            self._fill(function, self._places.get(caller, []), lacks)
        enough = self._tree.total_ns[0] // _LITTLE
        for near in self._near():
            for function, places in near.items():
                self._fill(function, places[::-1], self._lacks[function])
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

    def _near(self) -> Iterator[dict[int, list[int]]]:
        """Yield of each function some places of its callers, then of theirs, and so on."""
        near = {
            function: [node for node in reversed(nodes) if self._left[node]][:_PLACES]
            for function, nodes in self._places.items()
        }
        for _ in range(_STEPS):
            above: dict[int, set[int]] = {}
            for caller, function in self._edges:
                if nodes := near.get(caller):
                    above.setdefault(function, set()).update(nodes)
            near = {function: self._largest(nodes) for function, nodes in above.items()}
            yield near

    def _largest(self, nodes: set[int]) -> list[int]:
        places = [node for node in nodes if self._left[node]]
        return sorted(places, key=self._left.__getitem__, reverse=True)[:_PLACES]
