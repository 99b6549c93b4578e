"""The data directory: where applications leave their captures.

Worker processes save into it side by side, without a lock between them; the viewer and
the command line read from it. Its captures are plain files that may be copied, archived
and deleted by hand, at any time::

    store = DirectoryStore(settings.dir)
    store.save(record, {".prof": profile_bytes})
    store.list(CaptureQuery(route="/orders/<int:id>"))
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

from flaskprof.errors import CaptureNotFound, StoreError
from flaskprof.ids import time_of
from flaskprof.record import CaptureRecord
from flaskprof.store import CapturePage, CaptureQuery, Look, layout, stamp_of
from flaskprof.store.index import CaptureIndex
from flaskprof.store.retention import Bounds, Candidate, surplus
from flaskprof.store.usage import Usage

__all__ = ["DirectoryStore"]

# What captures hold is for their owner's eyes, whatever the umask.
_PRIVATE = 0o700

_LONG_OVER = timedelta(days=2)

_WRITING_SECONDS = 60.0

_ADVICE = {
    errno.EACCES: "give this user access to it, or set FLASKPROF_DIR to another directory",
    errno.EPERM: "give this user access to it, or set FLASKPROF_DIR to another directory",
    errno.EROFS: "set FLASKPROF_DIR to a directory on a writable file system",
    errno.ENOSPC: "free some space, or delete captures that are no longer needed",
    errno.EDQUOT: "free some space, or delete captures that are no longer needed",
    errno.ENOTDIR: "set FLASKPROF_DIR to a directory",
    errno.EEXIST: "set FLASKPROF_DIR to a directory",
    errno.ENOENT: "it was deleted while it was in use; the next capture creates it again",
}


class DirectoryStore:
    """The captures in the data directory `path`, which need not exist yet.

    Safe to use from several threads and processes at once. `monotonic` is the clock by
    which `bytes_used` counts again.
    """

    holds = "captures"

    def __init__(
        self, path: str | os.PathLike[str], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        # Absolute from here on: the application may change its working directory.
        self.path = Path(path).absolute()
        self._captures = self.path / "captures"
        self._index = CaptureIndex(self._captures)
        self._usage = Usage(self._captures, monotonic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def save(self, record: CaptureRecord, files: Mapping[str, bytes]) -> None:
        """Write a capture: its files by suffix, then the metadata that makes it exist.

        A capture never changes once it is saved. Raises `StoreError`, and leaves nothing
        behind, where it cannot be written. Made for the spool's thread: it waits for the
        disk.
        """
        paths = {
            layout.capture_path(self._captures, record.id, suffix): data
            for suffix, data in files.items()
        }
        commit = layout.capture_path(self._captures, record.id, layout.COMMIT_SUFFIX)
        if commit in paths:
            raise ValueError(f"{layout.COMMIT_SUFFIX} is written from the record")
        metadata = record.to_json().encode()
        try:
            with self._errors_told("written"):
                self._make_directories(commit.parent)
                for path, data in paths.items():
                    # On the disk before the metadata can be: a power failure must not
                    # leave a capture that says it is there and is empty.
                    layout.write_whole(path, data, sync=True)
                # Not forced to the disk: metadata that a power failure loses or tears is
                # passed over by every reader, and costs this one capture.
                layout.write_whole(commit, metadata, sync=False)
        except BaseException:
            for path in paths:
                layout.remove(path)
            raise
        self._usage.add(sum(len(data) for data in paths.values()) + len(metadata))

    def announce(self, capture_id: str) -> None:
        """Note that a capture is about to be written; nothing is noted where that fails."""
        path = layout.announcement_path(self._captures, capture_id)
        with suppress(OSError):  # what cannot be noted here cannot be saved either
            self._make_directories(path.parent)
            path.touch(0o600)

    def withdraw(self, capture_id: str) -> None:
        """Forget what `announce` noted, if it noted anything."""
        layout.remove(layout.announcement_path(self._captures, capture_id))

    def is_announced(self, capture_id: str) -> bool:
        """Whether a capture is being written, as far as is known.

        What was announced more than a minute ago was so by a process that died.
        """
        try:
            status = layout.announcement_path(self._captures, capture_id).stat()
        except (OSError, ValueError):
            return False
        return abs(time.time() - status.st_mtime) < _WRITING_SECONDS

    def bytes_used(self) -> int:
        """Return how large the captures are together, in bytes.

        What this process saved is counted at once; what others wrote or deleted, within
        seconds: the directory is counted anew every ten seconds, or less often where
        counting takes long. Raises `StoreError` where the directory cannot be read.
        """
        with self._errors_told("read"):
            return self._usage.total()

    def usage(self) -> tuple[int, int]:
        """Return bytes and number of the captures' files; what `bytes_used` says holds."""
        with self._errors_told("read"):
            return self._usage.counts()

    def prune(self, bounds: Bounds, *, now: float) -> int:
        """Delete the captures beyond `bounds`, and return how many; `now` is Unix seconds.

        What processes that died left half written is deleted too. Raises `StoreError`
        where the directory cannot be read or written. Takes as long as the directory is
        large: not for a request.
        """
        sizes: dict[str, int] = {}
        with self._errors_told("read"):
            for day in layout.days(self._captures):
                with suppress(FileNotFoundError):  # deleted since it was listed
                    files = layout.DayFiles.scan(day)
                    layout.sweep(day, files, int(now * 10**9))
                    sizes |= files.sizes(day)
            total = sum(sizes.values())
            oldest = _started(min(sizes)) if sizes else now
            if bounds.hold(bytes=total, count=len(sizes), oldest=oldest, now=now):
                return 0
            known = self._index.durations()
        candidates = []
        for capture_id, size in sizes.items():
            route, seconds = known.get(capture_id, (None, 0.0))
            started = _started(capture_id)
            candidates.append(Candidate(capture_id, route, started, seconds, size))
        goes = surplus(candidates, bounds, now=now)
        with self._errors_told("written"):
            for capture_id in goes:
                self._delete(capture_id)
            self._remove_empty_days(now)
        self._usage.add(-sum(sizes[capture_id] for capture_id in goes))
        return len(goes)

    def _delete(self, capture_id: str) -> None:
        # The metadata first: from then on the capture does not exist, and what a crash
        # leaves of it is swept as what a crash leaves of one that is written.
        for suffix in sorted(layout.SUFFIXES, key=layout.COMMIT_SUFFIX.__ne__):
            path = layout.capture_path(self._captures, capture_id, suffix)
            path.unlink(missing_ok=True)

    def _remove_empty_days(self, now: float) -> None:
        # Nobody saves into a day that is over for so long.
        last = datetime.fromtimestamp(now, UTC) - _LONG_OVER
        for day in layout.days(self._captures):
            if day.name < last.strftime("%Y/%m/%d"):
                with suppress(OSError):  # not empty
                    for path in (day.path, *day.path.parents[:2]):
                        path.rmdir()

    def at_once(self, patience_seconds: float = inf) -> AbstractContextManager[Look]:
        """Look for what is new once, for all that this thread asks in the context."""
        return self._index.at_once(patience_seconds)

    def list(self, query: CaptureQuery) -> CapturePage:
        """Return one page of captures."""
        with self._errors_told("read"):
            return self._index.page(query)

    def spread(self, query: CaptureQuery) -> Mapping[int, int]:
        """Return how many of the captures that match are in each bin of `store.spread`."""
        with self._errors_told("read"):
            return self._index.spread(query)

    def previous(self, record: CaptureRecord) -> CaptureRecord | None:
        """Return the last capture of the same route and method that began before `record`."""
        with self._errors_told("read"):
            return self._index.previous(record)

    def marks(self, each: int) -> Mapping[tuple[str, str], Sequence[tuple[str, float]]]:
        """Return ID and seconds of the newest and the slowest by method and route."""
        with self._errors_told("read"):
            return self._index.marks(each)

    def find(self, prefix: str) -> Sequence[str]:
        """Return the IDs of the captures that begin with `prefix`, oldest first."""
        with self._errors_told("read"):
            return layout.find(self._captures, prefix)

    def record(self, capture_id: str) -> CaptureRecord:
        """Return the metadata of one capture."""
        try:
            text = layout.read_metadata(self._path_of(capture_id, layout.COMMIT_SUFFIX))
        except FileNotFoundError:
            raise self._not_found(capture_id) from None
        return layout.record_in(text, capture_id)

    def read(self, capture_id: str, suffix: str) -> bytes:
        """Return one file of a capture, named by its suffix, as `.prof`."""
        with self._committed(capture_id, suffix) as path:
            return path.read_bytes()

    def stamp(self, capture_id: str, suffix: str) -> Hashable:
        """Return what changes when the content of that file does, without reading it."""
        with self._committed(capture_id, suffix) as path:
            return stamp_of(path, path.stat())

    @contextmanager
    def _committed(self, capture_id: str, suffix: str) -> Iterator[Path]:
        """Give the path of one file of a capture that was written whole."""
        path = self._path_of(capture_id, suffix)
        commit = path.with_name(capture_id + layout.COMMIT_SUFFIX)
        try:
            with self._errors_told("read", passing=FileNotFoundError):
                commit.stat()  # without it the capture is still being written
                yield path
        except FileNotFoundError:
            raise self._not_found(capture_id) from None

    def _path_of(self, capture_id: str, suffix: str) -> Path:
        try:
            return layout.capture_path(self._captures, capture_id, suffix)
        except ValueError as error:
            raise CaptureNotFound(f"there is no such capture: {error}") from None

    def _not_found(self, capture_id: str) -> CaptureNotFound:
        return CaptureNotFound(f"there is no capture {capture_id} in {self.path}")

    def _make_directories(self, day: Path) -> None:
        layout.make_data_directory(self.path)
        self._captures.mkdir(mode=_PRIVATE, exist_ok=True)
        day.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _errors_told(
        self, done: str, passing: type[OSError] | tuple[()] = ()
    ) -> Iterator[None]:
        try:
            yield
        except passing:
            raise
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, "check FLASKPROF_DIR")
            raise StoreError(
                f"the data directory {self.path} cannot be {done}: {error.strerror}; {advice}"
            ) from error


def _started(capture_id: str) -> float:
    return time_of(capture_id).timestamp()
