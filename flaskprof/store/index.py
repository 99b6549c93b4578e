"""An SQLite index of the captures in a directory, so that long lists are short work.

The files are the truth; the index is a cache of their metadata that may be deleted at any
time and is built again. It is written by whoever reads the captures, never by whoever
saves them. Before each list it is brought up to date: a day whose directory has not
changed since it was indexed is not looked into, so that a list costs one look at each
day and not one at each capture.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from flaskprof.errors import StoreError
from flaskprof.log import once
from flaskprof.record import CaptureRecord
from flaskprof.store import CapturePage, CaptureQuery, layout

__all__ = ["CaptureIndex"]

Selected = TypeVar("Selected")

# The layout is part of the name: two versions of flaskprof do not undo each other's work.
_NAME = "index-v2.sqlite"
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS days (
    day TEXT PRIMARY KEY,
    mtime_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS captures (
    id TEXT PRIMARY KEY,
    route TEXT NOT NULL,
    method TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    duration_seconds REAL NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_route ON captures (route, id, method, "trigger");
CREATE INDEX IF NOT EXISTS by_method ON captures (method, id, "trigger");
CREATE INDEX IF NOT EXISTS by_trigger ON captures ("trigger", id);
CREATE TABLE IF NOT EXISTS totals (
    route TEXT NOT NULL,
    method TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    captures INTEGER NOT NULL,
    PRIMARY KEY (route, method, "trigger")
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON captures BEGIN
    INSERT INTO totals VALUES (new.route, new.method, new."trigger", 1)
    ON CONFLICT DO UPDATE SET captures = captures + 1;
END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON captures BEGIN
    UPDATE totals SET captures = captures - 1
    WHERE (route, method, "trigger") = (old.route, old.method, old."trigger");
    DELETE FROM totals WHERE captures = 0;
END;
PRAGMA user_version = 2;
COMMIT;
"""
_FILTERS = ("route", "method", "trigger")

# How long another reader is waited for. It holds the lock for one batch at a time.
_BUSY_SECONDS = 5.0
_BATCH = 500

# A file system's clock is coarse, up to 2 s: a directory that changed less than that
# before it was listed may change again without its time telling so.
_GRAIN_NS = 2 * 10**9
# The mtime of a day that has to be looked into next time, whatever its directory says.
_UNSETTLED = -1

# The largest number that SQLite knows.
_MAX = 2**63 - 1


class CaptureIndex:
    """The index of the captures below `captures`, in a file beside them.

    Where that file cannot be used (the directory is read-only, another program holds it)
    the index is kept in this process's memory. Safe to use from several threads and
    processes at once, and across a fork.
    """

    def __init__(self, captures: Path) -> None:
        self._captures = captures
        self._file = captures / _NAME
        self._memory: _Memory | None = None

    def page(self, query: CaptureQuery) -> CapturePage:
        """Bring the index up to date and return one page of it.

        Raises OSError where the captures cannot be read.
        """
        if not self._captures.is_dir():
            return CapturePage(records=(), matching=0)
        return self._read(lambda connection: _select(connection, query))

    def durations(self) -> dict[str, tuple[str, float]]:
        """Bring the index up to date and return route and duration of each capture by ID.

        Raises OSError where the captures cannot be read.
        """
        return self._read(_durations) if self._captures.is_dir() else {}

    def _read(self, select: Callable[[sqlite3.Connection], Selected]) -> Selected:
        if self._memory is None:
            try:
                return self._read_file(select)
            except sqlite3.Error as error:
                once(
                    "index-in-memory",
                    "the index %s cannot be used (%s): it is kept in memory instead",
                    self._file,
                    error,
                )
        if self._memory is None or self._memory.pid != os.getpid():
            self._memory = _Memory()
        with self._memory.lock:
            return _fresh(self._memory.connection, self._captures, select)

    def _read_file(self, select: Callable[[sqlite3.Connection], Selected]) -> Selected:
        try:
            with closing(_connect(self._file)) as connection:
                return _fresh(connection, self._captures, select)
        except sqlite3.OperationalError:
            raise  # not the file's content: it is locked, read-only, on a full disk
        except (sqlite3.DatabaseError, StoreError):
            layout.remove(self._file)
            layout.remove(self._file.with_name(_NAME + "-journal"))
        with closing(_connect(self._file)) as connection:
            return _fresh(connection, self._captures, select)


class _Memory:
    """An index in the memory of one process, for one thread at a time."""

    def __init__(self) -> None:
        self.pid = os.getpid()  # a lock that was held at a fork is held for ever in the child
        self.lock = threading.Lock()
        self.connection = _connect(":memory:")
        weakref.finalize(self, self.connection.close)


