"""From what happened lately to the table of routes on the front page: plain values.

Nothing here reads a store, a file or a clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from flaskprof.metrics.layout import OVERFLOW
from flaskprof.metrics.recent import HOUR, MINUTES, Route, Sums, Window, quantile, sum_of
from flaskprof.web.figures import Figure, count, rate, seconds, share
from flaskprof.web.links import Links
from flaskprof.web.state import Column, Head

__all__ = [
    "WINDOWS",
    "Bar",
    "Mark",
    "Measures",
    "OverviewState",
    "RouteRow",
    "measured",
    "quantile_figure",
    "route_data",
    "route_heads",
    "route_row",
    "wanted",
]

WINDOWS: Mapping[str, float] = {"5m": MINUTES, "1h": HOUR}
"""The windows that can be looked at, in seconds."""

ROWS_AT_FIRST = 50

# A bar is this wide and at most this high; the marks of captures lie on the line below.
_BAR_WIDTH = 16
_BAR_HEIGHT = 22
_LEAST_HEIGHT = 1.5

_QUANTILES = (0.5, 0.95, 0.99)


class Measures(NamedTuple):
    """What is known of one route in a window; shares are of all routes together."""

    route: Route
    sums: Sums
    rate: float
    p50: float | None
    p95: float | None
    p99: float | None
    errors: float
    time: float
    cpu: float | None


class Bar(NamedTuple):
    """A bucket that holds requests, as a rectangle of the histogram."""

    x: float
    y: float
    height: float
    text: str


class Mark(NamedTuple):
    """A capture of the route, where it lies in the histogram."""

    x: float
    url: str
    text: str


class RouteRow(NamedTuple):
    """One route in the table."""

    url: str
    method: str
    name: str
    rate: Figure
    requests: Figure
    p50: Figure
    p95: Figure
    p99: Figure
    errors: Figure
    has_errors: bool
    time: Figure
    time_bar: float
    cpu: Figure
    cpu_bar: float
    bars: Sequence[Bar]
    marks: Sequence[Mark]
    width: int


_COLUMNS = (
    Column("function", "Route", "Method and route", "route", falls=False),
    Column("number", "Requests/s", "Answered in a second, on the average", "rate"),
    Column("number", "p50", "Half of the requests took no longer; estimated", "p50"),
    Column("number", "p95", "95 % of the requests took no longer; estimated", "p95"),
    Column("number", "p99", "99 % of the requests took no longer; estimated", "p99"),
    Column("number", "Errors", "Share of answers with a status from 500 on", "errors"),
    Column("timing", "Time", "Share of the time that all requests took together", "time"),
    Column(
        "timing",
        "CPU",
        "Share of the processor time of all requests; estimated where it was measured of some",
        "cpu",
    ),
    Column(
        "spread",
        "Latency",
        "A bar for each bucket of the metrics, from fast to slow; the dots are the newest and "
        "the slowest captures",
    ),
)
_BY_SORT = {column.sort: column for column in _COLUMNS if column.sort}

_KEYS: Mapping[str, Callable[[Measures], Any]] = {
    "route": lambda row: (row.route[1], row.route[0]),
    "rate": lambda row: row.rate,
    "p50": lambda row: row.p50 or 0.0,
    "p95": lambda row: row.p95 or 0.0,
    "p99": lambda row: row.p99 or 0.0,
    "errors": lambda row: row.errors,
    "time": lambda row: row.time,
    "cpu": lambda row: row.cpu or 0.0,
}


@dataclass(frozen=True, slots=True)
class OverviewState:
    """What the front page shows, and in which order: a part of its URL."""

    window: str = "5m"
    sort: str = "time"
    is_descending: bool = True
    search: str = ""
    shows_all: bool = False

    @classmethod
    def from_query(cls, query: MultiDict[str, str]) -> OverviewState:
        """Read the state from a query; raises `BadRequest` where it makes no sense."""
        window, sort = query.get("window") or "5m", query.get("sort") or "time"
        order, rows = query.get("order", ""), query.get("rows", "")
        if window not in WINDOWS:
            raise BadRequest(f"window: {window!r} is not one of {', '.join(WINDOWS)}")
        if sort not in _BY_SORT:
            raise BadRequest(f"sort: {sort!r} is not one of {', '.join(sorted(_BY_SORT))}")
        if order not in ("", "asc", "desc"):
            raise BadRequest(f"order: {order!r} is neither asc nor desc")
        if rows not in ("", "all"):
            raise BadRequest(f"rows: {rows!r} is not all")
        falls = order == "desc" if order else _BY_SORT[sort].falls
        return cls(window, sort, falls, query.get("search", "").strip(), rows == "all")

    def to_query(self) -> dict[str, str]:
        """Return the query that gives this state again."""
        query = {
            "window": self.window if self.window != "5m" else "",
            "sort": self.sort if self.sort != "time" else "",
            "order": "",
            "search": self.search,
            "rows": "all" if self.shows_all else "",
        }
        if self.is_descending != _BY_SORT[self.sort].falls:
            query["order"] = "desc" if self.is_descending else "asc"
        return {name: value for name, value in query.items() if value}


def measured(window: Window) -> list[Measures]:
    """Say of each route what the page shows of it, in full precision."""
    whole = sum_of(window.routes.values())
    if whole is None:
        return []
    cpu = {route: sums.whole_cpu_ns for route, sums in window.routes.items()}
    all_cpu = sum(value for value in cpu.values() if value is not None)
    rows = []
    for route, sums in window.routes.items():
        own_cpu = cpu[route]
        p50, p95, p99 = (quantile(window.bounds_ns, sums.buckets, q) for q in _QUANTILES)
        rows.append(
            Measures(
                route=route,
                sums=sums,
                rate=sums.requests / window.seconds if window.seconds else 0.0,
                p50=p50,
                p95=p95,
                p99=p99,
                errors=sums.errors / sums.requests,
                time=sums.duration_ns / whole.duration_ns if whole.duration_ns else 0.0,
                cpu=own_cpu / all_cpu if own_cpu is not None and all_cpu else None,
            )
        )
    return rows


def wanted(rows: Sequence[Measures], state: OverviewState) -> list[Measures]:
    """Return the rows that hold the text that is searched for, in the order asked for."""
    part = state.search.casefold()
    found = [row for row in rows if part in f"{row.route[0]} {row.route[1]}".casefold()]
    found.sort(key=_KEYS["route"])
    found.sort(key=_KEYS[state.sort], reverse=state.is_descending)
    return found


def route_heads(
    state: OverviewState, bounds_ns: Sequence[int], here: Callable[[OverviewState], str]
) -> list[Head]:
    """Return the heads of the table; `here` gives the URL of a state."""
    *heads, latency = [_head(column, state, here) for column in _COLUMNS]
    if bounds_ns:
        ends = f"{_plain(bounds_ns[0])} to {_plain(bounds_ns[-1])}"
        latency = latency._replace(text=f"{latency.text}, {ends}")
    return [*heads, latency]


def _head(column: Column, state: OverviewState, here: Callable[[OverviewState], str]) -> Head:
    is_sorted = column.sort == state.sort
    falls = not state.is_descending if is_sorted else column.falls
    changed = OverviewState(state.window, column.sort, falls, state.search, state.shows_all)
    direction = "descending" if state.is_descending else "ascending"
    return Head(
        column.slug,
        column.text,
        column.hint,
        here(changed) if column.sort else "",
        direction if is_sorted else "",
    )


def route_row(
    row: Measures,
    bounds_ns: Sequence[int],
    captures: Sequence[tuple[str, float]],
    *,
    links: Links,
) -> RouteRow:
    """Show one route; `captures` are ID and seconds of some that are to be marked."""
    method, route = row.route
    return RouteRow(
        url=route_url(route, method, links),
        method=method if route != OVERFLOW else "",
        name="(more routes)" if route == OVERFLOW else route or "(no route)",
        rate=rate(row.rate),
        requests=count(row.sums.requests),
        p50=quantile_figure(row.p50, bounds_ns),
        p95=quantile_figure(row.p95, bounds_ns),
        p99=quantile_figure(row.p99, bounds_ns),
        errors=share(row.errors),
        has_errors=row.errors > 0,
        time=share(row.time),
        time_bar=round(row.time * 100, 2),
        cpu=share(row.cpu),
        cpu_bar=round((row.cpu or 0.0) * 100, 2),
        bars=_bars(bounds_ns, row.sums.buckets),
        marks=[_mark(bounds_ns, *capture, links=links) for capture in captures],
        width=len(row.sums.buckets) * _BAR_WIDTH,
    )


def quantile_figure(value: float | None, bounds_ns: Sequence[int]) -> Figure:
    """Show a quantile, and between which bounds it lies, which is what is known of it.

    Of one above all bounds no more is known than that it is there.
    """
    figure = seconds(value)
    if value is None or not bounds_ns:
        return figure
    if value * 1e9 >= bounds_ns[-1]:
        return figure._replace(text=f"≥ {figure.text}", exact="or more")
    place = bisect_left(bounds_ns, round(value * 1e9))
    lower = _plain(bounds_ns[place - 1]) if place else "0 s"
    return figure._replace(exact=f"between {lower} and {_plain(bounds_ns[place])}; estimated")


def route_url(route: str, method: str, links: Links) -> str:
    """Return the address of a route's page; nothing of what is no single route."""
    return links.route(route, method) if route and route != OVERFLOW else ""


