"""Sums as metric families: every row of the table, in its order. Pure."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from operator import add
from typing import TypeAlias

from prometheus_client import Metric as Family
from prometheus_client.samples import Exemplar as ServedExemplar
from prometheus_client.utils import floatToGoString

from flaskprof import __version__
from flaskprof.metrics import table
from flaskprof.metrics.folding import Reading
from flaskprof.metrics.layout import FIXED_CELLS, OVERFLOW, Cell
from flaskprof.metrics.series import DECLARATION, SUM, Declaration, grouped
from flaskprof.metrics.totals import Exemplar, Row, Totals, overflow_of_exceptions

__all__ = ["Surroundings", "declarations", "families"]

_NS = 1_000_000_000

Labels: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is served beside the sums: who serves, and what lies in the data directory.

    `failures` are those of a process without cells of its own, by place.
    """

    role: str
    is_in_memory: bool = False
    usage: tuple[int, int] | None = None
    failures: Mapping[str, int] = field(default_factory=dict)


def families(reading: Reading, surroundings: Surroundings) -> Iterator[Family]:
    """Yield a family for each row of the table."""
    totals = reading.totals
    plain = _counters(totals, surroundings.failures)
    routes = _by_route(totals.requests.values())
    single = {
        table.LIVE_WORKERS: reading.alive,
        table.FILES_SKIPPED: reading.skipped,
        table.FILES_SET_ASIDE: reading.set_aside,
        table.GENERATION: reading.generation,
        table.IN_MEMORY: int(surroundings.is_in_memory),
    }
    if surroundings.usage is not None:
        single[table.DATA_BYTES], single[table.DATA_FILES] = surroundings.usage
    plain |= {metric.name: [((), value)] for metric, value in single.items()}
    for metric in table.METRICS:
        family = Family(metric.name, metric.help, metric.kind.value, metric.unit)
        if metric is table.DURATION:
            _add_durations(family, totals)
        elif metric in _CELLS:
            _add_cells(family, metric, routes)
        elif metric.most:
            bounds = totals.bounds_ns if metric.kind is table.Kind.histogram else ()
            declared = Declaration(metric.name, metric.kind, metric.help, metric.labels, bounds)
            _add_series(family, declared, plain.get(metric.name, ()))
        elif metric is table.INFO:
            _add_info(family, plain.get(metric.name, ()), surroundings.role)
        elif metric is table.REFUSED:
            _add_refused(family, totals)
        else:
            for labels, value in plain.get(metric.name, ()):
                named = dict(zip(metric.labels, labels, strict=True))
                family.add_sample(metric.samples[0], named, value / metric.scale)
        yield family
    for declared in declarations(totals):
        family = Family(declared.name, declared.help, declared.kind.value, declared.unit)
        _add_series(family, declared, plain.get(declared.name, ()))
        yield family


# Where the cells of a label set are: of the count, and of the sum where there is one.
_CELLS = {
    table.CPU: (Cell.CPU_COUNT, Cell.CPU),
    table.QUEUED: (Cell.QUEUED_COUNT, Cell.QUEUED),
    table.LENGTH: (Cell.LENGTH_COUNT, Cell.LENGTH),
    table.FIRST_BYTE: (Cell.FIRST_BYTE_COUNT, Cell.FIRST_BYTE),
    table.SENT: (Cell.SENT_COUNT, Cell.SENT),
    table.DISCONNECTS: (Cell.DISCONNECTS,),
}


def _counters(
    totals: Totals, failures: Mapping[str, int]
) -> dict[str, list[tuple[tuple[str, ...], int]]]:
    """Return label values and value of every counter and gauge, by the name of its family."""
    found: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    if failures:
        found[table.FAILURES.name] = [((place,), n) for place, n in failures.items()]
    overflow = overflow_of_exceptions()
    for row in totals.counters.values():
        name, *labels = row.labels
        if row.labels != overflow or row.cells[0]:
            found.setdefault(name, []).append((tuple(labels), row.cells[0]))
    return found


def _by_route(rows: Iterable[Row]) -> list[tuple[Labels, list[int]]]:
    """Sum up the cells that stand for all status codes of a method and route."""
    sums: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        method, route, _, *extra = row.labels
        key = (method, route, *extra)
        known = sums.get(key)
        cells = row.cells[:FIXED_CELLS]
        sums[key] = cells if known is None else list(map(add, known, cells))
    return [(_named(table.CPU.labels, key), cells) for key, cells in sums.items()]


