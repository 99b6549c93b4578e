"""Compares two profiles function by function, also where the source has moved in between."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from math import fsum
from typing import NamedTuple

from flaskprof.profiles.model import CallGraph, Function, Sums
from flaskprof.profiles.paths import short_path

__all__ = ["Change", "Comparison", "Mean", "compare", "matched"]


_PICO = 12
_ADDRESS = re.compile(r"(?<= at 0x)[0-9a-fA-F]+")


class Mean(NamedTuple):
    """The sums of a function, divided by the number of captures that they are sums of."""

    calls: float
    primitive_calls: float
    self_seconds: float
    cumulative_seconds: float


_NOTHING = Mean(0, 0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Change:
    """A function before and after; on a side where it was never called it is None.

    Differences are what came to it: positive where there is more after.
    """

    before: Function | None
    after: Function | None
    sums_before: Mean
    sums_after: Mean

    @property
    def function(self) -> Function:
        """The function as it is after, or was if it is gone."""
        function = self.after or self.before
        assert function is not None, "a change is one of a function"  # noqa: S101  for mypy
        return function

    @property
    def calls(self) -> float:
        """Difference in calls."""
        return self.sums_after.calls - self.sums_before.calls

    @property
    def self_seconds(self) -> float:
        """Difference in self time."""
        return self.sums_after.self_seconds - self.sums_before.self_seconds

    @property
    def cumulative_seconds(self) -> float:
        """Difference in time with callees."""
        return self.sums_after.cumulative_seconds - self.sums_before.cumulative_seconds


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two profiles, the greatest difference in self time first.

    `changes` are the functions whose calls or times differ, `unchanged` the number of the
    others; a function that only moved is among these. Calls can be compared if both sides
    count calls, or both samples (`has_like_counts`).
    """

    changes: tuple[Change, ...]
    unchanged: int
    seconds_before: float
    seconds_after: float
    has_like_counts: bool

    @property
    def seconds(self) -> float:
        """Difference in the time that the profiles cover."""
        return self.seconds_after - self.seconds_before

    @property
    def greatest(self) -> Change | None:
        """The change that explains most of the difference, by self time.

        It goes in the direction of the whole; where the whole is the same, in any.
        """
        along = [change for change in self.changes if change.self_seconds * self.seconds > 0]
        return (along or self.changes or (None,))[0]


def compare(
    before: CallGraph, after: CallGraph, *, captures: tuple[int, int] = (1, 1)
) -> Comparison:
    """Return what changed from one profile to the other; functions are `matched`.

    Where a side is several captures added up, `captures` says how many they are: all that
    is compared is then the mean of one.
    """
    first, second = captures
    mean = _same if captures == (1, 1) else _mean
    pairs = matched(before.functions, after.functions)
    changes = [
        Change(
            old,
            new,
            _NOTHING if old is None else mean(before.functions[old].total, first),
            _NOTHING if new is None else mean(after.functions[new].total, second),
        )
        for old, new in pairs
    ]
    changed = [
        change
        for change in changes
        if change.sums_before != change.sums_after or None in {change.before, change.after}
    ]
    changed.sort(key=lambda change: (-abs(change.self_seconds), change.function))
    seconds_before, seconds_after = (
        total if captures == (1, 1) else round(total / number, _PICO)
        for total, number in zip((_total(before), _total(after)), captures, strict=True)
    )
    return Comparison(
        tuple(changed),
        len(changes) - len(changed),
        seconds_before,
        seconds_after,
        before.is_sampled == after.is_sampled,
    )


def matched(
    before: Iterable[Function], after: Iterable[Function]
) -> list[tuple[Function | None, Function | None]]:
    """Pair the functions of two profiles; whoever has no other is paired with None.

    A function is itself, wherever its line is now, if its file has one of that name on both
    sides; else the one on the same line; else the one of that name in a file whose
    `short_path` is the same, if there is one such on both sides. The address in a name such
    as ``__new__ of type object at 0x7f5c253615a0``, which no other process has, is the last
    to matter.
    """
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    pairs: list[tuple[Function | None, Function | None]] = []
    for key in _KEYS:
        candidates, others = _only(old, key), _only(new, key)
        for place, function in candidates.items():
            other = others.get(place)
            if function is not None and other is not None:
                pairs.append((function, other))
                del old[function], new[other]
    pairs += [(function, None) for function in old]
    pairs += [(None, function) for function in new]
    return pairs


def _only(
    functions: Iterable[Function], key: Callable[[Function], Hashable]
) -> dict[Hashable, Function | None]:
    """Return the function of each key; None where that is not one alone."""
    found: dict[Hashable, Function | None] = {}
    for function in functions:
        place = key(function)
        found[place] = None if place in found else function
    return found


_KEYS: tuple[Callable[[Function], Hashable], ...] = (
    lambda function: (function.file, function.name),
    lambda function: function,
    lambda function: (short_path(function.file), function.name),
    lambda function: (short_path(function.file), _ADDRESS.sub("", function.name)),
)


def _same(sums: Sums, _captures: int) -> Mean:
    return Mean(*sums)


def _mean(sums: Sums, captures: int) -> Mean:
    # To the picosecond, so that the mean of the same is the same, whatever a sum of floats
    # makes of it.
    return Mean(
        sums.calls / captures,
        sums.primitive_calls / captures,
        round(sums.self_seconds / captures, _PICO),
        round(sums.cumulative_seconds / captures, _PICO),
    )


def _total(graph: CallGraph) -> float:
    """Return the time of a profile, the same for any order of its functions."""
    return fsum(stats.total.self_seconds for stats in graph.functions.values())
