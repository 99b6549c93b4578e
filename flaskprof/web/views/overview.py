"""The front page: what the routes did lately, what is in flight, new and slow captures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from operator import itemgetter
from typing import Any, NamedTuple

from flaskprof.errors import CaptureNotFound, StoreError
from flaskprof.metrics.in_flight import Flying
from flaskprof.metrics.live import Live
from flaskprof.metrics.recent import Window, quantile, sum_of
from flaskprof.record import CaptureRecord
from flaskprof.store import SORTS, CaptureQuery, Store
from flaskprof.web.figures import Figure, count, in_words, rate, seconds, share
from flaskprof.web.route_rows import (
    ROWS_AT_FIRST,
    WINDOWS,
    OverviewState,
    RouteRow,
    measured,
    quantile_figure,
    route_data,
    route_heads,
    route_row,
    route_url,
    wanted,
)
from flaskprof.web.rows import CaptureRow, capture_row, record_data
from flaskprof.web.state import Head
from flaskprof.web.views.captures import application_url, captures
from flaskprof.web.visit import Page, Visit

__all__ = ["overview"]

_CAPTURES = 6
_MARKS = 8
_SECONDS = itemgetter(1)
_IN_FLIGHT = 20


class Sum(NamedTuple):
    """What all routes did together."""

    rate: Figure
    p50: Figure
    p95: Figure
    p99: Figure
    errors: Figure
    has_errors: bool


class Choice(NamedTuple):
    """A window that can be chosen."""

    text: str
    url: str
    is_chosen: bool


class FlyingRow(NamedTuple):
    """A request in flight."""

    age: Figure
    method: str
    name: str
    url: str
    pid: int
    thread: str


class OverviewView(NamedTuple):
    """The front page; `total` is None where nothing is known of the time looked at.

    `span` is how much of that is known, in words. `more_url` shows the routes that are left
    out, of which there are `more`; `of_each_route` says whether captures are of
    several, and the slowest those of each.
    """

    state: OverviewState
    hidden: Mapping[str, str]
    windows: Sequence[Choice]
    span: str
    total: Sum | None
    heads: Sequence[Head]
    routes: Sequence[RouteRow]
    more: int
    more_url: str
    clear_url: str
    flying: Sequence[FlyingRow]
    flying_count: Figure
    flying_more: int
    workers: Figure
    newest: Sequence[CaptureRow]
    slowest: Sequence[CaptureRow]
    of_each_route: bool
    captures: Figure
    application_url: str


def overview(visit: Visit) -> Page:
    """Show what goes on; without metrics that is the list of captures."""
    if visit.live is None:
        return captures(visit)
    state = OverviewState.from_query(visit.query)
    window, workers = _look(visit.live, state, visit.now)
    flying = visit.live.flying()
    newest = visit.store.list(CaptureQuery(limit=_CAPTURES))
    everything = [] if window is None else measured(window)
    found = wanted(everything, state)
    shown = found if state.shows_all else found[:ROWS_AT_FIRST]
    bounds_ns = () if window is None else window.bounds_ns
    marks = visit.store.marks(_MARKS)
    slowest = _slowest(visit.store, marks.values())

    def here(changed: OverviewState) -> str:
        return visit.links.overview(**changed.to_query())

    def rows(records: Sequence[Any]) -> list[CaptureRow]:
        longest = max((record.duration_seconds for record in records), default=0.0)
        return [
            capture_row(record, links=visit.links, now=visit.now, longest_seconds=longest)
            for record in records
        ]

    kept = replace(state, search="", shows_all=False).to_query()
    view = OverviewView(
        state=state,
        hidden=kept,
        windows=[
            Choice(in_words(length), here(replace(state, window=name)), name == state.window)
            for name, length in WINDOWS.items()
        ],
        span="" if window is None else in_words(window.seconds),
        total=_total(window),
        heads=route_heads(state, bounds_ns, here),
        routes=[
            route_row(row, bounds_ns, marks.get(row.route, ()), links=visit.links)
            for row in shown
        ],
        more=len(found) - len(shown),
        more_url=here(replace(state, shows_all=True)),
        clear_url=visit.links.overview(**kept),
        flying=_flying(flying, visit),
        flying_count=count(len(flying.requests) + flying.more),
        flying_more=max(0, len(flying.requests) - _IN_FLIGHT) + flying.more,
        workers=count(workers),
        newest=rows(newest.records),
        slowest=rows(slowest),
        of_each_route=len(marks) > 1,
        captures=count(newest.matching),
        application_url=application_url(visit),
    )

    def data() -> Mapping[str, Any]:
        return {
            "window_seconds": WINDOWS[state.window],
            "known_seconds": None if window is None else window.seconds,
            "workers": workers,
            "routes": [route_data(row, bounds_ns, links=visit.links) for row in found],
            "in_flight": flying.plain(),
            "captures": newest.matching,
            "newest": [record_data(record, visit.links) for record in newest.records],
            "slowest": [record_data(record, visit.links) for record in slowest],
        }

    return Page("overview.html", view, data)


def _look(live: Live, state: OverviewState, now: float) -> tuple[Window | None, int]:
    """Return what happened in the window, and how many workers are alive."""
    try:
        point = live.point(now)
    except OSError as error:
        raise StoreError(f"the metrics cannot be read: {error.strerror}") from error
    return live.window(point, WINDOWS[state.window]), point.alive


def _slowest(store: Store, marks: Iterable[Sequence[tuple[str, float]]]) -> list[CaptureRecord]:
    """Return the slowest capture of each route, and if these are few the next slowest too.

    One bad route would else hide all others.
    """
    overall = store.list(CaptureQuery(sort="duration", limit=_CAPTURES)).records
    known = {record.id: record for record in overall}
    of_each = sorted((max(some, key=_SECONDS) for some in marks), key=_SECONDS, reverse=True)
    found: dict[str, CaptureRecord] = {}
    for capture_id, _ in of_each[:_CAPTURES]:
        with suppress(CaptureNotFound, StoreError):  # deleted or damaged since it was marked
            found[capture_id] = known.get(capture_id) or store.record(capture_id)
    more = [record for record in overall if record.id not in found]
    found |= {record.id: record for record in more[: _CAPTURES - len(found)]}
    return sorted(found.values(), key=SORTS["duration"], reverse=True)


def _total(window: Window | None) -> Sum | None:
    if window is None:
        return None
    sums = sum_of(window.routes.values())
    requests = 0 if sums is None else sums.requests
    errors = 0 if sums is None else sums.errors
    p50, p95, p99 = (
        quantile_figure(
            None if sums is None else quantile(window.bounds_ns, sums.buckets, q),
            window.bounds_ns,
        )
        for q in (0.5, 0.95, 0.99)
    )
    return Sum(
        rate=rate(requests / window.seconds if window.seconds else 0.0),
        p50=p50,
        p95=p95,
        p99=p99,
        errors=share(errors / requests if requests else None),
        has_errors=errors > 0,
    )


def _flying(found: Flying, visit: Visit) -> list[FlyingRow]:
    return [
        FlyingRow(
            age=seconds(request.age_seconds),
            method=request.method,
            name=request.route or "(no route yet)",
            url=route_url(request.route, request.method, visit.links),
            pid=request.pid,
            thread=request.thread,
        )
        for request in found.requests[:_IN_FLIGHT]
    ]
