"""Adds up what many worker files hold, in a time that a scrape can wait for.

The cells of a label set are added as one large whole number, 64 bits for each cell, which
takes a fifth of the time of adding them one by one. No cell can run over into the next one:
files with larger cells than `_MOST` are added cell by cell, and before there are so many of
the others that their sum might, they are unpacked.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, reduce
from itertools import repeat
from operator import or_

from flaskprof.metrics.layout import FIXED_CELLS, WORD, Layout, labels_of
from flaskprof.metrics.totals import Exemplar, Row, Totals, exemplar_rank, is_passing

__all__ = ["Slots", "Snapshot", "Tally"]

# In nanoseconds this is 52 days.
_MOST_BITS = 52
_MOST_FILES = 1 << (63 - _MOST_BITS)
_ORDER = sys.byteorder
# The words of an entry of the ring that say what it is an exemplar of, when that was, and
# (zero where there is none) the first half of its profile's ID.
_WHERE_WHEN_PROFILE = (1, 3, 4)


@dataclass(frozen=True, slots=True)
class Slots:
    """The taken slots of an area: for each its label text, time and cells, as bytes."""

    texts: list[bytes]
    created_ns: list[int]
    cells: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one worker file holds.

    `ring` are the bytes of its exemplars, empty where it has none, and `ring_again` those
    read once more after all others: what differs was being written.
    """

    bounds_ns: tuple[int, ...]
    created_ns: int
    most_series: int
    requests: Slots
    counters: Slots
    ring: bytes
    ring_again: bytes


@dataclass(slots=True)
class _Packed:
    """The sum of the cells of one label set, and when that was first seen."""

    cells: int
    created_ns: int


class Tally:
    """The sums of the snapshots that were added; all have the same buckets."""

    def __init__(self, bounds_ns: tuple[int, ...]) -> None:
        self._width = FIXED_CELLS + len(bounds_ns) + 1
        self._size = self._width * WORD
        self._labels: dict[bytes, tuple[str, ...]] = {}
        self._packed: dict[bytes, _Packed] = {}
        self._files_packed = 0
        # What is not packed.
        self._totals = Totals(bounds_ns)

    def add(self, snapshot: Snapshot, *, is_alive: bool) -> None:
        """Add what a file holds; of a dead process only what outlives it.

        Raises ValueError, and has added nothing, where a label text is damaged.
        """
        requests, counters = snapshot.requests, snapshot.counters
        for text in {*requests.texts, *counters.texts} - self._labels.keys():
            self._labels[text] = labels_of(text)
        self._totals.most_series = max(self._totals.most_series, snapshot.most_series)
        self._add_requests(requests)
        self._totals.add_counters(
            (text, row)
            for text, row in self._rows(counters, 1)
            if is_alive or not is_passing(text)
        )
        self._add_exemplars(snapshot)

    def totals(self) -> Totals:
        """Return the sums."""
        self._unpack()
        return self._totals

    def _add_requests(self, slots: Slots) -> None:
        parts = struct.unpack(f"{self._size}s" * len(slots.texts), slots.cells)
        cells = list(map(int.from_bytes, parts, repeat(_ORDER)))
        if reduce(or_, cells, 0) & _too_large(self._width):
            self._totals.add_requests(self._rows(slots, self._width))
            return
        if self._files_packed == _MOST_FILES:
            self._unpack()
        self._files_packed += 1
        packed = self._packed
        for text, created_ns, number in zip(slots.texts, slots.created_ns, cells, strict=True):
            known = packed.get(text)
            if known is None:
                packed[text] = _Packed(number, created_ns)
            else:
                known.cells += number
                if created_ns < known.created_ns:  # noqa: PLR1730  min() costs four times that
                    known.created_ns = created_ns

    def _unpack(self) -> None:
        self._totals.add_requests(
            (
                text,
                Row(
                    self._labels[text],
                    sums.created_ns,
                    memoryview(sums.cells.to_bytes(self._size, _ORDER)).cast("q").tolist(),
                ),
            )
            for text, sums in self._packed.items()
        )
        self._packed.clear()
        self._files_packed = 0

    def _rows(self, slots: Slots, width: int) -> Iterator[tuple[bytes, Row]]:
        cells = memoryview(slots.cells).cast("q")
        for slot, (text, created_ns) in enumerate(
            zip(slots.texts, slots.created_ns, strict=True)
        ):
            row = cells[slot * width : (slot + 1) * width].tolist()
            yield text, Row(self._labels[text], created_ns, row)

    def _add_exemplars(self, snapshot: Snapshot) -> None:
        if not snapshot.ring:
            return
        texts, newest = snapshot.requests.texts, self._totals.exemplars
        places, buckets = len(texts) << 16, len(snapshot.bounds_ns)
        words = memoryview(snapshot.ring).cast("q")
        columns = [words[word :: Layout.RING_WORDS].tolist() for word in _WHERE_WHEN_PROFILE]
        for entry, (where, unix_ns, profile) in enumerate(zip(*columns, strict=True)):
            if unix_ns > 0 and 0 <= where < places:
                key = texts[where >> 16], where & 0xFFFF
                known = newest.get(key)
                rank = exemplar_rank(unix_ns, has_profile=profile != 0)
                if (known is None or known.rank < rank) and key[1] <= buckets:
                    exemplar = _exemplar(snapshot, entry)
                    if exemplar is not None:
                        newest[key] = exemplar


def _exemplar(snapshot: Snapshot, entry: int) -> Exemplar | None:
    """Return an entry of the ring; None where it was being written."""
    begin = entry * Layout.RING_ENTRY.size
    data = snapshot.ring[begin : begin + Layout.RING_ENTRY.size]
    if not snapshot.ring_again.startswith(data, begin):
        return None
    number, _, value_ns, unix_ns, profile_id, trace_id = Layout.RING_ENTRY.unpack(data)
    profile, trace = (one.hex() if any(one) else "" for one in (profile_id, trace_id))
    return Exemplar(value_ns, unix_ns, profile, trace) if number > 0 else None


@cache
def _too_large(width: int) -> int:
    """Return the bits of packed cells that only too large or negative ones have."""
    high = (1 << 64) - (1 << _MOST_BITS)
    return int.from_bytes(high.to_bytes(WORD, _ORDER) * width, _ORDER)
