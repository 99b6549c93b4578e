"""Where the files of a capture lie: ``captures/YYYY/MM/DD/<id><suffix>``.

The day is that of the capture's ID, in UTC, so that an ID alone leads to its files. The
metadata (``.json``) is written last: a capture without it does not exist. Files appear
whole, under a hidden temporary name first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flaskprof.errors import StoreError
from flaskprof.ids import is_capture_id, time_of
from flaskprof.record import CaptureRecord

__all__ = [
    "COMMIT_SUFFIX",
    "SUFFIXES",
    "Day",
    "DayFiles",
    "announcement_path",
    "capture_path",
    "days",
    "find",
    "id_range",
    "make_data_directory",
    "read_metadata",
    "record_in",
    "remove",
    "sweep",
    "write_whole",
]

COMMIT_SUFFIX = ".json"
SUFFIXES = frozenset({".prof", ".pb.gz", COMMIT_SUFFIX})

# Far above what a record can be; a larger file is not ours and is not read into memory.
_MAX_RECORD_BYTES = 1_000_000
# Most are smaller than this: room for the largest is made for those that need it.
_MOST_RECORDS_BYTES = 8192

_DAY_SECONDS = 24 * 3600

# Nobody takes an hour to write a capture: what is older was left by a process that died.
_ABANDONED_NS = 3600 * 10**9

_ANNOUNCED_SUFFIX = ".announced"
_TEMPORARY = re.compile(r"\..+(\.[0-9a-f]{16}\.tmp|\.announced)\Z")
_YEAR = re.compile(r"[0-9]{4}\Z")
_MONTH_OR_DAY = re.compile(r"[0-9]{2}\Z")


@dataclass(frozen=True, slots=True)
class Day:
    """The directory of one day: its name as ``2025/11/22`` and when it last changed."""

    name: str
    path: Path
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class DayFiles:
    """What lies in the directory of a day, by name alone.

    `ids` are the complete captures. `strays` are our files that belong to none: those of
    a capture that is being written, or what a process left that died while writing one.
    """

    ids: frozenset[str]
    strays: tuple[str, ...]

    @classmethod
    def scan(cls, day: Day) -> DayFiles:
        """List `day`; names that are not ours are passed over."""
        first, last = id_range(day.name)
        ids = set()
        parts = []
        temporaries = []
        with os.scandir(day.path) as entries:
            for entry in entries:
                name = entry.name
                stem, dot, suffix = name.partition(".")
                # Only regular files: opening a pipe would wait, a link may lead anywhere.
                if not entry.is_file(follow_symlinks=False):
                    continue
                if _TEMPORARY.match(name):
                    temporaries.append(name)
                elif is_capture_id(stem) and first <= stem < last:
                    if dot + suffix == COMMIT_SUFFIX:
                        ids.add(stem)
                    elif dot + suffix in SUFFIXES:
                        parts.append(name)
        orphans = [name for name in parts if name.partition(".")[0] not in ids]
        return cls(frozenset(ids), (*temporaries, *orphans))

    def sizes(self, day: Day) -> dict[str, int]:
        """Return the bytes of each complete capture of `day`, all its files together."""
        sizes: dict[str, int] = {}
        for capture_id in self.ids:
            size = 0
            for suffix in SUFFIXES:
                with suppress(FileNotFoundError):  # it has no such file, or is gone
                    path = day.path / (capture_id + suffix)
                    size += path.stat(follow_symlinks=False).st_size
            sizes[capture_id] = size
        return sizes


def sweep(day: Day, files: DayFiles, now_ns: int) -> bool:
    """Delete the strays of processes that died; whether there are younger ones."""
    has_young = False
    for name in files.strays:
        path = day.path / name
        with suppress(OSError):  # deleted or completed meanwhile, or not ours to delete
            if now_ns - path.stat().st_mtime_ns > _ABANDONED_NS:
                path.unlink()
            else:
                has_young = True
    return has_young


def capture_path(captures: Path, capture_id: str, suffix: str) -> Path:
    """Return the path of one file of a capture.

    Raises ValueError for what is not a capture ID, which includes one whose time is
    beyond the calendar, and for a suffix that no file of a capture has.
    """
    if not is_capture_id(capture_id):
        raise ValueError(f"not a capture ID: {capture_id!r}")
    if suffix not in SUFFIXES:
        raise ValueError(f"not a suffix of a capture's file: {suffix!r}")
    try:
        day = time_of(capture_id).strftime("%Y/%m/%d")
    except (OverflowError, ValueError):
        raise ValueError(f"not a time: {capture_id!r}") from None
    return captures / day / (capture_id + suffix)


def announcement_path(captures: Path, capture_id: str) -> Path:
    """Return the path of the empty file that says that a capture is being written.

    Raises what `capture_path` raises.
    """
    commit = capture_path(captures, capture_id, COMMIT_SUFFIX)
    return commit.with_name(f".{capture_id}{_ANNOUNCED_SUFFIX}")


def id_range(day: str) -> tuple[str, str]:
    """Return the lowest text that an ID of `day` can be, and that of the next day."""
    begin = int(_date(day).timestamp())
    return f"{begin * 1000:012x}", f"{(begin + _DAY_SECONDS) * 1000:012x}"


def days(captures: Path) -> Iterator[Day]:
    """Yield the directories of days under `captures`, none where it does not exist."""
    for year in _directories(captures, _YEAR):
        for month in _directories(year, _MONTH_OR_DAY):
            for path in _directories(month, _MONTH_OR_DAY):
                name = "/".join(path.parts[-3:])
                if not _is_date(name):
                    continue
                try:
                    yield Day(name, path, path.stat().st_mtime_ns)
                except FileNotFoundError:
                    continue  # pruned since it was listed


def find(captures: Path, prefix: str) -> list[str]:
    """Return the IDs of the complete captures that begin with `prefix`, in order."""
    found: list[str] = []
    for day in days(captures):
        first, last = id_range(day.name)
        if first[: len(prefix)] <= prefix < last:
            with suppress(FileNotFoundError):
                ids = DayFiles.scan(day).ids
                found += sorted(name for name in ids if name.startswith(prefix))
    return found


def read_metadata(path: str | Path) -> bytes:
    """Return what is in a file of metadata, for `record_in` to check.

    Raises `StoreError` where it cannot be read, and FileNotFoundError where there is none.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  of many, without an object for each
            text = file.read(_MOST_RECORDS_BYTES)
            if len(text) == _MOST_RECORDS_BYTES:
                text += file.read(_MAX_RECORD_BYTES + 1 - len(text))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    if len(text) > _MAX_RECORD_BYTES:
        raise StoreError(f"{path}: too large to be the metadata of a capture")
    return text


