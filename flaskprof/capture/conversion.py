"""From a finished recording to the files of its capture.

Runs on the spool's thread, off the path of any request.
"""

from __future__ import annotations

from dataclasses import replace

from flaskprof.capture.engines import Recording
from flaskprof.formats import FORMATS
from flaskprof.profiles.model import CallTree
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph
from flaskprof.record import CaptureRecord

__all__ = ["convert"]


def convert(
    record: CaptureRecord, recording: Recording
) -> tuple[CaptureRecord, dict[str, bytes]]:
    """Return the record with what the recording knows of itself, and the files by suffix.

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
    )
    files = {".prof": write_profile(call_graph(profile))}
    if isinstance(profile, CallTree):
        files[".pb.gz"] = FORMATS["pprof"].write(profile, record)
    return record, files
