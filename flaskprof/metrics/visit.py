"""One request as it is counted and timed: what every request does for the metrics.

`Visit` and `Body` are written in C where that was built; `PythonVisit` and `PythonBody` do the
same. A visit is the base of a class with more methods: `note_queue()` notes what the headers
of a proxy tell, `note_start(headers)` what the start of the response does, `follow(result,
environ)` ties the end of the visit to what the application returned, `fail(error)` hears of
what it raised, and `conclude(ended, duration_ns, cpu_ns)`, called once at the end, counts the
request. A visit in C takes the short way where it `is_plain`: an ordinary request of a known
label set comes to none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import random
from threading import get_ident
from time import perf_counter_ns, thread_time_ns
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from flaskprof.metrics.cells import Cells
from flaskprof.metrics.headers import QUEUE_STARTS

__all__ = [
    "CPU_SHARE",
    "MEASURE_CPU",
    "MEASURE_EVERY_CPU",
    "MEASURE_LENGTH",
    "MEASURE_MORE",
    "MEASURE_QUEUE",
    "MEASURE_TRACES",
    "OWN_MASK",
    "OWN_SHARE",
    "TRACEPARENT",
    "Body",
    "Plan",
    "PythonBody",
    "PythonVisit",
    "Visit",
]

# What is measured of requests; more is all that needs a step in Python at each.
MEASURE_CPU: Final = 1
MEASURE_LENGTH: Final = 2
MEASURE_MORE: Final = 4
MEASURE_EVERY_CPU: Final = 8
MEASURE_QUEUE: Final = 16
MEASURE_TRACES: Final = 32

# Processor time takes two system calls: of so many requests one is measured, at random, and
# counted for all of them, unless that of every request is wanted.
CPU_SHARE: Final = 16

# Of the requests one in so many is timed for what we cost it: those at whose end these bits
# of the clock, between one and 64 microseconds, are zero.
OWN_SHARE: Final = 64
OWN_MASK: Final = (OWN_SHARE - 1) << 10

Environ: TypeAlias = dict[str, Any]
Flight: TypeAlias = list[Any]
_ENVIRON = 3  # of a flight

TRACEPARENT = "HTTP_TRACEPARENT"


class Plan(NamedTuple):
    """What all requests of a process share.

    `active` has the words of `cells` that count active requests, by method; `find_active`
    returns that of any method. `places` are those of label sets in `cells`, by method,
    route, status and "". `flights` are the requests in flight: method, `entered_ns`, thread,
    environ and match of each. What is of the type `usual` has no length and is to be closed,
    as what most applications return. The rest is for who makes more of a visit.
    """

    cells: Cells
    active: dict[str, int]
    find_active: Callable[[str], int]
    places: dict[tuple[str, str, str, str], int]
    measures: int
    flights: dict[int, Flight]
    usual: type
    recorder: Any
    metrics: Any


class PythonVisit:
    """A request from `start` to `end`.

    `entered_ns` is when we were called, by the clock of ``perf_counter``, and `started_ns`
    when the application is; `queued_ns` how long the request waited at the proxy. What is
    not known is None.
    """

    __slots__ = (
        "_active",
        "_cells",
        "_server",
        "_thread",
        "_thread_started_ns",
        "entered_ns",
        "environ",
        "exception",
        "flight",
        "is_left_out",
        "is_plain",
        "label",
        "length",
        "match",
        "method",
        "name_route",
        "noted_trace",
        "plan",
        "queries",
        "queued_ns",
        "started_ns",
        "status",
        "stream",
    )

    def __init__(self) -> None:
        self._cells: Cells | None = None
        self.environ: Environ | None = None
        self.exception: Any = None
        self.flight: Flight | None = None
        self.is_left_out = False
        self.is_plain = False
        self.label: str | None = None
        self.length: int | None = None
        self.match: Any = None
        self.plan: Any = None
        self.queries: Any = None
        self.queued_ns: int | None = None
        self.status: str | None = None
        self.stream: Any = None
        self.noted_trace: Any = None

    def start(
        self,
        plan: Plan,
        entered_ns: int,
        environ: Environ,
        start_response: Callable[..., Any],
        name_route: Callable[[Environ], Any],
        /,
    ) -> None:
        """Start its clocks; until it ends it is in flight, and active.

        What `name_route` returns for the environ has `route` and `is_counted`.
        """
        cells, active, find_active, _, measures, flights, *_ = plan
        if self.plan is not None:
            raise RuntimeError("it was started before")
        self.method: str = environ["REQUEST_METHOD"]
        self.plan = plan
        self.environ = environ
        self._server = start_response
        self.name_route = name_route
        self.status = ""
        self.entered_ns = entered_ns
        is_traced = measures & MEASURE_TRACES and TRACEPARENT in environ
        self.is_plain = not (measures & MEASURE_MORE or is_traced)
        if measures & MEASURE_QUEUE and any(name in environ for name in QUEUE_STARTS):
            self.note_queue()
        self._active = active.get(self.method, -1)
        if self._active < 0:
            self._active = find_active(self.method)
        self.flight = [self.method, entered_ns, get_ident(), environ, None]
        flights[id(self.flight)] = self.flight
        cells.add(self._active, 1)
        self._cells = cells
        self._thread = 0
        is_sampled = random() < 1 / CPU_SHARE  # noqa: S311  no secret
        if measures & MEASURE_EVERY_CPU or (measures & MEASURE_CPU and is_sampled):
            self._thread = get_ident()
            self._thread_started_ns = thread_time_ns()
        self.started_ns = perf_counter_ns()

    def run(self, app: Callable[..., Iterable[bytes]]) -> Iterable[bytes]:
        """Call the application and return its result, followed to its end."""
        environ = self.environ
        if environ is None or self.flight is None:
            raise RuntimeError("it was not started")
        try:
            result = app(environ, self.start_response)
        except BaseException as error:
            self.fail(error)
            raise
        # What is in flight has the environ only while the application is called.
        self.flight[_ENVIRON] = None
        return self.follow(result, environ)

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
        self.plan.flights.pop(id(self.flight), None)
        cells.add(self._active, -1)
        cpu_ns = None
        if self._thread and self._thread == get_ident():
            cpu_ns = thread_time_ns() - self._thread_started_ns
        try:
            self.conclude(ended, ended - self.started_ns, cpu_ns)
        finally:
            # The environ holds this object too; without the cycle both go at once.
            self.environ = None

    def fail(self, error: BaseException) -> None:
        """Note that the application raised, and end; for who makes more of this class."""
        raise NotImplementedError

    def follow(self, result: Iterable[bytes], environ: Environ) -> Iterable[bytes]:
        """Return the result with the end tied to it; for who makes more of this class."""
        raise NotImplementedError

    def note_queue(self) -> None:
        """Note what the environ tells of a wait at the proxy; for who makes more of this."""
        raise NotImplementedError

    def note_start(self, headers: list[Any]) -> None:
        """Note what the start of the response tells; for who makes more of this class."""
        raise NotImplementedError

    def conclude(self, ended: int, duration_ns: int, cpu_ns: int | None) -> None:
        """Count the request; for who makes more of this class."""
        raise NotImplementedError


class Closing(Protocol):
    """What a body belongs to."""

    def end(self) -> None:
        """Know that the body is closed."""
        ...

    def fail(self, error: BaseException, /) -> None:
        """Know that it is closed, and that this was raised by it."""
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
        """Close the result and end the visit, whatever closing does."""
        self._is_closed = True
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            self._visit.fail(error)
            raise
        self._visit.end()

    def __del__(self) -> None:
        # A server that broke off may never have closed it (werkzeug's on a reset).
        if not self._is_closed:
            self._visit.abandon()


try:
    from flaskprof.metrics._request import Body, Visit
except ImportError:  # no compiler was there
    Body = PythonBody  # type: ignore[assignment,misc]  # the same face
    Visit = PythonVisit  # type: ignore[assignment,misc]  # as above
