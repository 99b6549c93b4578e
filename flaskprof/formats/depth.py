"""Keeps formats that spell each stack out from growing with the square of a recursion."""

from __future__ import annotations

from array import array

from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.model import CallTree, Function

__all__ = ["DEEPER", "bounded"]

DEEPER = Function("~", 0, "<deeper calls>")
"""Stands for the callees below the depth down to which stacks are spelt out."""


def bounded(tree: CallTree, max_steps: int) -> CallTree:
    """Return `tree`, its deepest calls summed up if its stacks are too long together.

    They are where they have more than `max_steps` entries in all.
    """
    depth_of = array("q")
    for above in tree.parent:
        depth_of.append(depth_of[above] + 1 if above >= 0 else 1)
    if sum(depth_of) <= max_steps:
        return tree
    deepest = _affordable_depth(depth_of, max_steps)
    builder = TreeBuilder()
    deeper = len(tree.functions)
    place: list[int] = []
    for node, (above, depth) in enumerate(zip(tree.parent, depth_of, strict=True)):
        caller = place[above] if above >= 0 else -1
        if depth <= deepest:
            place.append(builder.node(caller, tree.function[node]))
        elif depth == deepest + 1:
            place.append(builder.node(caller, deeper))
        else:
            place.append(caller)
        builder.add(place[node], tree.calls[node], tree.self_ns[node])
    return builder.tree((*tree.functions, DEEPER), is_sampled=tree.is_sampled)


def _affordable_depth(depth_of: array[int], max_steps: int) -> int:
    """Return down to which depth all stacks, and one more below each, can be spelt out."""
    nodes_at = [0] * (max(depth_of) + 1)
    for depth in depth_of:
        nodes_at[depth] += 1
    spent = 0
    for depth, nodes in enumerate(nodes_at):
        spent += depth * nodes
        if spent + (depth + 1) * nodes > max_steps:
            return max(depth - 1, 1)
    return len(nodes_at)
