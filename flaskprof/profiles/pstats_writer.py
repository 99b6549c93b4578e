"""Writes a call graph as the ``.prof`` bytes that `pstats`, and snakeviz with it, read.

The shape is described in `flaskprof.profiles.marshal_reader`, which reads it back.
"""

from __future__ import annotations

import marshal

from flaskprof.profiles.marshal_reader import SAMPLED_MARK
from flaskprof.profiles.model import CallGraph

__all__ = ["write_profile"]

# The newest version of the format that every supported interpreter reads.
_MARSHAL_VERSION = 4


def write_profile(graph: CallGraph) -> bytes:
    """Return `graph` as the bytes of a ``.prof`` file, functions and callers in sorted order.

    A sampled profile says so by one function more, `SAMPLED_MARK`. Lone surrogates in names
    are written as `marshal` writes them.
    """
    # The same tuple object for the same function, which marshal then spells out only once;
    # and exact tuples, since it refuses their subclasses.
    columns = graph.columns
    keys = [tuple(name) for name in columns.names]
    edges = list(zip(*columns.edges, strict=True))
    rank = {number: place for place, number in enumerate(columns.by_name)}
    calls, primitive, self_seconds, cumulative_seconds = columns.total
    stats = {}
    for number in columns.by_name:
        of_function = range(columns.first_edge[number], columns.first_edge[number + 1])
        callers = sorted((rank[columns.caller[edge]], edge) for edge in of_function)
        stats[keys[number]] = (
            primitive[number],
            calls[number],
            self_seconds[number],
            cumulative_seconds[number],
            {keys[columns.caller[edge]]: edges[edge] for _, edge in callers},
        )
    if graph.is_sampled:
        stats[tuple(SAMPLED_MARK)] = (0, 0, 0.0, 0.0, {})
        stats = {key: stats[key] for key in sorted(stats)}
    return marshal.dumps(stats, _MARSHAL_VERSION)
