"""A histogram of durations as rectangles and dots on a picture of fixed size; pure.

Time runs from left to right on a logarithmic scale. Above the axis stand the captures, in
bins, and behind them all requests, in the buckets of the metrics, each to a scale of their
own: the area of a rectangle is how many they are. Below the axis hangs a dot for each of some
captures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil, floor, log10
from typing import NamedTuple

from flaskprof.metrics.durations import Durations
from flaskprof.record import CaptureRecord
from flaskprof.store.spread import BINS_A_DECADE, bin_of, edge
from flaskprof.web.figures import Figure, seconds

__all__ = ["Bar", "Dot", "Histogram", "Mark", "histogram"]

WIDTH = 720
AXIS = 150
"""Where the axis is, in units from the top; the labels of the marks are below it."""

_TOP = 8
_MARGIN = 12
_DOT = 4.5
_FIRST_DOT = 24
_DOTS_A_COLUMN = 6
_MOST_COLUMNS = 48
_WIDTHS = (1, 2, 4, 8, 20, 40)
_LEAST_DECADES = 0.3
_HALF_A_LABEL = 20


class Bar(NamedTuple):
    """A rectangle that stands on the axis, and what it says when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    hint: str


class Dot(NamedTuple):
    """A capture: where it leads to and what it says; `kind` is "slowest", "median" or ""."""

    x: float
    y: float
    url: str
    hint: str
    kind: str


class Mark(NamedTuple):
    """A place on the axis with its time; `anchor` is the part of the text that is there."""

    x: float
    text: str
    anchor: str = "middle"


class Histogram(NamedTuple):
    """The picture; its height is that which the dots need."""

    height: int
    captures: Sequence[Bar]
    requests: Sequence[Bar]
    dots: Sequence[Dot]
    more: Sequence[Mark]
    marks: Sequence[Mark]


