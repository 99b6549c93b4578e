"""What is measured of some requests only, so that the others need not pay for it.

Processor time is asked for with a system call, which costs more than all the rest together:
it is measured of a sample, and what we cost a request of a smaller one. Time at the proxy is
known where a header tells, the application's own label and the parts of a body where a
setting wants them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import get_ident
from time import perf_counter_ns, thread_time_ns, time_ns
from typing import Any

from flaskprof.metrics.headers import queued_ns
from flaskprof.metrics.stream import Stream

__all__ = ["OWN_WEIGHT", "SAMPLED", "Extras", "Label", "Wanted"]

# Bits of a clock in nanoseconds, of a microsecond and more, that are as good as random. One
# request in 32, where these are zero, is sampled: every other of them for what we cost it, the
# rest for their processor time.
SAMPLED = 31 << 10
_OWN = 1 << 15
OWN_WEIGHT = 64

OTHER_VALUE = "_other_"


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the application's own: its name, its values, and what returns the value.

    `source` is called with the WSGI environ of a request.
    """

    name: str
    values: frozenset[str]
    source: Callable[[dict[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings want to be measured."""

    cpu: bool = False
    queue: bool = False
    own: bool = False
    stream: bool = False
    label: Label | None = None

    @property
    def is_of_all(self) -> bool:
        """Whether every request has extras."""
        return self.stream or self.label is not None


class Extras:
    """What is known of one request beside its duration. What is not known is None.

    `entered` is when we got the request, by the clock of ``perf_counter``.
    """

    __slots__ = (
        "_cpu_started",
        "_label",
        "_thread",
        "cpu_ns",
        "entry_ns",
        "label_value",
        "queued_ns",
        "stream",
    )

    def __init__(self, wanted: Wanted, environ: dict[str, Any], entered: int) -> None:
        self._label = wanted.label
        self.label_value = "" if wanted.label is None else OTHER_VALUE
        self.queued_ns = queued_ns(environ, time_ns()) if wanted.queue else None
        self.stream = Stream(entered) if wanted.stream else None
        self.entry_ns: int | None = None
        self.cpu_ns: int | None = None
        self._thread = 0
        if entered & SAMPLED:
            return
        if wanted.own and not entered & _OWN:
            self.entry_ns = perf_counter_ns() - entered
        elif wanted.cpu:
            self._thread = get_ident()
            self._cpu_started = thread_time_ns()

    def response_starts(self, environ: dict[str, Any]) -> None:
        """Ask the application for the value of its label."""
        if self._label is not None:
            value = self._label.source(environ)
            if isinstance(value, str) and value in self._label.values:
                self.label_value = value

    def request_ends(self) -> None:
        """Take the processor time, if it is still the same thread's."""
        if self._thread and self._thread == get_ident():
            self.cpu_ns = thread_time_ns() - self._cpu_started
