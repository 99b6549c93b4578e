"""The layout of a worker file: what stands where.

A worker file is a row of 64-bit words in the byte order of its machine. A page of header
with the bucket bounds is followed by a ring of exemplars and by two areas of series, one
for requests and one for plain counters. An area holds, for each of a fixed number of
slots, the time at which the slot was taken, its label text and its cells; label texts lie
one behind the other, each ended by a line feed, in the order of the slots. Everything that
is counted is a whole number (durations in nanoseconds), so that sums are exact in
whatever order they are made. docs/decisions/0002-metrics-worker-files.md has the table.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

__all__ = [
    "FILE_NAME",
    "FIXED_CELLS",
    "LABEL_WORDS",
    "MAGIC",
    "OVERFLOW",
    "VERSION",
    "WORD",
    "Area",
    "Cell",
    "Header",
    "Layout",
    "bounds_in_ns",
    "label_text",
    "labels_of",
    "metrics_directory",
]

MAGIC = int.from_bytes(b"fprofwrk", "little")
VERSION = 2
WORD = 8
FILE_NAME = re.compile(r"([0-9a-f]{32})\.worker\Z")

# The label values of what found no room.
OVERFLOW = "_overflow_"

_PAGE_WORDS = 512
_BOUNDS_AT = 16
LABEL_WORDS = 16  # for each slot, on the average
# By version of the layout, the counters beside the exceptions: 64 of our own; since version 2
# the cells of sections, templates, queries and what the application declares, too
# (`flaskprof.metrics.series`).
_MORE_COUNTERS = {1: 64, VERSION: 64 + 1472 + 402}
_MAX_WORDS = 1 << 27  # a file of more than a gigabyte is none of ours


class Header:
    """The words of the header. The first four are the same in every version."""

    MAGIC = 0
    VERSION = 1
    CREATED = 2  # Unix nanoseconds
    BUCKETS = 3  # hash of the bucket bounds
    BOUNDS = 4  # number of the bucket bounds, which begin at word 16
    SLOTS = 5  # of the area of requests
    PID = 6  # for people; it means nothing in another pid namespace
    EXEMPLARS = 7  # how many were ever written
    REQUESTS = 8  # slots taken in the area of requests
    COUNTERS = 9  # slots taken in the area of counters
    UNCOUNTED = 10  # what was counted and found no slot; for people


class Cell:
    """The cells of a slot of the area of requests that come before its buckets."""

    DURATION = 0
    CPU_COUNT = 1
    CPU = 2
    QUEUED_COUNT = 3
    QUEUED = 4
    LENGTH_COUNT = 5
    LENGTH = 6
    FIRST_BYTE_COUNT = 7
    FIRST_BYTE = 8
    SENT_COUNT = 9
    SENT = 10
    DISCONNECTS = 11


FIXED_CELLS = 12


def metrics_directory(data: Path) -> Path:
    """Return where the worker files of a data directory lie."""
    return data / "metrics"


@dataclass(frozen=True, slots=True)
class Area:
    """Where an area lies; all numbers are in words."""

    taken_at: int  # the word of the header that counts its taken slots
    slots: int
    width: int  # cells of a slot
    created: int
    labels: int
    cells: int
    end: int

    @property
    def label_bytes(self) -> int:
        """How many bytes there are for label texts."""
        return (self.cells - self.labels) * WORD


@dataclass(frozen=True)
class Layout:
    """A file for these bucket bounds and so many label sets of requests."""

    bounds_ns: tuple[int, ...]
    slots: int
    version: int = VERSION

    RING_ENTRIES = 256
    RING_WORDS = 8
    # Sequence, where (slot and bucket), nanoseconds, Unix nanoseconds, profile ID, trace ID.
    RING_ENTRY = struct.Struct("=qqqq16s16s")

    @cached_property
    def ring(self) -> int:
        """The word at which the exemplars begin."""
        return _round_up(_BOUNDS_AT + len(self.bounds_ns), _PAGE_WORDS)

    @property
    def ring_words(self) -> int:
        """How many words all exemplars take."""
        return self.RING_ENTRIES * self.RING_WORDS

    @property
    def exemplars(self) -> tuple[int, int, int]:
        """The words that count the exemplars, begin their ring and begin what they are of."""
        return Header.EXEMPLARS, self.ring, self.requests.cells

    @cached_property
    def requests(self) -> Area:
        """The area of requests: twelve cells and the buckets for each slot."""
        begin = self.ring + self.ring_words
        width = FIXED_CELLS + len(self.bounds_ns) + 1
        return _area(begin, Header.REQUESTS, self.slots, width)

    @cached_property
    def counters(self) -> Area:
        """The area of counters and gauges: one cell for each slot."""
        slots = self.slots + _MORE_COUNTERS[self.version]
        return _area(self.requests.end, Header.COUNTERS, slots, 1)

    @cached_property
    def words(self) -> int:
        """The size of the file, in words."""
        return self.counters.end

    @property
    def size(self) -> int:
        """The size of the file, in bytes."""
        return self.words * WORD

    @cached_property
    def buckets_hash(self) -> int:
        """What tells these bucket bounds from others."""
        text = ",".join(map(str, self.bounds_ns)).encode()
        digest = hashlib.blake2b(text, digest_size=8, usedforsecurity=False).digest()
        return int.from_bytes(digest, "little", signed=True)

    def write_header(self, words: memoryview, created_ns: int, pid: int) -> None:
        """Fill in what does not change; the slots of `words` are all free."""
        words[Header.VERSION] = self.version
        words[Header.CREATED] = created_ns
        words[Header.BUCKETS] = self.buckets_hash
        words[Header.BOUNDS] = len(self.bounds_ns)
        words[Header.SLOTS] = self.slots
        words[Header.PID] = pid
        for place, bound in enumerate(self.bounds_ns, _BOUNDS_AT):
            words[place] = bound
        words[Header.MAGIC] = MAGIC

    @staticmethod
    def read(words: memoryview) -> Layout:
        """Return the layout that a header speaks of; raises ValueError if it cannot be.

        It may be of this version or of the one before.
        """
        bounds, slots, version = (
            words[place] for place in (Header.BOUNDS, Header.SLOTS, Header.VERSION)
        )
        if version not in _MORE_COUNTERS:
            raise ValueError("a worker file of an unknown version")
        if not (0 < bounds < _PAGE_WORDS * 8 and 0 < slots < _MAX_WORDS // FIXED_CELLS):
            raise ValueError("a header that makes no sense")
        bounds_ns = tuple(words[_BOUNDS_AT : _BOUNDS_AT + bounds])
        layout = _known_layout(bounds_ns, slots, version)
        if layout.words > min(len(words), _MAX_WORDS):
            raise ValueError("a file that is too short for its header")
        if words[Header.BUCKETS] != layout.buckets_hash:
            raise ValueError("a header whose buckets are damaged")
        return layout


# That of most files is that of the file before.
_known_layout = lru_cache(maxsize=16)(Layout)


def bounds_in_ns(bounds: Iterable[float]) -> tuple[int, ...]:
    """Return bucket bounds, which are in seconds, in whole nanoseconds."""
    return tuple(round(bound * 1e9) for bound in bounds)


def label_text(values: Sequence[str]) -> bytes:
    """Return label values as the one line of text that stands for them everywhere.

    What has no UTF-8, which nothing could be served with, becomes question marks.
    """
    clean = [value.encode("utf-8", "replace").decode("utf-8") for value in values]
    return json.dumps(clean, separators=(",", ":")).encode()


def labels_of(text: bytes) -> tuple[str, ...]:
    """Return the label values of a text; raises ValueError where it is none."""
    values = json.loads(text)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("not a list of label values")
    return tuple(values)


def _area(begin: int, taken_at: int, slots: int, width: int) -> Area:
    labels = begin + slots
    cells = labels + slots * LABEL_WORDS
    return Area(taken_at, slots, width, begin, labels, cells, cells + slots * width)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
