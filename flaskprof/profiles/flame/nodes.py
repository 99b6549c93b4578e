"""Nodes of a tree to be drawn, while it is made: collected and pruned.

Nodes come a parent before its children, and in no further order. Node 0 is the root.
"""

from __future__ import annotations

from collections.abc import Iterable

from flaskprof.profiles.estimate import LEFT_OUT, ROOT, EstimatedTree, Mark, estimate
from flaskprof.profiles.model import CallTree, Function, Profile

__all__ = ["UNKNOWN", "Nodes", "nodes_of", "pruned"]

UNKNOWN = -1
"""How many callees are not shown, where nobody knows."""

# A flag takes several times as long to be looked for as its number.
_UNDIVIDED = int(Mark.UNDIVIDED)


class Nodes:
    """Columns of one item a node; `sums` are those that are added up where nodes are joined.

    `folded` is 0 but for nodes of `LEFT_OUT`, which stand for so many others, or `UNKNOWN`.
    `recursive` are the numbers of functions that call themselves in an estimate.
    """

    def __init__(self, functions: tuple[Function, ...], columns: Iterable[str]) -> None:
        self.functions = (*functions, LEFT_OUT)
        self.parent: list[int] = []
        self.function: list[int] = []
        self.folded: list[int] = []
        self.sums: dict[str, list[int]] = {column: [] for column in columns}
        self.recursive: set[int] = set()
        self._index: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.parent)

    def like(self) -> Nodes:
        """Return no nodes, of the same functions and columns."""
        other = Nodes(self.functions[:-1], self.sums)
        other.recursive = self.recursive
        return other

    def node(self, above: int, function: int) -> int:
        """Return the node of `function` below `above`; it is made where there is none."""
        key = (above, function)
        node = self._index.get(key)
        if node is None:
            node = self._index[key] = len(self.parent)
            self.parent.append(above)
            self.function.append(function)
            self.folded.append(0)
            for column in self.sums.values():
                column.append(0)
        return node

    def rest(self, above: int, of: int) -> int:
        """Return the node for `of` more callees of `above` that are not shown."""
        node = self.node(above, len(self.functions) - 1)
        known = self.folded[node]
        self.folded[node] = UNKNOWN if UNKNOWN in {known, of} else known + of
        return node

    def add(self, node: int, other: Nodes, of: int, columns: Iterable[str]) -> None:
        """Add the sums of a node of `other`."""
        for column in columns:
            self.sums[column][node] += other.sums[column][of]

    def depths(self) -> int:
        """Return how many nodes there are on the longest way down."""
        depth = [1]
        for above in self.parent[1:]:
            depth.append(depth[above] + 1)
        return max(depth)

    def totals(self, column: str) -> list[int]:
        """Return the sums of a column with those of all nodes below."""
        totals = list(self.sums[column])
        for node in range(len(totals) - 1, 0, -1):
            totals[self.parent[node]] += totals[node]
        return totals


def nodes_of(profile: Profile | EstimatedTree) -> Nodes:
    """Return the nodes of a profile under a root; those of a call graph are estimated."""
    if isinstance(profile, CallTree):
        return _of_tree(profile)
    if not isinstance(profile, EstimatedTree):
        profile = estimate(profile)
    return _of_estimate(profile)


def _of_tree(tree: CallTree) -> Nodes:
    nodes = Nodes((*tree.functions, ROOT), ("calls", "self_ns"))
    nodes.parent = [-1, *(above + 1 for above in tree.parent)]
    nodes.function = [len(tree.functions), *tree.function]
    nodes.folded = [0] * len(nodes.parent)
    nodes.sums = {"calls": [0, *tree.calls], "self_ns": [0, *tree.self_ns]}
    return nodes


def _of_estimate(tree: EstimatedTree) -> Nodes:
    columns = ("calls", "self_ns", "low_ns", "high_ns", "undivided")
    nodes = Nodes(tree.functions, columns)
    nodes.parent, nodes.function = tree.parent.tolist(), tree.function.tolist()
    nodes.folded = [0] * len(tree)
    nodes.sums = {column: getattr(tree, column).tolist() for column in columns[:-1]}
    nodes.sums["undivided"] = [int(mark & _UNDIVIDED > 0) for mark in tree.marks]
    most_ns = _most_missing(tree)
    for node, left_out_ns in enumerate(tree.left_out_ns()):
        if tree.marks[node] & Mark.RECURSIVE:
            nodes.recursive.add(tree.function[node])
        if left_out_ns:
            rest = nodes.rest(node, UNKNOWN)
            nodes.sums["self_ns"][rest] = left_out_ns
            nodes.sums["high_ns"][rest] = max(most_ns[node], left_out_ns)
    return nodes


def _most_missing(tree: EstimatedTree) -> list[int]:
    """Return what each node may have spent at most beside the least of its callees."""
    left = tree.high_ns.tolist()
    for above, low in zip(tree.parent, tree.low_ns, strict=True):
        if above >= 0:
            left[above] -= low
    return left


def pruned(nodes: Nodes, max_nodes: int) -> Nodes:
    """Return at most `max_nodes` nodes; the shortest are folded beside their siblings."""
    if len(nodes) <= max_nodes:
        return nodes
    totals = nodes.totals("self_ns")
    # No child is longer than its parent, which comes first among equals: whatever is among
    # the first, its parent is too.
    longest = sorted(range(len(nodes)), key=lambda node: (-totals[node], node))
    return _folded(nodes, set(longest[: _most_kept(nodes, longest, max_nodes)]))


def _most_kept(nodes: Nodes, longest: list[int], max_nodes: int) -> int:
    """Return how many of the longest can be kept: each that lacks a callee has a rest."""
    lacking = [0] * len(nodes)
    for above in nodes.parent[1:]:
        lacking[above] += 1
    most, rests = 1, 0
    for kept, node in enumerate(longest, 1):
        rests += lacking[node] > 0
        if node:
            above = nodes.parent[node]
            lacking[above] -= 1
            rests -= lacking[above] == 0
        if kept + rests <= max_nodes:
            most = kept
        elif kept > max_nodes:
            break
    return most


def _folded(nodes: Nodes, kept: set[int]) -> Nodes:
    """Return the nodes that are `kept`, the others as part of a rest each."""
    less = nodes.like()
    bounds = [column for column in nodes.sums if column in {"low_ns", "high_ns"}]
    others = [column for column in nodes.sums if column not in {*bounds, "undivided"}]
    place: list[int] = []
    is_rest: list[bool] = []
    for node, above in enumerate(nodes.parent):
        caller = place[above] if above >= 0 else -1
        if node in kept and not nodes.folded[node]:
            stand_in = less.node(caller, nodes.function[node])
            less.add(stand_in, nodes, node, nodes.sums)
            is_rest.append(False)
        elif is_rest[above]:
            # The bounds of what is above hold this one too.
            stand_in = caller
            if less.folded[stand_in] != UNKNOWN:
                less.folded[stand_in] += 1
            less.add(stand_in, nodes, node, others)
            is_rest.append(True)
        else:
            stand_in = less.rest(caller, nodes.folded[node] or 1)
            less.add(stand_in, nodes, node, others)
            less.add(stand_in, nodes, node, bounds)
            is_rest.append(True)
        place.append(stand_in)
    return less
