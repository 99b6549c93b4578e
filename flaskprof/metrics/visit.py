"""One request as it is counted and timed: what every request does for the metrics.

`Visit` and `Body` are written in C where that was built; `PythonVisit` and `PythonBody` do the
same. A visit is the base of a class with two more methods: `note_start(headers)`, called at
the start of the response, notes what that tells, and `conclude(ended, duration_ns, cpu_ns)`,
called once at the end, counts the request. A visit in C takes the short way where it
`is_plain`: an ordinary request of a known label set never comes to either of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from random import random
from threading import get_ident
from time import perf_counter_ns, thread_time_ns
from typing import Any, Final, Protocol, TypeAlias

from flaskprof.metrics.cells import PythonCells

__all__ = [
    "CPU_SHARE",
    "MEASURE_CPU",
    "MEASURE_EVERY_CPU",
    "MEASURE_LENGTH",
    "MEASURE_MORE",
    "OWN_MASK",
    "OWN_SHARE",
    "Body",
    "PythonBody",
    "PythonVisit",
    "Visit",
]

# What is measured of requests; more is all that needs a step in Python at each.
MEASURE_CPU: Final = 1
MEASURE_LENGTH: Final = 2
MEASURE_MORE: Final = 4
MEASURE_EVERY_CPU: Final = 8

# Processor time takes two system calls: of so many requests one is measured, at random, and
# counted for all of them, unless that of every request is wanted.
CPU_SHARE: Final = 16

# Of the requests one in so many is timed for what we cost it: those at whose end these bits
# of the clock, between one and 64 microseconds, are zero.
OWN_SHARE: Final = 64
OWN_MASK: Final = (OWN_SHARE - 1) << 10

Environ: TypeAlias = dict[str, Any]
Flight: TypeAlias = list[Any]


class PythonVisit:
    """A request from `start` to `end`.

    `entered_ns` is when we were called, by the clock of ``perf_counter``, and `started_ns`
    when the application is; `queued_ns` how long the request waited at the proxy. What is
    not known is None.
    """

    __slots__ = (
        "_active",
        "_cells",
        "_flights",
        "_server",
        "_thread",
        "_thread_started_ns",
        "entered_ns",
        "environ",
        "flight",
        "is_plain",
        "length",
        "match",
        "method",
        "name_route",
        "queued_ns",
        "started_ns",
        "status",
    )

    def __init__(self) -> None:
        self._cells: PythonCells | None = None
        self.environ: Environ | None = None
        self.flight: Flight | None = None
        self.is_plain = False
        self.length: int | None = None
        self.match: Any = None
        self.queued_ns: int | None = None
        self.status: str | None = None

    def start(  # noqa: PLR0917  by position, as in C
        self,
        cells: PythonCells,
        active: int,
        places: Mapping[tuple[str, str, str, str], int],  # noqa: ARG002  for the short way
        measures: int,
        entered_ns: int,
        environ: Environ,
        start_response: Callable[..., Any],
        name_route: Callable[[Environ], Any],
        flights: dict[int, Flight],
        /,
    ) -> None:
        """Start its clocks; until it ends it is one of `flights`, and counted as `active`.

        `active` is a word of `cells`, `places` are those of label sets in `cells`, by method,
        route, status and "". What `name_route` returns for the environ has `route` and
        `is_counted`. A flight is a list: method, `entered_ns`, thread, environ and match.
        """
        if self.environ is not None:
            raise RuntimeError("it was started before")
        self.method: str = environ["REQUEST_METHOD"]
        self.environ = environ
        self._server = start_response
        self.name_route = name_route
        self.status = ""
        self.is_plain = not measures & MEASURE_MORE
        self.entered_ns = entered_ns
        self._flights = flights
        self.flight = [self.method, entered_ns, get_ident(), environ, None]
        flights[id(self.flight)] = self.flight
        cells.add(active, 1)
        self._active = active
        self._cells = cells
        self._thread = 0
        is_sampled = random() < 1 / CPU_SHARE  # noqa: S311  no secret
        if measures & MEASURE_EVERY_CPU or (measures & MEASURE_CPU and is_sampled):
            self._thread = get_ident()
            self._thread_started_ns = thread_time_ns()
        self.started_ns = perf_counter_ns()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or was not started."""
        return self._cells is None

    def start_response(self, status: str, headers: list[Any], exc_info: Any = None) -> Any:
        """Note status, route and length, and start the response as the application does."""
        self.status = status
        self.note_start(headers)
        if exc_info is None:
            return self._server(status, headers)
        return self._server(status, headers, exc_info)

    def end(self) -> None:
        """Count it out, and count the request; only the first call does so.

        Processor time is that of one thread, and not known if the end comes in another.
        """
        ended = perf_counter_ns()
        cells = self._cells
        if cells is None:
            return
        self._cells = None
        self._flights.pop(id(self.flight), None)
        cells.add(self._active, -1)
        cpu_ns = None
        if self._thread and self._thread == get_ident():
            cpu_ns = thread_time_ns() - self._thread_started_ns
        try:
            self.conclude(ended, ended - self.started_ns, cpu_ns)
        finally:
            # The environ holds this object too; without the cycle both go at once.
            self.environ = None

    def note_start(self, headers: list[Any]) -> None:
        """Note what the start of the response tells; for who makes more of this class."""
        raise NotImplementedError

    def conclude(self, ended: int, duration_ns: int, cpu_ns: int | None) -> None:
        """Count the request; for who makes more of this class."""
        raise NotImplementedError


class Closing(Protocol):
    """What a body belongs to."""

    def close(self, result: Any, /) -> None:
        """Close the application's result."""
        ...

    def abandon(self) -> None:
        """Know that nobody will close the body; called by a finalizer."""
        ...


class PythonBody:
    """The application's result with ``close()`` tied to the visit that it belongs to.

    Iteration passes through at full speed: the server iterates the application's own
    iterator.
    """

    __slots__ = ("_is_closed", "_result", "_visit")

    def __init__(self, result: Iterable[bytes], visit: Closing, /) -> None:
        self._is_closed = False
        self._result = result
        self._visit = visit

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._result)

    def close(self) -> None:
        """Let the visit close the result."""
        self._is_closed = True
        self._visit.close(self._result)

    def __del__(self) -> None:
        # A server that broke off may never have closed it (werkzeug's on a reset).
        if not self._is_closed:
            self._visit.abandon()


try:
    from flaskprof.metrics._request import Body, Visit
except ImportError:  # no compiler was there
    Body = PythonBody  # type: ignore[assignment,misc]  # the same face
    Visit = PythonVisit  # type: ignore[assignment,misc]  # as above