def record_in(text: bytes, capture_id: str) -> CaptureRecord:
    """Return the record in `text`; raises `StoreError` where it is not that of the capture."""
    record = CaptureRecord.from_json(text)
    if record.id != capture_id:
        raise StoreError(f"{capture_id}: the metadata of another capture ({record.id[:40]!r})")
    return record


def make_data_directory(path: Path) -> None:
    """Make the data directory, if it is not there, for the eyes of its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whatever the umask: what captures hold is not for others.
    path.mkdir(mode=0o700, exist_ok=True)
    if not any(path.iterdir()):
        # Ours alone: in a directory that holds other things this would hide them from
        # version control.
        write_whole(path / ".gitignore", b"*\n", sync=False)


def write_whole(path: Path, data: bytes, *, sync: bool) -> None:
    """Make `path` hold `data`, or leave it as it was and raise OSError.

    With `sync` the data are on the disk before the name appears, so that after a power
    failure the name never stands for an empty file.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        remove(temporary)
        raise


def remove(path: Path) -> None:
    """Delete a file if that can be done."""
    # What cannot be deleted now is swept later, by a reader who may.
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _directories(parent: Path, name: re.Pattern[str]) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(
                parent / entry.name
                for entry in entries
                if name.match(entry.name) and entry.is_dir()
            )
    except (FileNotFoundError, NotADirectoryError):
        return []


def _date(name: str) -> datetime:
    year, month, day = map(int, name.split("/"))
    return datetime(year, month, day, tzinfo=UTC)


def _is_date(name: str) -> bool:
    try:
        return _date(name).timestamp() >= 0
    except ValueError:
        return False
