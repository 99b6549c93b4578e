"""From records and profiles to what the pages print: plain values, without markup.

Nothing here reads a store or a clock. Bars are numbers between 0 and 100, for the
``width`` of a rectangle that is 100 wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from flaskprof.profiles.kinds import Kind, Kinds
from flaskprof.profiles.model import CallGraph, Function
from flaskprof.profiles.overall import Overall
from flaskprof.profiles.paths import short_path
from flaskprof.profiles.table import Edge, Row
from flaskprof.record import CaptureRecord
from flaskprof.web.figures import Figure, Moment, calls, moment, seconds, share
from flaskprof.web.links import Links

__all__ = [
    "CaptureRow",
    "Fact",
    "FunctionName",
    "FunctionRow",
    "KindShare",
    "Summary",
    "capture_row",
    "edge_data",
    "edge_row",
    "function_data",
    "function_name",
    "function_row",
    "kind_shares",
    "profile_data",
    "record_data",
    "row_data",
    "slug_of",
    "summary",
]

_EXACTNESS = {
    "exact": "exact: every call counted",
    "sampled": "sampled: times are estimates, calls are counts of samples",
}
_CLOCKS = {
    "monotonic": "the monotonic clock of the system",
    "tsc": "the processor's time-stamp counter",
}
_OVERLAPS = "They share the process's cores and interpreter lock: times are longer for them"
_TRIGGERS = {
    "api": "asked for by the code of the application",
    "armed": "armed beforehand",
    "file": "given as a file",
    "header": "asked for with the X-Profile header",
    "sampled": "picked at random",
    "slow": "turned out slow",
    "test": "one of the slowest tests of a run",
    "token": "asked for with a signed token",
}
_TEMPLATES = "What they took to render; of one within another each is by itself"
_TRACE = "The request's ID in distributed tracing"
# From this share of its time on a function is said to be distorted by its recording.
_MUCH_RECORDING = 0.2
_STATUS_KINDS = {2: "fine", 3: "moved", 4: "refused", 5: "failed"}


class CaptureRow(NamedTuple):
    """One capture in the list; `problem` is why it cannot be shown, if it cannot."""

    id: str
    url: str
    method: str
    name: str
    status: str
    status_kind: str
    started: Moment
    wall: Figure
    wall_bar: float
    cpu: Figure
    cpu_bar: float
    trigger: str
    exactness: str
    where: str
    problem: str


class Fact(NamedTuple):
    """A line of the metadata: what it is called and what it says."""

    term: str
    text: str
    hint: str = ""


class Summary(NamedTuple):
    """What is known of one capture beside its profile."""

    capture_id: str
    method: str
    name: str
    full_name: str
    status: str
    status_kind: str
    started: Moment
    wall: Figure
    cpu: Figure
    cpu_bar: float
    cpu_share: Figure | None
    overhead: Figure | None
    overhead_share: Figure | None
    exactness: str
    is_exact: bool
    is_sampled: bool
    facts: Sequence[Fact]
    notes: Sequence[str]


class KindShare(NamedTuple):
    """How much time is the own of one kind of code; the bar begins at `start`."""

    text: str
    slug: str
    time: Figure
    share: Figure
    start: float
    width: float


class FunctionName(NamedTuple):
    """How a function is called on a page; `path` is its file, shortened."""

    url: str
    name: str
    path: str
    line: str
    full_place: str
    kind: str
    kind_slug: str


class FunctionRow(NamedTuple):
    """A function, or an edge to it, with its sums; the bars are shares of a whole."""

    function: FunctionName
    calls: Figure
    self_time: Figure
    self_share: Figure
    self_bar: float
    self_per_call: Figure
    cumulative: Figure
    cumulative_share: Figure
    cumulative_bar: float
    cumulative_per_call: Figure
    recording: Figure | None = None
    is_selected: bool = False


def capture_row(
    record: CaptureRecord, *, links: Links, now: float, longest_seconds: float
) -> CaptureRow:
    """Show one capture; its bars are shares of `longest_seconds`."""
    return CaptureRow(
        id=record.id,
        url=links.capture(record.id),
        method="" if record.title else record.method,
        name=_subject(record),
        status="" if record.status is None else str(record.status),
        status_kind=_status_kind(record.status),
        started=moment(record.started, now),
        wall=seconds(record.duration_seconds if record.exactness else None),
        wall_bar=_bar(record.duration_seconds, longest_seconds),
        cpu=seconds(record.cpu_seconds),
        cpu_bar=_bar(record.cpu_seconds or 0.0, longest_seconds),
        trigger=record.trigger,
        exactness=record.exactness,
        where=" ".join(part for part in (record.service, record.host) if part),
        problem="" if record.exactness else " ".join(record.notes),
    )


def kind_shares(whole: Overall) -> list[KindShare]:
    """Show how much of the time is whose code's own, in the order of `Kind`."""
    times = whole.own_seconds
    every = sum(times.values())
    shares = []
    start = 0.0
    for kind, time in times.items():
        width = _bar(time, every)
        shares.append(
            KindShare(
                kind.value,
                slug_of(kind),
                seconds(time),
                share(_part(time, every)),
                start,
                width,
            )
        )
        start += width
    return shares


