"""What a profile comes to as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flaskprof.profiles.model import CallGraph, Function
from flaskprof.profiles.paths import Kind, kind_of

__all__ = ["Overall", "overall"]


@dataclass(frozen=True, slots=True)
class Overall:
    """The self time and the calls of all functions together.

    `own_seconds` has the self time of each kind of code, in the order of `Kind`. `hottest`
    took the most time itself, of the application's functions if there are any.
    """

    seconds: float
    calls: int
    own_seconds: Mapping[Kind, float]
    hottest: Function | None


def overall(graph: CallGraph) -> Overall:
    """Return what `graph` comes to."""
    own_seconds = dict.fromkeys(Kind, 0.0)
    most: dict[bool, tuple[float, Function | None]] = {}
    calls = 0
    for function, stats in graph.functions.items():
        kind = kind_of(function)
        seconds = stats.total.self_seconds
        calls += stats.total.calls
        own_seconds[kind] += seconds
        is_own = kind is Kind.APPLICATION
        if is_own not in most or seconds > most[is_own][0]:
            most[is_own] = seconds, function
    _, hottest = most.get(True) or most.get(False) or (0.0, None)
    return Overall(graph.total_seconds, calls, own_seconds, hottest)
