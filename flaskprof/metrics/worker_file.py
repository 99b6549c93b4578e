"""What this process counts, in a file of its own that any other process can read.

It begins in memory and is placed in the data directory once that can be written, with all
that was counted so far. The file is allocated in full first, so that a full volume is an
error here and not a signal later, and it is locked for as long as its process lives. Only
this process writes to it, cell by cell, each of them one aligned word. This process never
opens it again: closing any descriptor of a file would drop the lock.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

from flaskprof.metrics.cells import Cells
from flaskprof.metrics.layout import (
    FIXED_CELLS,
    OVERFLOW,
    WORD,
    Area,
    Header,
    Layout,
    label_text,
)

if sys.platform != "win32":
    import fcntl

__all__ = ["WorkerFile", "own_file"]

_PRIVATE = 0o700
_READABLE_BY_GROUP = 0o640

# The placed files of this process, by ID.
_own: dict[str, WorkerFile] = {}
# Mappings whose descriptors the application closed; unmapping would close them again,
# whatever they are by then.
_abandoned: list[mmap.mmap] = []


def own_file(file_id: str) -> WorkerFile | None:
    """Return the file of this ID if it is one of this process, which must not open it."""
    return _own.get(file_id)


class WorkerFile:
    """The cells of one process: ``file.add(file.counter_place(labels), 1)``.

    Places are good for ever, wherever the words lie. `add`, `observe` and `add_exemplar` are
    those of `cells.PythonCells`, for any thread; `words` are for who reads, or sets a word to
    what it is. The lock can be taken again by the thread that holds it, so that a request
    that the application serves from a signal handler does not wait for itself.
    """

    def __init__(self, bounds_ns: tuple[int, ...], max_series: int) -> None:
        self.layout = Layout(bounds_ns, max_series + 1)
        self._lock = threading.RLock()  # of slots and where the words lie
        self.file_id = ""
        self._descriptor = -1
        self._identity = (0, 0)
        self._mapping: mmap.mmap | None = None
        self._is_taking = False
        self._places: dict[bytes, int] = {}
        self._label_ends = {Header.REQUESTS: 0, Header.COUNTERS: 0}
        self._bytes = self._memory()
        self.words: memoryview = self._bytes.cast("q")
        self.cells = Cells(self._bytes, bounds_ns, FIXED_CELLS, self.layout.exemplars)
        self.add: Callable[..., None] = self.cells.add
        self.add_exemplar: Callable[[int, int, str, str], None] = self.cells.add_exemplar
        self.observe: Callable[..., None] = self.cells.observe
        overflow = self._take(self.layout.requests, label_text([OVERFLOW] * 3))
        assert overflow is not None  # noqa: S101  the first slot is always free
        self.overflow = overflow

    def _memory(self) -> memoryview:
        """Return memory with the header of a file that begins now."""
        data = memoryview(bytearray(self.layout.size))
        self.layout.write_header(data.cast("q"), time.time_ns(), os.getpid())
        return data

    def _move_to(self, data: memoryview, kept: Sequence[int] | None = None) -> None:
        """Go on in other memory, with all words as they are by now or only those `kept`."""
        self.cells.move_to(data, kept)
        self._bytes = data
        self.words = data.cast("q")

    @property
    def is_taking(self) -> bool:
        """Whether a slot is being taken: not the moment to begin anew, or elsewhere."""
        return self._is_taking

    @property
    def is_placed(self) -> bool:
        """Whether it is in a data directory, where others see it, and not in memory."""
        return self._descriptor >= 0

    def snapshot(self) -> memoryview:
        """Return a copy of all words."""
        return memoryview(bytes(self._bytes)).cast("q")

    def request_place(self, labels: Sequence[str]) -> int:
        """Return the first cell of a label set; that of the overflow if there is no room."""
        place = self._place(self.layout.requests, labels)
        return self.overflow if place is None else place

    def counter_place(self, labels: Sequence[str]) -> int | None:
        """Return the cell of a counter, by its name and label values; None without room."""
        return self._place(self.layout.counters, labels)

    def _place(self, area: Area, labels: Sequence[str]) -> int | None:
        text = label_text(labels)
        with self._lock:
            place = self._places.get(text)
            # Amid taking a slot only a signal handler can come here; it goes without.
            if place is None and not self._is_taking:
                place = self._take(area, text)
            return place

    def _take(self, area: Area, text: bytes) -> int | None:
        """Take the next slot; it counts as taken once all that describes it is written."""
        self._is_taking = True
        try:
            words = self.words
            slot = words[area.taken_at]
            begin = self._label_ends[area.taken_at]
            end = begin + len(text) + 1
            if slot >= area.slots or end > area.label_bytes:
                return None
            at = area.labels * WORD
            self._bytes[at + begin : at + end] = text + b"\n"
            words[area.created + slot] = time.time_ns()
            words[area.taken_at] = slot + 1
            self._label_ends[area.taken_at] = end
            place = self._places[text] = area.cells + slot * area.width
            return place
        finally:
            self._is_taking = False

    def place(self, directory: Path) -> None:
        """Move what was counted into a new file in `directory`; OSError if it cannot be.

        After an error all goes on in memory and it may be tried again.
        """
        if sys.platform == "win32":
            raise OSError("metrics files need locks that Windows does not have")
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=_PRIVATE, exist_ok=True)
        file_id = os.urandom(16).hex()
        # Nobody may find it before it is locked and filled.
        hidden = directory / f".{file_id}.new"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(hidden, flags, _READABLE_BY_GROUP)
        try:
            _allocate(descriptor, self.layout.size)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mapping = mmap.mmap(descriptor, self.layout.size)
            status = os.fstat(descriptor)
            with self._lock:
                data = memoryview(mapping)
                data[:] = self._bytes
                _own[file_id] = self
                hidden.rename(directory / f"{file_id}.worker")
                self.file_id, self._descriptor, self._mapping = file_id, descriptor, mapping
                self._identity = (status.st_dev, status.st_ino)
                self._move_to(data)
        except BaseException:
            _own.pop(file_id, None)
            os.close(descriptor)
            hidden.unlink(missing_ok=True)
            raise

    def is_lost(self) -> bool:
        """Whether the file was deleted, or its descriptor closed and with it the lock."""
        if not self.is_placed:
            return False
        return not self._holds_descriptor() or os.fstat(self._descriptor).st_nlink == 0

    def renew(self, kept: Sequence[int]) -> None:
        """Begin at zero in memory, but for the words at the places `kept`.

        What else the lost file holds is for others to keep. All slots stay taken.
        """
        with self._lock:
            data = self._memory()
            words = data.cast("q")
            for area in (self.layout.requests, self.layout.counters):
                taken = words[area.taken_at] = self.words[area.taken_at]
                created = array("q", [time.time_ns()]) * taken
                words[area.created : area.created + taken] = memoryview(created)
                labels = slice(area.labels * WORD, area.cells * WORD)
                data[labels] = self._bytes[labels]
            self._move_to(data, kept)
            self._let_go()

    def leave(self) -> None:
        """Let go of the file, which is that of a dead process from now on.

        What is counted afterwards is lost.
        """
        with self._lock:
            self._move_to(memoryview(bytearray(self.layout.size)), ())
            self._let_go()

    def _let_go(self) -> None:
        """Unlock the file, into which nothing is written any more."""
        _own.pop(self.file_id, None)
        if self._mapping is not None:
            if self._holds_descriptor():
                os.close(self._descriptor)
            else:
                _abandoned.append(self._mapping)
        self._descriptor, self._mapping, self.file_id = -1, None, ""

    def _holds_descriptor(self) -> bool:
        """Whether the descriptor is still ours: a daemon closes all that it finds."""
        try:
            status = os.fstat(self._descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _forget_after_fork(self) -> None:
        """In a child: the file is the parent's, and a request in flight counts there."""
        self._lock = threading.RLock()
        self.cells.forget_lock()
        self.leave()


def _allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    zeros = bytes(1 << 16)
    written = 0
    while written < size:
        written += os.pwrite(descriptor, zeros[: size - written], written)


def _after_fork() -> None:
    for file in list(_own.values()):
        file._forget_after_fork()  # noqa: SLF001
    _own.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
