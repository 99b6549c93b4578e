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

from flaskprof.profiles.estimate.tree import ESTIMATED, LEFT_OUT, ROOT, EstimatedTree, Mark
from flaskprof.profiles.estimate.unfold import MAX_DEPTH, MAX_NODES, estimate

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
