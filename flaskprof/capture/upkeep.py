"""What keeps a data directory in order: at intervals, on a thread of its own.

The sidecar runs it; without one each worker does, and whoever comes first does the round
for all. Never part of a request.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from flaskprof import log
from flaskprof.capture.triggers import TokenUses
from flaskprof.config import Settings
from flaskprof.errors import StoreError
from flaskprof.metrics.folding import fold
from flaskprof.metrics.in_flight import in_flight_directory, sweep
from flaskprof.metrics.layout import metrics_directory
from flaskprof.metrics.ring import note_totals, recent_directory
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.retention import Bounds

if sys.platform != "win32":
    import fcntl

__all__ = ["Chore", "Upkeep", "chores_for", "usage_of"]

# Takes the moment of the round in Unix seconds.
Chore = Callable[[float], object]

_REST_SECONDS = 10.0
# A round that takes long, over very many files, comes so seldom that all of them together
# take at most half a percent of the time.
_REST_PER_ROUND = 200
# No round takes that long; one that does hangs, as on a disk that does not answer.
_STUCK_SECONDS = 120.0

_LOCK = "upkeep.lock"


def chores_for(settings: Settings, store: DirectoryStore) -> dict[str, Chore]:
    """Return what there is to do in the directory of `store`, by name."""
    bounds = Bounds.of(settings)
    metrics = metrics_directory(store.path)
    recent = recent_directory(store.path)
    return {
        "metrics of ended workers": lambda _: fold(metrics),
        "recent totals": lambda now: note_totals(recent, metrics, now),
        "requests of ended workers": lambda now: sweep(in_flight_directory(store.path), now),
        "retention": lambda now: store.prune(bounds, now=now),
        "token uses": TokenUses(store.path).sweep,
    }


def usage_of(store: DirectoryStore) -> tuple[int, int]:
    """Return bytes and number of all files of captures and metrics.

    What cannot be counted, because it cannot be read, is left out.
    """
    total = files = 0
    with suppress(StoreError):
        total, files = store.usage()
    for directory in (metrics_directory(store.path), recent_directory(store.path)):
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                with suppress(OSError):  # folded since it was listed
                    total += entry.stat().st_size
                    files += 1
    return total, files


class Upkeep:
    """Does `chores` for `directory`, one process at a time.

    One that raises is reported to `on_failure` by its name and tried again with the next
    round; it is logged when it begins to fail. `rest_seconds` lie between two rounds, at least.
    """

    def __init__(
        self,
        directory: Path,
        chores: Mapping[str, Chore],
        on_failure: Callable[[str], None],
        *,
        rest_seconds: float = _REST_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._chores = chores
        self._on_failure = on_failure
        self._rest_seconds = rest_seconds
        self._monotonic = monotonic
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._round_began: float | None = None
        self._failing: set[str] = set()

    def start(self) -> None:
        """Start the thread; only the first call does so."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="flaskprof-upkeep", daemon=True)
            thread.start()
            self._thread = thread  # a signal may have ended this before

    def close(self, timeout_seconds: float) -> None:
        """Let the round that is under way end, for at most `timeout_seconds`."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def trouble(self) -> str:
        """Say why upkeep is not being done; nothing where it is."""
        if self._thread is None or not self._thread.is_alive():
            return "upkeep does not run"
        began = self._round_began
        if began is not None and self._monotonic() - began > _STUCK_SECONDS:
            return f"upkeep has not come to an end for {self._monotonic() - began:.0f} s"
        return ""

    def do_round(self) -> bool:
        """Do every chore once; false where another process does, or just did."""
        now = time.time()
        with _alone_in(self._directory, now, self._rest_seconds / 2) as is_alone:
            if is_alone:
                for name, chore in self._chores.items():
                    if self._closing.is_set():
                        break
                    self._do(name, chore, now)
            return is_alone

    def _do(self, name: str, chore: Chore, now: float) -> None:
        try:
            chore(now)
        except Exception as error:  # noqa: BLE001  counted and logged; the next may succeed
            self._on_failure(name)
            if name not in self._failing:
                self._failing.add(name)
                log.logger.warning("%s of the data directory failed: %s", name, error)
        else:
            self._failing.discard(name)

    def _run(self) -> None:
        rest = 0.0
        while not self._closing.wait(rest):
            began = self._round_began = self._monotonic()
            self.do_round()
            self._round_began = None
            rest = max(self._rest_seconds, (self._monotonic() - began) * _REST_PER_ROUND)


@contextmanager
def _alone_in(directory: Path, now: float, fresh_seconds: float) -> Iterator[bool]:
    """Hold the lock of the round; false if it is taken, or was given back just before.

    Where the directory cannot be written there is nobody to be kept out.
    """
    if not directory.is_dir():
        yield False  # nothing has been written yet
        return
    try:
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield True  # the chores say what is wrong
        return
    try:
        if not _is_taken(lock) and abs(now - _last_round(lock)) >= fresh_seconds:
            yield True
            # On a full volume the next round, which may make room, only comes sooner.
            with suppress(OSError):
                os.pwrite(lock, f"{now:.3f}\n".encode(), 0)
        else:
            yield False
    finally:
        os.close(lock)


def _is_taken(lock: int) -> bool:
    if sys.platform == "win32":
        return False  # there flaskprof is of one process, and nobody is to be kept out
    try:
        # A record lock: the kernel frees it when its process ends, however it ends, and
        # it holds between containers that share the directory but no process IDs.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _last_round(lock: int) -> float:
    """Return when the last round was done; the beginning of time where nobody knows."""
    try:
        return float(os.pread(lock, 32, 0))
    except ValueError:
        return 0.0
