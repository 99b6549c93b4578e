"""Folds functions of call graphs."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise, repeat
from math import fsum
from operator import mul

from flaskprof.profiles.adding import Rows, edge_keys, with_edges
from flaskprof.profiles.columns import Columns, SumsColumns
from flaskprof.profiles.fold.heirs import Shares, heirs_of
from flaskprof.profiles.model import CallGraph, Function

__all__ = ["folded_graph"]


def folded_graph(graph: CallGraph, is_folded: Callable[[Function], bool]) -> CallGraph:
    """Return `graph` with each function for which `is_folded` holds folded into its callers."""
    columns = graph.columns
    goes = {number for number, function in enumerate(columns.names) if is_folded(function)}
    heirs = heirs_of(columns, goes - _roots(columns))
    stays = [number for number, shares in enumerate(heirs) if number in shares]
    place = dict(zip(stays, range(len(stays)), strict=True))
    names = [columns.names[number] for number in stays]
    own_seconds = _own_seconds(columns, heirs)
    total = columns.total.chosen(stays)._replace(
        self_seconds=array("d", [own_seconds[number] for number in stays])
    )
    return CallGraph(
        with_edges(names, total, _edges(columns, heirs, place)), is_sampled=graph.is_sampled
    )


def _roots(columns: Columns) -> set[int]:
    """Return the functions that were called by nobody who was seen."""
    of_edges = columns.edges.calls
    roots = {
        number
        for number, (first, end) in enumerate(pairwise(columns.first_edge))
        if columns.total.calls[number] > sum(of_edges[first:end])
    }
    if not roots and columns:
        roots.add(max(range(len(columns)), key=columns.total.cumulative_seconds.__getitem__))
    return roots


def _own_seconds(columns: Columns, heirs: Sequence[Shares]) -> list[float]:
    """Return the self time of each function with that of what is folded into it."""
    parts: list[list[float]] = [[] for _ in heirs]
    for own, shares in zip(columns.total.self_seconds, heirs, strict=True):
        for heir, share in shares.items():
            parts[heir].append(share * own)
    return list(map(fsum, parts))


def _edges(columns: Columns, heirs: Sequence[Shares], place: Mapping[int, int]) -> Rows:
    """Return the edges of what stays, shared out among the heirs of their callers."""
    edges, shares, keys = array("i"), array("d"), array("q")
    for number, at in place.items():
        for edge in range(columns.first_edge[number], columns.first_edge[number + 1]):
            of_caller = heirs[columns.caller[edge]]
            edges.extend(repeat(edge, len(of_caller)))
            shares.extend(of_caller.values())
            keys.extend(edge_keys(at, map(place.__getitem__, of_caller)))
    calls, primitive_calls, self_seconds, cumulative_seconds = columns.edges.chosen(edges)
    found = Rows()
    found.add(
        keys,
        SumsColumns(
            array("q", _parts(calls, shares)),
            array("q", _parts(primitive_calls, shares)),
            array("d", map(mul, self_seconds, shares)),
            array("d", map(mul, cumulative_seconds, shares)),
        ),
    )
    return found


def _parts(counts: Iterable[int], shares: Iterable[float]) -> list[int]:
    """Return parts of calls; of each at least one, for there was one."""
    return [
        count if share == 1.0 else round(count * share) or min(count, 1)
        for count, share in zip(counts, shares, strict=True)
    ]
