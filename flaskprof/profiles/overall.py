"""What a profile comes to as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flaskprof.profiles.kinds import Kind, Kinds
from flaskprof.profiles.model import CallGraph, Function
from flaskprof.profiles.table import longest

__all__ = ["Overall", "overall"]

_FIRST = 10


@dataclass(frozen=True, slots=True)
class Overall:
    """The self time and the calls of all functions together.

    `own_seconds` has the self time of each kind of code, in the order of `Kind`. `hottest`
    took the most time itself, of the application's functions if there are any; `first` are
    those of all that took the most, ten at most.
    """

    seconds: float
    calls: int
    own_seconds: Mapping[Kind, float]
    hottest: Function | None
    first: tuple[Function, ...]


def overall(graph: CallGraph, kinds: Kinds) -> Overall:
    """Return what `graph` comes to; `kinds` tells whose code it is."""
    columns = graph.columns
    seconds = columns.total.self_seconds
    found = [kinds.of(function) for function in columns.names]
    own_seconds = dict.fromkeys(Kind, 0.0)
    for kind, own in zip(found, seconds, strict=True):
        own_seconds[kind] += own
    of_application = [at for at, kind in enumerate(found) if kind is Kind.APPLICATION]
    every = of_application or range(len(found))
    hottest = max(every, key=seconds.__getitem__, default=None)
    return Overall(
        graph.total_seconds,
        graph.total_calls,
        own_seconds,
        None if hottest is None else columns.names[hottest],
        tuple(longest(graph, _FIRST)),
    )
