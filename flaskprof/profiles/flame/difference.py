"""Two profiles laid over each other, as one tree to be drawn."""

from __future__ import annotations

from flaskprof.profiles.estimate import LEFT_OUT, ROOT, EstimatedTree
from flaskprof.profiles.flame.nodes import Nodes, nodes_of
from flaskprof.profiles.flame.tree import MAX_NODES, FlameTree, finished, truth_of
from flaskprof.profiles.matching import matched
from flaskprof.profiles.model import Function, Profile

__all__ = ["difference"]

_SELF = ("self_before_ns", "self_after_ns")
_TRUTHS = ("exact", "estimated", "sampled")  # the worse the later


def difference(
    before: Profile | EstimatedTree,
    after: Profile | EstimatedTree,
    *,
    is_sampled: bool = False,
    max_nodes: int = MAX_NODES,
) -> FlameTree:
    """Return two profiles as one tree; stacks are the same where their functions `matched`.

    Functions of both are called as in `after`, and calls are those of `after`. The tree is as
    true as the less true of the two; it has no bounds. What the arguments mean and what is
    folded is as in `flame_tree`.
    """
    sides = [nodes_of(profile) for profile in (before, after)]
    own = [dict.fromkeys(side.functions[number] for number in side.function) for side in sides]
    for functions in own:
        for ours in (ROOT, LEFT_OUT):
            functions.pop(ours, None)
    pairs = matched(*own)
    names = (ROOT, *(new or old or ROOT for old, new in pairs))
    nodes = Nodes(names, ("calls", "self_ns", *_SELF))
    for at, (side, column) in enumerate(zip(sides, _SELF, strict=True)):
        number = {pair[at]: place for place, pair in enumerate(pairs, 1) if pair[at]}
        number[ROOT] = 0
        _lay(side, number, nodes, column)
    nodes.sums["self_ns"] = list(map(max, *(nodes.sums[column] for column in _SELF)))
    truths = (truth_of(profile, is_sampled=is_sampled) for profile in (before, after))
    return finished(nodes, max(truths, key=_TRUTHS.index), max_nodes)


def _lay(side: Nodes, number: dict[Function | None, int], nodes: Nodes, column: str) -> None:
    """Add the nodes of one side, whose functions have these numbers in `nodes`."""
    place: list[int] = []
    for node, (above, function) in enumerate(zip(side.parent, side.function, strict=True)):
        caller = place[above] if above >= 0 else -1
        if side.folded[node]:
            laid = nodes.rest(caller, side.folded[node])
        else:
            laid = nodes.node(caller, number[side.functions[function]])
        place.append(laid)
        nodes.sums[column][laid] += side.sums["self_ns"][node]
        if column == _SELF[1]:
            nodes.sums["calls"][laid] += side.sums["calls"][node]
