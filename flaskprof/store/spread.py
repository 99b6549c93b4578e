"""How the durations of captures are spread: counts in bins that are the same for all.

A bin is about six percent wide: there are forty from one power of ten to the next, so that
those of several routes, and neighbouring ones, can be added up. Bin 0 holds all below a
microsecond, the last all from ten thousand seconds on.
"""

from __future__ import annotations

import math
from bisect import bisect_right

__all__ = ["BINS_A_DECADE", "EDGES", "bin_of", "edge"]

BINS_A_DECADE = 40
_FIRST_DECADE, _LAST_DECADE = -6, 4


def edge(number: int) -> float:
    """Return where bin `number` ends and the next one begins, in seconds."""
    return math.pow(10.0, number / BINS_A_DECADE + _FIRST_DECADE)


EDGES = tuple(map(edge, range((_LAST_DECADE - _FIRST_DECADE) * BINS_A_DECADE + 1)))
"""Bin ``b`` holds the durations ``EDGES[b - 1] <= seconds < EDGES[b]``."""


def bin_of(seconds: float) -> int:
    """Return the number of the bin of a duration."""
    return bisect_right(EDGES, seconds)
