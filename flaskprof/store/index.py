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
import stat
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from math import inf
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from flaskprof.errors import StoreError
from flaskprof.log import once
from flaskprof.record import CaptureRecord
from flaskprof.store import CapturePage, CaptureQuery, Look, layout
from flaskprof.store.spread import EDGES, bin_of

__all__ = ["CaptureIndex"]

Selected = TypeVar("Selected")

# The layout is part of the name: two versions of flaskprof do not undo each other's work.
_NAME = "index-v4.sqlite"

# Captures of one route, method and trigger are of one kind. There are few kinds and many
# captures: filters choose kinds, whose captures are counted as they come and go. The rows of
# `captures` are small, so that each order has an index that answers without them. `records`
# are the files as they are.
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS days (
    day TEXT PRIMARY KEY,
    mtime_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kinds (
    number INTEGER PRIMARY KEY,
    route TEXT NOT NULL,
    method TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    captures INTEGER NOT NULL DEFAULT 0,
    UNIQUE (route, method, "trigger")
);
CREATE TABLE IF NOT EXISTS captures (
    id TEXT PRIMARY KEY,
    kind INTEGER NOT NULL,
    duration_seconds REAL NOT NULL,
    cpu_seconds REAL,
    status INTEGER,
    bin INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_kind ON captures (kind, id);
CREATE INDEX IF NOT EXISTS by_kind_and_duration ON captures (kind, duration_seconds);
CREATE INDEX IF NOT EXISTS by_duration ON captures (duration_seconds, id, kind);
CREATE INDEX IF NOT EXISTS by_cpu ON captures (cpu_seconds, id, kind);
CREATE INDEX IF NOT EXISTS by_status ON captures (status, id, kind);
CREATE TABLE IF NOT EXISTS records (
    id TEXT PRIMARY KEY,
    record BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS bins (
    kind INTEGER NOT NULL,
    bin INTEGER NOT NULL,
    captures INTEGER NOT NULL,
    PRIMARY KEY (kind, bin)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON captures BEGIN
    DELETE FROM records WHERE id = old.id;
    UPDATE kinds SET captures = captures - 1 WHERE number = old.kind;
    DELETE FROM kinds WHERE number = old.kind AND captures = 0;
    UPDATE bins SET captures = captures - 1 WHERE (kind, bin) = (old.kind, old.bin);
    DELETE FROM bins WHERE (kind, bin) = (old.kind, old.bin) AND captures = 0;
END;
PRAGMA user_version = 4;
COMMIT;
"""
_FILTERS = ("route", "method", "trigger")

# The column of each order that is not one of kinds, and the index that is in that order.
_COLUMNS = {
    "started": ("id", ""),
    "duration": ("duration_seconds", "INDEXED BY by_duration"),
    "cpu": ("cpu_seconds", "INDEXED BY by_cpu"),
    "status": ("status", "INDEXED BY by_status"),
}
# So many captures are sorted as soon as they are found in the order they are wanted in.
_FEW = 1000

# How long another reader is waited for, and how long one reads until it writes to the disk,
# which may take much longer than all else. It reads in steps and adds what it read in batches.
_BUSY_SECONDS = 5.0
_HOLD_SECONDS = 1.0
# How long the index is kept in memory until its file is tried again.
_FILE_AGAIN_SECONDS = 60.0
_BATCH = 2000
_STEP = 100
# What changes at random places meanwhile has room in memory.
_CACHE_KIB = 64 * 1024

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
    the index is kept in this process's memory for a while. Safe to use from several threads and
    processes at once, and across a fork.
    """

    def __init__(self, captures: Path) -> None:
        self._captures = captures
        self._file = captures / _NAME
        self._memory: _Memory | None = None
        self._file_again = 0.0
        self._local = _Local()

    @contextmanager
    def at_once(self, patience_seconds: float = inf) -> Iterator[Look]:
        """Bring the index up to date but once for all that this thread asks in the context.

        After about `patience_seconds` the oldest captures that are new to it are left for
        another time; some are read each time.
        """
        if self._local.shared is not None:
            yield self._local.shared
            return
        self._local.shared = Look()
        self._local.until = time.monotonic() + patience_seconds
        try:
            yield self._local.shared
        finally:
            self._local.shared, self._local.is_done = None, False

    def page(self, query: CaptureQuery) -> CapturePage:
        """Bring the index up to date and return one page of it.

        Raises OSError where the captures cannot be read.
        """
        if not self._is_there():
            return CapturePage(records=(), matching=0)
        return self._read(lambda connection: _select(connection, query))

    def spread(self, query: CaptureQuery) -> dict[int, int]:
        """Bring the index up to date and return how many captures are in each bin.

        Raises OSError where the captures cannot be read.
        """
        if not self._is_there():
            return {}
        return self._read(lambda connection: _spread(connection, query))

    def previous(self, record: CaptureRecord) -> CaptureRecord | None:
        """Bring the index up to date and return the one before `record` of its route.

        Raises OSError where the captures cannot be read.
        """
        if not self._is_there():
            return None
        return self._read(lambda connection: _previous(connection, record))

    def marks(self, each: int) -> dict[tuple[str, str], list[tuple[str, float]]]:
        """Bring the index up to date and return some captures of each method and route.

        Raises OSError where the captures cannot be read.
        """
        if not self._is_there():
            return {}
        return self._read(lambda connection: _marks(connection, each))

    def durations(self) -> dict[str, tuple[str, float]]:
        """Bring the index up to date and return route and duration of each capture by ID.

        Raises OSError where the captures cannot be read.
        """
        return self._read(_durations) if self._is_there() else {}

    def _is_there(self) -> bool:
        try:
            mode = self._captures.stat().st_mode
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(mode):
            raise StoreError(
                f"{self._captures} is not a directory: move it away, or set FLASKPROF_DIR to "
                "another directory"
            )
        return True

    def _read(self, select: Callable[[sqlite3.Connection], Selected]) -> Selected:
        memory = self._memory
        if memory is None or time.monotonic() >= self._file_again:
            try:
                found = self._read_file(select)
            except sqlite3.Error as error:
                once(
                    "index-in-memory",
                    "the index %s cannot be used (%s): it is kept in memory instead",
                    self._file,
                    error,
                )
                self._file_again = time.monotonic() + _FILE_AGAIN_SECONDS
            else:
                self._memory = None
                return found
            self._local.is_done = False
        if memory is None or memory.pid != os.getpid():
            memory = self._memory = _Memory()
            self._local.is_done = False
        with memory.lock:
            return self._fresh(memory.connection, select)

    def _read_file(self, select: Callable[[sqlite3.Connection], Selected]) -> Selected:
        try:
            with closing(_connect(self._file)) as connection:
                return self._fresh(connection, select)
        except sqlite3.OperationalError:
            raise  # not the file's content: it is locked, read-only, on a full disk
        except (sqlite3.DatabaseError, StoreError):
            layout.remove(self._file)
            layout.remove(self._file.with_name(_NAME + "-journal"))
        self._local.is_done = False
        with closing(_connect(self._file)) as connection:
            return self._fresh(connection, select)

    def _fresh(
        self,
        connection: sqlite3.Connection,
        select: Callable[[sqlite3.Connection], Selected],
    ) -> Selected:
        """Select from the index as it is once it is up to date."""
        look = self._local.shared
        if look is None:
            _refresh(connection, self._captures, inf)
        elif not self._local.is_done:
            look.unread = _refresh(connection, self._captures, self._local.until)
            self._local.is_done = True
        with _transaction(connection, "DEFERRED"):
            return select(connection)


class _Local(threading.local):
    """The look that a thread asks several things at once with, and whether it was taken.

    It ends at `until`, of the monotonic clock.
    """

    shared: Look | None = None
    until = inf
    is_done = False


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
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _durations(connection: sqlite3.Connection) -> dict[str, tuple[str, float]]:
    rows = connection.execute(
        "SELECT id, route, duration_seconds FROM captures JOIN kinds ON number = kind"
    )
    return {capture_id: (route, seconds) for capture_id, route, seconds in rows}


_OF_KIND = "SELECT id, duration_seconds FROM captures WHERE kind = ?"
_NEWEST = f"{_OF_KIND} ORDER BY id DESC LIMIT ?"
_SLOWEST = f"{_OF_KIND} ORDER BY duration_seconds DESC LIMIT ?"


def _marks(
    connection: sqlite3.Connection, each: int
) -> dict[tuple[str, str], list[tuple[str, float]]]:
    """Return ID and seconds of the slowest and the newest, by method and route."""
    found: dict[tuple[str, str], tuple[list[Any], list[Any]]] = {}
    for kind in _kinds(connection):
        newest, slowest = found.setdefault((kind.method, kind.route), ([], []))
        newest += connection.execute(_NEWEST, (kind.number, each))
        slowest += connection.execute(_SLOWEST, (kind.number, each))
    marks = {}
    for key, (newest, slowest) in found.items():
        slowest.sort(key=itemgetter(1), reverse=True)
        newest.sort(reverse=True)
        chosen = dict(slowest[: each // 2]) | dict(newest[: each - each // 2])
        marks[key] = sorted(chosen.items(), key=itemgetter(1))
    return marks


class _Kind(NamedTuple):
    number: int
    route: str
    method: str
    trigger: str
    captures: int


def _kinds(connection: sqlite3.Connection) -> list[_Kind]:
    rows = connection.execute('SELECT number, route, method, "trigger", captures FROM kinds')
    return [_Kind(*row) for row in rows]


def _wanted(kinds: Iterable[_Kind], query: CaptureQuery) -> list[_Kind]:
    exact = {
        name: _encodable(value)
        for name in _FILTERS
        if (value := getattr(query, name)) is not None
    }
    part = _encodable(query.search).casefold()
    return [
        kind
        for kind in kinds
        if all(getattr(kind, name) == value for name, value in exact.items())
        and part in kind.route.casefold()
    ]


def _spread(connection: sqlite3.Connection, query: CaptureQuery) -> dict[int, int]:
    kinds = _wanted(_kinds(connection), query)
    return dict(
        connection.execute(
            f"SELECT bin, sum(captures) FROM bins WHERE {_among(kinds)} GROUP BY bin"  # noqa: S608  numbers of ours
        )
    )


def _select(connection: sqlite3.Connection, query: CaptureQuery) -> CapturePage:
    kinds = _kinds(connection)
    wanted = _wanted(kinds, query)
    matching = sum(kind.captures for kind in wanted)
    if not wanted or query.offset >= matching:
        ids = []
    elif query.sort in _FILTERS:
        ids = _ids_by_kind(connection, wanted, query)
    else:
        of_all = len(wanted) == len(kinds)
        ids = _ids_by_column(connection, None if of_all else wanted, matching, query)
    # Asked for one by one: the number of variables in a statement has a bound.
    texts = (
        connection.execute("SELECT record FROM records WHERE id = ?", (capture_id,)).fetchone()
        for capture_id in ids
    )
    routes, methods, triggers = (
        sorted({getattr(kind, name) for kind in kinds}) for name in _FILTERS
    )
    return CapturePage(
        records=[CaptureRecord.from_json(text) for (text,) in texts],
        matching=matching,
        routes=routes,
        methods=methods,
        triggers=triggers,
    )


def _previous(connection: sqlite3.Connection, record: CaptureRecord) -> CaptureRecord | None:
    of_route = CaptureQuery(route=record.route, method=record.method)
    ids = [
        capture_id
        for kind in _wanted(_kinds(connection), of_route)
        for (capture_id,) in connection.execute(
            "SELECT id FROM captures WHERE kind = ? AND id < ? ORDER BY id DESC LIMIT 1",
            (kind.number, record.id),
        )
    ]
    if not ids:
        return None
    (text,) = connection.execute(
        "SELECT record FROM records WHERE id = ?", (max(ids),)
    ).fetchone()
    return CaptureRecord.from_json(text)


def _ids_by_kind(
    connection: sqlite3.Connection, kinds: Iterable[_Kind], query: CaptureQuery
) -> list[str]:
    """Return a page in the order of what kinds differ in; the newest of a kind come first."""
    ordered = sorted(kinds, key=lambda kind: (getattr(kind, query.sort), kind[1:4]))
    skip = query.offset
    ids: list[str] = []
    for kind in reversed(ordered) if query.is_descending else ordered:
        if skip >= kind.captures:
            skip -= kind.captures
            continue
        rows = connection.execute(
            "SELECT id FROM captures WHERE kind = ? ORDER BY id DESC LIMIT ? OFFSET ?",
            (kind.number, min(query.limit - len(ids), _MAX), skip),
        )
        ids += [capture_id for (capture_id,) in rows]
        skip = 0
        if len(ids) >= query.limit:
            break
    return ids


def _ids_by_column(
    connection: sqlite3.Connection,
    kinds: Sequence[_Kind] | None,
    matching: int,
    query: CaptureQuery,
) -> list[str]:
    """Return a page in the order of a column; `kinds` are None where all are wanted.

    Few captures are looked up and sorted. Of many, the index that has them in order is
    walked along and the others are passed by: a page is soon full.
    """
    column, index = _COLUMNS[query.sort]
    order = "DESC" if query.is_descending else "ASC"
    conditions, skip = [], query.offset
    if kinds is not None and matching <= _FEW:
        index = "INDEXED BY by_kind"
        conditions.append(_among(kinds))
    elif kinds is not None:
        conditions.append(f"+{_among(kinds)}")
    if query.sort == "duration" and skip > _FEW:
        beyond, skip = _beyond(connection, kinds, query)
        conditions.append(beyond)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = connection.execute(
        f"""SELECT id FROM captures {index} {where}
            ORDER BY {column} {order}, id {order} LIMIT ? OFFSET ?""",  # noqa: S608  names and numbers of ours
        (min(query.limit, _MAX), skip),
    )
    return [capture_id for (capture_id,) in rows]


def _beyond(
    connection: sqlite3.Connection, kinds: Sequence[_Kind] | None, query: CaptureQuery
) -> tuple[str, int]:
    """Pass over whole bins of durations: the condition for the rest, and how many to skip."""
    order = "DESC" if query.is_descending else "ASC"
    where = "" if kinds is None else f"WHERE {_among(kinds)}"
    skip = query.offset
    for number, captures in connection.execute(
        f"SELECT bin, sum(captures) FROM bins {where} GROUP BY bin ORDER BY bin {order}"  # noqa: S608  as above
    ):
        if skip < captures:
            if query.is_descending and number < len(EDGES):
                return f"duration_seconds < {EDGES[number]!r}", skip
            if not query.is_descending and number > 0:
                return f"duration_seconds >= {EDGES[number - 1]!r}", skip
            break
        skip -= captures
    return "TRUE", query.offset


def _among(kinds: Iterable[_Kind]) -> str:
    return f"kind IN ({', '.join(str(kind.number) for kind in kinds)})"


def _refresh(connection: sqlite3.Connection, captures: Path, until: float) -> int:
    """Bring the index up to date, the newest captures first.

    Returns how many were not read when the monotonic clock was at `until`.
    """
    indexed: dict[str, int] = dict(connection.execute("SELECT day, mtime_ns FROM days"))
    changed = [
        day for day in layout.days(captures) if indexed.pop(day.name, None) != day.mtime_ns
    ]
    news = [new for day in changed if (new := _look_into(connection, day))]

    def write() -> None:
        nonlocal news
        for name in indexed:
            _forget(connection, name)
        indexed.clear()
        while news:
            news = _read_some(connection, news, until)
            if time.monotonic() >= until:
                break

    if news or indexed:
        _in_turn(connection, write, until)
    return sum(len(new.added) for new in news)


def _in_turn(connection: sqlite3.Connection, write: Callable[[], object], until: float) -> None:
    """Call `write` once no other reader is writing; not at all if that is after `until`.

    Who would wait for ever does so as long as the others get on with it.
    """
    while True:
        version = _version(connection)
        try:
            with _waiting(connection, until - time.monotonic()):
                write()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() >= until:
                return
            if _version(connection) == version:
                raise  # whoever holds the lock is no reader, or hangs
        else:
            return


@contextmanager
def _waiting(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """Wait for a lock that long and no longer, as long as that is less than usual."""
    least = max(0.0, min(seconds, _BUSY_SECONDS))
    connection.execute(f"PRAGMA busy_timeout = {int(least * 1000)}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000)}")


def _version(connection: sqlite3.Connection) -> int:
    """Return a number that is another one when another connection has written."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def _forget(connection: sqlite3.Connection, day: str) -> None:
    with _transaction(connection, "IMMEDIATE"):
        connection.execute(
            "DELETE FROM captures WHERE id >= ? AND id < ?", layout.id_range(day)
        )
        connection.execute("DELETE FROM days WHERE day = ?", (day,))


class _News(NamedTuple):
    """What is new in a day: the captures that were added, in order, and those that are gone.

    Once all of it is in the index, that is as of `mtime_ns`.
    """

    day: layout.Day
    added: list[str]
    gone: list[str]
    mtime_ns: int


def _look_into(connection: sqlite3.Connection, day: layout.Day) -> _News | None:
    # The order matters where two processes do this at once: what is known is asked for
    # before the files are listed, so that nothing that the other just added is taken for
    # deleted; and a day is settled with the time that its directory had before it was
    # listed, so that another time tells that it has to be looked into again.
    known = _known(connection, *layout.id_range(day.name))
    now_ns = time.time_ns()
    try:
        files = layout.DayFiles.scan(day)
    except FileNotFoundError:
        return None  # deleted meanwhile: the next list finds it gone
    being_written = layout.sweep(day, files, now_ns)
    is_settled = now_ns - day.mtime_ns > _GRAIN_NS and not being_written
    added, gone = sorted(files.ids - known), list(known - files.ids)
    if not (added or gone or is_settled):
        return None
    return _News(day, added, gone, day.mtime_ns if is_settled else _UNSETTLED)


def _read_some(
    connection: sqlite3.Connection, news: Sequence[_News], until: float
) -> list[_News]:
    """Put some of what is new into the index, the last and at least a few; return the rest.

    The lock is held meanwhile, so that no two processes read the same.
    """
    end = min(until, time.monotonic() + _HOLD_SECONDS)
    rest = list(news)
    found: list[tuple[CaptureRecord, bytes]] = []
    with _transaction(connection, "IMMEDIATE"):
        while rest:
            new = rest.pop()
            some, others = new.added[-_STEP:], new.added[:-_STEP]
            # What another process has added since they were listed is not read again.
            found += _records(new.day, _unknown(connection, some))
            if others:
                rest.append(new._replace(added=others))
                _mark(connection, new.day, _UNSETTLED)
            else:
                connection.executemany(
                    "DELETE FROM captures WHERE id = ?", [(name,) for name in new.gone]
                )
                _mark(connection, new.day, new.mtime_ns)
            if len(found) >= _BATCH:
                _add(connection, found)
                found.clear()
            if time.monotonic() >= end:
                break
        _add(connection, found)
    return rest


def _mark(connection: sqlite3.Connection, day: layout.Day, mtime_ns: int) -> None:
    # What is so already is not written again, which would wait for the disk.
    connection.execute(
        """INSERT INTO days VALUES (?, ?) ON CONFLICT DO UPDATE
           SET mtime_ns = excluded.mtime_ns WHERE mtime_ns != excluded.mtime_ns""",
        (day.name, mtime_ns),
    )


def _known(connection: sqlite3.Connection, first: str, last: str) -> set[str]:
    rows = connection.execute("SELECT id FROM captures WHERE id BETWEEN ? AND ?", (first, last))
    return {capture_id for (capture_id,) in rows}


def _unknown(connection: sqlite3.Connection, ids: Sequence[str]) -> list[str]:
    """Return those of `ids`, which are in order, that are not in the index."""
    known = _known(connection, ids[0], ids[-1]) if ids else ()
    return [capture_id for capture_id in ids if capture_id not in known]


def _add(connection: sqlite3.Connection, found: Sequence[tuple[CaptureRecord, bytes]]) -> None:
    kinds = [
        (_encodable(record.route), _encodable(record.method), _encodable(record.trigger))
        for record, _ in found
    ]
    connection.executemany(
        """INSERT INTO kinds (route, method, "trigger", captures) VALUES (?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET captures = captures + excluded.captures""",
        [(*kind, captures) for kind, captures in Counter(kinds).items()],
    )
    numbers = {kind[1:4]: kind.number for kind in _kinds(connection)}
    rows = [
        (
            record.id,
            numbers[kind],
            record.duration_seconds,
            record.cpu_seconds,
            None if record.status is None else min(max(record.status, -_MAX), _MAX),
            bin_of(record.duration_seconds),
        )
        for kind, (record, _) in zip(kinds, found, strict=True)
    ]
    connection.executemany("INSERT INTO captures VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.executemany(
        "INSERT INTO records VALUES (?, ?)", [(record.id, text) for record, text in found]
    )
    connection.executemany(
        """INSERT INTO bins VALUES (?, ?, ?)
           ON CONFLICT DO UPDATE SET captures = captures + excluded.captures""",
        [(*where, captures) for where, captures in Counter((r[1], r[5]) for r in rows).items()],
    )


def _records(day: layout.Day, ids: Iterable[str]) -> Iterator[tuple[CaptureRecord, bytes]]:
    """Yield the metadata of each capture, and as they lie there.

    What cannot be read is passed over.
    """
    folder = str(day.path)
    for capture_id in ids:
        try:
            text = layout.read_metadata(f"{folder}/{capture_id}{layout.COMMIT_SUFFIX}")
            yield layout.record_in(text, capture_id), text
        except FileNotFoundError:
            continue
        except StoreError as error:
            once("unreadable-record", "captures that cannot be read are left out: %s", error)


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
