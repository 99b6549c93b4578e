"""Functions that call each other in a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["circles"]


def circles(  # noqa: C901  as it is published
    count: int, callees_of: Callable[[int], Iterable[int]]
) -> list[int]:
    """Return a number for each of `count` functions, the same for those of one circle.

    These are the strongly connected components of the graph, found by Tarjan's algorithm,
    https://doi.org/10.1137/0201010, without recursion.
    """
    group, seen_at, earliest = [-1] * count, [-1] * count, [0] * count
    seen = groups = 0
    open_: list[int] = []
    for start in range(count):
        if seen_at[start] >= 0:
            continue
        path = [(start, iter(callees_of(start)))]
        seen_at[start] = earliest[start] = seen
        seen += 1
        open_.append(start)
        while path:
            function, left = path[-1]
            for callee in left:
                if seen_at[callee] < 0:
                    seen_at[callee] = earliest[callee] = seen
                    seen += 1
                    open_.append(callee)
                    path.append((callee, iter(callees_of(callee))))
                    break
                if group[callee] < 0:
                    earliest[function] = min(earliest[function], seen_at[callee])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    earliest[above] = min(earliest[above], earliest[function])
                if earliest[function] == seen_at[function]:
                    while True:
                        member = open_.pop()
                        group[member] = groups
                        if member == function:
                            break
                    groups += 1
    return group
