"""A function in a profile and its sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Function", "FunctionStats", "Sums", "nanoseconds"]

_NS_PER_SECOND = 10**9


class Function(NamedTuple):
    """What pstats calls a function key; builtins have the file ``~`` and line 0."""

    file: str
    line: int
    name: str


class Sums(NamedTuple):
    """Calls and seconds of a function, or of one caller→callee edge.

    `calls` counts every call, `primitive_calls` only those that are not made from within
    another call of the same function (edge). `self_seconds` excludes callees;
    `cumulative_seconds` includes them and counts a recursion once.
    """

    calls: int
    primitive_calls: int
    self_seconds: float
    cumulative_seconds: float


@dataclass(frozen=True, slots=True)
class FunctionStats:
    """The sums of one function and, for each of its callers, those of the edge."""

    total: Sums
    callers: Mapping[Function, Sums] = field(default_factory=dict)


def nanoseconds(seconds: float) -> int:
    """Return a time in whole nanoseconds; where a clock stepped back there is none."""
    return round(seconds * _NS_PER_SECOND) if seconds > 0 else 0
