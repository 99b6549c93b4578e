"""Heavy work without waiting: plan a day's deliveries, in pure Python.

The same parcels every time. A profile of it shows recursion (`sort_by_weight`,
`heaviest_load`), a small function that is called very often (`distance`) and one that is
slow by itself (`best_turn`).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

__all__ = ["Parcel", "Plan", "plan_deliveries"]

PARCELS = 230
FIRST_PARCELS = 34
VAN_KILOGRAMS = 130


@dataclass(frozen=True, slots=True)
class Parcel:
    """What has to go to one place."""

    x: float
    y: float
    kilograms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A day's work: the round trip, and what goes into the first van."""

    parcels: int
    kilometres: float
    kilometres_saved: float
    first_van_kilograms: int


# A route is the order in which parcels are delivered, by their number; a table holds the
# kilometres from each to each.
Route = list[int]
Table = list[list[float]]


def plan_deliveries() -> Plan:
    """Choose what goes first, and find a short way around all places."""
    parcels = sort_by_weight(receive_parcels())
    load = heaviest_load(parcels[:FIRST_PARCELS], VAN_KILOGRAMS)
    table = distance_table(parcels)
    first_route = nearest_first(table)
    route = improve_route(first_route, table)
    return Plan(
        parcels=len(parcels),
        kilometres=round(length(route, table), 1),
        kilometres_saved=round(length(first_route, table) - length(route, table), 1),
        first_van_kilograms=load,
    )


def receive_parcels() -> list[Parcel]:
    """Return the parcels of the day, at places within 50 km."""
    chance = random.Random(11)  # noqa: S311  the same day every time
    return [
        Parcel(chance.uniform(0, 50), chance.uniform(0, 50), chance.randint(3, 40))
        for _ in range(PARCELS)
    ]


def sort_by_weight(parcels: list[Parcel]) -> list[Parcel]:
    """Sort by merging sorted halves, heaviest first."""
    if len(parcels) < 2:
        return parcels
    middle = len(parcels) // 2
    return merge(sort_by_weight(parcels[:middle]), sort_by_weight(parcels[middle:]))


def merge(left: list[Parcel], right: list[Parcel]) -> list[Parcel]:
    """Merge two sorted lists."""
    merged: list[Parcel] = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i].kilograms >= right[j].kilograms:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    return merged + left[i:] + right[j:]


def heaviest_load(parcels: list[Parcel], capacity: int) -> int:
    """The most that fits into a van: with the first parcel, or without it."""
    if not parcels or capacity <= 0:
        return 0
    first, rest = parcels[0], parcels[1:]
    without = heaviest_load(rest, capacity)
    if first.kilograms > capacity:
        return without
    return max(without, first.kilograms + heaviest_load(rest, capacity - first.kilograms))


def distance(a: Parcel, b: Parcel) -> float:
    """Kilometres between the places of two parcels, as the crow flies."""
    return math.hypot(a.x - b.x, a.y - b.y)


def distance_table(parcels: list[Parcel]) -> Table:
    """Return the kilometres from each place to each."""
    return [[distance(a, b) for b in parcels] for a in parcels]


def length(route: Route, table: Table) -> float:
    """Kilometres of the round trip."""
    return sum(table[a][b] for a, b in zip(route, route[1:] + route[:1], strict=True))


def nearest_first(table: Table) -> Route:
    """Always go to the nearest place that is left."""
    route, left = [0], list(range(1, len(table)))
    while left:
        nearest = min(left, key=table[route[-1]].__getitem__)
        left.remove(nearest)
        route.append(nearest)
    return route


def improve_route(route: Route, table: Table) -> Route:
    """Turn around parts of the route for as long as that makes it shorter (2-opt)."""
    route = list(route)
    improved = True
    while improved:
        improved = False
        for start in range(1, len(route) - 2):
            end = best_turn(route, table, start)
            if end > start:
                route[start : end + 1] = reversed(route[start : end + 1])
                improved = True
    return route


def best_turn(route: Route, table: Table, start: int) -> int:
    """Where the part from `start` must end that is best driven backwards, or `start`."""
    before, first = table[route[start - 1]], table[route[start]]
    to_first = before[route[start]]
    best, end = 1e-9, start
    for last in range(start + 1, len(route) - 1):
        place, after = route[last], route[last + 1]
        saving = to_first + table[place][after] - before[place] - first[after]
        if saving > best:
            best, end = saving, last
    return end
