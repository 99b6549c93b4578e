"""What several profiles that were added up are on average."""

from __future__ import annotations

from array import array
from dataclasses import replace

from flaskprof.profiles.columns import Columns, SumsColumns
from flaskprof.profiles.model import CallGraph, CallTree, Profile

__all__ = ["mean"]


def mean(profile: Profile, captures: int) -> Profile:
    """Return a sum of so many profiles divided by their number.

    Times of a tree are rounded to nanoseconds. Calls are whole numbers in a profile, so they
    are rounded, and what was ever called stays at one call or more.
    """
    if captures == 1:
        return profile
    if isinstance(profile, CallTree):
        return replace(
            profile,
            calls=array("q", (_calls(calls, captures) for calls in profile.calls)),
            self_ns=array("q", (round(ns / captures) for ns in profile.self_ns)),
        )
    columns = profile.columns
    means = Columns(
        columns.names,
        _sums(columns.total, captures),
        columns.first_edge,
        columns.caller,
        _sums(columns.edges, captures),
    )
    return CallGraph(means, is_sampled=profile.is_sampled)


def _sums(sums: SumsColumns, captures: int) -> SumsColumns:
    return SumsColumns(
        array("q", [_calls(calls, captures) for calls in sums.calls]),
        array("q", [_calls(calls, captures) for calls in sums.primitive_calls]),
        array("d", [seconds / captures for seconds in sums.self_seconds]),
        array("d", [seconds / captures for seconds in sums.cumulative_seconds]),
    )


def _calls(calls: int, captures: int) -> int:
    return max(min(calls, 1), round(calls / captures))
