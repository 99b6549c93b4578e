"""Functions that call each other in a circle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

__all__ = ["circles"]

_NONE: Sequence[int] = ()


def circles(callees: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Return a number for each function that is in a circle, the same for those of one.

    A function that calls itself is a circle too. `callees` are the functions that each one
    calls; who calls none may be left out. Circles are the strongly connected components of
    the graph, found by Tarjan's algorithm, https://doi.org/10.1137/0201010, without recursion.
    """
    found: dict[int, int] = {}
    seen_at: dict[int, int] = {}
    earliest: dict[int, int] = {}  # of those whose component is not known yet
    open_: list[int] = []  # the same in the order in which they were seen
    for start in callees:
        waiting = [] if start in seen_at else [start]
        path: list[tuple[int, Iterator[int]]] = []
        while waiting or path:
            if waiting:
                function = waiting.pop()
                seen_at[function] = earliest[function] = len(seen_at)
                open_.append(function)
                path.append((function, iter(callees.get(function, _NONE))))
            function, left = path[-1]
            for callee in left:
                if callee not in seen_at:
                    waiting.append(callee)
                    break
                if callee in earliest:
                    earliest[function] = min(earliest[function], seen_at[callee])
            else:
                path.pop()
                first = earliest[function]
                if first == seen_at[function]:
                    _close(function, open_, earliest, found, callees)
                else:
                    above = path[-1][0]
                    earliest[above] = min(earliest[above], first)
    return found


def _close(
    function: int,
    open_: list[int],
    earliest: dict[int, int],
    found: dict[int, int],
    callees: Mapping[int, Sequence[int]],
) -> None:
    """Take the component that was seen first at `function`; it is known now."""
    is_circle = open_[-1] != function or function in callees.get(function, _NONE)
    while True:
        member = open_.pop()
        del earliest[member]
        if is_circle:
            found[member] = function
        if member == function:
            return
