"""Keeps what the totals were over the last hour, so that there are rates.

One small file a moment, ``recent/<Unix seconds>.<generation>.json`` in the data directory,
written whole by whoever folds and deleted when no window needs it any more. They are a cache:
without them rates begin anew.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path

from flaskprof.metrics.folding import read
from flaskprof.metrics.recent import (
    SPACING,
    Point,
    Sums,
    Window,
    base_of,
    difference,
    point_of,
    to_keep,
)

__all__ = ["note_totals", "recent_directory", "window"]

_VERSION = 1
_NAME = re.compile(r"([0-9]{1,12})\.([0-9]{1,9})\.json\Z")
_MOST_BYTES = 1 << 24
_PRIVATE = 0o700
_READABLE_BY_GROUP = 0o640
# A round of upkeep does not come to the second.
_EARLY_SECONDS = 5.0
_TRIES = 3


def recent_directory(data: Path) -> Path:
    """Return where the points of a data directory lie."""
    return data / "recent"


def note_totals(directory: Path, metrics: Path, now: float) -> None:
    """Note what the totals of `metrics` are `now`, in Unix seconds, where that is due.

    Raises OSError where it cannot be written or the metrics cannot be read.
    """
    files = _files(directory)
    newest = max((unix for unix, _ in files), default=0)
    if 0 <= now - newest < SPACING - _EARLY_SECONDS or not metrics.is_dir():
        return
    point = point_of(read(metrics), now)
    directory.mkdir(mode=_PRIVATE, exist_ok=True)
    _write(directory / f"{int(now)}.{point.generation}.json", point)
    keep = to_keep({unix for unix, _ in _files(directory)}, now)
    for (unix, _), path in files.items():
        if unix not in keep:
            path.unlink(missing_ok=True)
    for path in directory.glob(".*.new"):
        with suppress(OSError):  # gone by now
            if now - path.stat().st_mtime > SPACING:
                path.unlink()


def window(directory: Path, now: Point, seconds: float) -> Window | None:
    """Return what happened in the last `seconds`, up to `now`; None where nothing is known."""
    for _ in range(_TRIES):
        files = {
            unix: path
            for (unix, generation), path in _files(directory).items()
            if generation == now.generation
        }
        base = base_of(files, now.unix, seconds)
        if base is None:
            return None
        try:
            return difference(now, _load(files[int(base)]))
        except FileNotFoundError:
            continue  # deleted since it was listed
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None  # not for us to read, or damaged: it is gone within the hour
    return None


def _files(directory: Path) -> dict[tuple[int, int], Path]:
    """Return the points by moment and generation."""
    try:
        names = os.listdir(directory)  # noqa: PTH208  names are all that is wanted
    except OSError:
        return {}
    matches = filter(None, map(_NAME.match, names))
    return {(int(match[1]), int(match[2])): directory / match[0] for match in matches}


def _write(path: Path, point: Point) -> None:
    plain = {
        "version": _VERSION,
        "unix": point.unix,
        "generation": point.generation,
        "bounds_ns": point.bounds_ns,
        "routes": [[*route, *sums] for route, sums in point.routes.items()],
    }
    temporary = path.with_name(f".{os.urandom(8).hex()}.new")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _READABLE_BY_GROUP
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(plain, separators=(",", ":")).encode())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _load(path: Path) -> Point:
    with path.open("rb") as file:
        plain = json.loads(file.read(_MOST_BYTES))
    if plain["version"] != _VERSION:
        raise ValueError("totals of another version")
    width = len(plain["bounds_ns"]) + 1
    routes = {}
    for method, route, buckets, *sums in plain["routes"]:
        if len(buckets) != width:
            raise ValueError("buckets without bounds")
        routes[str(method), str(route)] = Sums(tuple(map(int, buckets)), *map(int, sums))
    return Point(
        float(plain["unix"]),
        int(plain["generation"]),
        tuple(map(int, plain["bounds_ns"])),
        routes,
    )
