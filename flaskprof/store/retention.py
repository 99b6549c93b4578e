"""Which captures a directory keeps: a pure policy over what is known of them.

Three bounds hold together: bytes, count and age. What is beyond the age goes. Of the rest
the most telling captures are kept, as long as bytes and count allow, in this order:

1. the slowest of each route,
2. what was captured within the last hour, which somebody may be about to look at,
3. the second slowest of each route, then the third,
4. all others,
5. those of which nothing is known, because their metadata cannot be read;

and among equals the newest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from flaskprof.config import Settings

__all__ = ["Bounds", "Candidate", "surplus"]

_RECENT_SECONDS = 3600.0

# The rank of the slowest captures of a route, and that of recent ones; the lowest is kept
# longest.
_RANKS = (0, 2, 3)
_RECENT = 1
_OTHERS = 4
_UNKNOWN = 5

_DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept; None stands for no bound."""

    bytes: int
    count: int | None = None
    age_seconds: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Return the bounds that the settings ask for."""
        days = settings.keep_days
        return cls(
            bytes=settings.kept_bytes,
            count=settings.keep_captures,
            age_seconds=None if days is None else days * _DAY_SECONDS,
        )

    def hold(self, *, bytes: int, count: int, oldest: float, now: float) -> bool:
        """Whether captures of these totals, the oldest begun at `oldest`, are within them."""
        return (
            bytes <= self.bytes
            and (self.count is None or count <= self.count)
            and not self.is_beyond_age(oldest, now)
        )

    def is_beyond_age(self, started: float, now: float) -> bool:
        """Whether a capture that began at `started` is too old at `now`, in Unix seconds."""
        return self.age_seconds is not None and now - started > self.age_seconds


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the policy looks at of one capture; `started` is Unix seconds.

    `route` is None where the metadata cannot be read.
    """

    id: str
    route: str | None
    started: float
    duration_seconds: float
    bytes: int


def surplus(captures: Iterable[Candidate], bounds: Bounds, *, now: float) -> list[str]:
    """Return the IDs of the captures that go, the least missed first.

    None goes that could stay: putting any one of them back would break a bound. One that
    is more telling goes only where those before it leave no room for it.
    """
    aged: list[Candidate] = []
    rest: list[Candidate] = []
    for capture in captures:
        (aged if bounds.is_beyond_age(capture.started, now) else rest).append(capture)
    goes: list[str] = []
    total = count = 0
    for capture in _most_telling_first(rest, now):
        fits = total + capture.bytes <= bounds.bytes
        if fits and (bounds.count is None or count < bounds.count):
            total += capture.bytes
            count += 1
        else:
            goes.append(capture.id)
    aged.sort(key=lambda capture: (capture.started, capture.id))
    return [capture.id for capture in aged] + goes[::-1]


def _most_telling_first(captures: Iterable[Candidate], now: float) -> list[Candidate]:
    by_route: dict[str | None, list[Candidate]] = defaultdict(list)
    for capture in captures:
        by_route[capture.route].append(capture)
    ranked = [
        (_UNKNOWN, -capture.started, capture.id, capture) for capture in by_route.pop(None, ())
    ]
    for of_route in by_route.values():
        of_route.sort(key=lambda capture: (-capture.duration_seconds, capture.id))
        for place, capture in enumerate(of_route):
            rank = _RANKS[place] if place < len(_RANKS) else _OTHERS
            if rank > _RECENT and now - capture.started < _RECENT_SECONDS:
                rank = _RECENT
            ranked.append((rank, -capture.started, capture.id, capture))
    # IDs are unique, so that captures themselves are never compared.
    return [capture for *_, capture in sorted(ranked)]
