"""Other tools' formats of profiles, one module each, and the one table of them.

`FORMATS` is what the command line and the viewer offer; what is a row here can be exported,
and imported where it has a reader::

    FORMATS["speedscope"].write(profile, record)
    read_file("stacks.collapsed", data)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flaskprof.errors import BadProfile
from flaskprof.formats.callgrind import write_callgrind
from flaskprof.formats.collapsed import is_collapsed, read_collapsed, write_collapsed
from flaskprof.formats.pprof import is_gzipped, read_pprof, write_pprof
from flaskprof.formats.speedscope import write_speedscope
from flaskprof.formats.spread import spread
from flaskprof.profiles.estimate import estimate
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallTree, Profile
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph
from flaskprof.record import CaptureRecord

__all__ = ["FORMATS", "Format", "format_in", "format_of", "read_file", "stacks"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its name, the end of its files' names, its media type, what it is for.

    `write` takes any profile and what is known of it. `read` raises `BadProfile`; it is None
    where a format is only written. `is_like` tells by the beginning of a file whether it may
    be in this format. `also` are other ends of names that people give such files. A format
    that `has_stacks` is written from a call tree; what has none is estimated, and says so in
    its topmost frame.
    """

    name: str
    suffix: str
    media_type: str
    summary: str
    has_stacks: bool
    write: Callable[[Profile, CaptureRecord], bytes]
    read: Callable[[bytes], Profile] | None = None
    is_like: Callable[[bytes], bool] = lambda _data: False
    also: tuple[str, ...] = ()

    def is_name(self, file_name: str) -> bool:
        """Whether the end of a file's name stands for this format."""
        return file_name.lower().endswith((self.suffix, *self.also))


def stacks(profile: Profile) -> CallTree:
    """Return a profile's call tree; that of a call graph is estimated and says so."""
    return profile if isinstance(profile, CallTree) else spread(profile, estimate(profile))


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


_BEGINNING_BYTES = 200


def _is_table(data: bytes) -> bool:
    """Whether a file begins as a marshalled dict, and not as JSON, which begins alike."""
    return data[:1] in (b"{", b"\xfb") and data[1:2] not in (b'"', b" ", b"\n", b"\r", b"\t")


_TABLE = (
    Format(
        "prof",
        ".prof",
        "application/octet-stream",
        "pstats, snakeviz and gprof2dot",
        has_stacks=False,
        write=lambda profile, _: write_profile(call_graph(profile)),
        read=read_profile,
        is_like=_is_table,
    ),
    Format(
        "pprof",
        ".pb.gz",
        "application/octet-stream",
        "go tool pprof, Pyroscope and Parca",
        has_stacks=True,
        write=_pprof,
        read=read_pprof,
        is_like=is_gzipped,
        also=(".pprof", ".pb"),
    ),
    Format(
        "speedscope",
        ".speedscope.json",
        "application/json",
        "speedscope",
        has_stacks=True,
        write=lambda profile, record: write_speedscope(stacks(profile), name=record.name),
        is_like=lambda data: data[:1] == b"{" and b"speedscope" in data[:_BEGINNING_BYTES],
        also=(".json",),
    ),
    Format(
        "collapsed",
        ".collapsed",
        "text/plain; charset=utf-8",
        "flamegraph.pl and what reads its stacks",
        has_stacks=True,
        write=lambda profile, _: write_collapsed(stacks(profile)),
        read=read_collapsed,
        is_like=is_collapsed,
        also=(".folded",),
    ),
    Format(
        "callgrind",
        ".callgrind",
        "text/plain; charset=utf-8",
        "KCachegrind and callgrind_annotate",
        has_stacks=False,
        write=lambda profile, _: write_callgrind(call_graph(profile)),
        is_like=lambda data: data.startswith(b"# callgrind format"),
    ),
)

FORMATS: Mapping[str, Format] = {row.name: row for row in _TABLE}


def format_of(file_name: str) -> Format | None:
    """Return the format that the end of a file's name stands for, if it is one of ours."""
    return next((row for row in _TABLE if row.is_name(file_name)), None)


def format_in(file_name: str, data: bytes) -> Format:
    """Return the format that a file is in, one that has a reader.

    Its content tells it, and the end of its name where that does not. Raises `BadProfile`
    where neither does.
    """
    # What is only written is told by more than a stack is, so it is asked for first.
    candidates = sorted(_TABLE, key=lambda row: row.read is not None)
    if found := next((row for row in candidates if row.is_like(data)), None):
        if found.read is None:
            raise BadProfile(f"this is for {found.summary}: {found.name} is written, not read")
        return found
    named = format_of(file_name)
    if named is None or named.read is None:
        raise BadProfile(
            "this is no profile that can be read: neither one of cProfile, nor of pprof, nor "
            "collapsed stacks"
        )
    return named


def read_file(file_name: str, data: bytes) -> Profile:
    """Return the profile in a file, in the format of `format_in`; raises `BadProfile`."""
    read = format_in(file_name, data).read
    assert read is not None, "a format of a file has a reader"  # noqa: S101  for mypy
    return read(data)
