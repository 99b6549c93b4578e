"""What the processes of a data directory are doing, for whoever shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flaskprof.metrics.folding import Reading
from flaskprof.metrics.in_flight import Flying, Worker, flying
from flaskprof.metrics.recent import Point, Window, point_of
from flaskprof.metrics.ring import window

__all__ = ["Live"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Reads sums, recent totals and requests in flight, each anew when it is asked for.

    `reading` returns the sums of all processes, `workers` what they are answering; `recent`
    is where the totals of the last hour lie. Raises OSError where the sums cannot be read.
    """

    reading: Callable[[], Reading]
    workers: Callable[[], Sequence[Worker]]
    recent: Path

    def point(self, now: float) -> Point:
        """Return the totals as they are `now`, in Unix seconds."""
        return point_of(self.reading(), now)

    def window(self, point: Point, seconds: float) -> Window | None:
        """Return what happened in the `seconds` up to `point`; None if that is not known."""
        return window(self.recent, point, seconds)

    def flying(self) -> Flying:
        """Return the requests in flight."""
        return flying(self.workers(), time.perf_counter_ns())
