"""``flaskprof doctor``: what works here, what does not, and what to do about it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import click

from flaskprof import __version__
from flaskprof.capture.availability import why_no_calltree
from flaskprof.capture.choice import choose_engine
from flaskprof.cli.program import Command, json_option, load_settings, setting
from flaskprof.cli.terminal import Column, figure, layout
from flaskprof.config import Settings
from flaskprof.errors import StoreError
from flaskprof.metrics.folding import read
from flaskprof.metrics.layout import OVERFLOW, Layout, bounds_in_ns, metrics_directory
from flaskprof.store.directory import DirectoryStore
from flaskprof.web.figures import size

__all__ = ["command"]

_COLUMNS = (Column(""), Column("What"), Column("Finding"))
_MARKS = {"good": "ok", "note": "note", "bad": "BAD"}

# Locks and mapped files behave otherwise there; the data directory must not be on one.
_NETWORK_FILE_SYSTEMS = ("9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "nfs", "smb")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `level` is "good", "note" or "bad"."""

    level: str
    what: str
    finding: str


@click.command("doctor", cls=Command, examples=["flaskprof doctor", "flaskprof doctor --json"])
@setting("dir", metavar="DIR")
@setting("engine", metavar="ENGINE")
@json_option
@click.pass_context
def command(
    context: click.Context, *, dir: str | None, engine: str | None, as_json: bool
) -> None:
    """Say what works here, what does not, and what to do about it.

    The exit code is 1 where captures cannot be made or kept, or requests not be counted.
    """
    settings = load_settings(dir=dir, engine=engine)
    findings = list(_look(settings))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        rows = [(_MARKS[found.level], found.what, found.finding) for found in findings]
        # Never cut: the end of a finding says what to do.
        click.echo("\n".join(layout(_COLUMNS, rows, width=None)[1:]))
    context.exit(any(finding.level == "bad" for finding in findings))


def _look(settings: Settings) -> Iterator[Finding]:
    yield Finding("good", "flaskprof", f"{__version__}, {_packages()}")
    yield Finding("good", "Python", f"{sys.version.split()[0]} at {sys.executable}")
    yield from _engine(settings)
    yield _slots()
    yield _reader()
    yield from _directory(settings)
    yield from _metrics(settings)
    yield _access(settings)


def _packages() -> str:
    names = ("flask", "werkzeug", "prometheus-client")
    return ", ".join(f"{name} {version(name)}" for name in names)


def _engine(settings: Settings) -> Iterator[Finding]:
    engine, why = choose_engine(settings.engine, settings.clock)
    if engine is None:
        yield Finding("bad", "engine", f"none: no capture can be made here; {why}")
        return
    yield Finding(
        "note" if why else "good", "engine", engine.name + (f" ({why})" if why else "")
    )
    if engine.name == "calltree" and why_no_calltree() is None:
        # Importing it fails where it is not available.
        from flaskprof.capture.calltree import CallTreeEngine  # noqa: PLC0415

        recording = CallTreeEngine(clock=settings.clock).start()
        clock = recording.clock
        recording.stop()
        text = {
            "tsc": "the processor's time-stamp counter, by which the kernel keeps time too",
            "monotonic": "the monotonic clock of the system",
        }
        yield Finding("good", "clock", text.get(clock, clock))


def _slots() -> Finding:
    if sys.version_info >= (3, 12):
        tools = {number: sys.monitoring.get_tool(number) for number in range(6)}
        taken = [f"{tool} in slot {number}" for number, tool in tools.items() if tool]
        what = ", ".join(taken) or "no slot of sys.monitoring is taken"
    else:
        what = f"{platform.python_implementation()} profiles each thread on its own"
    return Finding("good", "other tools", what)


