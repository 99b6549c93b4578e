"""The tree that was estimated: each node with its bounds."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from enum import IntFlag

from flaskprof.profiles.model import Function

__all__ = ["ESTIMATED", "LEFT_OUT", "ROOT", "EstimatedTree", "Mark"]

ROOT = Function("~", 0, "<root>")
"""Stands above all that nobody was seen to call, so that there is one tree."""
ESTIMATED = Function("~", 0, "<estimated: the stacks themselves were not recorded>")
LEFT_OUT = Function("~", 0, "<callees that are not shown>")


class Mark(IntFlag):
    """What is to be said of a node: a bit each."""

    EXACT = 1
    """The bounds meet: the time with callees is not an estimate."""
    RECURSIVE = 2
    """The function called itself, so that there is no lower bound."""
    FOLDED = 4
    """Callees were left out: too short, too many or too deep, or within a recursion."""
    UNDIVIDED = 8
    """All calls by this caller were made on this stack: calls and self time are exact too."""


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
