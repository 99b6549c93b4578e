"""Counters and histograms of the application's own, summed over all its workers.

Usage::

    orders = flaskprof.counter("orders_total", "Orders.", labels={"tier": ["free", "paid"]})
    orders.inc(tier="paid")

    sizes = flaskprof.histogram("upload_bytes", "Sizes of uploads.", buckets=[1e3, 1e6])
    sizes.observe(len(data))

They are served with flaskprof's own metrics, and as these kept when a worker ends. Which
values a label may have is said beforehand, so that nobody can add series without end.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import ClassVar, TypeVar

from flaskprof.capture.recorder import recorder_of_process
from flaskprof.config import DEFAULT_BUCKETS
from flaskprof.errors import ConfigError
from flaskprof.metrics.instruments import OTHER_VALUE, Metrics
from flaskprof.metrics.series import SUM, Declaration, bucket_of
from flaskprof.metrics.table import METRICS, Kind

__all__ = ["Counter", "Histogram", "counter", "histogram"]

# Cells of all of an application's metrics together: what a worker file has room for.
_MOST_CELLS = 400

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_RESERVED_ENDS = ("_bucket", "_count", "_created", "_info", "_sum", "_total")
_OURS = frozenset(metric.name for metric in METRICS)


class _Own:
    """A metric of the application's own, with the values that its labels may have."""

    kind: ClassVar[Kind]

    def __init__(self, declaration: Declaration, labels: Mapping[str, frozenset[str]]) -> None:
        self.declaration = declaration
        self.labels = labels
        self._declared_to: Metrics | None = None

    @property
    def cells(self) -> int:
        """How many cells it takes at most."""
        sets = math.prod(len(values) + 1 for values in self.labels.values())
        each = len(self.declaration.bounds) + 2 if self.kind is Kind.histogram else 1
        return sets * each + 1

    def _add(self, cells: Mapping[str, int], labels: Mapping[str, str]) -> None:
        if labels.keys() != self.labels.keys():
            wanted = ", ".join(self.labels) or "none"
            raise TypeError(f"{self.declaration.name} has the labels {wanted}")
        recorder = recorder_of_process()
        if recorder is None:
            return
        metrics = recorder.metrics
        if metrics is not self._declared_to:
            metrics.declare(self.declaration)
            self._declared_to = metrics
        values = tuple(
            labels[name] if labels[name] in allowed else OTHER_VALUE
            for name, allowed in self.labels.items()
        )
        metrics.add_to_series(self.declaration.name, values, cells, _MOST_CELLS)


class Counter(_Own):
    """Counts something up."""

    kind = Kind.counter

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Add `amount`, a whole number unless seconds are counted; never less than zero.

        Raises TypeError where labels are missing or unknown. A value that was not declared
        counts under ``_other_``.
        """
        number = round(amount * self.declaration.scale)
        if amount < 0 or (number != amount and self.declaration.scale == 1):
            raise ValueError(f"{self.declaration.name} cannot be increased by {amount}")
        self._add({SUM: number}, labels)


class Histogram(_Own):
    """Counts values by size."""

    kind = Kind.histogram

    def observe(self, value: float, **labels: str) -> None:
        """Count one value, in the unit that the name ends with; never less than zero.

        Raises TypeError where labels are missing or unknown. A label value that was not
        declared counts under ``_other_``.
        """
        if not 0 <= value < math.inf:
            raise ValueError(f"{self.declaration.name} cannot count {value}")
        number = round(value * self.declaration.scale)
        self._add({bucket_of(number, self.declaration.bounds): 1, SUM: number}, labels)


M = TypeVar("M", bound=_Own)

_known: dict[str, _Own] = {}
_lock = threading.Lock()


def counter(
    name: str, help: str = "", *, labels: Mapping[str, Iterable[str]] | None = None
) -> Counter:
    """Return the counter of that name, which is made by the first call.

    `labels` has the values of each label. Raises `ConfigError` for a name, a label or a
    number of series that cannot be, and for a counter that was made otherwise before.
    """
    made = Counter(
        _declaration(name.removesuffix("_total"), help, Kind.counter, labels), _sets(labels)
    )
    return _registered(made)


def histogram(
    name: str,
    help: str = "",
    *,
    labels: Mapping[str, Iterable[str]] | None = None,
    buckets: Iterable[float] = DEFAULT_BUCKETS,
) -> Histogram:
    """Return the histogram of that name, which is made by the first call.

    Its name ends with its unit, ``_seconds`` or ``_bytes``, if it has one of these.
    `buckets` are upper bounds. Raises as `counter` does.
    """
    declaration = _declaration(name, help, Kind.histogram, labels)
    bounds = tuple(round(bound * declaration.scale) for bound in buckets)
    if not bounds or not all(low < high for low, high in pairwise((0, *bounds))):
        raise ConfigError(f"{name}: buckets are a rising list of positive numbers")
    declaration = Declaration(
        declaration.name, Kind.histogram, help, declaration.labels, bounds
    )
    return _registered(Histogram(declaration, _sets(labels)))


def _declaration(
    name: str, help: str, kind: Kind, labels: Mapping[str, Iterable[str]] | None
) -> Declaration:
    if not _NAME.match(name) or name.endswith(_RESERVED_ENDS):
        raise ConfigError(
            f"{name!r} is no name of a metric: letters, digits and underscores, without the "
            "endings that its samples get"
        )
    if name in _OURS or name.startswith("flaskprof_"):
        raise ConfigError(f"{name!r} is a name of flaskprof's own: choose another")
    names = tuple(labels or ())
    for label in names:
        if not _NAME.match(label) or label.startswith("__") or label in {"le", "quantile"}:
            raise ConfigError(f"{name}: {label!r} is no name of a label")
    return Declaration(name, kind, help, names)


def _sets(labels: Mapping[str, Iterable[str]] | None) -> dict[str, frozenset[str]]:
    return {label: frozenset(values) for label, values in (labels or {}).items()}


def _registered(made: M) -> M:
    with _lock:
        name = made.declaration.name
        known = _known.get(name)
        if known is None:
            cells = made.cells + sum(other.cells for other in _known.values())
            if cells > _MOST_CELLS:
                raise ConfigError(
                    f"{name}: with it the application's metrics would have {cells} series; "
                    f"there is room for {_MOST_CELLS}: use fewer label values or buckets"
                )
            _known[name] = made
            return made
        is_same = (known.declaration, known.labels) == (made.declaration, made.labels)
        if not is_same or not isinstance(known, type(made)):
            raise ConfigError(f"{name} is there already, with other labels, buckets or help")
        return known
