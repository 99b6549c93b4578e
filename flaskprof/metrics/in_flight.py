"""Which requests are being answered right now: rows of each process, in a file of its own.

A process writes its rows to ``inflight/<id>.rows`` in the data directory, which it locks for
as long as it lives: what a process left that was killed is told from what one does by the
lock alone. The file begins with a magic number and with length and checksum of the JSON
that follows, so that a reader never takes half a write for rows. A process never opens its
own file again: closing any descriptor of it would drop the lock.

Rows hold when a request began by the clock of ``perf_counter``, which is one for all
processes of a machine, so that nothing is written while requests merely grow older.
"""

from __future__ import annotations

import json
import os
import re
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

if sys.platform != "win32":
    import fcntl

__all__ = [
    "Flying",
    "Request",
    "Row",
    "RowsFile",
    "Worker",
    "decode",
    "encode",
    "flying",
    "in_flight_directory",
    "read_workers",
    "sweep",
]

_MAGIC = b"fprofrow"
_HEAD = struct.Struct("<8sII")
_VERSION = 1
_NAME = re.compile(r"([0-9a-f]{32})\.rows\Z")

# More than this is neither written nor read: the oldest rows are kept, the rest counted.
_MOST_BYTES = 1 << 16
_MOST_TEXT = 200

# A file that is read amid being written is read again, so often and with so much between.
_TRIES = 20
_WRITING_SECONDS = 0.001
_TRY_AGAIN_SECONDS = 30.0
# A process that dies while it makes its file leaves it under a hidden name.
_HIDDEN_SECONDS = 60.0

_PRIVATE = 0o700
_READABLE_BY_GROUP = 0o640

# The files of this process, by ID.
_own: dict[str, RowsFile] = {}


class Row(NamedTuple):
    """One request: `started_ns` by the clock of ``perf_counter``; `route` once matched."""

    started_ns: int
    method: str
    route: str
    thread: str


@dataclass(frozen=True, slots=True)
class Worker:
    """What one process is answering: its oldest requests, and how many `more` there are.

    `pid` is for people; it means nothing in another pid namespace.
    """

    pid: int
    rows: Sequence[Row] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One request in flight, for people: `pid` is that of its worker."""

    age_seconds: float
    method: str
    route: str
    pid: int
    thread: str


@dataclass(frozen=True, slots=True)
class Flying:
    """The requests in flight, oldest first; there are `more` younger ones.

    `workers` is how many processes answer them.
    """

    requests: Sequence[Request]
    more: int
    workers: int

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "requests": [asdict(request) for request in self.requests],
            "more": self.more,
            "workers": self.workers,
        }


def flying(workers: Iterable[Worker], now_ns: int) -> Flying:
    """Sum up what processes are answering; `now_ns` is of the clock of ``perf_counter_ns``."""
    busy = [worker for worker in workers if worker.rows]
    requests = [
        Request(
            max(0, now_ns - row.started_ns) / 1e9, row.method, row.route, worker.pid, row.thread
        )
        for worker in busy
        for row in worker.rows
    ]
    requests.sort(key=lambda request: -request.age_seconds)
    return Flying(requests, sum(worker.more for worker in busy), len(busy))


def in_flight_directory(data: Path) -> Path:
    """Return where the rows of a data directory lie."""
    return data / "inflight"


def encode(worker: Worker) -> bytes:
    """Return what a file holds for `worker`: as many of its oldest rows as there is room."""
    texts = []
    room = _MOST_BYTES - 256
    for row in sorted(worker.rows):
        cut = (row.started_ns, *(text[:_MOST_TEXT] for text in row[1:]))
        text = json.dumps(cut, separators=(",", ":"))
        room -= len(text) + 1
        if room < 0:
            break
        texts.append(text)
    more = worker.more + len(worker.rows) - len(texts)
    about = f'{{"version":{_VERSION},"pid":{worker.pid},"more":{more},"rows":['
    body = (about + ",".join(texts) + "]}").encode()
    return _HEAD.pack(_MAGIC, len(body), zlib.crc32(body)) + body


def decode(data: bytes) -> Worker | None:
    """Return what `encode` wrote; None for what is not whole.

    Raises ValueError for what is whole and not of this version.
    """
    if len(data) < _HEAD.size:
        return None
    magic, length, checksum = _HEAD.unpack_from(data)
    body = data[_HEAD.size : _HEAD.size + length]
    if magic != _MAGIC or len(body) != length or zlib.crc32(body) != checksum:
        return None
    try:
        return _parsed(json.loads(body))
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("not rows of requests") from error


def _parsed(plain: Any) -> Worker:
    if plain["version"] != _VERSION:
        raise ValueError("rows of another version")
    rows = [
        Row(int(started_ns), str(method), str(route), str(thread))
        for started_ns, method, route, thread in plain["rows"]
    ]
    return Worker(int(plain["pid"]), rows, int(plain["more"]))


class RowsFile:
    """What this process is answering, in a file in `directory` once there is something.

    Where that cannot be written, or `directory` is None, `worker` alone has it. `monotonic`
    is the clock by which writing is tried again. For one thread.
    """

    def __init__(
        self, directory: Path | None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.worker = Worker(os.getpid())
        self._directory = directory
        self._monotonic = monotonic
        self._next_try = float("-inf")
        self._written = b""
        self._file_id = ""
        self._descriptor = -1
        self._identity = (0, 0)

    def publish(self, rows: Sequence[Row], more: int = 0) -> None:
        """Show these rows, and that there are `more`. Never raises for want of a disk."""
        self.worker = Worker(os.getpid(), rows, more)
        if self._descriptor >= 0 and self._is_lost():
            self._let_go()
        data = encode(self.worker)
        if data == self._written:
            return
        try:
            if self._descriptor < 0 and not (rows and self._place()):
                return
            # In one go: a reader that meets it half done finds that the checksum is wrong.
            os.pwrite(self._descriptor, data, 0)
            self._written = data
        except OSError:
            self._written = b""
            self._next_try = self._monotonic() + _TRY_AGAIN_SECONDS

    def close(self) -> None:
        """Take the rows back."""
        self.worker = Worker(os.getpid())
        if self._descriptor >= 0 and not self._is_lost() and self._directory is not None:
            with suppress(OSError):  # a sweep deletes it
                (self._directory / f"{self._file_id}.rows").unlink()
        self._let_go()

    def _place(self) -> bool:
        """Make and lock the file; nobody may find it before it is locked."""
        if self._directory is None or sys.platform == "win32":
            return False
        if self._monotonic() < self._next_try:
            return False
        self._directory.mkdir(mode=_PRIVATE, exist_ok=True)
        file_id = os.urandom(16).hex()
        hidden = self._directory / f".{file_id}.new"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(hidden, flags, _READABLE_BY_GROUP)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
            _own[file_id] = self
            hidden.rename(self._directory / f"{file_id}.rows")
        except BaseException:
            _own.pop(file_id, None)
            os.close(descriptor)
            with suppress(OSError):
                hidden.unlink()
            raise
        self._file_id, self._descriptor = file_id, descriptor
        self._identity = (status.st_dev, status.st_ino)
        return True

    def _is_lost(self) -> bool:
        """Whether the file was deleted, or its descriptor closed and with it the lock."""
        return not self._holds_descriptor() or os.fstat(self._descriptor).st_nlink == 0

    def _holds_descriptor(self) -> bool:
        """Whether the descriptor is still ours: a daemon closes all that it finds."""
        try:
            status = os.fstat(self._descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _let_go(self) -> None:
        _own.pop(self._file_id, None)
        if self._descriptor >= 0 and self._holds_descriptor():
            os.close(self._descriptor)
        self._descriptor, self._file_id, self._written = -1, "", b""

    def _forget_after_fork(self) -> None:
        """In a child: the file and what it says are the parent's."""
        self.worker = Worker(os.getpid())
        self._let_go()


