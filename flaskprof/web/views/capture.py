"""One profile: what is known of it, and the views of it as tabs.

A capture, a file and several of them added up are one page; which view it shows, which
function is selected in all of them and what each view shows is in its address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from werkzeug.exceptions import BadRequest, NotFound

from flaskprof.late import Late
from flaskprof.profiles.model import Function
from flaskprof.profiles.table import row_of
from flaskprof.web.comparisons import Suggestion, route_of, suggestions
from flaskprof.web.exports import EXPORTS
from flaskprof.web.figures import Figure, count, seconds, visible
from flaskprof.web.panels import PanelOf
from flaskprof.web.rows import (
    CaptureRow,
    FunctionRow,
    KindShare,
    Summary,
    capture_row,
    function_row,
    kind_shares,
    profile_data,
    record_data,
    summary,
)
from flaskprof.web.subject import Subject, merged, subject_of
from flaskprof.web.visit import Page, Visit

__all__ = ["capture", "function", "merge"]


class Tab(NamedTuple):
    """One of the views."""

    name: str
    text: str
    hint: str
    url: str
    is_current: bool


class Export(NamedTuple):
    """A file that can be had of the profile."""

    text: str
    summary: str
    url: str


class CaptureView(NamedTuple):
    """What is above the panel, and the panel."""

    summary: Summary
    is_merge: bool
    title: str
    parts: Sequence[CaptureRow]
    truth: str
    total: Figure
    total_calls: Figure
    functions: Figure
    kinds: Sequence[KindShare]
    hottest: FunctionRow | None
    tabs: Sequence[Tab]
    is_application_only: bool
    has_estimated_times: bool
    app_url: str
    exports: Sequence[Export]
    record_url: str
    speedscope_url: str
    comparisons: Sequence[Suggestion]
    route: tuple[str, str] | None
    selected: FunctionRow | None
    selected_urls: Mapping[str, str]
    panel_template: str
    panel: Any
    queries: Any


# The views in the order of their tabs: name, text and what it is for. What makes each is the
# function of that name, in the module of that name.
_TABS = (
    ("flame", "Flame", "Every stack as a box as wide as its time"),
    ("table", "Table", "Every function with its times"),
    ("sandwich", "Callers", "Who called a function, and what it called"),
    ("tree", "Tree", "The calls as nested rows"),
    ("source", "Source", "A function's lines, with times where it is defined"),
)
_PANELS: Mapping[str, PanelOf] = {
    name: Late(f"flaskprof.web.panels.{name}:{name}") for name, _, _ in _TABS
}
_queries = Late("flaskprof.web.queries:queries_view")
# What of a query says how the table is.
_OF_TABLE = ("sort", "order", "search", "rows", "page", "restricted")
# What of a query says how the flame view is, beside the function.
_DRAWN = ("zoom", "range", "at", "search", "shape", "colour", "off")


def capture(visit: Visit, capture_id: str) -> Page:
    """Show one capture."""
    return _page(subject_of(visit, capture_id))


def merge(visit: Visit) -> Page:
    """Show several captures added up, as one is shown."""
    return _page(merged(visit, visit.query.getlist("c")))


def function(visit: Visit, capture_id: str, key: str) -> Page:
    """Show one function of a capture, at an address of its own."""
    return _page(subject_of(visit, capture_id), "sandwich", key)


def _page(subject: Subject, view: str = "", key: str = "") -> Page:
    query = subject.visit.query
    name = view or query.get("view", "") or _at_first(query)
    if name not in _PANELS:
        raise BadRequest(f"view: {name[:40]!r} is none of " + ", ".join(_PANELS))
    wanted = key or query.get("fn", "")
    selected = subject.function(wanted) if wanted else None
    if wanted and selected is None and not subject.is_application_only:
        raise NotFound("This profile holds no function of that address.")
    panel = _PANELS[name](subject, selected)
    record, graph, overall = subject.whole_record, subject.graph, subject.overall
    truth = subject.truth

    def data() -> Mapping[str, Any]:
        records = [record_data(item, subject.visit.links) for item in subject.records]
        return {
            **({"capture": records[0]} if subject.record else {"captures": records}),
            "profile": {
                **profile_data(graph, is_sampled=truth == "sampled"),
                "truth": truth,
                "application_only": subject.is_application_only,
                "exports": {row: subject.export(row) for row in EXPORTS},
            },
            **panel.data(),
        }

    page = CaptureView(
        summary=summary(record, truth=truth, is_one=subject.record is not None,
                        now=subject.visit.now),
        is_merge=subject.record is None,
        title=subject.title,
        parts=_parts(subject),
        truth=truth,
        total=seconds(overall.seconds),
        total_calls=count(overall.calls),
        functions=count(len(graph.functions)),
        kinds=kind_shares(overall),
        hottest=_row(subject, overall.hottest),
        tabs=_tabs(subject, name, wanted),
        is_application_only=subject.is_application_only,
        has_estimated_times=subject.is_application_only and not subject.has_stacks,
        app_url=subject.page(
            view=name, fn=wanted, app="" if subject.is_application_only else "1"
        ),
        exports=[
            Export(row.suffix, row.summary, subject.export(key)) for key, row in EXPORTS.items()
        ],
        record_url=subject.visit.links.download_record(record.id) if subject.record else "",
        speedscope_url=subject.visit.links.speedscope(
            subject.export("speedscope"), visible(subject.title)
        ),
        comparisons=suggestions(subject),
        route=route_of(subject),
        selected=_row(subject, selected),
        selected_urls=_selected_urls(subject, name, selected),
        panel_template=panel.template,
        panel=panel.view,
        queries=_queries(record) if record.query_count else None,
    )  # fmt: skip
    return Page("capture.html", page, data, is_drawn=name == "flame")


def _at_first(query: Mapping[str, str]) -> str:
    """Return the view of an address that names none: what says how a table is, is of one."""
    return "table" if any(name in query for name in _OF_TABLE) else _TABS[0][0]


def _tabs(subject: Subject, current: str, key: str) -> list[Tab]:
    """Return the views, of the same function and, in the flame view, at the same place."""
    query = subject.visit.query
    kept = {name: query[name] for name in _DRAWN if name in query}
    return [
        Tab(name, text, hint, subject.page(view=name, fn=key, **kept), name == current)
        for name, text, hint in _TABS
    ]


def _selected_urls(
    subject: Subject, current: str, selected: Function | None
) -> Mapping[str, str]:
    """Return where else the selected function can be seen, and where none is selected."""
    if selected is None:
        return {}
    key = subject.key(selected)
    urls = {
        text: subject.page(view=name, fn=key)
        for name, text, _ in _TABS
        if name not in ("flame", "table", current)
    }
    return urls | {"Clear": subject.page(view=current)}


def _parts(subject: Subject) -> list[CaptureRow]:
    """Return what a merge was made of."""
    if subject.record:
        return []
    visit = subject.visit
    longest = max(record.duration_seconds for record in subject.records)
    return [
        capture_row(record, links=visit.links, now=visit.now, longest_seconds=longest)
        for record in subject.records
    ]


def _row(subject: Subject, of: Function | None) -> FunctionRow | None:
    if of is None:
        return None
    row = row_of(subject.graph, of)
    return function_row(
        row,
        url=subject.function_page(of),
        kinds=subject.kinds,
        recording_ns=subject.recording_ns(of),
    )
