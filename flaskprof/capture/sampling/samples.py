"""Collects samples of a stack, each with the time that it stands for, into a call tree.

Pure: looks come in, a `CallTree` goes out. Frames of flaskprof itself
are left out, their time being that of the application's function that called them.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType

from flaskprof.capture.own import is_own
from flaskprof.capture.sampling.looks import (
    Look,
    Loops,
    may_be_running,
    steady_depth,
    unseen_ns,
)
from flaskprof.capture.sampling.stacks import Call
from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.model import CallTree, Function

__all__ = ["MAX_DEPTH", "MAX_STACKS", "MORE", "NOT_SEEN", "Samples"]

MAX_DEPTH = 1_000
MAX_STACKS = 50_000

MORE = Function("~", 0, "(more)")
"""What stands in the place of calls that are not told apart any more."""

NOT_SEEN = Function("~", 0, "(over before it was looked at)")
"""What stands for the whole of something too short to be sampled."""

_ROOT = -1
_OWN = -1


class Samples:
    """The samples of one recording.

    Of a stack deeper than `max_depth` the outer and the inner half are kept. Beyond
    `max_stacks` different stacks, callers counted, a new one is kept as far as it is known.
    `MORE` stands for what is cut, and `is_deep` and `is_full` say that something was.
    `unseen_ns` is how long no look saw what computed, but only what called it.
    """

    def __init__(self, max_depth: int = MAX_DEPTH, max_stacks: int = MAX_STACKS) -> None:
        self._half = max_depth // 2
        self._max_stacks = max_stacks
        self._builder = TreeBuilder()
        self._functions: dict[Function, int] = {}
        # By the identity of the code, whose own hash goes through all of its instructions.
        # A code object is kept as long as its identity is, or another might get it.
        self._indices: dict[int, tuple[int, CodeType]] = {}
        self._loops = Loops()
        self._last: Look | None = None
        self._last_node = _ROOT
        self.is_deep = False
        self.is_full = False
        self.unseen_ns = 0

    def add(self, look: Look) -> None:
        """Count what was seen; it stands for the time since the look before.

        That is where the watcher waited for the interpreter while this stack, or what led to
        it, was running. Computing that neither of the two saw is time of the innermost
        function that ran all along. A stack of nothing but our own code is no sample.
        """
        node = self._node(look.calls)
        if node == _ROOT:
            return
        before = self._before(look)
        gap_ns = look.at_ns - before.at_ns
        elsewhere_ns = unseen_ns(before, look)
        steady = self._steady(before, look, node) if elsewhere_ns else node
        if steady not in (node, _ROOT):
            self._builder.add(steady, 0, elsewhere_ns)
            self.unseen_ns += elsewhere_ns
            gap_ns -= elsewhere_ns
        self._builder.add(node, 1, gap_ns)
        self._last, self._last_node = look, node

    def may_be_running(self, look: Look) -> bool:
        """See `looks.may_be_running`."""
        return may_be_running(self._before(look), look)

    def tree(self, total_ns: int) -> CallTree:
        """Return the tree of a recording that took so long in all; call it once.

        Time after the last sample belongs to that sample, so that the times of the tree sum
        up to `total_ns`; where there is no sample all of it is `NOT_SEEN`.
        """
        left_ns = total_ns - (0 if self._last is None else self._last.at_ns)
        if self._last is None and left_ns:
            self._last_node = self._builder.node(_ROOT, self._index(NOT_SEEN))
        if left_ns:
            self._builder.add(self._last_node, 0, left_ns)
        return self._builder.tree(tuple(self._functions), is_sampled=True)

    def _before(self, look: Look) -> Look:
        """Return the look before; the first has the beginning before it."""
        return self._last or look._replace(calls=(), at_ns=0, cpu_ns=look.cpu_ns and 0)

    def _steady(self, before: Look, look: Look, node: int) -> int:
        """Return the node of the innermost call that was under way between two looks.

        `node` is that of the whole stack of the later one.
        """
        calls = look.calls
        # What is recorded begins with the call of one function.
        depth = steady_depth(before.calls, calls, self._loops) if before.calls else 1
        if depth == len(calls):
            return node
        if len(calls) > 2 * self._half:
            depth = min(depth, self._half)
        return self._follow(_ROOT, calls[len(calls) - depth :])

    def _node(self, calls: Sequence[Call]) -> int:
        """Return the node of a stack, -1 where none of it is the application's."""
        inner: Sequence[Call] = ()
        if len(calls) > 2 * self._half:
            self.is_deep = True
            inner, calls = calls[: self._half], calls[-self._half :]
        node = self._follow(_ROOT, calls)
        if inner:
            node = self._follow(self._more(node), inner)
        return node

    def _follow(self, node: int, calls: Sequence[Call]) -> int:
        for code, _ in reversed(calls):
            function = self._function(code)
            if function == _OWN:
                continue
            found = None if function is None else self._builder.find(node, function)
            if found is None:
                if function is None or self._has_no_room:
                    self.is_full = True
                    return self._more(node)
                found = self._builder.node(node, function)
            node = found
        return node

    @property
    def _has_no_room(self) -> bool:
        return len(self._builder) >= self._max_stacks

    def _more(self, node: int) -> int:
        return self._builder.node(node, self._index(MORE))

    def _function(self, code: CodeType) -> int | None:
        """Return the index of a function; None for a new one where there is no room."""
        known = self._indices.get(id(code))
        if known is None:
            if self._has_no_room:
                return None
            function = Function(code.co_filename, code.co_firstlineno, code.co_name)
            index = _OWN if is_own(function) else self._index(function)
            known = self._indices[id(code)] = index, code
        return known[0]

    def _index(self, function: Function) -> int:
        return self._functions.setdefault(function, len(self._functions))
