"""The archive: the totals of processes that ended, as one JSON file in ``metrics/``.

It appears whole. The IDs of the files that went into it stay in it until the files are
gone, so that whoever is killed between the two leaves nothing lost or counted twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flaskprof.metrics.layout import label_text
from flaskprof.metrics.totals import Exemplar, Row, Totals

__all__ = [
    "Archive",
    "archive_path",
    "load_archive",
    "parse_archive",
    "save_archive",
    "set_archive_aside",
]

_FORMAT = "flaskprof metrics archive"
_VERSION = 1
_MOST_EXEMPLARS = 256


@dataclass(frozen=True, slots=True)
class Archive:
    """What outlives processes.

    `generation` begins at 1 and `started_ns` (Unix) is when this one began; `done` are the
    IDs of files that are not to be read again; `set_aside` counts files whose content was
    given up.
    """

    totals: Totals = field(default_factory=Totals)
    generation: int = 1
    started_ns: int = 0
    done: frozenset[str] = frozenset()
    set_aside: int = 0
    is_damaged: bool = False


def archive_path(directory: Path) -> Path:
    """Return where the archive of a metrics directory lies."""
    return directory / "archive.json"


def load_archive(directory: Path) -> Archive:
    """Read the archive, an empty one where there is none yet; OSError if it cannot be."""
    try:
        return parse_archive(archive_path(directory).read_bytes())
    except FileNotFoundError:
        return Archive()


def parse_archive(data: bytes) -> Archive:
    """Return the archive of these bytes.

    One that is damaged or of an unknown version is empty and says so: a new generation
    has to begin.
    """
    try:
        return _parsed(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Archive(set_aside=1, is_damaged=True)


def save_archive(directory: Path, archive: Archive) -> None:
    """Replace the archive; raises OSError, and leaves the old one, if that cannot be done."""
    temporary = directory / "archive.json.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(_plain(archive), separators=(",", ":")).encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(archive_path(directory))
    _sync_directory(directory)


def set_archive_aside(directory: Path) -> None:
    """Keep an archive that cannot be read under another name, for people."""
    archive_path(directory).replace(directory / "archive.json.set-aside")


def _sync_directory(directory: Path) -> None:
    """Let the new name reach the disk before the files that went into it are deleted."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain(archive: Archive) -> dict[str, Any]:
    totals = archive.totals
    totals.keep_exemplars(_MOST_EXEMPLARS)
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "generation": archive.generation,
        "started_ns": archive.started_ns,
        "done": sorted(archive.done),
        "set_aside": archive.set_aside,
        "bounds_ns": totals.bounds_ns,
        "most_series": totals.most_series,
        "requests": _plain_rows(totals.requests),
        "counters": _plain_rows(totals.counters),
        "exemplars": [
            [
                totals.requests[text].labels,
                bucket,
                one.value_ns,
                one.unix_ns,
                one.profile_id,
                one.trace_id,
            ]
            for (text, bucket), one in totals.exemplars.items()
            if text in totals.requests
        ],
    }


def _plain_rows(rows: Mapping[bytes, Row]) -> list[list[Any]]:
    return [[row.labels, row.created_ns, row.cells] for row in rows.values()]


def _parsed(plain: Mapping[str, Any]) -> Archive:
    if plain["format"] != _FORMAT or plain["version"] != _VERSION:
        raise ValueError("an archive of another version")
    totals = Totals(
        bounds_ns=tuple(map(int, plain["bounds_ns"])),
        most_series=int(plain["most_series"]),
        requests=_parsed_rows(plain["requests"]),
        counters=_parsed_rows(plain["counters"]),
        exemplars={
            (label_text(labels), int(bucket)): Exemplar(
                int(value_ns), int(unix_ns), str(profile_id), str(trace_id)
            )
            for labels, bucket, value_ns, unix_ns, profile_id, trace_id in plain["exemplars"]
        },
    )
    return Archive(
        totals=totals,
        generation=int(plain["generation"]),
        started_ns=int(plain["started_ns"]),
        done=frozenset(map(str, plain["done"])),
        set_aside=int(plain["set_aside"]),
    )


def _parsed_rows(plain: list[list[Any]]) -> dict[bytes, Row]:
    return {
        label_text(labels): Row(tuple(labels), int(created_ns), list(map(int, cells)))
        for labels, created_ns, cells in plain
    }