def _add_durations(family: Family, totals: Totals) -> None:
    bounds = [_le(bound / _NS) for bound in (*totals.bounds_ns, float("inf"))]
    for text, row in totals.requests.items():
        buckets = row.cells[FIXED_CELLS:]
        if row.labels[1] == OVERFLOW and not any(buckets):
            continue
        labels = _named(table.DURATION.labels, row.labels)
        sums = list(accumulate(buckets))
        for bucket, (bound, count) in enumerate(zip(bounds, sums, strict=True)):
            exemplar = totals.exemplars.get((text, bucket))
            family.add_sample(
                family.name + "_bucket",
                {**labels, "le": bound},
                count,
                exemplar=None if exemplar is None else _served(exemplar),
            )
        family.add_sample(family.name + "_count", labels, sums[-1])
        family.add_sample(family.name + "_sum", labels, row.cells[Cell.DURATION] / _NS)


def _add_cells(
    family: Family, metric: table.Metric, routes: Sequence[tuple[Labels, list[int]]]
) -> None:
    cells = _CELLS[metric]
    is_measured = Cell.SENT_COUNT if metric is table.DISCONNECTS else cells[0]
    for labels, values in routes:
        if values[is_measured]:
            for name, cell in zip(metric.samples, cells, strict=True):
                scale = 1 if cell == is_measured else metric.scale
                family.add_sample(name, labels, values[cell] / scale)


def declarations(totals: Totals) -> Iterable[Declaration]:
    """Return what applications declared; of two of the same name the younger."""
    found: dict[str, Declaration] = {}
    rows = [row for row in totals.counters.values() if row.labels[0] == DECLARATION]
    for row in sorted(rows, key=lambda row: row.created_ns):
        with suppress(ValueError):  # damaged, or of another version
            declared = Declaration.from_labels(row.labels)
            found[declared.name] = declared
    return found.values()


def _add_series(
    family: Family, declared: Declaration, rows: Iterable[tuple[tuple[str, ...], int]]
) -> None:
    scale = declared.scale
    for group in grouped(rows, len(declared.labels)):
        labels = dict(zip(declared.labels, group.values, strict=True))
        if declared.kind is table.Kind.counter:
            family.add_sample(family.name + "_total", labels, group.sum / scale)
            continue
        if declared.kind is table.Kind.histogram:
            for bound, number in group.buckets(declared.bounds):
                le = _le(float("inf") if bound is None else bound / scale)
                family.add_sample(family.name + "_bucket", {**labels, "le": le}, number)
        family.add_sample(family.name + "_count", labels, group.count)
        family.add_sample(family.name + "_sum", labels, group.sum / scale)


def _add_info(family: Family, rows: Iterable[tuple[tuple[str, ...], int]], role: str) -> None:
    names = [name for name in table.INFO.labels if name != "role"]
    described = [labels for labels, _ in rows]
    own = {"version": __version__, "python": platform.python_version()}
    for values in described or [tuple(own.get(name, "") for name in names)]:
        labels = {**dict(zip(names, values, strict=True)), "role": role}
        family.add_sample(family.name + "_info", labels, 1)


def _add_refused(family: Family, totals: Totals) -> None:
    requests = [row for row in totals.requests.values() if row.labels[1] == OVERFLOW]
    refused = {
        table.DURATION.name: sum(sum(row.cells[FIXED_CELLS:]) for row in requests),
        table.EXCEPTIONS.name: sum(
            row.cells[0]
            for row in totals.counters.values()
            if row.labels == overflow_of_exceptions()
        ),
    }
    for metric in table.METRICS:
        if metric.most:
            cells = [row for row in totals.counters.values() if row.labels[0] == metric.name]
            refused[metric.name] = sum(
                row.cells[0]
                for row in cells
                if row.labels[1] == OVERFLOW and row.labels[-1] != SUM
            )
    for name, number in refused.items():
        family.add_sample(family.name + "_total", {"metric": name}, number)


def _le(seconds: float) -> str:
    text: str = floatToGoString(seconds)  # type: ignore[no-untyped-call]  # theirs
    return text


def _named(names: Sequence[str], values: Sequence[str]) -> Labels:
    """Return labels by name; behind the known ones come the name and value of another."""
    named = dict(zip(names, values, strict=False))
    more = iter(values[len(names) :])
    return named | dict(zip(more, more, strict=True))


def _served(exemplar: Exemplar) -> ServedExemplar:
    labels = {"profile_id": exemplar.profile_id} if exemplar.profile_id else {}
    if exemplar.trace_id:
        labels["trace_id"] = exemplar.trace_id
    return ServedExemplar(labels, exemplar.value_ns / _NS, exemplar.unix_ns / _NS)
