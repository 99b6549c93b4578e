"""What several profiles that were added up are on average."""

from __future__ import annotations

from array import array
from dataclasses import replace

from flaskprof.profiles.model import CallGraph, CallTree, FunctionStats, Profile, Sums

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
    functions = {
        function: FunctionStats(
            _sums(stats.total, captures),
            {caller: _sums(sums, captures) for caller, sums in stats.callers.items()},
        )
        for function, stats in profile.functions.items()
    }
    return CallGraph(functions, is_sampled=profile.is_sampled)


def _sums(sums: Sums, captures: int) -> Sums:
    return Sums(
        _calls(sums.calls, captures),
        _calls(sums.primitive_calls, captures),
        sums.self_seconds / captures,
        sums.cumulative_seconds / captures,
    )


def _calls(calls: int, captures: int) -> int:
    return max(min(calls, 1), round(calls / captures))
