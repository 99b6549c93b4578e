"""The list of captures, narrowed by route, method and trigger, a page at a time.

Where the viewer was given files, it is the list of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flaskprof.store import CapturePage, CaptureQuery
from flaskprof.web.capture_table import CaptureTable, ListState, capture_table
from flaskprof.web.links import Links
from flaskprof.web.rows import record_data
from flaskprof.web.visit import Page, Visit

__all__ = ["application_url", "captures"]

NO_ROUTE = "(no route)"

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


class Choice(NamedTuple):
    """One value of a filter."""

    value: str
    is_chosen: bool


class Filter(NamedTuple):
    """A field that the list can be narrowed by."""

    name: str
    label: str
    choices: Sequence[Choice]


class Pair(NamedTuple):
    """Two that are all there is, and the address where they are compared."""

    before: str
    after: str
    url: str


class CapturesView(NamedTuple):
    """The list of captures, or what to do where there are none."""

    table: CaptureTable
    pair: Pair | None
    filters: Sequence[Filter]
    search: str
    hidden: Mapping[str, str]
    is_filtered: bool
    route_url: str
    application_url: str


def captures(visit: Visit) -> Page:
    """List the captures, newest first unless another order is asked for."""
    chosen = {name: visit.query.get(name, "") for name in ("route", "method", "trigger")}
    search = visit.query.get("search", "").strip()
    state = ListState.from_query(visit.query)
    route = "" if chosen["route"] == NO_ROUTE else chosen["route"] or None
    wanted = CaptureQuery(
        route=route,
        method=chosen["method"] or None,
        trigger=chosen["trigger"] or None,
        search=search,
    )
    found = visit.store.list(state.applied(wanted))
    kept = {name: value for name, value in (chosen | {"search": search}).items() if value}

    def here(**query: str) -> str:
        return visit.links.captures(**kept, **query)

    table = capture_table(
        found,
        state,
        links=visit.links,
        here=here,
        now=visit.now,
        is_files=visit.store.holds == "files",
    )
    filters = [
        _filter("route", "Route", chosen["route"], [r or NO_ROUTE for r in found.routes]),
        _filter("method", "Method", chosen["method"], found.methods),
        _filter("trigger", "Trigger", chosen["trigger"], found.triggers),
    ]
    view = CapturesView(
        table=table,
        pair=_pair(found, visit.links) if not kept else None,
        # Where all are alike there is nothing to choose.
        filters=[one for one in filters if len(one.choices) > 1 or chosen[one.name]],
        search=search,
        hidden={name: value for name, value in state.to_query().items() if name != "page"},
        is_filtered=bool(kept),
        route_url=visit.links.route(route, chosen["method"]) if route else "",
        application_url=application_url(visit),
    )

    def data() -> Mapping[str, Any]:
        return {
            "captures": [record_data(record, visit.links) for record in found.records],
            "matching": found.matching,
            "page": state.page,
            "sort": state.sort,
            "order": "desc" if state.is_descending else "asc",
            "links": {"previous": table.previous_url or None, "next": table.next_url or None},
            "routes": list(found.routes),
            "methods": list(found.methods),
            "triggers": list(found.triggers),
        }

    return Page("captures.html", view, data)


def _pair(found: CapturePage, links: Links) -> Pair | None:
    """Return the two captures, the older first, where there are no others."""
    if found.matching != 2 or len(found.records) != 2:
        return None
    before, after = sorted(found.records, key=lambda record: record.id)
    if not (before.exactness and after.exactness):
        return None
    return Pair(before.name, after.name, links.compare(a=before.id, b=after.id))


def _filter(name: str, label: str, chosen: str, values: Sequence[str]) -> Filter:
    known = [value for value in values if value]
    if chosen and chosen not in known:
        known.append(chosen)
    return Filter(name, label, [Choice(value, value == chosen) for value in known])


def application_url(visit: Visit) -> str:
    """The address of the application's front page, as far as the request tells."""
    root = visit.links.root
    if not root.endswith(visit.settings.prefix) or not _HOST.fullmatch(
        visit.origin.partition("://")[2]
    ):
        return "http://localhost:5000/"
    return f"{visit.origin}{root.removesuffix(visit.settings.prefix)}/"
