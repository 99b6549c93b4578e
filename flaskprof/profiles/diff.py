"""Compares two profiles function by function, also where the source has moved in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import fsum
from typing import NamedTuple

from flaskprof.profiles.fold import folded
from flaskprof.profiles.kinds import is_builtin
from flaskprof.profiles.matching import matched
from flaskprof.profiles.model import CallGraph, Function, Sums

__all__ = ["Change", "Comparison", "Mean", "alike", "compare", "sees_more"]


_PICO = 12


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

    @property
    def contrary(self) -> Change | None:
        """The greatest change, where it goes against the direction of the whole."""
        change = self.changes[0] if self.changes else None
        is_contrary = change is not None and change.self_seconds * self.seconds < 0
        return change if is_contrary else None


def alike(before: CallGraph, after: CallGraph) -> tuple[CallGraph, CallGraph]:
    """Return both sides as the one sees that sees less, for `compare`.

    Samples that see no builtins have their time as that of the callers: so has the other
    side then.
    """
    if sees_more(before, after):
        return folded(before, is_builtin), after
    return before, folded(after, is_builtin) if sees_more(after, before) else after


def sees_more(one: CallGraph, other: CallGraph) -> bool:
    """Whether `other` was sampled and has no builtins, while `one` was not sampled."""
    is_unlike = other.is_sampled and not one.is_sampled
    return is_unlike and not any(map(is_builtin, other.functions))


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
    total_before, total_after = _total_of(before), _total_of(after)
    changes = [
        Change(
            old,
            new,
            _NOTHING if old is None else mean(total_before(old), first),
            _NOTHING if new is None else mean(total_after(new), second),
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


def _total_of(graph: CallGraph) -> Callable[[Function], Sums]:
    columns = graph.columns
    return lambda function: columns.total.row(columns.index[function])


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
    return fsum(graph.columns.total.self_seconds)
