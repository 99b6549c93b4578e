"""What happened lately: differences of totals, rates and quantiles by route. Pure.

Totals since the beginning say nothing of the last five minutes. A `Point` is what they were
at one moment; the difference of two is what happened in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import add, sub
from typing import NamedTuple

from flaskprof.metrics.folding import Reading
from flaskprof.metrics.layout import FIXED_CELLS, Cell

__all__ = [
    "HOUR",
    "MINUTES",
    "SPACING",
    "Point",
    "Route",
    "Sums",
    "Window",
    "base_of",
    "difference",
    "point_of",
    "quantile",
    "sum_of",
    "to_keep",
]

MINUTES = 300.0
"""The shorter of the two windows that points are kept for, in seconds."""

HOUR = 3600.0
"""The longer one."""

SPACING = 30.0
"""How far points lie apart, in seconds, as long as the shorter window needs them."""

_WIDE_SPACING = 300.0

Route = tuple[str, str]
"""Method and route."""


class Sums(NamedTuple):
    """What is counted of one method and route: whole numbers, times in nanoseconds.

    Processor time may be known of some of the requests only: of `cpu_count` of them.
    `buckets` are not cumulative; the last has what is above all bounds.
    """

    buckets: tuple[int, ...]
    duration_ns: int
    errors: int
    cpu_ns: int
    cpu_count: int

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return sum(self.buckets)

    @property
    def whole_cpu_ns(self) -> float | None:
        """Processor time of all of them, from what is known of some; None of none."""
        return self.cpu_ns * self.requests / self.cpu_count if self.cpu_count else None


@dataclass(frozen=True, slots=True)
class Point:
    """The totals by method and route at a moment, in Unix seconds, and the workers then.

    Points of one `generation` have the same bounds, and can be compared.
    """

    unix: float
    generation: int
    bounds_ns: tuple[int, ...]
    routes: Mapping[Route, Sums]
    alive: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """What happened within `seconds`, which may be fewer than were asked for.

    There are only routes of which something happened.
    """

    seconds: float
    bounds_ns: tuple[int, ...]
    routes: Mapping[Route, Sums]


def point_of(reading: Reading, unix: float) -> Point:
    """Sum up a reading by method and route. Errors are the status codes from 500 on."""
    routes: dict[Route, Sums] = {}
    for row in reading.totals.requests.values():
        method, route, status = row.labels[:3]
        buckets = tuple(row.cells[FIXED_CELLS:])
        sums = Sums(
            buckets,
            row.cells[Cell.DURATION],
            sum(buckets) if status[:1] == "5" else 0,
            row.cells[Cell.CPU],
            row.cells[Cell.CPU_COUNT],
        )
        known = routes.get((method, route))
        routes[method, route] = sums if known is None else _added(known, sums)
    counted = {route: sums for route, sums in routes.items() if sums.requests}
    return Point(unix, reading.generation, reading.totals.bounds_ns, counted, reading.alive)


def difference(now: Point, base: Point) -> Window:
    """Return what happened from `base` to `now`.

    What is fewer than it was has begun anew, and counts from zero; nothing is negative.
    """
    routes = {}
    is_comparable = (now.generation, now.bounds_ns) == (base.generation, base.bounds_ns)
    for route, sums in now.routes.items():
        before = base.routes.get(route) if is_comparable else None
        since = sums if before is None else _since(before, sums)
        if since.requests:
            routes[route] = since
    return Window(max(0.0, now.unix - base.unix), now.bounds_ns, routes)


def sum_of(many: Iterable[Sums]) -> Sums | None:
    """Add sums up; None where there are none."""
    total = None
    for sums in many:
        total = sums if total is None else _added(total, sums)
    return total


def quantile(bounds_ns: Sequence[int], buckets: Sequence[int], share: float) -> float | None:
    """Estimate, in seconds, what a `share` of the requests did not take longer than.

    Linear between the bounds of a bucket, as Prometheus' ``histogram_quantile`` has it: of
    what is above all bounds only the highest bound is known. None of no requests.
    """
    total = sum(buckets)
    if not total:
        return None
    rank = share * total
    sums = list(accumulate(buckets))
    place = next(place for place, below in enumerate(sums) if below >= rank)
    if place == len(bounds_ns):
        return bounds_ns[-1] / 1e9 if bounds_ns else None
    lower = bounds_ns[place - 1] if place else 0
    inside = buckets[place]
    part = (rank - (sums[place] - inside)) / inside if inside else 0.0
    return (lower + (bounds_ns[place] - lower) * part) / 1e9


def base_of(times: Iterable[float], now: float, seconds: float) -> float | None:
    """Choose the point to compare with: the youngest of that age, or else the oldest."""
    past = sorted(time for time in times if time <= now)
    old = [time for time in past if now - time >= seconds]
    return old[-1] if old else past[0] if past else None


def to_keep(times: Iterable[float], now: float) -> set[float]:
    """Choose which points are worth keeping: a number that is bounded.

    All that the shorter window may yet need, of older ones one in five minutes, and none
    that is older than what the longer window needs. What lies in the future, because the
    clock was set back, is dropped.
    """
    past = [time for time in times if time <= now]
    keep = {time for time in past if now - time < MINUTES + 2 * SPACING}
    oldest = base_of(past, now, HOUR)
    firsts: dict[int, float] = {}
    for time in sorted(past):
        if oldest is not None and time >= oldest:
            firsts.setdefault(int(time // _WIDE_SPACING), time)
    needed = {base_of(past, now, seconds) for seconds in (MINUTES, HOUR)}
    return keep | set(firsts.values()) | {time for time in needed if time is not None}


def _added(one: Sums, other: Sums) -> Sums:
    return Sums(tuple(map(add, one.buckets, other.buckets)), *map(add, one[1:], other[1:]))


def _since(before: Sums, sums: Sums) -> Sums:
    since = Sums(tuple(map(sub, sums.buckets, before.buckets)), *map(sub, sums[1:], before[1:]))
    is_anew = min(*since.buckets, *since[1:]) < 0
    return sums if is_anew else since
