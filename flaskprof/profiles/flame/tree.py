"""`FlameTree`, what a flame view draws, of one profile."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Literal

from flaskprof.profiles.estimate import ESTIMATED, EstimatedTree
from flaskprof.profiles.flame.nodes import UNKNOWN, Nodes, nodes_of, pruned
from flaskprof.profiles.model import CallTree, Function, Profile

__all__ = ["MAX_NODES", "UNKNOWN", "FlameTree", "Truth", "finished", "flame_tree", "truth_of"]

MAX_NODES = 250_000

Truth = Literal["exact", "estimated", "sampled"]


@dataclass(frozen=True, slots=True)
class FlameTree:
    """A tree of calls in preorder, as parallel arrays of one item a node.

    Node ``i`` stands for ``calls[i]`` calls of ``functions[function[i]]`` from node
    ``parent[i]``, which is smaller than ``i``; node 0 is `ROOT`, with the parent -1.
    ``total_ns[i]`` is ``self_ns[i]`` and the totals of the node's children, so that all self
    times together are the total of node 0. Siblings come with the longest first.
    ``folded[i]`` is 0 but for nodes of `LEFT_OUT`, which come last and stand for so many
    calls that are not shown, or for `UNKNOWN`. ``recursive[i]`` is 1 where the function is
    under way further up, or calls itself in an estimate. `is_whole` is false where nodes were
    folded because there were too many; `depths` is how many there are on the longest way down,
    those that were folded too.

    ``low_ns`` and ``high_ns`` are the bounds of the total time where stacks were estimated:
    where they meet it is exact. ``undivided[i]`` is 1 where the calls and the self time are
    exact then, too. Of a difference ``before_ns`` and ``after_ns`` are the total times of the
    two profiles, ``self_before_ns`` and ``self_after_ns`` their self times; ``self_ns`` is the
    greater one, so that all of both has its place. Elsewhere these are None. Counts of a
    sampled profile are samples.
    """

    functions: tuple[Function, ...]
    truth: Truth
    parent: array[int]
    function: array[int]
    calls: array[int]
    self_ns: array[int]
    total_ns: array[int]
    folded: array[int]
    recursive: array[int]
    is_whole: bool
    depths: int
    low_ns: array[int] | None = None
    high_ns: array[int] | None = None
    undivided: array[int] | None = None
    before_ns: array[int] | None = None
    after_ns: array[int] | None = None
    self_before_ns: array[int] | None = None
    self_after_ns: array[int] | None = None

    def __len__(self) -> int:
        return len(self.parent)


def flame_tree(
    profile: Profile | EstimatedTree,
    *,
    is_sampled: bool = False,
    max_nodes: int = MAX_NODES,
) -> FlameTree:
    """Return the whole tree of a profile; the stacks of a call graph are estimated.

    `is_sampled` says of a profile that does not say so itself that its times are estimates.
    Of more than `max_nodes` nodes the shortest are folded, each into a node beside its
    siblings that are shown.
    """
    return finished(nodes_of(profile), truth_of(profile, is_sampled=is_sampled), max_nodes)


def truth_of(profile: Profile | EstimatedTree, *, is_sampled: bool = False) -> Truth:
    """Return what the times of a profile's stacks are.

    A call tree that was estimated before it was written to a file says so in a frame.
    """
    if is_sampled or profile.is_sampled:
        return "sampled"
    was_recorded = isinstance(profile, CallTree) and ESTIMATED not in profile.functions
    return "exact" if was_recorded else "estimated"


def finished(whole: Nodes, truth: Truth, max_nodes: int) -> FlameTree:
    """Return the nodes in preorder, the longest of siblings first and the rest last."""
    nodes = pruned(whole, max_nodes)
    totals = nodes.totals("self_ns")
    order = _preorder(nodes, totals)
    place = [0] * (len(order) + 1)  # one more, for what is above the root
    for at, node in enumerate(order):
        place[node] = at
    place[-1] = -1
    used = list(dict.fromkeys(nodes.function[node] for node in order))
    number = {function: at for at, function in enumerate(used)}

    def in_order(column: list[int]) -> array[int]:
        return array("q", map(column.__getitem__, order))

    columns = {column: in_order(sums) for column, sums in nodes.sums.items()}
    for name in ("before", "after"):
        if f"self_{name}_ns" in nodes.sums:
            columns[f"{name}_ns"] = in_order(nodes.totals(f"self_{name}_ns"))
    parent = array("q", [place[nodes.parent[node]] for node in order])
    function = array("q", [number[nodes.function[node]] for node in order])
    folded = in_order(nodes.folded)
    recursive = _recursive(parent, function, {number.get(f, -1) for f in nodes.recursive})
    return FlameTree(
        tuple(nodes.functions[function] for function in used),
        truth,
        parent=parent,
        function=function,
        total_ns=in_order(totals),
        folded=folded,
        recursive=recursive,
        is_whole=nodes is whole,
        depths=whole.depths(),
        **columns,
    )


def _preorder(nodes: Nodes, totals: list[int]) -> list[int]:
    """Return the nodes depth first, the rest of siblings after the shortest of them."""
    size = [-1 if folded else total for folded, total in zip(nodes.folded, totals, strict=True)]
    children: dict[int, list[int]] = {}
    # Shortest first, as they are taken from the end; of equals the first comes last.
    for node in sorted(range(len(size) - 1, 0, -1), key=size.__getitem__):
        children.setdefault(nodes.parent[node], []).append(node)
    order = []
    waiting = [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += children.get(node, ())
    return order


def _recursive(parent: array[int], function: array[int], known: set[int]) -> array[int]:
    """Mark the nodes whose function is that of a node above, and those of `known`."""
    marks = array("q", bytes(8 * len(parent)))
    under_way = [0] * (max(function) + 1)
    stack: list[int] = []
    for node, above in enumerate(parent):
        while stack and stack[-1] != above:
            under_way[function[stack.pop()]] -= 1
        if under_way[function[node]] or function[node] in known:
            marks[node] = 1
        under_way[function[node]] += 1
        stack.append(node)
    return marks
