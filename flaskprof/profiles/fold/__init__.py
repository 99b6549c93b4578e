"""Folds functions into whoever called them: the rest of a profile, with all of its time.

What is folded goes, and its self time becomes that of the caller, or of the caller's caller
where that goes too. Whatever it called stays, called by that caller. So a profile can be
looked at as if it held nothing but the application's own code, and still sums up to the
same time. A root is never folded: there is nobody that it could be folded into.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from flaskprof.profiles.estimate import EstimatedTree
from flaskprof.profiles.fold.graph import folded_graph
from flaskprof.profiles.fold.trees import folded_estimate, folded_tree
from flaskprof.profiles.model import CallGraph, CallTree, Function

__all__ = ["folded"]


@overload
def folded(profile: CallGraph, is_folded: Callable[[Function], bool]) -> CallGraph: ...
@overload
def folded(profile: CallTree, is_folded: Callable[[Function], bool]) -> CallTree: ...
@overload
def folded(profile: EstimatedTree, is_folded: Callable[[Function], bool]) -> EstimatedTree: ...
def folded(
    profile: CallGraph | CallTree | EstimatedTree, is_folded: Callable[[Function], bool]
) -> CallGraph | CallTree | EstimatedTree:
    """Return `profile` with each function for which `is_folded` holds folded into its caller.

    Of a tree the result is as true as the tree; bounds of an estimate are added up where
    nodes meet. A graph does not say on whose behalf a function with several callers was
    busy: its time is shared out among them by the times of the edges. So self times and
    edges are then estimates, while the cumulative times of the functions stay what they were.
    """
    if isinstance(profile, CallTree):
        return folded_tree(profile, is_folded)
    if isinstance(profile, EstimatedTree):
        return folded_estimate(profile, is_folded)
    return folded_graph(profile, is_folded)
