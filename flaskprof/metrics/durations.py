"""How long the requests of one route took, of all of them, as the metrics have counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import add

from flaskprof.metrics.layout import FIXED_CELLS, Cell
from flaskprof.metrics.totals import Totals

__all__ = ["Durations", "durations"]

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Durations:
    """Requests by buckets: ``counts[i]`` took up to ``bounds[i]`` seconds, the last more."""

    bounds: Sequence[float]
    counts: Sequence[int]
    seconds: float

    @property
    def requests(self) -> int:
        """How many they are."""
        return sum(self.counts)


def durations(totals: Totals, *, method: str, route: str) -> Durations | None:
    """Sum up what was counted of a route, whatever the status; None where nothing was."""
    counts = [0] * (len(totals.bounds_ns) + 1)
    nanoseconds = 0
    for row in totals.requests.values():
        if row.labels[:2] == (method, route):
            counts = list(map(add, counts, row.cells[FIXED_CELLS:]))
            nanoseconds += row.cells[Cell.DURATION]
    if not any(counts):
        return None
    return Durations([bound / _NS for bound in totals.bounds_ns], counts, nanoseconds / _NS)
