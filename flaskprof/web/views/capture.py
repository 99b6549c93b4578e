"""One profile: what is known of it, and the views of it as tabs.

A capture, a file and several of them added up are one page; which view it shows, which
function is selected in all of them and what each view shows is in its address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import BadRequest, NotFound

from flaskprof.formats import FORMATS
from flaskprof.profiles.model import Function
from flaskprof.profiles.table import row_of
from flaskprof.web.figures import Figure, count, seconds
from flaskprof.web.panels import PanelOf
from flaskprof.web.panels.flame import flame
from flaskprof.web.panels.sandwich import sandwich
from flaskprof.web.panels.source import source
from flaskprof.web.panels.table import STATE, table
from flaskprof.web.panels.tree import tree
from flaskprof.web.rows import (
    FunctionRow,
    KindShare,
    Summary,
    function_row,
    kind_shares,
    profile_data,
    record_data,
    summary,
)
from flaskprof.web.subject import Subject, merged, subject_of
from flaskprof.web.visit import Page, Visit

__all__ = ["capture", "function", "merge"]


@dataclass(frozen=True, slots=True)
class Tab:
    """One of the views."""

    name: str
    text: str
    hint: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Export:
    """A file that can be had of the profile."""

    text: str
    summary: str
    url: str


@dataclass(frozen=True, slots=True)
class CaptureView:
    """What is above the panel, and the panel."""

    summary: Summary
    is_merge: bool
    title: str
    parts: Sequence[tuple[str, str]]
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
    selected: FunctionRow | None
    selected_urls: Mapping[str, str]
    panel_template: str
    panel: Any


# The views in the order of their tabs: name, text, what it is for, and what makes it.
_PANELS: tuple[tuple[str, str, str, PanelOf], ...] = (
    ("flame", "Flame", "The calls as boxes, as wide as their time", flame),
    ("table", "Table", "Every function with its times", table),
    ("sandwich", "Callers & callees", "Who called a function, and what it called", sandwich),
    ("tree", "Tree", "The calls as nested rows", tree),
    ("source", "Source", "A function's lines, with times where it is defined", source),
)
_BY_NAME = {name: panel for name, _, _, panel in _PANELS}


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
    if name not in _BY_NAME:
        raise BadRequest(f"view: {name[:40]!r} is none of " + ", ".join(_BY_NAME))
    wanted = key or query.get("fn", "")
    selected = subject.function(wanted) if wanted else None
    if wanted and selected is None and not subject.is_application_only:
        raise NotFound("This profile holds no function of that address.")
    panel = _BY_NAME[name](subject, selected)
    record, graph = subject.whole_record, subject.graph
    truth = subject.truth

    def data() -> Mapping[str, Any]:
        records = [record_data(item, subject.visit.links) for item in subject.records]
        return {
            **({"capture": records[0]} if subject.record else {"captures": records}),
            "profile": {
                **profile_data(graph, is_sampled=truth == "sampled"),
                "truth": truth,
                "application_only": subject.is_application_only,
                "exports": {row: subject.export(row) for row in FORMATS},
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
        total=seconds(graph.total_seconds),
        total_calls=count(graph.total_calls),
        functions=count(len(graph.functions)),
        kinds=kind_shares(graph),
        hottest=_row(subject, subject.hottest),
        tabs=_tabs(subject, name, selected),
        is_application_only=subject.is_application_only,
        has_estimated_times=subject.is_application_only and not subject.has_stacks,
        app_url=_app_url(subject, name, selected),
        exports=[
            Export(row.suffix, row.summary, subject.export(key)) for key, row in FORMATS.items()
        ],
        record_url=subject.visit.links.download_record(record.id) if subject.record else "",
        speedscope_url="",
        selected=_row(subject, selected),
        selected_urls=_selected_urls(subject, name, selected),
        panel_template=panel.template,
        panel=panel.view,
    )  # fmt: skip
    return Page("capture.html", page, data)


def _at_first(query: Mapping[str, str]) -> str:
    """Return the view of an address that names none: what says how a table is, is of one."""
    return "table" if any(name in query for name in STATE) else _PANELS[0][0]


def _tabs(subject: Subject, current: str, selected: Function | None) -> list[Tab]:
    key = subject.key(selected)
    return [
        Tab(name, text, hint, subject.page(view=name, fn=key), name == current)
        for name, text, hint, _ in _PANELS
    ]


def _app_url(subject: Subject, name: str, selected: Function | None) -> str:
    app = "" if subject.is_application_only else "1"
    return subject.page(view=name, fn=subject.key(selected), app=app)


def _selected_urls(
    subject: Subject, current: str, selected: Function | None
) -> Mapping[str, str]:
    """Return where else the selected function can be seen, and where none is selected."""
    if selected is None:
        return {}
    key = subject.key(selected)
    urls = {
        text: subject.page(view=name, fn=key)
        for name, text, _, _ in _PANELS
        if name not in ("table", current)
    }
    return urls | {"Clear": subject.page(view=current)}


def _parts(subject: Subject) -> list[tuple[str, str]]:
    """Return names and addresses of what a merge was made of."""
    if subject.record:
        return []
    return [(item.name, subject.visit.links.subject([item.id])) for item in subject.records]


def _row(subject: Subject, of: Function | None) -> FunctionRow | None:
    if of is None:
        return None
    row = row_of(subject.graph, of)
    return function_row(
        row, url=subject.function_page(of), recording_ns=subject.recording_ns(of)
    )