def _connect(file: Path | str) -> sqlite3.Connection:
    # A connection a list is cheap, and neither threads nor forks nor a deleted directory
    # can then surprise it.
    connection = sqlite3.connect(
        file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _fresh(
    connection: sqlite3.Connection,
    captures: Path,
    select: Callable[[sqlite3.Connection], Selected],
) -> Selected:
    _refresh(connection, captures)
    with _transaction(connection, "DEFERRED"):
        return select(connection)


def _durations(connection: sqlite3.Connection) -> dict[str, tuple[str, float]]:
    rows = connection.execute("SELECT id, route, duration_seconds FROM captures")
    return {capture_id: (route, seconds) for capture_id, route, seconds in rows}


def _select(connection: sqlite3.Connection, query: CaptureQuery) -> CapturePage:
    wanted = {
        name: _encodable(value)
        for name in _FILTERS
        if (value := getattr(query, name)) is not None
    }
    where = "WHERE " + " AND ".join(f'"{name}" = :{name}' for name in wanted) if wanted else ""
    window = {"limit": min(query.limit, _MAX), "offset": min(query.offset, _MAX)}
    # The columns' names are ours; values are bound. The inner query is answered by the
    # indexes alone, so that a far offset does not read all metadata before it.
    records = connection.execute(
        f"""SELECT record FROM captures WHERE id IN (
            SELECT id FROM captures {where} ORDER BY id DESC LIMIT :limit OFFSET :offset
        ) ORDER BY id DESC""",  # noqa: S608
        wanted | window,
    )
    (matching,) = connection.execute(
        f"SELECT coalesce(sum(captures), 0) FROM totals {where}",  # noqa: S608
        wanted,
    ).fetchone()
    routes, methods, triggers = (
        [
            value
            for (value,) in connection.execute(
                f'SELECT DISTINCT "{name}" FROM totals ORDER BY 1'  # noqa: S608
            )
        ]
        for name in _FILTERS
    )
    return CapturePage(
        records=[CaptureRecord.from_json(text) for (text,) in records],
        matching=matching,
        routes=routes,
        methods=methods,
        triggers=triggers,
    )


def _refresh(connection: sqlite3.Connection, captures: Path) -> None:
    indexed: dict[str, int] = dict(connection.execute("SELECT day, mtime_ns FROM days"))
    for day in layout.days(captures):
        if indexed.pop(day.name, None) != day.mtime_ns:
            _refresh_day(connection, day)
    for name in indexed:
        with _transaction(connection, "IMMEDIATE"):
            connection.execute(
                "DELETE FROM captures WHERE id >= ? AND id < ?", layout.id_range(name)
            )
            connection.execute("DELETE FROM days WHERE day = ?", (name,))


def _refresh_day(connection: sqlite3.Connection, day: layout.Day) -> None:
    # The order matters where two processes do this at once: what is known is asked for
    # before the files are listed, so that nothing that the other just added is taken for
    # deleted; and a day is settled by the last change to it alone, with the time that its
    # directory had before it was listed.
    known = {
        capture_id
        for (capture_id,) in connection.execute(
            "SELECT id FROM captures WHERE id >= ? AND id < ?", layout.id_range(day.name)
        )
    }
    now_ns = time.time_ns()
    try:
        files = layout.DayFiles.scan(day)
    except FileNotFoundError:
        return  # deleted meanwhile: the next list finds it gone
    being_written = layout.sweep(day, files, now_ns)
    added = sorted(files.ids - known)
    for start in range(0, len(added), _BATCH):
        rows = list(_rows(day, added[start : start + _BATCH]))
        with _transaction(connection, "IMMEDIATE"):
            _mark(connection, day, _UNSETTLED)
            connection.executemany(
                "INSERT OR IGNORE INTO captures VALUES (?, ?, ?, ?, ?, ?)", rows
            )
    is_settled = now_ns - day.mtime_ns > _GRAIN_NS and not being_written
    gone = known - files.ids
    if gone or is_settled:
        with _transaction(connection, "IMMEDIATE"):
            connection.executemany(
                "DELETE FROM captures WHERE id = ?", [(capture_id,) for capture_id in gone]
            )
            _mark(connection, day, day.mtime_ns if is_settled else _UNSETTLED)


def _mark(connection: sqlite3.Connection, day: layout.Day, mtime_ns: int) -> None:
    connection.execute("INSERT OR REPLACE INTO days VALUES (?, ?)", (day.name, mtime_ns))


def _rows(day: layout.Day, ids: Iterable[str]) -> Iterator[tuple[str | float, ...]]:
    """Yield what is stored of each capture; what cannot be read is passed over."""
    for capture_id in ids:
        path = day.path / (capture_id + layout.COMMIT_SUFFIX)
        try:
            record = layout.load_record(path)
        except FileNotFoundError:
            continue
        except StoreError as error:
            once("unreadable-record", "captures that cannot be read are left out: %s", error)
            continue
        filters = [_encodable(getattr(record, name)) for name in _FILTERS]
        yield (capture_id, *filters, record.duration_seconds, record.to_json())


def _encodable(text: str) -> str:
    """Return `text` with what SQLite cannot store, lone surrogates, replaced."""
    return text.encode("utf-8", "replace").decode()


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
