"""Who gets the time of functions that are folded, and what part of it.

A graph does not say on whose behalf a function with several callers was busy: its time is
shared out among them by the times of the edges, and of a caller that is folded itself among
its callers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import fsum
from operator import itemgetter

from flaskprof.profiles.circles import components
from flaskprof.profiles.columns import Columns

__all__ = ["Shares", "heirs_of"]

# Rounds after which what is folded within a circle of calls has gone round often enough, the
# change from one to the next that is none, and among how many callers time is shared out.
_ROUNDS = 20
_NO_CHANGE = 1e-4
_MOST_HEIRS = 8

Shares = Mapping[int, float]
"""What part is whose, by the numbers of functions."""


def heirs_of(columns: Columns, goes: Collection[int]) -> Sequence[Shares]:
    """Return for each function, by its number, who gets its time.

    Who stays keeps all of it. That does, too, what `goes` and was called by nobody who stays.
    """
    heirs: list[Shares] = [{function: 1.0} for function in range(len(columns))]
    weights = {function: _weights(columns, function) for function in goes}
    for function in weights:
        heirs[function] = {}
    for members in components(weights):  # callers come first
        if len(members) > 1:
            _share_out(members, weights, heirs)
        elif members[0] in weights:
            heirs[members[0]] = _inherited(weights[members[0]], heirs)
    for function in weights:
        heirs[function] = heirs[function] or {function: 1.0}
    return heirs


def _weights(columns: Columns, function: int) -> Shares:
    """Return what part of a function's time is each caller's, its own recursion aside."""
    first, end = columns.first_edge[function], columns.first_edge[function + 1]
    callers = columns.caller[first:end]
    for column in (columns.edges.cumulative_seconds, columns.edges.calls):
        parts = dict(zip(callers, map(float, column[first:end]), strict=True))
        parts.pop(function, None)
        whole = fsum(parts.values())
        if whole > 0:
            return {caller: part / whole for caller, part in parts.items()}
    return {}


def _share_out(
    circle: Sequence[int], weights: Mapping[int, Shares], heirs: list[Shares]
) -> None:
    """Find the heirs of functions that call each other."""
    for _ in range(_ROUNDS):
        change = 0.0
        for function in circle:
            before = heirs[function]
            found = heirs[function] = _inherited(weights[function], heirs)
            change = max([change, *(abs(found[one] - before.get(one, 0.0)) for one in found)])
        if change < _NO_CHANGE:
            break


def _inherited(weights: Shares, heirs: Sequence[Shares]) -> Shares:
    """Return the heirs of callers together, the greatest few of them."""
    found: dict[int, float] = {}
    for caller, weight in weights.items():
        for heir, share in heirs[caller].items():
            found[heir] = found.get(heir, 0.0) + weight * share
    if len(found) > _MOST_HEIRS:
        greatest_first = sorted(found.items(), key=itemgetter(1), reverse=True)
        found = dict(greatest_first[:_MOST_HEIRS])
    whole = fsum(found.values())
    return {heir: share / whole for heir, share in found.items()}