def _reader() -> Finding:
    try:
        import flaskprof.profiles._marshal  # noqa: F401, PLC0415  may be absent
    except ModuleNotFoundError:
        why = "its extension was not built"
    except ImportError as error:
        why = str(error)
    else:
        return Finding("good", "reader", "profiles are read in C")
    return Finding("note", "reader", f"profiles are read in Python, more slowly ({why})")


def _directory(settings: Settings) -> Iterator[Finding]:
    store = DirectoryStore(settings.dir)
    try:
        used = store.bytes_used()
    except StoreError as error:
        yield Finding("bad", "data directory", str(error))
        return
    existing = _existing(store.path)
    if not os.access(existing, os.W_OK | os.X_OK) or not existing.is_dir():
        yield Finding(
            "bad",
            "data directory",
            f"{store.path} cannot be written: give this user access to {existing}, or set "
            "FLASKPROF_DIR to another directory",
        )
        return
    room = f"{figure(size(used))} of {figure(size(settings.max_bytes))} used"
    if used >= settings.max_bytes:
        yield Finding(
            "bad",
            "data directory",
            f"{store.path} is full, {room}: delete old captures or raise FLASKPROF_MAX_BYTES",
        )
    else:
        yield Finding("good", "data directory", f"{store.path}, {room}")
    kind = _file_system(existing)
    if kind.startswith(_NETWORK_FILE_SYSTEMS):
        yield Finding(
            "bad",
            "file system",
            f"{kind}: the data directory must be on a local file system; set FLASKPROF_DIR",
        )
    if (store.path / "stop").exists():
        yield Finding(
            "note", "captures", f"stopped: remove {store.path / 'stop'} to allow them again"
        )


def _metrics(settings: Settings) -> Iterator[Finding]:
    directory = metrics_directory(settings.dir.absolute())
    try:
        reading = read(directory)
        free = shutil.disk_usage(_existing(directory)).free
    except OSError as error:
        yield Finding(
            "bad",
            "metrics",
            f"{directory} cannot be read: {error.strerror}; run this as the user of the "
            "application",
        )
        return
    needed = Layout(bounds_in_ns(settings.buckets), settings.max_series + 1).size
    if free < needed:
        yield Finding(
            "bad",
            "metrics",
            f"no room for the file of a worker, {figure(size(needed))}: each would count in "
            "its memory; make room, or set FLASKPROF_DIR to another volume",
        )
        return
    rows = reading.totals.requests.values()
    taken = sum(row.labels[1] != OVERFLOW for row in rows)
    refused = any(row.labels[1] == OVERFLOW and any(row.cells) for row in rows)
    yield Finding(
        "good",
        "metrics",
        f"workers alive: {reading.alive}; label sets taken: {taken} of {settings.max_series}",
    )
    if reading.skipped:
        yield Finding(
            "note",
            "metrics",
            f"files of workers that are not counted: {reading.skipped}; damaged, or of another "
            "version or FLASKPROF_BUCKETS than the rest: restart the workers that have them",
        )
    if refused:
        yield Finding(
            "note",
            "metrics",
            "further label sets are counted as _overflow_: raise FLASKPROF_MAX_SERIES, or "
            "look for routes that were made without end",
        )


def _existing(path: Path) -> Path:
    """Return a path, or the nearest above it that is there."""
    return next(found for found in (path, *path.parents) if found.exists())


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds `path`, where Linux tells."""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    holding = [
        (len(fields[1]), fields[2])
        for fields in (line.split(" ") for line in mounts)
        if len(fields) > 2 and path.resolve().is_relative_to(fields[1])
    ]
    return max(holding, default=(0, ""))[1]


def _access(settings: Settings) -> Finding:
    if settings.secrets:
        return Finding("good", "access", "whoever holds a token may ask and look")
    if settings.dev:
        return Finding("good", "access", "anyone on this machine may ask and look")
    return Finding(
        "note",
        "access",
        "without FLASKPROF_SECRET nobody may ask or look, but anyone on this machine where "
        "the application runs in debug mode",
    )
