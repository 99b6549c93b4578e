"""Collects samples of a stack, each with the time that it stands for, into a call tree.

Pure: code objects and nanoseconds come in, a `CallTree` goes out. Frames of flaskprof itself
are left out, their time being that of the application's function that called them.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType

from flaskprof.capture.own import is_own
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
    """

    def __init__(self, max_depth: int = MAX_DEPTH, max_stacks: int = MAX_STACKS) -> None:
        self._half = max_depth // 2
        self._max_stacks = max_stacks
        self._builder = TreeBuilder()
        self._functions: dict[Function, int] = {}
        # By the identity of the code, whose own hash goes through all of its instructions.
        # A code object is kept as long as its identity is, or another might get it.
        self._indices: dict[int, tuple[int, CodeType]] = {}
        self._last = _ROOT
        self._counted_ns = 0
        self.is_deep = False
        self.is_full = False

    def add(self, codes: Sequence[CodeType], at_ns: int) -> None:
        """Count a stack, innermost first, that was seen at `at_ns` of the recording's time.

        It stands for the time since the sample before, which is where the watcher waited
        for the interpreter while this stack, or what led to it, was running. A stack of
        nothing but our own code is no sample.
        """
        node = self._node(codes)
        if node == _ROOT:
            return
        self._builder.add(node, 1, at_ns - self._counted_ns)
        self._counted_ns = at_ns
        self._last = node

    def tree(self, total_ns: int) -> CallTree:
        """Return the tree of a recording that took so long in all; call it once.

        Time after the last sample belongs to that sample, so that the times of the tree sum
        up to `total_ns`; where there is no sample all of it is `NOT_SEEN`.
        """
        left_ns = total_ns - self._counted_ns
        if self._last == _ROOT and left_ns:
            self._last = self._builder.node(_ROOT, self._index(NOT_SEEN))
        if left_ns:
            self._builder.add(self._last, 0, left_ns)
        return self._builder.tree(tuple(self._functions), is_sampled=True)

    def _node(self, codes: Sequence[CodeType]) -> int:
        """Return the node of a stack, -1 where none of it is the application's."""
        inner: Sequence[CodeType] = ()
        if len(codes) > 2 * self._half:
            self.is_deep = True
            inner, codes = codes[: self._half], codes[-self._half :]
        node = self._follow(_ROOT, codes)
        if inner:
            node = self._follow(self._more(node), inner)
        return node

    def _follow(self, node: int, codes: Sequence[CodeType]) -> int:
        for code in reversed(codes):
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
