"""Writes a call graph as the ``.prof`` bytes that `pstats`, and snakeviz with it, read.

The shape is described in `flaskprof.profiles.marshal_reader`, which reads it back.
"""

from __future__ import annotations

import marshal

from flaskprof.profiles.marshal_reader import SAMPLED_MARK
from flaskprof.profiles.model import CallGraph, FunctionStats, Sums

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
    functions = dict(graph.functions)
    if graph.is_sampled:
        functions[SAMPLED_MARK] = FunctionStats(Sums(0, 0, 0.0, 0.0))
    keys = {function: tuple(function) for function in sorted(functions)}
    stats = {}
    for function, key in keys.items():
        of_function = functions[function]
        calls, primitive, self_seconds, cumulative_seconds = of_function.total
        callers = {
            keys[caller]: tuple(of_function.callers[caller])
            for caller in sorted(of_function.callers)
        }
        stats[key] = (primitive, calls, self_seconds, cumulative_seconds, callers)
    return marshal.dumps(stats, _MARSHAL_VERSION)
