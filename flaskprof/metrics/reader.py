"""Reads all worker files of a metrics directory, those of living and of dead processes.

A process never opens its own file; it reads its own cells. Any other file is read in one go
into a buffer that begins at a page, as the file does, so that the system copies it by whole
words. Its process lives as long as it is locked.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from flaskprof.metrics.archive import Archive
from flaskprof.metrics.layout import (
    FILE_NAME,
    LABEL_WORDS,
    MAGIC,
    VERSION,
    WORD,
    Area,
    Header,
    Layout,
)
from flaskprof.metrics.tally import Slots, Snapshot, Tally
from flaskprof.metrics.worker_file import WorkerFile, own_file

if sys.platform != "win32":
    import fcntl

__all__ = ["Group", "Survey", "parse", "survey", "worker_files"]

_MOST_BYTES = 1 << 30


class _NewerLayoutError(ValueError):
    """The file is that of a later version, which will want to find it."""


@dataclass(slots=True)
class Group:
    """The files with the same buckets: sums over the living and over the dead.

    `exposed` sums up those of both that were there before the archive's generation began,
    which may have been served in an earlier one; it is left empty for the buckets of that
    generation.
    """

    living: Tally
    dead: Tally
    exposed: Tally
    files: int = 0
    newest_ns: int = 0
    dead_ids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Survey:
    """What lies in a metrics directory beside its archive.

    `spoiled` are dead files that no version will be able to read; `has_lost_one` says that
    a file was deleted while this was made.
    """

    groups: dict[tuple[int, ...], Group] = field(default_factory=dict)
    alive: int = 0
    skipped: int = 0
    spoiled: list[str] = field(default_factory=list)
    has_lost_one: bool = False

    def bounds_ns(self) -> tuple[int, ...]:
        """Return the buckets of the youngest file; empty where there is none."""
        read = {bounds: group.newest_ns for bounds, group in self.groups.items() if group.files}
        return max(read, key=lambda bounds: read[bounds], default=())

    def is_mixed(self) -> bool:
        """Whether there are files of several buckets."""
        return sum(group.files > 0 for group in self.groups.values()) > 1


def survey(
    directory: Path | None, archive: Archive, unplaced: Sequence[WorkerFile] = ()
) -> Survey:
    """Read all files that have not gone into the archive.

    `unplaced` are cells of this process that are in no file. Raises OSError where the
    directory cannot be read; one that is not there holds nothing.
    """
    found = Survey()
    for mine in unplaced:
        _add(found, archive, parse(mine.snapshot()), is_alive=True)
    if directory is None or sys.platform == "win32":
        return found
    buffer = _Buffer()
    for file_id, path in worker_files(directory):
        if file_id in archive.done:
            continue
        own = own_file(file_id)
        if own is not None:
            _add(found, archive, parse(own.snapshot()), is_alive=True)
        else:
            _add_file(found, archive, file_id, path, buffer)
    return found


def worker_files(directory: Path) -> list[tuple[str, Path]]:
    """Return ID and path of every worker file, in the order of their IDs."""
    try:
        names = os.listdir(directory)  # noqa: PTH208  names are all that is wanted
    except FileNotFoundError:
        return []
    matches = map(FILE_NAME.match, sorted(names))
    return [(match[1], directory / match[0]) for match in matches if match]


def parse(words: memoryview, ring_again: bytes | None = None) -> Snapshot:
    """Return what a file holds, given all its words; raises ValueError if it is damaged.

    `ring_again` are the bytes of the exemplars, read once more after all others.
    """
    layout = _layout(words)
    ring = b""
    if words[Header.EXEMPLARS]:
        ring = words[layout.ring : layout.ring + layout.ring_words].tobytes()
    return Snapshot(
        bounds_ns=layout.bounds_ns,
        created_ns=words[Header.CREATED],
        most_series=layout.slots - 1,
        requests=_slots(words, layout.requests),
        counters=_slots(words, layout.counters),
        ring=ring,
        ring_again=ring if ring_again is None else ring_again,
    )


def _layout(words: memoryview) -> Layout:
    if len(words) <= Header.BUCKETS or words[Header.MAGIC] != MAGIC:
        raise ValueError("not a worker file")
    if words[Header.VERSION] > VERSION:
        raise _NewerLayoutError("a worker file of a later version")
    return Layout.read(words)


def _slots(words: memoryview, area: Area) -> Slots:
    taken = words[area.taken_at]
    if not 0 <= taken <= area.slots:
        raise ValueError("more slots taken than there are")
    # There is room for so many on the average; where one is longer, all are looked at.
    texts = _lines(words[area.labels : area.labels + taken * LABEL_WORDS], taken)
    if len(texts) != taken:
        texts = _lines(words[area.labels : area.cells], taken)
        if len(texts) != taken:
            raise ValueError("slots without labels")
    created = words[area.created : area.created + taken].tolist()
    return Slots(texts, created, words[area.cells : area.cells + taken * area.width].tobytes())


def _lines(words: memoryview, most: int) -> list[bytes]:
    """Return the lines of a text, as far as they are ended."""
    return words.tobytes().split(b"\n", most)[:-1]


class _Buffer:
    """Memory that begins at a page, used for one file after the other."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def fill(self, file: FileIO) -> memoryview:
        """Return the whole words of a file; raises ValueError if it is none of ours."""
        size = os.fstat(file.fileno()).st_size
        if size > _MOST_BYTES:
            raise ValueError("too large for a worker file")
        if len(self._memory) < size:
            self._memory = mmap.mmap(-1, size)
        view = memoryview(self._memory)[:size]
        read = 0
        while read < size and (count := file.readinto(view[read:])):
            read += count
        return view[: read - read % WORD].cast("q")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[FileIO, bool]]:
    """Open a file of another process and say whether that lives."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with FileIO(descriptor) as file:
        try:
            # Shared, so that those who look at the same time do not take each other for
            # the process. Before anything is read: what is dead by now counts no more.
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            yield file, True
        else:
            yield file, False


def _add_file(
    found: Survey, archive: Archive, file_id: str, path: Path, buffer: _Buffer
) -> None:
    """Add the file of another process, or note why that cannot be done."""
    try:
        with _opened(path) as (file, is_alive):
            try:
                snapshot = _read(file, buffer)
                group = _add(found, archive, snapshot, is_alive=is_alive)
            except _NewerLayoutError:
                found.skipped += 1
            except ValueError:
                found.skipped += 1
                if not is_alive:
                    found.spoiled.append(file_id)
            else:
                if not is_alive:
                    group.dead_ids.append(file_id)
    except FileNotFoundError:
        found.has_lost_one = True
    except OSError:
        found.skipped += 1


def _read(file: FileIO, buffer: _Buffer) -> Snapshot:
    words = buffer.fill(file)
    layout = _layout(words)
    if words[Header.EXEMPLARS] == 0:
        return parse(words)
    size, at = layout.ring_words * WORD, layout.ring * WORD
    return parse(words, os.pread(file.fileno(), size, at))


def _add(found: Survey, archive: Archive, snapshot: Snapshot, *, is_alive: bool) -> Group:
    bounds = snapshot.bounds_ns
    group = found.groups.get(bounds)
    if group is None:
        group = found.groups[bounds] = Group(Tally(bounds), Tally(bounds), Tally(bounds))
    (group.living if is_alive else group.dead).add(snapshot, is_alive=is_alive)
    if archive.is_damaged or (
        bounds != archive.totals.bounds_ns and snapshot.created_ns < archive.started_ns
    ):
        group.exposed.add(snapshot, is_alive=is_alive)
    group.files += 1
    group.newest_ns = max(group.newest_ns, snapshot.created_ns)
    found.alive += is_alive
    return group
