"""One function a page: from a request's query and a store to what a page shows.

A view returns a `Page`, which is printed as HTML or as JSON, or a `Download`. It raises
werkzeug's HTTP exceptions for a query that makes no sense and lets the errors of the
store and of the profile reader pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import NotFound

from flaskprof.config import Settings
from flaskprof.profiles.model import CallGraph, Function
from flaskprof.profiles.table import Edge, callees, callers, rows
from flaskprof.store import CaptureQuery, Store
from flaskprof.web.figures import Figure, count, seconds
from flaskprof.web.links import Links, function_key
from flaskprof.web.parsed import ParsedProfiles
from flaskprof.web.rows import (
    CaptureRow,
    FunctionName,
    FunctionRow,
    Summary,
    capture_row,
    edge_data,
    edge_row,
    function_name,
    function_row,
    record_data,
    row_data,
    summary,
)
from flaskprof.web.state import Head, TableState, heads, whole_number

__all__ = ["VIEWS", "Download", "Page", "View", "Visit", "being_written", "trouble"]

CAPTURES_A_PAGE = 50
NO_ROUTE = "(no route)"

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request, as a view sees it. `now` is in Unix seconds."""

    store: Store
    settings: Settings
    profiles: ParsedProfiles
    links: Links
    query: MultiDict[str, str]
    now: float
    origin: str


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be shown: `view` by the template, or what `data` returns as JSON."""

    template: str
    view: Any
    data: Callable[[], Mapping[str, Any]]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Download:
    """A file that the browser saves and never opens."""

    body: bytes
    filename: str
    mimetype: str


View = Callable[..., Page | Download]


# The list of captures.


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter."""

    value: str
    text: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """A field that the list can be narrowed by."""

    name: str
    label: str
    choices: Sequence[Choice]


@dataclass(frozen=True, slots=True)
class CapturesView:
    """The list of captures, or what to do where there are none."""

    captures: Sequence[CaptureRow]
    filters: Sequence[Filter]
    is_filtered: bool
    matching: Figure
    first: int
    last: int
    newer_url: str
    older_url: str
    application_url: str


def captures(visit: Visit) -> Page:
    """List the captures, newest first."""
    chosen = {name: visit.query.get(name, "") for name in ("route", "method", "trigger")}
    number = whole_number(visit.query.get("page", "1"), "page")
    offset = (number - 1) * CAPTURES_A_PAGE
    found = visit.store.list(
        CaptureQuery(
            route="" if chosen["route"] == NO_ROUTE else chosen["route"] or None,
            method=chosen["method"] or None,
            trigger=chosen["trigger"] or None,
            limit=CAPTURES_A_PAGE,
            offset=offset,
        )
    )
    kept = {name: value for name, value in chosen.items() if value}

    def page_url(to: int) -> str:
        return visit.links.captures(**kept, **({"page": to} if to > 1 else {}))

    last = offset + len(found.records)
    longest = max((record.duration_seconds for record in found.records), default=0.0)
    view = CapturesView(
        captures=[
            capture_row(record, links=visit.links, now=visit.now, longest_seconds=longest)
            for record in found.records
        ],
        filters=[
            _filter("route", "Route", chosen["route"], [r or NO_ROUTE for r in found.routes]),
            _filter("method", "Method", chosen["method"], found.methods),
            _filter("trigger", "Trigger", chosen["trigger"], found.triggers),
        ],
        is_filtered=bool(kept),
        matching=count(found.matching),
        first=offset + 1,
        last=last,
        newer_url=page_url(number - 1) if number > 1 else "",
        older_url=page_url(number + 1) if last < found.matching and found.records else "",
        application_url=_application_url(visit),
    )

    def data() -> Mapping[str, Any]:
        return {
            "captures": [record_data(record, visit.links) for record in found.records],
            "matching": found.matching,
            "page": number,
            "links": {"newer": view.newer_url or None, "older": view.older_url or None},
            "routes": list(found.routes),
            "methods": list(found.methods),
            "triggers": list(found.triggers),
        }

    return Page("captures.html", view, data)


def _filter(name: str, label: str, chosen: str, values: Sequence[str]) -> Filter:
    known = [value for value in values if value]
    if chosen and chosen not in known:
        known.append(chosen)
    return Filter(name, label, [Choice(value, value, value == chosen) for value in known])


def _application_url(visit: Visit) -> str:
    """The address of the application's front page, as far as the request tells."""
    root = visit.links.root
    if not root.endswith(visit.settings.prefix) or not _HOST.fullmatch(
        visit.origin.partition("://")[2]
    ):
        return "http://localhost:5000/"
    return f"{visit.origin}{root.removesuffix(visit.settings.prefix)}/"


# One capture.


@dataclass(frozen=True, slots=True)
class CaptureView:
    """One capture with its function table."""

    summary: Summary
    profile_url: str
    record_url: str
    total: Figure
    total_calls: Figure
    functions: Figure
    heads: Sequence[Head]
    rows: Sequence[FunctionRow]
    matching: Figure
    is_whole: bool
    is_sampled: bool
    search: str
    hidden: Mapping[str, str]
    clear_url: str
    all_url: str
    restrictions: Sequence[str]
    restrict_url: str