def read_workers(directory: Path) -> list[Worker]:
    """Return what the living processes other than this one are answering.

    Nothing is found where the directory is not there or cannot be read.
    """
    found = []
    for path in _files(directory):
        worker = _read(path)
        if worker is not None:
            found.append(worker)
    return found


def sweep(directory: Path, now: float) -> None:
    """Delete the files of processes that ended; `now` is Unix seconds."""
    for path in _files(directory):
        with suppress(OSError):  # gone, or to be deleted by someone who may
            descriptor = _open(path)
            try:
                if not _is_locked(descriptor):
                    path.unlink()
            finally:
                os.close(descriptor)
    for path in directory.glob(".*.new"):
        with suppress(OSError):  # as above
            if now - path.stat().st_mtime > _HIDDEN_SECONDS:
                path.unlink()


def _files(directory: Path) -> Iterator[Path]:
    """Yield the files of other processes."""
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208  names are all that is wanted
    except OSError:
        return
    for match in filter(None, map(_NAME.match, names)):
        if match[1] not in _own:
            yield directory / match[0]


def _read(path: Path) -> Worker | None:
    try:
        descriptor = _open(path)
        try:
            for _ in range(_TRIES):
                worker = decode(os.pread(descriptor, _MOST_BYTES, 0))
                # Afterwards: what a process left that was killed is not what one does.
                if not _is_locked(descriptor):
                    return None
                if worker is not None:
                    return worker
                time.sleep(_WRITING_SECONDS)  # the process may have been put off amid it
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return None  # gone meanwhile, not for us to read, or of another version
    return None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def _is_locked(descriptor: int) -> bool:
    """Whether the process whose file it is lives."""
    if sys.platform == "win32":
        return False
    try:
        # Shared, so that those who look at the same time do not take each other for it.
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.lockf(descriptor, fcntl.LOCK_UN)
    return False


def _after_fork() -> None:
    for file in list(_own.values()):
        file._forget_after_fork()  # noqa: SLF001
    _own.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
