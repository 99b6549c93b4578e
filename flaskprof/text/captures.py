"""Captures as rows of text, and what is said of one above its functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flaskprof.profiles.model import CallGraph
from flaskprof.queries.groups import is_repeated, repetition
from flaskprof.record import CaptureRecord
from flaskprof.store.files import TRIGGER
from flaskprof.text.layout import Column, figure
from flaskprof.web.figures import seconds, visible

__all__ = ["COLUMNS", "capture_cells", "heading", "is_sampled"]

COLUMNS = (
    Column("ID"),
    Column("Started"),
    Column("Method"),
    Column("Route", gives_way=True),
    Column("Status", is_number=True),
    Column("Duration", is_number=True),
    Column("Trigger"),
)

# The digits of an ID that are its time; a prefix of these is shown where it is enough.
_TIME_DIGITS = 12


def capture_cells(records: Sequence[CaptureRecord]) -> list[Sequence[str]]:
    """Return the cells of each capture, with as much of the IDs as tells them apart."""
    digits = _telling_digits([record.id for record in records])
    today = datetime.now().astimezone().date()
    return [
        (
            record.id[:digits],
            _moment(record, today_is=today.isoformat()),
            record.method,
            record.title or record.route or "(no route)",
            "" if record.status is None else str(record.status),
            figure(seconds(record.duration_seconds)),
            record.trigger,
        )
        for record in records
    ]


def is_sampled(record: CaptureRecord, graph: CallGraph) -> bool:
    """Whether counts are samples rather than calls."""
    return graph.is_sampled or record.exactness == "sampled"


def heading(record: CaptureRecord, graph: CallGraph) -> list[str]:
    """Return the lines that say what a capture is and what its profile covers."""
    when = datetime.fromtimestamp(record.started).astimezone()
    is_file = record.trigger == TRIGGER
    facts = [
        f"{'changed ' if is_file else ''}{when:%Y-%m-%d %H:%M:%S %z}",
        "" if record.status is None else f"status {record.status}",
        "" if is_file else figure(seconds(record.duration_seconds)) + _overhead(record),
        f"trigger {record.trigger}" if record.trigger and not is_file else "",
        "sampled" if is_sampled(record, graph) else record.exactness,
    ]
    lines = [
        record.name if is_file else f"{record.name}  {record.id}",
        ", ".join(filter(None, facts)),
        *record.notes,
        _covered(record, graph),
        *_queries(record),
    ]
    return [visible(line) for line in lines]


def _overhead(record: CaptureRecord) -> str:
    """Return how much of the time is that of the recording."""
    if record.overhead_seconds is None:
        return ""
    return f" (≈ {figure(seconds(record.overhead_seconds))} of it recording)"


def _covered(record: CaptureRecord, graph: CallGraph) -> str:
    """Return how many calls of how many functions there are; some formats have no calls."""
    number, functions = graph.total_calls, len(graph.functions)
    noun = "sample" if is_sampled(record, graph) else "call"
    counted = f"{number:,} {noun}{'s' * (number != 1)} of " if number else ""
    covered = figure(seconds(graph.total_seconds))
    return f"{counted}{functions:,} function{'s' * (functions != 1)} in {covered}"


def _queries(record: CaptureRecord) -> list[str]:
    """Return how many queries the request made, and which of them were repeated."""
    if not record.query_count:
        return []
    noun = "query" if record.query_count == 1 else "queries"
    repeated = [group for group in record.queries if is_repeated(group)]
    return [
        f"{record.query_count:,} {noun} in {figure(seconds(record.query_seconds))}",
        *(f"N+1: {repetition(group)}" for group in repeated),
    ]


def _moment(record: CaptureRecord, *, today_is: str) -> str:
    """Return the local time, and the day where it is not today."""
    when = datetime.fromtimestamp(record.started).astimezone()
    day = when.date().isoformat()
    return f"{when:%H:%M:%S}" if day == today_is else f"{day} {when:%H:%M}"


def _telling_digits(ids: Sequence[str]) -> int:
    """Return how many digits tell `ids` apart."""
    digits = _TIME_DIGITS
    while len({capture_id[:digits] for capture_id in ids}) < len(ids):
        digits += 1
    return digits
