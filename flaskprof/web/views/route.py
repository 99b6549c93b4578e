"""One route: how long its captures took, and what can be made of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from werkzeug.exceptions import NotFound

from flaskprof.log import once
from flaskprof.metrics.durations import Durations, durations
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery
from flaskprof.store.spread import bin_of
from flaskprof.web.capture_table import CaptureTable, ListState, capture_table
from flaskprof.web.figures import Figure, count, moment, seconds
from flaskprof.web.histogram import AXIS, WIDTH, Histogram, histogram
from flaskprof.web.rows import record_data
from flaskprof.web.sides import of_one_kind
from flaskprof.web.subject import MOST_OF_A_ROUTE
from flaskprof.web.visit import Page, Visit

__all__ = ["route"]

_NEWEST_DOTS = 100
_SLOWEST_DOTS = 20


class RouteView(NamedTuple):
    """One route with its captures."""

    method: str
    name: str
    full_name: str
    captures: Figure
    slowest: Figure
    slowest_url: str
    median: Figure
    median_url: str
    requests: Figure | None
    mean: Figure | None
    histogram: Histogram
    width: int
    axis: int
    merged: int
    left_out: int
    left_out_kind: str
    merge_url: str
    compare_url: str
    list_url: str
    table: CaptureTable


def route(visit: Visit) -> Page:
    """Show one route: a histogram of its captures, and all of them as a table."""
    name, method = visit.query.get("route", ""), visit.query.get("method", "")
    state = ListState.from_query(visit.query)
    wanted = CaptureQuery(route=name, method=method or None)
    found = visit.store.list(state.applied(wanted))

    def some(sort: str, limit: int, offset: int = 0) -> Sequence[CaptureRecord]:
        query = CaptureQuery(
            route=name, method=method or None, sort=sort, limit=limit, offset=offset
        )
        return visit.store.list(query).records

    newest = some("started", _NEWEST_DOTS)
    slowest = some("duration", _SLOWEST_DOTS)
    # The lower of the two in the middle of an even number.
    medians = some("duration", 1, found.matching // 2)
    # Captures may be deleted at any time, also between two looks at them.
    if not (newest and slowest and medians):
        raise NotFound("There is no capture of this route; it may have been removed.")
    median = medians[0]
    merged, left_out = of_one_kind(newest[:MOST_OF_A_ROUTE])
    requests = _requests(visit, name, method)
    picture = histogram(
        visit.store.spread(wanted) or {bin_of(median.duration_seconds): 1},
        requests,
        {record.id: record for record in (*newest, *slowest, median)}.values(),
        url=visit.links.capture,
        hint=lambda record: _hint(record, visit.now),
        kinds={median.id: "median", slowest[0].id: "slowest"},
    )
    text = name or "(no route)"

    def here(**query: str) -> str:
        return visit.links.route(name, method, **query)

    table = capture_table(
        found, state, links=visit.links, here=here, now=visit.now, is_files=False
    )
    view = RouteView(
        method=method,
        name=text,
        full_name=f"{method} {text}".strip(),
        captures=count(found.matching),
        slowest=seconds(slowest[0].duration_seconds),
        slowest_url=visit.links.capture(slowest[0].id),
        median=seconds(median.duration_seconds),
        median_url=visit.links.capture(median.id),
        requests=count(requests.requests) if requests else None,
        mean=seconds(requests.seconds / requests.requests) if requests else None,
        histogram=picture,
        width=WIDTH,
        axis=AXIS,
        merged=len(merged),
        left_out=left_out,
        left_out_kind="exact" if merged[0].exactness == "sampled" else "sampled",
        merge_url=visit.links.subject([record.id for record in merged]),
        compare_url=visit.links.compare(a=median.id, b=slowest[0].id)
        if median.id != slowest[0].id
        else "",
        list_url=visit.links.captures(
            **{k: v for k, v in {"route": text, "method": method}.items() if v}
        ),
        table=table,
    )

    def data() -> Mapping[str, Any]:
        return {
            "route": name,
            "method": method,
            "matching": found.matching,
            "slowest": record_data(slowest[0], visit.links),
            "median": record_data(median, visit.links),
            "requests": _requests_data(requests),
            "captures": [record_data(record, visit.links) for record in found.records],
            "page": state.page,
            "sort": state.sort,
            "order": "desc" if state.is_descending else "asc",
            "links": {
                "previous": table.previous_url or None,
                "next": table.next_url or None,
                "merge": view.merge_url,
                "compare_slowest_with_median": view.compare_url or None,
            },
        }

    return Page("route.html", view, data)


def _requests(visit: Visit, name: str, method: str) -> Durations | None:
    """Return what the metrics have counted of the route; None where they say nothing."""
    if visit.live is None or not method:
        return None
    try:
        totals = visit.live.reading().totals
    except OSError as error:
        once("viewer totals", "the metrics cannot be read for the viewer: %s", error)
        return None
    return durations(totals, method=method, route=name)


def _requests_data(requests: Durations | None) -> Mapping[str, Any] | None:
    if requests is None:
        return None
    return {
        "count": requests.requests,
        "total_seconds": requests.seconds,
        "bounds_seconds": list(requests.bounds),
        "counts": list(requests.counts),
    }


def _hint(record: CaptureRecord, now: float) -> str:
    time, when = seconds(record.duration_seconds), moment(record.started, now)
    status = f", status {record.status}" if record.status is not None else ""
    return f"{time.text} {time.unit}{status}, {when.text} UTC"
