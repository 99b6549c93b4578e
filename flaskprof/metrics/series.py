"""Histograms and sums that are kept in counters: one for each cell of each label set.

A counter's labels are the name of the metric, the values of its labels, and the cell: the
sum, the count, or the bound of a bucket as the whole number that it is stored as. So any
metric finds room in a worker file without a layout of its own, and label sets and buckets
that never occur take none. Those that an application adds itself are declared in the files,
for whoever reads them without its code.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from flaskprof.metrics.table import Kind

__all__ = [
    "COUNT",
    "DECLARATION",
    "INFINITE",
    "SUM",
    "Declaration",
    "Group",
    "bucket_of",
    "grouped",
]

SUM, COUNT, INFINITE = "sum", "count", "inf"

# The name under which an application's metric is declared.
DECLARATION = "_declared_"


def bucket_of(value: int, bounds: Sequence[int]) -> str:
    """Return the cell of the bucket that `value` falls into; `bounds` are rising."""
    place = bisect_left(bounds, value)
    return str(bounds[place]) if place < len(bounds) else INFINITE


@dataclass(frozen=True, slots=True)
class Declaration:
    """A metric of the application's own: a counter or a histogram.

    `name` is that of the family; `scale` is what stored whole numbers are divided by, of
    `bounds` too.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[int, ...] = ()

    @property
    def scale(self) -> int:
        """Nanoseconds of seconds, bytes and what is counted as they are, else millionths."""
        if self.name.endswith("_seconds"):
            return 10**9
        return 1 if self.kind is Kind.counter or self.name.endswith("_bytes") else 10**6

    @property
    def unit(self) -> str:
        """Its unit, which its name ends with; empty for what has none."""
        last = self.name.rpartition("_")[2]
        return last if last in {"bytes", "seconds"} else ""

    def to_labels(self) -> tuple[str, ...]:
        """Return the labels of the counter that declares it."""
        plain = json.dumps([self.labels, self.bounds], separators=(",", ":"))
        return (DECLARATION, self.name, self.kind.value, self.help, plain)

    @classmethod
    def from_labels(cls, labels: Sequence[str]) -> Declaration:
        """Read what `to_labels` wrote; raises ValueError where it is damaged."""
        try:
            _, name, kind, meaning, plain = labels
            names, bounds = json.loads(plain)
            return cls(name, Kind(kind), meaning, tuple(names), tuple(map(int, bounds)))
        except TypeError as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Group:
    """The cells of one label set."""

    values: tuple[str, ...]
    cells: dict[str, int]

    @property
    def sum(self) -> int:
        """What was observed, summed up."""
        return self.cells.get(SUM, 0)

    @property
    def count(self) -> int:
        """How often something was observed."""
        return sum(number for cell, number in self.cells.items() if cell != SUM)

    def buckets(self, bounds: Iterable[int]) -> Iterator[tuple[int | None, int]]:
        """Yield each bound, None for the last, and how much was observed up to it.

        Beside `bounds` these are the ones of an earlier declaration that were counted under.
        """
        counted = {int(cell) for cell in self.cells if cell not in {SUM, COUNT, INFINITE}}
        rising = sorted({*bounds, *counted})
        numbers = [self.cells.get(str(bound), 0) for bound in rising]
        yield from zip(
            [*rising, None], accumulate([*numbers, self.cells.get(INFINITE, 0)]), strict=True
        )


def grouped(rows: Iterable[tuple[tuple[str, ...], int]], labels: int) -> list[Group]:
    """Return the cells by label set, of those that have so many labels.

    `rows` are label values, of which the last is the cell, and what it holds.
    """
    groups: dict[tuple[str, ...], Group] = {}
    for (*values, cell), number in rows:
        if len(values) == labels:
            group = groups.setdefault(tuple(values), Group(tuple(values), {}))
            group.cells[cell] = number
    return list(groups.values())