def summary(record: CaptureRecord, *, truth: str, is_one: bool, now: float) -> Summary:
    """Show the metadata of a capture, or of several as one, leaving out what is not known.

    A profile that calls itself sampled is believed over its record.
    """
    exactness = "sampled" if truth == "sampled" else record.exactness
    cpu, wall = record.cpu_seconds, record.duration_seconds
    is_shared = cpu is not None and wall > 0
    overhead = record.overhead_seconds
    service = " ".join(part for part in (record.service, record.service_version) if part)
    facts = (
        Fact("Trigger", record.trigger, _TRIGGERS.get(record.trigger, "")),
        Fact("Endpoint", record.endpoint),
        Fact("View", _view(record), record.view_file),
        Fact("Engine", record.engine),
        Fact("Clock", record.clock, _CLOCKS.get(record.clock, "")),
        Fact("Other requests meanwhile", _whole(record.overlaps), _OVERLAPS),
        Fact("Service", service),
        Fact("Host", record.host),
        Fact("Process", _whole(record.pid)),
        Fact("Trace", record.trace_id, _TRACE),
        Fact("Templates", _templates(record), _TEMPLATES),
        Fact("Capture", record.id if is_one else ""),
    )
    return Summary(
        capture_id=record.id,
        method="" if record.title else record.method,
        name=_subject(record),
        full_name=record.name,
        status="" if record.status is None else str(record.status),
        status_kind=_status_kind(record.status),
        started=moment(record.started, now),
        wall=seconds(wall),
        cpu=seconds(cpu),
        cpu_bar=_bar(cpu or 0.0, wall),
        cpu_share=share(cpu / wall) if cpu is not None and is_shared else None,
        overhead=None if overhead is None else seconds(overhead),
        overhead_share=share(overhead / wall) if overhead is not None and wall > 0 else None,
        exactness=_EXACTNESS.get(exactness, exactness),
        is_exact=exactness == "exact",
        is_sampled=exactness == "sampled",
        facts=[fact for fact in facts if fact.text],
        notes=record.notes,
    )


def _view(record: CaptureRecord) -> str:
    place = f"{short_path(record.view_file)}:{record.view_line}"
    return f"{record.view}, {place}" if record.view else ""


def _templates(record: CaptureRecord) -> str:
    longest_first = sorted(record.template_seconds.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{name} {seconds(spent).text} {seconds(spent).unit}" for name, spent in longest_first
    )


def _whole(value: int | None) -> str:
    return "" if value is None else str(value)


def function_name(function: Function, *, url: str, kinds: Kinds) -> FunctionName:
    """Name a function with its place, shortened and in full, and its kind."""
    kind = kinds.of(function)
    has_place = kind is not Kind.BUILTIN
    line = f":{function.line}" if has_place and function.line else ""
    return FunctionName(
        url=url,
        name=function.name,
        path=short_path(function.file) if has_place else "",
        line=line,
        full_place=function.file + line if has_place else "",
        kind=kind.value,
        kind_slug=slug_of(kind),
    )


