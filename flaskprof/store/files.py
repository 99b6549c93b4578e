"""Given profiles in files, shown as if they were captures.

Any file that cProfile, pstats or another profiler left can be looked at this way, in every
format that can be read (`flaskprof.formats`)::

    store = FileStore([Path("before.prof"), Path("profiles")])
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from math import inf
from pathlib import Path
from typing import NamedTuple

from flaskprof.errors import BadProfile, CaptureNotFound, FlaskprofError, StoreError
from flaskprof.formats import FORMATS, format_in, read_file
from flaskprof.ids import new_capture_id
from flaskprof.profiles.estimate import ESTIMATED
from flaskprof.profiles.marshal_reader import MAX_BYTES
from flaskprof.profiles.model import CallGraph, CallTree, Profile
from flaskprof.profiles.sums import call_graph
from flaskprof.record import CaptureRecord
from flaskprof.store import SORTS, CapturePage, CaptureQuery, Look, stamp_of
from flaskprof.store.spread import bin_of

__all__ = ["TRIGGER", "FileStore", "Reader"]

TRIGGER = "file"
"""The trigger of every record: nobody asked for these, they were there."""

_MAX_FILES = 10_000
_ESTIMATED_NOTE = (
    "The stacks in this file were not recorded but estimated from sums: calls and times are "
    "near the truth, not exact."
)
_SUFFIXES = (".prof", ".pb.gz")
"""What captures have beside their metadata."""
_AGREED = 1.01
"""How many times as long as all own times roots may take: profilers round them."""
_STACKS = FORMATS["pprof"].suffix
_FOUND = tuple(row.suffix for row in FORMATS.values() if row.read is not None)
"""What names of profiles in folders end with."""


class _File(NamedTuple):
    path: Path
    id: str
    title: str


class _Summary(NamedTuple):
    """What a file said when it was read, and how to know that it is still that file."""

    mtime_ns: int
    size: int
    seconds: float
    exactness: str
    notes: tuple[str, ...]
    has_stacks: bool = False


Reader = Callable[[str, Hashable, Callable[[], bytes]], Profile]
"""Returns the profile of a file by its name, its stamp, and what returns its bytes."""

_Description = tuple[float, str, tuple[str, ...], bool]
"""Of a profile seconds, exactness, notes, and whether there are stacks."""


class FileStore:
    """The profiles at `paths`: files of any name, and those below folders that names tell.

    What is in a file tells its format, and the end of its name where that does not. `reader`
    may keep the profile of a file by its stamp, and reads it as `read_file` does.

    Files that are named are read at once, and raise `BadProfile` or `StoreError` where they
    are no profile or cannot be read; so does a folder without any. Those found in a folder
    are read when they are listed; one that is no profile says so in its notes. Where whole
    stacks are kept in a ``.pb.gz`` beside a ``.prof``, as of captures, they are both.

    A record's `started` is when the file was last changed, its duration the time that the
    profile covers. Its ID is made from its path and that time, when the store is made.
    `named` are the IDs of the files that were named, in that order.
    """

    holds = "files"

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        reader: Reader = lambda name, _, load: read_file(name, load()),
    ) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._summaries: dict[str, _Summary] = {}
        named: dict[Path, os.stat_result] = {}
        described: dict[Path, _Description] = {}
        found: dict[Path, os.stat_result] = {}
        for path in map(Path, paths):
            if path.is_dir():
                found |= {file: _status(file) for file in _profiles_below(path)}
            else:
                real = path.resolve()
                named[real] = _status(path)
                described[real] = self._checked(path, stamp_of(real, named[real]))
        statuses = found | named
        titles = _titles(list(statuses))
        files = [
            _File(path, _id(path, status), titles[path]) for path, status in statuses.items()
        ]
        ids = {file.path: file.id for file in files}
        self.named = [ids[path] for path in named]
        files.sort(key=lambda file: file.id, reverse=True)
        self._files = {file.id: file for file in files}
        for file in files:
            if file.path in described:
                status = statuses[file.path]
                self._summaries[file.id] = _Summary(
                    status.st_mtime_ns, status.st_size, *described[file.path]
                )

    def at_once(self, patience_seconds: float = inf) -> AbstractContextManager[Look]:  # noqa: ARG002
        """Do nothing: which files there are is known from the start."""
        return nullcontext(Look())

    def list(self, query: CaptureQuery) -> CapturePage:
        """Return one page of the files; they differ in name, time of change and duration."""
        present = [file for file in self._files.values() if file.path.exists()]
        matching = [file for file in present if _is_wanted(query, file)]
        page = slice(query.offset, query.offset + query.limit)
        if query.sort == "duration":
            # All are read once for it.
            found = [self._describe(file) for file in matching]
            found.sort(key=SORTS["duration"], reverse=query.is_descending)
            records = found[page]
        else:
            if key := _ORDERS.get(query.sort):
                matching.sort(key=key, reverse=query.is_descending)
            records = [self._describe(file) for file in matching[page]]
        return CapturePage(
            records=records,
            matching=len(matching),
            routes=[""] if present else [],
            methods=[""] if present else [],
            triggers=[TRIGGER] if present else [],
        )

    def spread(self, query: CaptureQuery) -> Mapping[int, int]:
        """Return how many of the files that match are in each bin of `store.spread`."""
        everything = replace(query, sort="duration", limit=len(self._files), offset=0)
        records = self.list(everything).records
        return Counter(bin_of(record.duration_seconds) for record in records)

    def previous(self, record: CaptureRecord) -> CaptureRecord | None:
        """Return the file that changed last before `record`."""
        older = (file for file in self._files.values() if file.id < record.id)
        found = next((file for file in older if file.path.exists()), None)
        return None if found is None else self._describe(found)

    def marks(self, each: int) -> Mapping[tuple[str, str], Sequence[tuple[str, float]]]:  # noqa: ARG002
        """Return nothing: files are of no route."""
        return {}

    def record(self, capture_id: str) -> CaptureRecord:
        """Return what is known of one file."""
        file = self._file(capture_id)
        if not file.path.exists():
            raise CaptureNotFound(f"{file.path} is no longer there")
        return self._describe(file)

    def is_announced(self, _capture_id: str) -> bool:
        """Whether a file is being written: never, as all are there from the start."""
        return False

    def read(self, capture_id: str, suffix: str) -> bytes:
        """Return one file as `.prof`, `.json` or, if it has whole stacks, as `.pb.gz`.

        It is read and written anew where that is not its own format.
        """
        file = self._file(capture_id)
        if suffix == ".json":
            return self.record(capture_id).to_json().encode()
        wanted = next((row for row in FORMATS.values() if row.suffix == suffix), None)
        if wanted is not None and suffix in _SUFFIXES:
            content = _read(file.path)
            if wanted is format_in(file.path.name, content):
                return content
            profile = read_file(file.path.name, content)
            if isinstance(profile, CallTree) or not wanted.has_stacks:
                return wanted.write(profile, self.record(capture_id))
        raise _none_beside(file.path, suffix)

    def stamp(self, capture_id: str, suffix: str) -> Hashable:
        """Return what changes when the content of that file does: of all suffixes the same."""
        file = self._file(capture_id)
        try:
            status = file.path.stat()
        except OSError:
            raise CaptureNotFound(f"{file.path} is no longer there") from None
        if suffix == ".pb.gz" and not self._summary(file).has_stacks:
            raise _none_beside(file.path, suffix)
        return stamp_of(file.path, status)

    def _file(self, capture_id: str) -> _File:
        try:
            return self._files[capture_id]
        except KeyError:
            raise CaptureNotFound(f"none of the files has the ID {capture_id[:40]!r}") from None

    def _describe(self, file: _File) -> CaptureRecord:
        summary = self._summary(file)
        return CaptureRecord(
            id=file.id,
            started=max(0.0, summary.mtime_ns / 1e9),
            duration_seconds=summary.seconds,
            trigger=TRIGGER,
            exactness=summary.exactness,
            title=file.title,
            notes=summary.notes,
            has_stacks=summary.has_stacks,
        )

    def _summary(self, file: _File) -> _Summary:
        """Read a file for its duration, once as long as it does not change."""
        try:
            status = file.path.stat()
        except OSError:
            return _Summary(0, 0, 0.0, "", (f"{file.title} is no longer there.",))
        with self._lock:
            known = self._summaries.get(file.id)
        if known and (known.mtime_ns, known.size) == (status.st_mtime_ns, status.st_size):
            return known
        stamp = stamp_of(file.path, status)
        summary = _Summary(
            status.st_mtime_ns, status.st_size, *self._described(file.path, stamp)
        )
        with self._lock:
            self._summaries[file.id] = summary
        return summary

    def _described(self, path: Path, stamp: Hashable) -> _Description:
        """Read a file for what is said of it; never fails."""
        try:
            return _description(self._reader(path.name, stamp, partial(_read, path)))
        except FlaskprofError as error:
            return 0.0, "", (f"This file cannot be shown: {error}",), False

    def _checked(self, path: Path, stamp: Hashable) -> _Description:
        """Read a file for what is said of it; raises what says why it cannot be."""
        try:
            return _description(self._reader(path.name, stamp, partial(_read, path)))
        except BadProfile as error:
            raise BadProfile(f"{path}: {error}") from error


def _description(profile: Profile) -> _Description:
    exactness = "sampled" if profile.is_sampled else "exact"
    has_stacks = isinstance(profile, CallTree)
    graph = call_graph(profile)
    notes = [_ESTIMATED_NOTE] if ESTIMATED in graph.functions else []
    if not has_stacks and (roots_seconds := _of_roots(graph)) > _AGREED * graph.total_seconds:
        notes.append(
            "The sums in this file do not agree with each other, which is so where threads or "
            f"tasks waited: functions took {graph.total_seconds * 1000:,.4g} ms of their own, "
            f"those that nobody called {roots_seconds * 1000:,.4g} ms with their callees. "
            "Percentages in tables are of the former, the flame view is as wide as the latter."
        )
    return graph.total_seconds, exactness, tuple(notes), has_stacks


def _of_roots(graph: CallGraph) -> float:
    """Return the seconds, with callees, of the functions that nobody called."""
    columns = graph.columns
    times = zip(pairwise(columns.first_edge), columns.total.cumulative_seconds, strict=True)
    return sum([seconds for (begin, end), seconds in times if begin == end])


def _is_wanted(query: CaptureQuery, file: _File) -> bool:
    """Whether a query asks for a file: they have neither method nor route, but names."""
    is_for_files = not (query.route or query.method) and query.trigger in (None, TRIGGER)
    return is_for_files and query.search.casefold() in file.title.casefold()


_ORDERS: Mapping[str, Callable[[_File], str]] = {
    "started": lambda file: file.id,
    "route": lambda file: file.title.casefold(),
}
"""What files can be sorted by without being read."""


def _profiles_below(folder: Path) -> list[Path]:
    try:
        below = (file for file in folder.rglob("*") if file.name.endswith(_FOUND))
        found = list(islice(below, _MAX_FILES + 1))
    except OSError as error:
        raise _unreadable(folder, error) from error
    stacks = {file for file in found if file.name.endswith(_STACKS)}
    files = [
        file.resolve()
        for file in found
        if file.is_file() and (file in stacks or file.with_suffix(_STACKS) not in stacks)
    ]
    names = ", ".join(f"*{suffix}" for suffix in _FOUND)
    if not files:
        raise StoreError(f"{folder}: there is no {names} file in this folder")
    if len(found) > _MAX_FILES:
        raise StoreError(
            f"{folder}: there are more than {_MAX_FILES:,} profiles ({names}) in this folder; "
            "name one of its folders instead"
        )
    return files


def _none_beside(path: Path, suffix: str) -> CaptureNotFound:
    return CaptureNotFound(f"{path} has no {suffix[:20]!r} beside it")


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error


def _read(path: Path) -> bytes:
    """Return the content of a file, of as many bytes as a profile may have."""
    try:
        if not path.is_file():
            path.stat()  # says what is wrong where there is nothing
            raise StoreError(f"{path}: is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise CaptureNotFound(f"{path}: there is no such file") from None
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(content) > MAX_BYTES:
        raise BadProfile(f"larger than {MAX_BYTES // 2**20} MiB, too large to be read")
    return content


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: cannot be read: {error.strerror}")


def _id(path: Path, status: os.stat_result) -> str:
    digest = hashlib.sha256(os.fsencode(path)).digest()
    return new_capture_id(max(0.0, status.st_mtime), tail=digest[:10])


def _titles(paths: Sequence[Path]) -> dict[Path, str]:
    """Call each file by its name, or by as much of its path as tells it from the others."""
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        by_name.setdefault(path.name, []).append(path)
    titles = {}
    for alike in by_name.values():
        folder = Path(os.path.commonpath([path.parent for path in alike]))
        for path in alike:
            title = path.relative_to(folder) if len(alike) > 1 else path.name
            # A name may hold bytes that are no valid text.
            titles[path] = os.fsencode(title).decode("utf-8", "replace")
    return titles
