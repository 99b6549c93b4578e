"""The queries of the present request: how many, how long, and for a capture which.

`current` follows the request through its thread, its greenlet and its async views, by a
context variable. Queries of threads that the application starts itself belong to no request,
unless it hands the context on (``contextvars.copy_context().run``).
"""

from __future__ import annotations

from contextvars import ContextVar
from threading import Lock
from types import FrameType

from flaskprof.profiles.kinds import Kinds
from flaskprof.queries.groups import QueryGroup, grouped
from flaskprof.queries.places import place_of_call
from flaskprof.queries.sql import without_values

__all__ = ["QueryLog", "begin", "current", "gather", "resume"]

# Beyond so many kinds those that differ in their values only are joined early.
_MANY_KINDS = 500

Kind = tuple[str, str, str, int, str]

_BY_PLACE = Kinds()


class QueryLog:
    """What one request asked of databases: `count` and `spent_ns`, to be added to.

    With `keeps_statements` it also notes which statement was issued where, which costs each
    query a look at the stack; `whose` tells which frames of it are the application's. One
    that `gathers` adds to it at its end what those logs have that began while it was the
    current one.
    """

    __slots__ = (
        "_kinds",
        "_lock",
        "_room",
        "count",
        "gathers",
        "inner",
        "keeps_statements",
        "outer",
        "spent_ns",
        "whose",
    )

    def __init__(self, whose: Kinds = _BY_PLACE, *, gathers: bool = False) -> None:
        self.whose = whose
        self.gathers = gathers
        before = _current.get()
        if before is not None and not before.gathers:
            before = before.outer
        self.outer: QueryLog | None = before
        self.inner: list[QueryLog] = []
        self.count = 0
        self.spent_ns = 0
        self.keeps_statements = False
        if before is not None:
            before.inner.append(self)
            self.keep_statements()

    def keep_statements(self) -> None:
        """Note from now on which statements are issued where."""
        self._lock = Lock()
        self._kinds: dict[Kind, list[int]] = {}
        self._room = _MANY_KINDS
        self.keeps_statements = True

    def end(self) -> None:
        """Be the current one no longer; whoever still holds the context notes no statements."""
        self.keeps_statements = False
        if _current.get() is self:
            _current.set(self.outer)
        for log in self.inner:
            self._add_log(log)

    def _add_log(self, other: QueryLog) -> None:
        self.count += other.count
        self.spent_ns += other.spent_ns
        with self._lock:
            for kind, sums in other._kinds.items():
                self._add(kind, *sums)

    def note(
        self, statement: str, dialect: str, spent_ns: int, frame: FrameType, *, failed: bool
    ) -> None:
        """Keep a query that is counted; who issued it is looked for from `frame` up."""
        kind = (statement, dialect, *place_of_call(frame, self.whose))
        with self._lock:
            self._add(kind, 1, failed, spent_ns)

    def _add(self, kind: Kind, runs: int, failed: int, spent_ns: int) -> None:
        if kind not in self._kinds and len(self._kinds) >= self._room and not self._join():
            return
        sums = self._kinds.setdefault(kind, [0, 0, 0])
        sums[0] += runs
        sums[1] += failed
        sums[2] += spent_ns

    def _join(self) -> bool:
        """Join the kinds that differ in their values only; false where that gave no room."""
        joined: dict[Kind, list[int]] = {}
        for (statement, dialect, file, line, function), sums in self._kinds.items():
            kind = (without_values(statement, dialect), "", file, line, function)
            known = joined.setdefault(kind, [0, 0, 0])
            joined[kind] = [a + b for a, b in zip(known, sums, strict=True)]
        self._kinds = joined
        if len(joined) > _MANY_KINDS // 2:
            self._room = 0  # not to be tried for each query
        return self._room > 0

    def groups(self) -> tuple[QueryGroup, ...]:
        """Return what was noted, without values; it takes long: not for a request."""
        if not hasattr(self, "_kinds"):
            return ()
        return grouped(_group(kind, sums) for kind, sums in self._kinds.items())


def _group(kind: Kind, sums: list[int]) -> QueryGroup:
    statement, dialect, file, line, function = kind
    runs, failed, spent_ns = sums
    return QueryGroup(
        statement=without_values(statement, dialect),
        file=file,
        line=line,
        function=function,
        runs=runs,
        failed=failed,
        seconds=spent_ns / 1e9,
    )


_current: ContextVar[QueryLog | None] = ContextVar("flaskprof_queries", default=None)

# The log of the present request; None where there is none, or where nobody counts queries.
current = _current.get


def begin(whose: Kinds = _BY_PLACE) -> QueryLog:
    """Return a new log, which is the current one from here on."""
    log = QueryLog(whose)
    _current.set(log)
    return log


def gather() -> QueryLog:
    """Return a new log that is the current one, and gathers what begins while it is."""
    log = QueryLog(gathers=True)
    log.keep_statements()
    _current.set(log)
    return log


def resume(log: QueryLog) -> None:
    """Make a log the current one again: other requests may have been served in between."""
    _current.set(log)
