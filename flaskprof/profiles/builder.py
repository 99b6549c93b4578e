"""Builds call trees from calls that come in whatever order."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from flaskprof.profiles.model import CallTree, Function
from flaskprof.profiles.walk import steps

__all__ = ["TreeBuilder"]

_NOTHING = -1  # above the roots


class TreeBuilder:
    """Collects calls by stack; functions are given by their index in what `tree` is given.

    `node` names a stack by the one above it and a function; -1 is above the roots.
    """

    def __init__(self) -> None:
        self._parent, self._function = array("q"), array("q")
        self._calls, self._self_ns = array("q"), array("q")
        self._nodes: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._parent)

    def node(self, above: int, function: int) -> int:
        """Return the node of `function` called from `above`; it is made where there is none."""
        key = (above, function)
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = len(self._parent)
            self._parent.append(above)
            self._function.append(function)
            self._calls.append(0)
            self._self_ns.append(0)
        return node

    def find(self, above: int, function: int) -> int | None:
        """Return the node of `function` called from `above`, if there is one."""
        return self._nodes.get((above, function))

    def add(self, node: int, calls: int, self_ns: int) -> None:
        """Count calls and nanoseconds into a node; `OverflowError` beyond 64 bits."""
        self._calls[node] += calls
        self._self_ns[node] += self_ns

    def tree(self, functions: tuple[Function, ...], *, is_sampled: bool = False) -> CallTree:
        """Return the tree in preorder, callees in the order in which they were first seen."""
        _, columns = self.columns()
        return CallTree(functions, *columns, is_sampled)

    def columns(
        self, key: Callable[[int], int] | None = None
    ) -> tuple[list[int], tuple[array[int], array[int], array[int], array[int]]]:
        """Return the nodes in preorder, and the four columns of a tree in that order.

        Callees come in the order in which they were first seen, or with the greatest `key`
        of a node first.
        """
        order = self._order_by(key) if key else [at for at in steps(self._parent) if at >= 0]
        place = dict(zip(order, range(len(order)), strict=True))
        place[_NOTHING] = _NOTHING
        return order, (
            array("q", [place[self._parent[node]] for node in order]),
            array("q", [self._function[node] for node in order]),
            array("q", [self._calls[node] for node in order]),
            array("q", [self._self_ns[node] for node in order]),
        )

    def _order_by(self, key: Callable[[int], int]) -> list[int]:
        below: dict[int, list[int]] = {}
        for node, above in enumerate(self._parent):
            below.setdefault(above, []).append(node)
        order: list[int] = []
        waiting = sorted(below.get(_NOTHING, ()), key=key)
        while waiting:
            node = waiting.pop()
            order.append(node)
            waiting.extend(sorted(below.get(node, ()), key=key))
        return order
