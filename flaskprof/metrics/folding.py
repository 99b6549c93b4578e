"""Sums up a metrics directory, and folds the files of dead processes into its archive.

Whoever folds holds the lock of the directory. Each step leaves what a reader can make
sense of: the new archive appears whole and names the files that went into it, and only then
are these deleted.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from flaskprof.metrics.archive import (
    Archive,
    archive_path,
    load_archive,
    parse_archive,
    save_archive,
    set_archive_aside,
)
from flaskprof.metrics.generation import begin_generation
from flaskprof.metrics.reader import Survey, survey, worker_files
from flaskprof.metrics.totals import Totals
from flaskprof.metrics.worker_file import WorkerFile

if sys.platform != "win32":
    import fcntl

__all__ = ["Reading", "fold", "read"]

_TRIES = 20
# A process that dies while it makes its file leaves it under a hidden name.
_HIDDEN_SECONDS = 60.0

# Locks on files are those of a process; between its threads this one stands.
_in_this_process = threading.Lock()


@dataclass(frozen=True, slots=True)
class Reading:
    """The sums of a metrics directory at one moment.

    `alive` processes are counted, and the `dead` files that can be folded or given up;
    `is_settled` is false where the archive has yet to be written anew for all series to
    begin at zero.
    """

    totals: Totals
    alive: int
    dead: int
    skipped: int
    set_aside: int
    generation: int
    is_settled: bool


def read(directory: Path | None, unplaced: Sequence[WorkerFile] = ()) -> Reading:
    """Sum up archive and files, `unplaced` cells of this process included.

    Raises OSError where the directory cannot be read; one that is not there holds nothing.
    """
    if directory is None:
        return _reading(Archive(), survey(None, Archive(), unplaced))
    for _ in range(_TRIES):
        with _unchanged_archive(directory) as (archive, is_unchanged):
            found = survey(directory, archive, unplaced)
            if not found.has_lost_one and is_unchanged():
                return _reading(archive, found)
    with _locked(directory, wait=True):
        archive = load_archive(directory)
        return _reading(archive, survey(directory, archive, unplaced))


def fold(directory: Path) -> int:
    """Fold the files of dead processes; returns how many were folded or given up.

    Does nothing where another process or thread is at it. Raises OSError where the
    directory cannot be written; nothing is lost then.
    """
    if sys.platform == "win32" or not directory.is_dir():
        return 0
    with _locked(directory, wait=False) as is_ours:
        return _fold(directory) if is_ours else 0


def _fold(directory: Path) -> int:
    _remove_hidden(directory)
    loaded = load_archive(directory)
    still_there = _remove(directory, loaded.done)
    found = survey(directory, loaded)
    archive = begin_generation(loaded, found, time.time_ns())
    totals = archive.totals
    folded, given_up = [], list(found.spoiled)
    everything = Totals(totals.bounds_ns)
    everything.add_totals(totals)
    for bounds, group in found.groups.items():
        if bounds != totals.bounds_ns:
            given_up += group.dead_ids
            continue
        everything.add_totals(group.dead.totals())
        everything.add_totals(group.living.totals())
        totals.add_totals(group.dead.totals())
        folded += group.dead_ids
    done = [*folded, *given_up]
    if not done and archive is loaded and still_there == loaded.done:
        return 0
    totals.most_series = everything.most_series
    totals.move_to_overflow(*everything.beyond())
    if loaded.is_damaged:
        set_archive_aside(directory)
    written = replace(
        archive,
        done=still_there | frozenset(done),
        set_aside=archive.set_aside + len(given_up),
    )
    save_archive(directory, written)
    _remove(directory, frozenset(done))
    return len(done)


def _reading(loaded: Archive, found: Survey) -> Reading:
    archive = begin_generation(loaded, found, time.time_ns())
    totals = archive.totals
    dead = len(found.spoiled)
    skipped = found.skipped
    for bounds, group in found.groups.items():
        dead += len(group.dead_ids)
        if bounds == totals.bounds_ns:
            totals.add_totals(group.dead.totals())
            totals.add_totals(group.living.totals())
        else:
            skipped += group.files
    totals.move_to_overflow(*totals.beyond())
    return Reading(
        totals=totals,
        alive=found.alive,
        dead=dead,
        skipped=skipped,
        set_aside=archive.set_aside,
        generation=archive.generation,
        is_settled=archive.generation == loaded.generation,
    )


@contextmanager
def _unchanged_archive(directory: Path) -> Iterator[tuple[Archive, Callable[[], bool]]]:
    """Yield the archive, and what tells later whether it is still that one.

    It is kept open meanwhile, so that no other file can get its inode number.
    """
    path = archive_path(directory)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield Archive(), lambda: not path.exists()
        return
    with file:
        status = os.fstat(file.fileno())

        def is_unchanged() -> bool:
            try:
                return os.path.samestat(status, path.stat())
            except FileNotFoundError:
                return False

        yield parse_archive(file.read()), is_unchanged


@contextmanager
def _locked(directory: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the directory's lock; yields false, without `wait`, where others hold it."""
    if not _in_this_process.acquire(blocking=wait):
        yield False
        return
    try:
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            flags = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
            try:
                fcntl.lockf(descriptor, flags)
            except (BlockingIOError, PermissionError):
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)
    finally:
        _in_this_process.release()


def _remove(directory: Path, file_ids: frozenset[str]) -> frozenset[str]:
    """Delete files that are done with; returns the IDs of those that are still there."""
    left = set()
    for file_id, path in worker_files(directory):
        if file_id in file_ids:
            try:
                path.unlink(missing_ok=True)
            except OSError:
                left.add(file_id)
    return frozenset(left)


def _remove_hidden(directory: Path) -> None:
    for path in directory.glob(".*.new"):
        with suppress(OSError):  # gone, or to be deleted by someone who may
            if time.time() - path.stat().st_mtime > _HIDDEN_SECONDS:
                path.unlink()


def _after_fork() -> None:
    global _in_this_process  # noqa: PLW0603  its holder is not in this process
    _in_this_process = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