def histogram(
    spread: Mapping[int, int],
    requests: Durations | None,
    dots: Iterable[CaptureRecord],
    *,
    url: Callable[[str], str],
    hint: Callable[[CaptureRecord], str],
    kinds: Mapping[str, str],
) -> Histogram:
    """Draw captures in the bins of `flaskprof.store.spread` and all requests in buckets.

    `kinds` are those of dots, by the ID of the capture. `spread` is not empty.
    """
    buckets = _buckets(requests) if requests else []
    ends = [
        edge(min(spread) - 1),
        edge(max(spread)),
        *(end for low, high, _ in buckets for end in (low, high)),
    ]
    step = _step(min(ends), max(ends))
    columns: dict[int, int] = defaultdict(int)
    for number, captures in spread.items():
        columns[(number - 1) // step] += captures
    shown = [
        (edge(column * step), edge((column + 1) * step), captures)
        for column, captures in sorted(columns.items())
    ]
    # Of several bins made one some may lie beyond the first and the last that count.
    lowest, highest = min(shown[0][0], *ends), max(shown[-1][1], *ends)
    scale = _Scale(lowest, highest)
    found, more = _dots(dots, step, scale, url=url, hint=hint, kinds=kinds)
    deepest = max((dot.y for dot in found), default=AXIS + _FIRST_DOT)
    return Histogram(
        height=ceil(deepest + _DOT + _TOP + (10 if more else 0)),
        captures=_bars(shown, scale, "capture", "captures"),
        requests=_bars(buckets, scale, "of all requests", "of all requests"),
        dots=found,
        more=more,
        marks=_marks(lowest, highest, scale),
    )


class _Scale:
    """From seconds to the place from left to right."""

    def __init__(self, lowest: float, highest: float) -> None:
        self._from = log10(lowest)
        decades = log10(highest) - self._from
        if decades < _LEAST_DECADES:
            self._from -= (_LEAST_DECADES - decades) / 2
            decades = _LEAST_DECADES
        self._a_decade = (WIDTH - 2 * _MARGIN) / decades

    def __call__(self, value: float) -> float:
        return round(_MARGIN + (log10(value) - self._from) * self._a_decade, 2)


def _step(lowest: float, highest: float) -> int:
    """Return how many bins make a column, so that there are not too many."""
    bins = BINS_A_DECADE * (log10(highest) - log10(lowest))
    return next((step for step in _WIDTHS if bins / step <= _MOST_COLUMNS), _WIDTHS[-1])


def _buckets(requests: Durations) -> list[tuple[float, float, int]]:
    """Return where each bucket begins and ends; those without an end are drawn short."""
    bounds = requests.bounds
    edges = [bounds[0] / 2, *bounds, bounds[-1] * 2] if bounds else [0.001, 10.0]
    found = zip(pairwise(edges), requests.counts, strict=True)
    return [(low, high, count) for (low, high), count in found if count]


def _bars(
    parts: Sequence[tuple[float, float, int]], scale: _Scale, one: str, many: str
) -> list[Bar]:
    widths = [scale(high) - scale(low) for low, high, _ in parts]
    densities = [count / width for (_, _, count), width in zip(parts, widths, strict=True)]
    tallest = max(densities, default=1.0)
    return [
        Bar(
            scale(low),
            round(AXIS - height, 2),
            round(width, 2),
            round(height, 2),
            f"{count:,} {one if count == 1 else many}, {_time(low)} to {_time(high)}",
        )
        for (low, high, count), width, density in zip(parts, widths, densities, strict=True)
        for height in [max(1.5, (AXIS - _TOP) * density / tallest)]
    ]


def _dots(
    records: Iterable[CaptureRecord],
    step: int,
    scale: _Scale,
    *,
    url: Callable[[str], str],
    hint: Callable[[CaptureRecord], str],
    kinds: Mapping[str, str],
) -> tuple[list[Dot], list[Mark]]:
    """Hang the captures below their columns, those of a kind first and then the newest."""
    columns: dict[int, list[CaptureRecord]] = defaultdict(list)
    for record in records:
        columns[(bin_of(record.duration_seconds) - 1) // step].append(record)
    dots, more = [], []
    for column, found in sorted(columns.items()):
        low, high = scale(edge(column * step)), scale(edge((column + 1) * step))
        middle = round((low + high) / 2, 2)
        found.sort(key=lambda record: (kinds.get(record.id, ""), record.id), reverse=True)
        dots += [
            Dot(
                middle,
                round(AXIS + _FIRST_DOT + place * (2 * _DOT + 1.5), 2),
                url(record.id),
                hint(record),
                kinds.get(record.id, ""),
            )
            for place, record in enumerate(found[:_DOTS_A_COLUMN])
        ]
        if len(found) > _DOTS_A_COLUMN:
            more.append(Mark(middle, f"+{len(found) - _DOTS_A_COLUMN}"))
    return dots, more


def _marks(lowest: float, highest: float, scale: _Scale) -> list[Mark]:
    """Return round times within the range, not too many of them."""
    decades = range(floor(log10(lowest)), ceil(log10(highest)) + 1)
    for factors in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        times = [
            factor * 10.0**decade
            for decade in decades
            for factor in factors
            if lowest <= factor * 10.0**decade <= highest
        ]
        places = [scale(value) for value in times]
        gaps = [right - left for left, right in pairwise(places)]
        if min(gaps, default=WIDTH) >= 45:
            break
    return [
        Mark(place, _time(value), _anchor(place))
        for place, value in zip(places, times, strict=True)
    ]


def _anchor(place: float) -> str:
    """Keep what is written at an end of the axis within the picture."""
    if place < _HALF_A_LABEL:
        return "start"
    return "end" if place > WIDTH - _HALF_A_LABEL else "middle"


def _time(value: float) -> str:
    figure: Figure = seconds(value)
    text = figure.text.rstrip("0").rstrip(".") if "." in figure.text else figure.text
    return f"{text} {figure.unit}"
