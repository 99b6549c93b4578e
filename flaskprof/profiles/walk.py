"""Walks a tree that is given by parent links, however deep, without recursion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["steps"]


def steps(parent: Sequence[int]) -> Iterator[int]:
    """Yield ``node`` where a depth-first walk enters a node and ``~node`` where it leaves it.

    ``parent[node]`` is smaller than ``node``, and -1 for roots. Siblings come in the order
    of their numbers; of a tree in preorder the nodes are entered as 0, 1, 2 and so on.
    """
    count = len(parent)
    # One place more than nodes: index -1, the parent of the roots, is the last of them.
    first_child = [-1] * (count + 1)
    next_sibling = [-1] * count
    for node in range(count - 1, -1, -1):
        above = parent[node]
        next_sibling[node] = first_child[above]
        first_child[above] = node
    node = first_child[-1]
    while node >= 0:
        yield node
        below = first_child[node]
        if below >= 0:
            node = below
            continue
        while node >= 0:
            yield ~node
            beside = next_sibling[node]
            if beside >= 0:
                node = beside
                break
            node = parent[node]
