"""How long the templates of one request take to render, each without what it renders within.

An application tells of a template when it begins to render it and when it is done. A view,
a macro or a filter may render another one meanwhile: that one's time is its own alone.
"""

from __future__ import annotations

from time import perf_counter_ns

__all__ = ["Rendering"]


class Rendering:
    """The templates of one request. `own_ns` are nanoseconds by name."""

    __slots__ = ("_open", "own_ns")

    def __init__(self) -> None:
        self.own_ns: dict[str, int] = {}
        # Of each that is being rendered: what it is, when it began, and what others took.
        self._open: list[tuple[object, int, list[int]]] = []

    @property
    def spent_ns(self) -> int:
        """What all of them took together so far."""
        return sum(self.own_ns.values())

    def begin(self, template: object) -> None:
        """Say that `template` begins to be rendered."""
        self._open.append((template, perf_counter_ns(), [0]))

    def end(self, template: object, name: str) -> int | None:
        """Say that it is done, and return what it took itself; None if it never began.

        What began after it and is not done by now has failed, and is part of it.
        """
        ended = perf_counter_ns()
        while self._open:
            known, started, others = self._open.pop()
            if known is not template:
                continue
            spent_ns = ended - started
            if self._open:
                self._open[-1][2][0] += spent_ns
            own_ns = spent_ns - others[0]
            self.own_ns[name] = self.own_ns.get(name, 0) + own_ns
            return own_ns
        return None
