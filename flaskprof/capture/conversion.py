"""From a finished recording to the files of its capture.

Runs on the spool's thread, off the path of any request.
"""

from __future__ import annotations

from dataclasses import replace

from flaskprof.capture.engines import Recording
from flaskprof.formats import FORMATS
from flaskprof.profiles.model import CallTree, Profile
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph
from flaskprof.queries.log import QueryLog
from flaskprof.record import CaptureRecord

__all__ = ["convert"]


def convert(
    record: CaptureRecord, recording: Recording, queries: QueryLog | None = None
) -> tuple[CaptureRecord, dict[str, bytes]]:
    """Return the record with what the recording knows of itself, and the files by suffix.

    `queries` are those of the request, where they were watched.
    There is a ``.prof`` always, and a ``.pb.gz`` where the engine saw whole stacks. Raises
    what `Recording.finish` raises.
    """
    profile = recording.finish()
    facts = recording.facts
    record = replace(
        record,
        clock=facts.clock,
        events=facts.events,
        overhead_seconds=facts.overhead_seconds,
        python_call_ns=facts.python_call_ns,
        builtin_call_ns=facts.builtin_call_ns,
        notes=(*record.notes, *recording.notes),
        has_stacks=isinstance(profile, CallTree),
        query_count=None if queries is None else queries.count,
        query_seconds=None if queries is None else queries.spent_ns / 1e9,
        queries=() if queries is None else queries.groups(),
    )
    if record.exactness == "exact" and not _ran(record, profile):
        record = replace(record, view="", view_file="", view_line=None)
    files = {".prof": write_profile(call_graph(profile))}
    if isinstance(profile, CallTree):
        files[".pb.gz"] = FORMATS["pprof"].write(profile, record)
    return record, files


def _ran(record: CaptureRecord, profile: Profile) -> bool:
    """Whether the view was called at all: a hook may have answered in its place."""
    return any(
        (function.file, function.line) == (record.view_file, record.view_line)
        for function in profile.functions
    )
