"""The queries of one request, those that are the same but for their values taken together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flaskprof.profiles.paths import short_path
from flaskprof.queries.sql import shortened

__all__ = ["QueryGroup", "grouped", "is_repeated", "place_of", "repetition"]

# So many of a kind are no accident: a loop asks for one row after the other.
_REPEATED = 5

_MOST_GROUPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryGroup:
    """One statement as it was issued from one line of code.

    `statement` has no values in it. `file`, `line` and `function` are the application's that
    is nearest to the query; empty and 0 where none is known. `seconds` is the sum of all
    `runs`, of which `failed` ended in an error.
    """

    statement: str
    file: str = ""
    line: int = 0
    function: str = ""
    runs: int = 1
    failed: int = 0
    seconds: float = 0.0


def grouped(queries: Iterable[QueryGroup]) -> tuple[QueryGroup, ...]:
    """Join those with the same statement and line; the ones that took longest come first.

    At most fifty are returned.
    """
    sums: dict[tuple[str, str, int, str], list[float]] = {}
    for query in queries:
        key = (query.statement, query.file, query.line, query.function)
        runs, failed, seconds = sums.get(key, (0, 0, 0.0))
        sums[key] = [runs + query.runs, failed + query.failed, seconds + query.seconds]
    groups = [
        QueryGroup(
            statement=statement,
            file=file,
            line=line,
            function=function,
            runs=int(runs),
            failed=int(failed),
            seconds=seconds,
        )
        for (statement, file, line, function), (runs, failed, seconds) in sums.items()
    ]
    groups.sort(key=lambda group: group.seconds, reverse=True)
    # The many small ones of a loop are what is looked for, however little they took.
    groups = sorted(groups[:_MOST_GROUPS], key=is_repeated, reverse=True)
    return tuple(groups)


def is_repeated(group: QueryGroup) -> bool:
    """Whether it looks like N+1: the same statement from the same line, time and again."""
    return group.runs >= _REPEATED


def place_of(group: QueryGroup) -> str:
    """Return file and line as a reader knows them, or nothing."""
    return f"{short_path(group.file)}:{group.line}" if group.file else ""


def repetition(group: QueryGroup) -> str:
    """Say in one sentence what was repeated, how often and where."""
    place = place_of(group)
    text = f"`{shortened(group.statement)}` ran {group.runs:,} times"
    return f"{text} from {place}" if place else text
