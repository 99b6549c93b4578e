"""Leaves the folders out of the names of files, as `pstats.Stats.strip_dirs` does."""

from __future__ import annotations

import re

from flaskprof.profiles.merge import added_columns
from flaskprof.profiles.model import CallGraph, Function

__all__ = ["stripped"]

_FOLDERS = re.compile(r".*[/\\]", re.DOTALL)


def stripped(graph: CallGraph) -> CallGraph:
    r"""Return `graph` with only the last part of each file's path, after ``/`` or ``\``.

    Functions that are then the same are added up, and so are their callers.
    """
    columns = graph.columns
    names = [_short(function) for function in columns.names]
    return CallGraph(added_columns([(names, columns)]), is_sampled=graph.is_sampled)


def _short(function: Function) -> Function:
    return function._replace(file=_FOLDERS.sub("", function.file))
