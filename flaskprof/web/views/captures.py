"""The list of captures, narrowed by route, method and trigger, a page at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flaskprof.store import CaptureQuery
from flaskprof.web.figures import Figure, count
from flaskprof.web.rows import CaptureRow, capture_row, record_data
from flaskprof.web.state import whole_number
from flaskprof.web.visit import Page, Visit

__all__ = ["captures"]

CAPTURES_A_PAGE = 50
NO_ROUTE = "(no route)"

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter."""

    value: str
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
    return Filter(name, label, [Choice(value, value == chosen) for value in known])


def _application_url(visit: Visit) -> str:
    """The address of the application's front page, as far as the request tells."""
    root = visit.links.root
    if not root.endswith(visit.settings.prefix) or not _HOST.fullmatch(
        visit.origin.partition("://")[2]
    ):
        return "http://localhost:5000/"
    return f"{visit.origin}{root.removesuffix(visit.settings.prefix)}/"