def slug_of(kind: Kind) -> str:
    """Return what a kind is called in the style sheet."""
    return kind.value.partition(" ")[0]


def function_row(
    row: Row,
    *,
    url: str,
    kinds: Kinds,
    recording_ns: float | None = None,
    is_selected: bool = False,
) -> FunctionRow:
    """Show a row of the function table; its bars are shares of the profile's time.

    `recording_ns` is what the recording of a call takes: where that is much of the function's
    time, the row says so.
    """
    recorded = _part(row.calls * (recording_ns or 0.0) / 1e9, row.cumulative_seconds)
    return FunctionRow(
        function=function_name(row.function, url=url, kinds=kinds),
        calls=calls(row.calls, row.primitive_calls),
        self_time=seconds(row.self_seconds),
        self_share=share(row.self_share),
        self_bar=_bar(row.self_share, 1.0),
        self_per_call=seconds(row.self_per_call),
        cumulative=seconds(row.cumulative_seconds),
        cumulative_share=share(row.cumulative_share),
        cumulative_bar=_bar(row.cumulative_share, 1.0),
        cumulative_per_call=seconds(row.cumulative_per_call),
        recording=share(min(recorded, 1.0)) if recorded >= _MUCH_RECORDING else None,
        is_selected=is_selected,
    )


def edge_row(edge: Edge, *, url: str, kinds: Kinds, whole_seconds: float) -> FunctionRow:
    """Show a caller or callee; its bars are shares of `whole_seconds`."""
    sums = edge.sums
    return FunctionRow(
        function=function_name(edge.function, url=url, kinds=kinds),
        calls=calls(sums.calls, sums.primitive_calls),
        self_time=seconds(sums.self_seconds),
        self_share=share(_part(sums.self_seconds, whole_seconds)),
        self_bar=_bar(sums.self_seconds, whole_seconds),
        self_per_call=seconds(_per(sums.self_seconds, sums.calls)),
        cumulative=seconds(sums.cumulative_seconds),
        cumulative_share=share(_part(sums.cumulative_seconds, whole_seconds)),
        cumulative_bar=_bar(sums.cumulative_seconds, whole_seconds),
        cumulative_per_call=seconds(_per(sums.cumulative_seconds, sums.primitive_calls)),
    )


def record_data(record: CaptureRecord, links: Links) -> dict[str, Any]:
    """Return a record with the addresses of its page and files."""
    addresses = {
        "page": links.capture(record.id),
        "profile": links.download_profile(record.id),
        **({"stacks": links.download_stacks(record.id)} if record.has_stacks else {}),
        "record": links.download_record(record.id),
    }
    return {**asdict(record), "links": addresses}


def profile_data(graph: CallGraph, *, is_sampled: bool) -> dict[str, Any]:
    """Return what a profile says as a whole."""
    return {
        "total_seconds": graph.total_seconds,
        "total_calls": graph.total_calls,
        "functions": len(graph.functions),
        "is_sampled": is_sampled,
    }


def function_data(function: Function, *, url: str, kinds: Kinds) -> dict[str, Any]:
    """Return a function's key and kind with its address."""
    return {**function._asdict(), "kind": kinds.of(function).value, "link": url}


def row_data(row: Row, *, url: str, kinds: Kinds) -> dict[str, Any]:
    """Return a row of the function table with full precision."""
    fields = asdict(row)
    del fields["function"]
    return {**function_data(row.function, url=url, kinds=kinds), **fields}


def edge_data(edge: Edge, *, url: str, kinds: Kinds) -> dict[str, Any]:
    """Return a caller or callee with full precision."""
    return {**function_data(edge.function, url=url, kinds=kinds), **edge.sums._asdict()}


def _subject(record: CaptureRecord) -> str:
    return record.title or record.route or "(no route)"


def _status_kind(status: int | None) -> str:
    return _STATUS_KINDS.get((status or 0) // 100, "")


def _part(value: float, whole: float) -> float:
    return value / whole if whole > 0 else 0.0


def _per(value: float, number: int) -> float:
    return value / number if number else 0.0


def _bar(value: float, whole: float) -> float:
    part = _part(value, whole) * 100
    return round(min(max(part, 0.0), 100.0), 2)
