"""The call tree as nested rows: what the flame view draws, for keyboard and screen reader.

Which rows are open is in the address, ``open=3.17.18`` by the numbers of the nodes in
preorder, so that rows are sent when they are asked for. At first the path is open that the
most time went down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from werkzeug.exceptions import BadRequest

from flaskprof.profiles.estimate import EstimatedTree, Mark
from flaskprof.profiles.model import CallTree, Function
from flaskprof.web.figures import Figure, count, seconds, share
from flaskprof.web.links import function_key
from flaskprof.web.panels import Panel
from flaskprof.web.rows import FunctionName, function_data, function_name
from flaskprof.web.subject import Subject

__all__ = ["tree"]

_NONE = "none"
_MOST_OPEN = 400
_MOST_AT_FIRST = 60
_MOST_ROWS = 1_000
_CHILDREN = 30  # shown of each node until all are asked for
_MOST_CHILDREN = 1_000
_DEEPEST_INDENT = 30
_DIGITS = 5  # of a function's key in an address of the flame view
_LONGEST = 250 * _DIGITS  # of such addresses
_WORTH_OPENING = 0.05  # of the whole time


class TreeRow(NamedTuple):
    """A node: calls of a function on one stack. `url` opens or closes it, if it has callees.

    `bounds` says between what an estimated total lies; `is_own_exact` is false where self time
    and calls are estimates.
    """

    number: int
    level: int
    indent: int
    place: int
    siblings: int
    function: FunctionName
    is_selected: bool
    is_open: bool | None
    url: str
    total: Figure
    total_share: Figure
    total_bar: float
    bounds: str
    self_time: Figure
    calls: Figure
    is_own_exact: bool
    is_recursive: bool


class MoreRow(NamedTuple):
    """What is not shown below a node: `text` says how much, `url` shows it."""

    level: int
    indent: int
    text: str
    time: Figure
    url: str


class TreeView(NamedTuple):
    """The rows, in preorder."""

    rows: Sequence[TreeRow | MoreRow]
    truth: str
    hot_url: str
    root_url: str


def tree(subject: Subject, function: Function | None) -> Panel:
    """Show the rows that are open; at first the hottest path, or that to the selection."""
    nodes = _Nodes(subject.tree)
    query = subject.visit.query
    opened = _numbers(query.get("open", ""), "open", len(nodes))
    whole = _numbers(query.get("all", ""), "all", len(nodes))
    if "open" not in query:
        place = nodes.at(query.get("at") or query.get("zoom") or "")
        opened = nodes.path_to(function, place) if function else nodes.hot_path()
    page = _TreePage(subject, function, nodes, opened, whole)
    rows = list(page.rows())
    view = TreeView(
        rows=rows,
        truth=subject.truth,
        hot_url=subject.page(
            view="tree", fn=subject.key(function), open=_text(nodes.hot_path())
        ),
        root_url=subject.page(view="tree", fn=subject.key(function), open=_NONE),
    )
    return Panel("_tree.html", view, page.data)


class _Nodes:
    """The nodes of a tree with their callees, the longest first.

    A tree that is an estimate has a synthetic root, which is no row.
    """

    def __init__(self, source: CallTree | EstimatedTree) -> None:
        self.source = source
        self.is_estimated = isinstance(source, EstimatedTree)
        self.total_ns = (
            source.total_ns if isinstance(source, EstimatedTree) else source.totals_ns()
        )
        self.below: list[list[int]] = [[] for _ in range(len(source))]
        self.roots: list[int] = []
        for node, above in enumerate(source.parent):
            (self.below[above] if above >= 0 else self.roots).append(node)
        for siblings in (self.roots, *self.below):
            siblings.sort(key=lambda node: -self.total_ns[node])
        self.whole_ns = sum(self.total_ns[root] for root in self.roots)
        if self.is_estimated:
            self.roots = self.below[0] if self.below else []

    def __len__(self) -> int:
        return len(self.source)

    def hot_path(self) -> set[int]:
        """Return the nodes down which the most time went, as long as it is much.

        The path ends where a function is called from within itself.
        """
        path: set[int] = set()
        stack: set[int] = set()
        siblings = self.roots
        least = max(1, self.whole_ns * _WORTH_OPENING)
        while siblings and self.total_ns[siblings[0]] >= least and len(path) < _MOST_AT_FIRST:
            node = siblings[0]
            function = self.source.function[node]
            if function in stack:
                break
            stack.add(function)
            path.add(node)
            siblings = self.below[node]
        return path

    def at(self, address: str) -> int:
        """Return the node that the flame view calls so, or the one that comes nearest; or -1.

        Each five digits are the first of a function's key, from the root on.
        """
        node = -1
        keys: dict[int, str] = {}

        def digits_of(node: int) -> str:
            number = self.source.function[node]
            if number not in keys:
                keys[number] = function_key(self.source.functions[number])[:_DIGITS]
            return keys[number]

        for place in range(0, min(len(address), _LONGEST), _DIGITS):
            digits = address[place : place + _DIGITS]
            below = self.roots if node < 0 else self.below[node]
            node = next((found for found in below if digits_of(found) == digits), node)
        return node

    def path_to(self, function: Function, place: int = -1) -> set[int]:
        """Return the nodes above the longest call of a function, at a place if there is one."""
        source = self.source
        calls = [
            node
            for node, index in enumerate(source.function)
            if source.functions[index] == function
        ]
        inner = [node for node in calls if place in self._stack(node)]
        path: list[int] = []
        if calls:
            path = list(self._stack(max(inner or calls, key=self.total_ns.__getitem__)))[1:]
        return set(path[-_MOST_OPEN:])

    def _stack(self, node: int) -> Iterator[int]:
        """Yield a node and those above it."""
        while node >= 0:
            yield node
            node = self.source.parent[node]


class _TreePage:
    def __init__(
        self,
        subject: Subject,
        function: Function | None,
        nodes: _Nodes,
        opened: set[int],
        whole: set[int],
    ) -> None:
        self._subject = subject
        self._function = function
        self._nodes = nodes
        self._opened, self._whole = opened, whole
        self._shown: list[int] = []

    def rows(self) -> Iterator[TreeRow | MoreRow]:
        """Yield what is open in preorder."""
        waiting = self._group(-1, self._nodes.roots, 1)
        waiting.reverse()
        while waiting:
            item = waiting.pop()
            if isinstance(item, MoreRow):
                yield item
                continue
            node, level, place, siblings, stack = item
            if len(self._shown) >= _MOST_ROWS:
                text = f"More is open than these {_MOST_ROWS:,} rows: close some to see it"
                yield MoreRow(1, _indent(1), text, seconds(None), "")
                return
            self._shown.append(node)
            yield self._row(node, level, place, siblings, stack)
            if node in self._opened and self._nodes.below[node]:
                function = self._nodes.source.function[node]
                below = self._group(
                    node, self._nodes.below[node], level + 1, stack | {function}
                )
                waiting += below[::-1]

    def _group(
        self,
        above: int,
        siblings: Sequence[int],
        level: int,
        stack: frozenset[int] = frozenset(),
    ) -> list[Any]:
        limit = _MOST_CHILDREN if above in self._whole or above < 0 else _CHILDREN
        group: list[Any] = [
            (node, level, place, len(siblings), stack)
            for place, node in enumerate(siblings[:limit], 1)
        ]
        rest = siblings[limit:]
        if rest:
            more = "" if limit == _MOST_CHILDREN else self._url(whole=self._whole | {above})
            time = sum(self._nodes.total_ns[node] for node in rest)
            text = f"{len(rest):,} more callees"
            group.append(MoreRow(level, _indent(level), text, seconds(time / 1e9), more))
        return group

    def _row(
        self, node: int, level: int, place: int, siblings: int, stack: frozenset[int]
    ) -> TreeRow:
        nodes, source = self._nodes, self._nodes.source
        index = source.function[node]
        function = source.functions[index]
        is_open = node in self._opened if nodes.below[node] else None
        time = nodes.total_ns[node]
        part = time / nodes.whole_ns if nodes.whole_ns else 0.0
        return TreeRow(
            number=node,
            level=level,
            indent=_indent(level),
            place=place,
            siblings=siblings,
            function=function_name(
                function,
                url=self._subject.function_page(function),
                kinds=self._subject.kinds,
            ),
            is_selected=function == self._function,
            is_open=is_open,
            url="" if is_open is None else self._url(opened=self._opened ^ {node}, at=node),
            total=seconds(time / 1e9),
            total_share=share(part),
            total_bar=round(100 * part, 2),
            bounds=self._bounds(node),
            self_time=seconds(source.self_ns[node] / 1e9),
            calls=count(source.calls[node]),
            is_own_exact=_is_own_exact(source, node),
            is_recursive=index in stack,
        )

    def _bounds(self, node: int) -> str:
        """Say between what an estimated time lies; nothing of one that is exact."""
        source = self._nodes.source
        if not isinstance(source, EstimatedTree) or source.marks[node] & Mark.EXACT:
            return ""
        low, high = (seconds(column[node] / 1e9) for column in (source.low_ns, source.high_ns))
        if source.marks[node] & Mark.RECURSIVE:
            return f"at most {high.text} {high.unit}"
        return f"{low.text} {low.unit} to {high.text} {high.unit}"

    def _url(
        self,
        opened: set[int] | None = None,
        whole: set[int] | None = None,
        at: int | None = None,
    ) -> str:
        url = self._subject.page(
            view="tree",
            fn=self._subject.key(self._function),
            open=_text(self._opened if opened is None else opened) or _NONE,
            all=_text(self._whole if whole is None else whole),
        )
        return url if at is None else f"{url}#n{at}"

    def data(self) -> Mapping[str, Any]:
        nodes, source = self._nodes, self._nodes.source
        return {
            "tree": {
                "truth": self._subject.truth,
                "nodes": len(nodes),
                "rows": [
                    {
                        "node": node,
                        "parent": source.parent[node],
                        **function_data(
                            source.functions[source.function[node]],
                            url=self._subject.function_page(
                                source.functions[source.function[node]]
                            ),
                            kinds=self._subject.kinds,
                        ),
                        "calls": source.calls[node],
                        "self_ns": source.self_ns[node],
                        "total_ns": nodes.total_ns[node],
                        **_data_of_bounds(source, node),
                    }
                    for node in self._shown
                ],
            }
        }


def _data_of_bounds(source: CallTree | EstimatedTree, node: int) -> dict[str, Any]:
    if isinstance(source, CallTree):
        return {}
    return {
        "low_ns": source.low_ns[node],
        "high_ns": source.high_ns[node],
        "is_exact": bool(source.marks[node] & Mark.EXACT),
        "is_own_exact": _is_own_exact(source, node),
    }


def _is_own_exact(source: CallTree | EstimatedTree, node: int) -> bool:
    return isinstance(source, CallTree) or bool(source.marks[node] & Mark.UNDIVIDED)


def _indent(level: int) -> int:
    return min(level - 1, _DEEPEST_INDENT)


def _text(numbers: set[int]) -> str:
    return ".".join(map(str, sorted(numbers)))


def _numbers(text: str, name: str, count: int) -> set[int]:
    """Read the numbers of nodes; those that the tree does not have are passed over."""
    if text == _NONE:
        return set()
    if not re.fullmatch(r"([0-9]{1,7}(\.[0-9]{1,7})*)?", text):
        raise BadRequest(f"{name}: {text[:40]!r} is not a list of numbers of nodes, as 3.17.18")
    numbers = {int(part) for part in text.split(".") if part}
    if len(numbers) > _MOST_OPEN:
        raise BadRequest(f"{name}: more than {_MOST_OPEN} nodes cannot be open at once")
    return {number for number in numbers if number < count}
