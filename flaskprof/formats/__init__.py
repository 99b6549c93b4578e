"""Other tools' formats of profiles, one module each, and the one table of them.

`FORMATS` is what the command line and the viewer offer; what is a row here can be exported,
and imported where it has a reader::

    FORMATS["speedscope"].write(profile, record)
    read_file("stacks.collapsed", data)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flaskprof.formats.callgrind import write_callgrind
from flaskprof.formats.collapsed import read_collapsed, write_collapsed
from flaskprof.formats.pprof import read_pprof, write_pprof
from flaskprof.formats.speedscope import write_speedscope
from flaskprof.profiles.estimate import estimate
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallTree, Profile
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph
from flaskprof.record import CaptureRecord

__all__ = ["FORMATS", "Format", "format_of", "read_file", "stacks"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its name, the end of its files' names, its media type, what it is for.

    `write` takes any profile and what is known of it. `read` raises `BadProfile`; it is None
    where a format is only written. A format that `has_stacks` is written from a call tree;
    what has none is estimated, and says so in its topmost frame.
    """

    name: str
    suffix: str
    media_type: str
    summary: str
    has_stacks: bool
    write: Callable[[Profile, CaptureRecord], bytes]
    read: Callable[[bytes], Profile] | None = None


def stacks(profile: Profile) -> CallTree:
    """Return a profile's call tree; that of a call graph is estimated and says so."""
    return profile if isinstance(profile, CallTree) else estimate(profile).to_call_tree()


def _labels(record: CaptureRecord) -> dict[str, str]:
    """Return what is said of a capture on each sample of a pprof profile; some is empty."""
    return {
        "route": record.route,
        "method": record.method,
        "status": "" if record.status is None else str(record.status),
        "service": record.service,
        "version": record.service_version,
        "profile_id": record.id,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
    }


def _pprof(profile: Profile, record: CaptureRecord) -> bytes:
    return write_pprof(
        stacks(profile),
        labels=_labels(record),
        started=record.started,
        duration_seconds=record.duration_seconds,
        cpu_seconds=record.cpu_seconds,
    )


_TABLE = (
    Format(
        "prof",
        ".prof",
        "application/octet-stream",
        "pstats, snakeviz and gprof2dot",
        has_stacks=False,
        write=lambda profile, _: write_profile(call_graph(profile)),
        read=read_profile,
    ),
    Format(
        "pprof",
        ".pb.gz",
        "application/octet-stream",
        "go tool pprof, Pyroscope and Parca",
        has_stacks=True,
        write=_pprof,
        read=read_pprof,
    ),
    Format(
        "speedscope",
        ".speedscope.json",
        "application/json",
        "speedscope",
        has_stacks=True,
        write=lambda profile, record: write_speedscope(stacks(profile), name=record.name),
    ),
    Format(
        "collapsed",
        ".collapsed",
        "text/plain; charset=utf-8",
        "flamegraph.pl and what reads its stacks",
        has_stacks=True,
        write=lambda profile, _: write_collapsed(stacks(profile)),
        read=read_collapsed,
    ),
    Format(
        "callgrind",
        ".callgrind",
        "text/plain; charset=utf-8",
        "KCachegrind and callgrind_annotate",
        has_stacks=False,
        write=lambda profile, _: write_callgrind(call_graph(profile)),
    ),
)

FORMATS: Mapping[str, Format] = {row.name: row for row in _TABLE}


def format_of(file_name: str) -> Format | None:
    """Return the format that the end of a file's name stands for, if it is one of ours."""
    name = file_name.lower()
    return next((row for row in _TABLE if name.endswith(row.suffix)), None)


def read_file(file_name: str, data: bytes) -> Profile:
    """Return the profile in a file; raises `BadProfile`.

    It is read as the end of its name says, and as ``.prof`` where that says nothing.
    """
    row = format_of(file_name)
    return row.read(data) if row is not None and row.read is not None else read_profile(data)