def _bars(bounds_ns: Sequence[int], buckets: Sequence[int]) -> list[Bar]:
    most = max(buckets)
    bars = []
    for place, requests in enumerate(buckets):
        if requests:
            height = round(max(_LEAST_HEIGHT, requests / most * _BAR_HEIGHT), 2)
            x = place * _BAR_WIDTH + 0.5
            text = f"{_between(bounds_ns, place)}: {requests:,}"
            bars.append(Bar(x, round(_BAR_HEIGHT - height, 2), height, text))
    return bars


def _between(bounds_ns: Sequence[int], place: int) -> str:
    if place == len(bounds_ns):
        return f"above {_plain(bounds_ns[-1])}" if bounds_ns else "any time"
    return f"up to {_plain(bounds_ns[place])}"


def _plain(bound_ns: int) -> str:
    figure = seconds(bound_ns / 1e9)
    text = figure.text.rstrip("0").rstrip(".") if "." in figure.text else figure.text
    return f"{text} {figure.unit}"


def _mark(bounds_ns: Sequence[int], capture_id: str, duration: float, *, links: Links) -> Mark:
    figure = seconds(duration)
    return Mark(
        round(_place(bounds_ns, duration * 1e9) * _BAR_WIDTH, 2),
        links.capture(capture_id),
        f"Capture of {figure.text} {figure.unit}",
    )


def _place(bounds_ns: Sequence[int], duration_ns: float) -> float:
    """Return where a duration lies among the buckets: its bucket, and how far in it."""
    place = bisect_left(bounds_ns, duration_ns)
    if place == len(bounds_ns):
        return place + 0.5
    lower = bounds_ns[place - 1] if place else 0
    return place + (duration_ns - lower) / (bounds_ns[place] - lower)


def route_data(row: Measures, bounds_ns: Sequence[int], *, links: Links) -> dict[str, Any]:
    """Return one route with full precision."""
    method, route = row.route
    bounds = [*(bound / 1e9 for bound in bounds_ns), None]
    return {
        "method": method,
        "route": route,
        "requests": row.sums.requests,
        "requests_per_second": row.rate,
        "p50_seconds": row.p50,
        "p95_seconds": row.p95,
        "p99_seconds": row.p99,
        "error_share": row.errors,
        "time_share": row.time,
        "cpu_share": row.cpu,
        "buckets": [
            {"up_to_seconds": bound, "requests": requests}
            for bound, requests in zip(bounds, row.sums.buckets, strict=True)
        ],
        "link": route_url(route, method, links) or None,
    }
