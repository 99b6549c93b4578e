"""How many bytes the captures of a data directory take, without counting them each time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from flaskprof.store import layout

__all__ = ["Usage"]

_RECOUNT_SECONDS = 10.0
# A count that takes long, of a directory with very many files, is made so seldom that it
# never takes more than half a percent of the time.
_REST_PER_COUNT = 200


class Usage:
    """The bytes below `captures`, counted again at intervals; several processes may write.

    Between two counts only what `add` was told is added, so that what other processes
    write or delete shows with the next count and nothing drifts. `monotonic` is a clock
    in seconds.
    """

    def __init__(self, captures: Path, monotonic: Callable[[], float]) -> None:
        self._captures = captures
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._bytes = 0
        self._files = 0
        self._counted_directory: tuple[int, int] | None = None
        self._count_again = float("-inf")

    def add(self, size: int) -> None:
        """Note that this process wrote `size` bytes."""
        with self._lock:
            self._bytes += size

    def total(self) -> int:
        """Return the bytes used; raises OSError where the directory cannot be read."""
        return self.counts()[0]

    def counts(self) -> tuple[int, int]:
        """Return the bytes used and, as of the last count, the number of files."""
        with self._lock:
            begin = self._monotonic()
            directory = _identity(self._captures)
            if begin >= self._count_again or directory != self._counted_directory:
                self._bytes, self._files = _count(self._captures)
                self._counted_directory = directory
                end = self._monotonic()
                rest = max(_RECOUNT_SECONDS, (end - begin) * _REST_PER_COUNT)
                self._count_again = end + rest
            return self._bytes, self._files


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def _count(captures: Path) -> tuple[int, int]:
    total = files = 0
    for day in layout.days(captures):
        try:
            with os.scandir(day.path) as entries:
                for entry in entries:
                    try:
                        total += entry.stat(follow_symlinks=False).st_size
                        files += 1
                    except FileNotFoundError:
                        continue  # deleted since it was listed
        except FileNotFoundError:
            continue
    return total, files
