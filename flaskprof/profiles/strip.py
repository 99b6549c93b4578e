"""Leaves the folders out of the names of files, as `pstats.Stats.strip_dirs` does."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flaskprof.profiles.merge import added
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums

__all__ = ["stripped"]

_FOLDERS = re.compile(r".*[/\\]", re.DOTALL)


def stripped(graph: CallGraph) -> CallGraph:
    r"""Return `graph` with only the last part of each file's path, after ``/`` or ``\``.

    Functions that are then the same are added up, and so are their callers.
    """
    parts: dict[Function, list[FunctionStats]] = {}
    for function, stats in graph.functions.items():
        parts.setdefault(_short(function), []).append(stats)
    return CallGraph(
        {
            function: FunctionStats(
                added([stats.total for stats in same]),
                _callers([stats.callers for stats in same]),
            )
            for function, same in parts.items()
        },
        is_sampled=graph.is_sampled,
    )


def _callers(parts: list[Mapping[Function, Sums]]) -> dict[Function, Sums]:
    edges: dict[Function, list[Sums]] = {}
    for part in parts:
        for caller, sums in part.items():
            edges.setdefault(_short(caller), []).append(sums)
    return {caller: added(sums) for caller, sums in edges.items()}


def _short(function: Function) -> Function:
    return function._replace(file=_FOLDERS.sub("", function.file))
