"""Functions that call each other in a circle."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

__all__ = ["circles", "components"]

_NONE: Collection[int] = ()


def circles(callees: Mapping[int, Collection[int]]) -> dict[int, int]:
    """Return a number for each function that is in a circle, the same for those of one.

    A function that calls itself is a circle too. `callees` are the functions that each one
    calls; who calls none may be left out.
    """
    found: dict[int, int] = {}
    for members in components(callees):
        first = members[-1]
        if len(members) > 1 or first in callees.get(first, _NONE):
            found.update(dict.fromkeys(members, first))
    return found


def components(next_to: Mapping[int, Collection[int]]) -> Iterator[list[int]]:
    """Yield those that are in one circle together, and everyone else alone.

    They come after all that one gets to from them by `next_to`; who leads nowhere may be
    left out of it. They are the strongly connected components of a graph, found by Tarjan's
    algorithm, https://doi.org/10.1137/0201010, without recursion.
    """
    seen_at: dict[int, int] = {}
    earliest: dict[int, int] = {}  # of those whose component is not known yet
    open_: list[int] = []  # the same in the order in which they were seen
    for start in next_to:
        waiting = [] if start in seen_at else [start]
        path: list[tuple[int, Iterator[int]]] = []
        while waiting or path:
            if waiting:
                one = waiting.pop()
                seen_at[one] = earliest[one] = len(seen_at)
                open_.append(one)
                path.append((one, iter(next_to.get(one, _NONE))))
            one, left = path[-1]
            for other in left:
                if other not in seen_at:
                    waiting.append(other)
                    break
                if other in earliest:
                    earliest[one] = min(earliest[one], seen_at[other])
            else:
                path.pop()
                first = earliest[one]
                if first == seen_at[one]:
                    yield _closed(one, open_, earliest)
                else:
                    above = path[-1][0]
                    earliest[above] = min(earliest[above], first)


def _closed(first: int, open_: list[int], earliest: dict[int, int]) -> list[int]:
    """Take the component that was seen first at `first`, which comes last; it is known now."""
    members: list[int] = []
    while not members or members[-1] != first:
        members.append(open_.pop())
        del earliest[members[-1]]
    return members