def capture(visit: Visit, capture_id: str) -> Page:
    """Show one capture: its metadata and the table of its functions."""
    record = visit.store.record(capture_id)
    graph = visit.profiles.get(visit.store.read(capture_id, ".prof"))
    is_sampled = graph.is_sampled or record.exactness == "sampled"
    state = TableState.from_query(visit.query, visit.settings)
    found = rows(
        graph,
        state.sort_by,
        visit.settings.restrictions if state.is_restricted else (),
        state.search,
        descending=state.is_descending,
    )
    shown = found[: state.limit]

    def url(function: Function) -> str:
        return visit.links.function(capture_id, function)

    def here(**changes: str) -> str:
        return visit.links.capture(capture_id, **state.to_query(**changes))

    restrictions = visit.settings.restrictions
    view = CaptureView(
        summary=summary(record, now=visit.now, is_sampled=is_sampled),
        profile_url=visit.links.download_profile(capture_id),
        record_url=visit.links.download_record(capture_id),
        total=seconds(graph.total_seconds),
        total_calls=count(graph.total_calls),
        functions=count(len(graph.functions)),
        heads=heads(state, here),
        rows=[function_row(row, url=url(row.function)) for row in shown],
        matching=count(len(found)),
        is_whole=len(shown) == len(found),
        is_sampled=is_sampled,
        search=state.search,
        hidden={k: v for k, v in state.to_query().items() if k != "search"},
        clear_url=here(search=""),
        all_url=here(rows="all"),
        restrictions=[str(item) for item in restrictions] if state.is_restricted else [],
        restrict_url=here(restricted="no" if state.is_restricted else ""),
    )

    def data() -> Mapping[str, Any]:
        return {
            "capture": record_data(record, visit.links),
            "profile": _profile_data(graph, is_sampled=is_sampled),
            "table": {
                "sort_by": list(state.sort_by),
                "search": state.search,
                "restrictions": list(restrictions) if state.is_restricted else [],
                "matching": len(found),
                "rows": [row_data(row, url=url(row.function)) for row in shown],
            },
        }

    return Page("capture.html", view, data)


def _profile_data(graph: CallGraph, *, is_sampled: bool) -> dict[str, Any]:
    return {
        "total_seconds": graph.total_seconds,
        "total_calls": graph.total_calls,
        "functions": len(graph.functions),
        "is_sampled": is_sampled,
    }


# Callers and callees of one function.


@dataclass(frozen=True, slots=True)
class FunctionView:
    """One function of a capture between its callers and its callees."""

    summary: Summary
    capture_url: str
    function: FunctionName
    sums: FunctionRow
    is_recursive: bool
    is_sampled: bool
    callers: Sequence[FunctionRow]
    callees: Sequence[FunctionRow]


def function(visit: Visit, capture_id: str, key: str) -> Page:
    """Show who called a function and what it called, with the sums of each edge."""
    record = visit.store.record(capture_id)
    graph = visit.profiles.get(visit.store.read(capture_id, ".prof"))
    wanted = next((known for known in graph.functions if function_key(known) == key), None)
    if wanted is None:
        raise NotFound("This capture holds no function of that address.")
    is_sampled = graph.is_sampled or record.exactness == "sampled"
    row = next(row for row in rows(graph) if row.function == wanted)
    above, below = callers(graph, wanted), callees(graph, wanted)

    def url(other: Function) -> str:
        return visit.links.function(capture_id, other)

    def shown(edge: Edge) -> FunctionRow:
        whole = row.cumulative_seconds
        return edge_row(edge, url=url(edge.function), whole_seconds=whole)

    view = FunctionView(
        summary=summary(record, now=visit.now, is_sampled=is_sampled),
        capture_url=visit.links.capture(capture_id),
        function=function_name(wanted, url=url(wanted)),
        sums=function_row(row, url=url(wanted)),
        is_recursive=row.calls != row.primitive_calls,
        is_sampled=is_sampled,
        callers=[shown(edge) for edge in above],
        callees=[shown(edge) for edge in below],
    )

    def data() -> Mapping[str, Any]:
        return {
            "capture": record_data(record, visit.links),
            "profile": _profile_data(graph, is_sampled=is_sampled),
            "function": row_data(row, url=url(wanted)),
            "callers": [edge_data(edge, url=url(edge.function)) for edge in above],
            "callees": [edge_data(edge, url=url(edge.function)) for edge in below],
        }

    return Page("function.html", view, data)


# Files.


def download_profile(visit: Visit, capture_id: str) -> Download:
    """The ``.prof`` file as it was written."""
    visit.store.record(capture_id)
    body = visit.store.read(capture_id, ".prof")
    return Download(body, f"{capture_id}.prof", "application/octet-stream")


def download_record(visit: Visit, capture_id: str) -> Download:
    """The metadata of a capture in its versioned format."""
    text = visit.store.record(capture_id).to_json()
    # A lone surrogate, which UTF-8 cannot hold, becomes the JSON escape of the same form.
    body = text.encode("utf-8", "backslashreplace")
    return Download(body, f"{capture_id}.json", "application/json")


# What is not there, not yet there, or cannot be shown.


@dataclass(frozen=True, slots=True)
class BeingWrittenView:
    """A capture that will be there in a moment."""

    capture_id: str


@dataclass(frozen=True, slots=True)
class TroubleView:
    """An answer that is not what was asked for, and why."""

    title: str
    message: str
    profile_url: str = ""


def being_written(capture_id: str) -> Page:
    """Say that a capture is on its way; the page loads itself again."""
    return Page(
        "being_written.html",
        BeingWrittenView(capture_id),
        lambda: {"being_written": {"id": capture_id, "retry_after_seconds": 1}},
        status=202,
        headers={"Retry-After": "1", "Refresh": "1"},
    )


def trouble(status: int, title: str, message: str, *, profile_url: str = "") -> Page:
    """Say what is wrong, in the same words to people and to programs."""
    return Page(
        "trouble.html",
        TroubleView(title, message, profile_url),
        lambda: {"error": {"status": status, "title": title, "message": message}},
        status=status,
    )


VIEWS: Mapping[str, View] = {
    "captures": captures,
    "capture": capture,
    "function": function,
    "download_profile": download_profile,
    "download_record": download_record,
}
