"""Sums over worker files: plain data, whole numbers, exact in whatever order they are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import add, neg

from flaskprof.metrics.layout import OVERFLOW, label_text, labels_of
from flaskprof.metrics.table import EXCEPTIONS, METRICS, Kind

__all__ = ["Exemplar", "Row", "Totals", "exemplar_rank", "is_passing", "overflow_of_exceptions"]

# What is true of a process only while it lives, and must not be added to the totals of
# those that ended.
_PASSING = tuple(
    f'["{metric.name}"'.encode() for metric in METRICS if metric.kind in {Kind.gauge, Kind.info}
)

# How many label sets there are of a metric whose cells are counters.
_MOST = {metric.name: metric.most for metric in METRICS if metric.most}

_PROFILE_LASTS_NS = 600 * 10**9

_OVERFLOW_ROW = label_text([OVERFLOW] * 3)


def is_passing(text: bytes) -> bool:
    """Whether the counter of a label text is none of what outlives a process."""
    return text.startswith(_PASSING)


def overflow_of_exceptions() -> tuple[str, ...]:
    """Return name and labels of the counter for exceptions that found no room."""
    return (EXCEPTIONS.name, *[OVERFLOW] * len(EXCEPTIONS.labels))


_OVERFLOW_EXCEPTIONS = label_text(overflow_of_exceptions())


def exemplar_rank(unix_ns: int, *, has_profile: bool) -> int:
    """Return the rank of an exemplar; a profile makes it ten minutes newer than it is."""
    return unix_ns + _PROFILE_LASTS_NS if has_profile else unix_ns


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A request that was in a bucket; both IDs are hexadecimal, one of them may be empty."""

    value_ns: int
    unix_ns: int
    profile_id: str
    trace_id: str = ""

    @property
    def rank(self) -> int:
        """Of two in a bucket the one of a higher rank stays: mostly the newer one."""
        return exemplar_rank(self.unix_ns, has_profile=bool(self.profile_id))


@dataclass(slots=True)
class Row:
    """One label set: its values, when it was first seen, and its cells."""

    labels: tuple[str, ...]
    created_ns: int
    cells: list[int]


@dataclass(slots=True)
class Totals:
    """Sums by label text. `most_series` is the largest bound that any file declared."""

    bounds_ns: tuple[int, ...] = ()
    most_series: int = 0
    requests: dict[bytes, Row] = field(default_factory=dict)
    counters: dict[bytes, Row] = field(default_factory=dict)
    exemplars: dict[tuple[bytes, int], Exemplar] = field(default_factory=dict)

    def add_requests(self, rows: Iterable[tuple[bytes, Row]]) -> None:
        """Add cells of label sets of requests."""
        _add_rows(self.requests, rows)

    def add_counters(self, rows: Iterable[tuple[bytes, Row]]) -> None:
        """Add values of counters and gauges."""
        _add_rows(self.counters, rows)

    def add_totals(self, other: Totals) -> None:
        """Add other sums over the same buckets."""
        self.most_series = max(self.most_series, other.most_series)
        _add_rows(self.requests, other.requests.items())
        _add_rows(self.counters, other.counters.items())
        for key, exemplar in other.exemplars.items():
            self._add_exemplar(key, exemplar)

    def subtract(self, other: Totals) -> None:
        """Take away what outlives a process, so that adding `other` gives zero there."""
        _add_rows(self.requests, _negative(other.requests))
        _add_rows(self.counters, _negative(other.counters))

    def beyond(self) -> tuple[list[bytes], list[bytes]]:
        """Return the label sets, of requests and of counters, that are beyond the bound.

        They are the youngest, so that no series that was served once ends because of
        others.
        """
        exceptions = {
            text: row for text, row in self.counters.items() if row.labels[0] == EXCEPTIONS.name
        }
        return (
            _youngest(self.requests, _OVERFLOW_ROW, self.most_series),
            [
                *_youngest(exceptions, _OVERFLOW_EXCEPTIONS, self.most_series),
                *(text for name in _MOST for text in self._beyond_most(name)),
            ],
        )

    def _beyond_most(self, name: str) -> list[bytes]:
        """Return the cells of the youngest label sets of a metric that has too many."""
        sets: dict[tuple[str, ...], list[bytes]] = {}
        for text, row in self.counters.items():
            if row.labels[0] == name and set(row.labels[1:-1]) != {OVERFLOW}:
                sets.setdefault(row.labels[1:-1], []).append(text)
        if len(sets) <= _MOST[name]:
            return []
        first_seen = {
            labels: min(self.counters[text].created_ns for text in texts)
            for labels, texts in sets.items()
        }
        oldest_first = sorted(sets, key=lambda labels: (first_seen[labels], labels))
        return [text for labels in oldest_first[_MOST[name] :] for text in sets[labels]]

    def move_to_overflow(self, requests: list[bytes], counters: list[bytes]) -> None:
        """Count label sets, where they are known here, under that of the overflow."""
        _move(self.requests, dict.fromkeys(requests, _OVERFLOW_ROW))
        _move(self.counters, {text: _overflow_of(text) for text in counters})
        moved = set(requests)
        for text, bucket in [key for key in self.exemplars if key[0] in moved]:
            exemplar = self.exemplars.pop((text, bucket))
            self._add_exemplar((_OVERFLOW_ROW, bucket), exemplar)

    def keep_exemplars(self, most: int) -> None:
        """Keep the newest exemplars only."""
        newest = sorted(self.exemplars.items(), key=lambda item: item[1].unix_ns)[-most:]
        self.exemplars = dict(newest)

    def _add_exemplar(self, key: tuple[bytes, int], exemplar: Exemplar) -> None:
        known = self.exemplars.get(key)
        if known is None or known.rank < exemplar.rank:
            self.exemplars[key] = exemplar


def _negative(rows: Mapping[bytes, Row]) -> list[tuple[bytes, Row]]:
    return [
        (text, Row(row.labels, row.created_ns, list(map(neg, row.cells))))
        for text, row in rows.items()
        if not is_passing(text)
    ]


def _add_rows(rows: dict[bytes, Row], others: Iterable[tuple[bytes, Row]]) -> None:
    for text, other in others:
        row = rows.get(text)
        if row is None:
            rows[text] = Row(other.labels, other.created_ns, other.cells)
        else:
            row.cells = list(map(add, row.cells, other.cells))
            row.created_ns = min(row.created_ns, other.created_ns)


def _youngest(rows: Mapping[bytes, Row], overflow: bytes, most: int) -> list[bytes]:
    if len(rows) <= most:
        return []
    texts = [text for text in rows if text != overflow]
    texts.sort(key=lambda text: (rows[text].created_ns, text))
    return texts[most:]


def _overflow_of(text: bytes) -> bytes:
    """Return the counter of the overflow that goes with one of a bounded metric."""
    name, *_, cell = labels_of(text)
    if name == EXCEPTIONS.name:
        return _OVERFLOW_EXCEPTIONS
    return label_text([name, *[OVERFLOW] * (len(labels_of(text)) - 2), cell])


def _move(rows: dict[bytes, Row], to: Mapping[bytes, bytes]) -> None:
    for text, overflow in to.items():
        row = rows.pop(text, None)
        if row is not None:
            moved = Row(labels_of(overflow), row.created_ns, row.cells)
            _add_rows(rows, [(overflow, moved)])
