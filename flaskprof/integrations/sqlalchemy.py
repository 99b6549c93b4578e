"""Counts and times the queries of SQLAlchemy 2, through its events.

Core, ORM and Flask-SQLAlchemy alike, on every engine of the process: all of them hand their
statements to a dialect to be executed, which is where its events let us stand. They cost a
query a quarter of what events before and after it do. The time is that of the execution, until
the database answered; rows that are fetched afterwards are not in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from flaskprof.log import once
from flaskprof.queries.log import QueryLog, current

if TYPE_CHECKING:
    from sqlalchemy.engine import ExecutionContext
    from sqlalchemy.engine.interfaces import DBAPICursor

__all__ = ["unwatch", "watch"]

_is_watched = False


def watch() -> bool:
    """Count queries from now on, if the application has imported SQLAlchemy by now.

    Returns whether they are counted; a second call does nothing.
    """
    global _is_watched  # noqa: PLW0603  events are those of the process
    if not _is_watched and "sqlalchemy.engine" in sys.modules:
        try:
            from sqlalchemy import Engine, event  # noqa: PLC0415  the application's, if any
        except ImportError:
            once("old SQLAlchemy", "queries are not counted: that needs SQLAlchemy 2 or newer")
            return False
        _is_watched = True
        for name, listener in _LISTENERS.items():
            event.listen(Engine, name, listener)
    return _is_watched


def unwatch() -> None:
    """Leave SQLAlchemy as it was before `watch`."""
    global _is_watched  # noqa: PLW0603  as above
    if _is_watched:
        from sqlalchemy import Engine, event  # noqa: PLC0415  as above

        for name, listener in _LISTENERS.items():
            event.remove(Engine, name, listener)
        _is_watched = False


def _do_execute(
    cursor: DBAPICursor, statement: str, parameters: Any, context: ExecutionContext | None
) -> bool:
    log = current()
    if log is None or context is None:
        return False
    dialect = context.dialect
    if len(dialect.dispatch.do_execute) > 1:
        return _run(log, "do_execute", context, cursor, statement, parameters)
    # As `_run` does, without the calls: it costs every query.
    started = perf_counter_ns()
    try:
        dialect.do_execute(cursor, statement, parameters, context)
    except BaseException:
        _count(log, context, statement, perf_counter_ns() - started, failed=True)
        raise
    spent_ns = perf_counter_ns() - started
    log.count += 1
    log.spent_ns += spent_ns
    if log.keeps_statements:
        _note(log, context, statement, spent_ns, failed=False)
    return True


def _do_executemany(
    cursor: DBAPICursor, statement: str, parameters: Any, context: ExecutionContext | None
) -> bool:
    log = current()
    if log is None or context is None:
        return False
    return _run(log, "do_executemany", context, cursor, statement, parameters)


def _do_execute_no_params(
    cursor: DBAPICursor, statement: str, context: ExecutionContext | None
) -> bool:
    log = current()
    if log is None or context is None:
        return False
    return _run(log, "do_execute_no_params", context, cursor, statement)


_LISTENERS: dict[str, Callable[..., bool]] = {
    "do_execute": _do_execute,
    "do_executemany": _do_executemany,
    "do_execute_no_params": _do_execute_no_params,
}


def _run(log: QueryLog, name: str, context: ExecutionContext, *arguments: Any) -> bool:
    """Have the dialect execute, or a listener of the application's that does so itself."""
    started = perf_counter_ns()
    failed = True
    try:
        if not any(listener(*arguments, context) for listener in _behind_ours(name, context)):
            getattr(context.dialect, name)(*arguments, context)
        failed = False
    finally:
        _count(log, context, arguments[1], perf_counter_ns() - started, failed=failed)
    return True


def _behind_ours(name: str, context: ExecutionContext) -> list[Callable[..., Any]]:
    """Return the listeners that are not called any more once ours has executed."""
    listeners = list(getattr(context.dialect.dispatch, name))
    return listeners[listeners.index(_LISTENERS[name]) + 1 :]


def _count(
    log: QueryLog, context: ExecutionContext, statement: str, spent_ns: int, *, failed: bool
) -> None:
    log.count += 1
    log.spent_ns += spent_ns
    if log.keeps_statements:
        _note(log, context, statement, spent_ns, failed=failed)


def _note(
    log: QueryLog, context: ExecutionContext, statement: str, spent_ns: int, *, failed: bool
) -> None:
    try:
        frame = sys._getframe(1)  # noqa: SLF001  the way to it that costs least
        log.note(statement, context.dialect.name, spent_ns, frame, failed=failed)
    except Exception:  # noqa: BLE001  ours alone: the query has been answered
        once("queries", "flaskprof failed to note a query", exc_info=True)
