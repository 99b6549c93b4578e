"""The requests that this process is answering, as the middleware and the watcher share them.

The middleware keeps `InFlight.flights`: a flight is put in when its request begins and taken
out when that ends, each a single step of the interpreter and without a lock::

    flight = new_flight(method, started_ns, get_ident(), environ)
    in_flight.flights[id(flight)] = flight
    if in_flight.is_parked:
        recorder.wake_watcher()
    ...
    in_flight.flights.pop(id(flight), None)

The watcher looks at them ten times a second, and shows those that have been under way for a
while to other processes. A request that is shorter never causes anything to be written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

from flaskprof.metrics.in_flight import Row, RowsFile, Worker, read_workers
from flaskprof.metrics.instruments import known_method
from flaskprof.metrics.process import shares_threads
from flaskprof.routes import werkzeug_match

__all__ = ["ENVIRON", "MATCH", "Flight", "InFlight"]

Flight: TypeAlias = list[Any]
"""Method, start by ``perf_counter_ns``, thread, environ and match of a request.

A list, because every request makes one, and an object takes several times longer to make.
It has the environ while the application is called, in which its router leaves the match
behind, and the match from the start of the response on; each may be None.
"""

_METHOD, _STARTED, _THREAD, ENVIRON, MATCH = range(5)

_SHOWN_FROM_NS = 50_000_000
_PACE_NS = 100_000_000
# How often nothing is found in flight before the watcher is no more woken by the clock.
# Without that each of many short requests would have to wake it.
_ROUNDS_OF_PATIENCE = 10
_MOST_ROWS = 500

_FOREVER = -1.0


class InFlight:
    """The flights of this process by identity, shown to others in `directory`.

    `is_parked` says that the watcher has to be woken for a flight to be seen. `settle` is
    called before flights are looked at, to end those that are over and not taken out.
    `clock` is that of ``perf_counter_ns``.
    """

    def __init__(
        self,
        directory: Path | None,
        settle: Callable[[], object] = lambda: None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.flights: dict[int, Flight] = {}
        # Until there is a watcher there is none to wake.
        self.is_parked = False
        self._directory = directory
        self._file = RowsFile(directory)
        self._settle = settle
        self._clock = clock
        self._due = 0
        self._quiet_rounds = 0
        self._is_resting = False

    def workers(self) -> list[Worker]:
        """Return what this process shows, and what the others of the directory do."""
        others = [] if self._directory is None else read_workers(self._directory)
        return [self._file.worker, *others]

    def keep_apart(self) -> None:
        """Show nothing to other processes; called before the first tick."""
        self._directory = None
        self._file = RowsFile(None)

    def tick(self) -> float:
        """Show what there is, if that is due; return after how many seconds it is again.

        A negative number says: not before `is_parked` was found true and the watcher was
        woken. Called by the watcher, in short intervals or when it was woken.
        """
        now = self._clock()
        if self._is_resting:
            self._is_resting = self.is_parked = False
            self._quiet_rounds = 0
        elif now < self._due:
            return (self._due - now) / 1e9
        self._settle()
        flights = list(self.flights.values())
        self._quiet_rounds = 0 if flights else self._quiet_rounds + 1
        self._show([flight for flight in flights if now - flight[_STARTED] >= _SHOWN_FROM_NS])
        if self._quiet_rounds > _ROUNDS_OF_PATIENCE:
            self._is_resting = self.is_parked = True
            # Either a request finds that true or it is found here.
            if not self.flights:
                return _FOREVER
        self._due = now + _PACE_NS
        return _PACE_NS / 1e9

    def close(self) -> None:
        """Show nothing any more."""
        self._file.close()

    def _show(self, flights: list[Flight]) -> None:
        if not flights and not self._file.worker.rows:
            return
        flights.sort(key=itemgetter(_STARTED))
        shown = flights[:_MOST_ROWS]
        names = _thread_names() if shown else {}
        rows = [_row(flight, names) for flight in shown]
        self._file.publish(rows, len(flights) - len(rows))


def _row(flight: Flight, names: Mapping[int, str]) -> Row:
    method, started_ns, thread, environ, match = flight
    route = ""
    if match is not None:
        route = match.route
    elif environ is not None:
        # In another thread than that of the request: what is asked for here are two
        # attributes that werkzeug sets once, and never a function of the application's.
        rule, _ = werkzeug_match(environ)
        route = environ.get("SCRIPT_NAME", "") + rule if rule else ""
    # As in the metrics: what has no UTF-8 becomes question marks.
    route = route.encode("utf-8", "replace").decode("utf-8")
    return Row(started_ns, known_method(method), route, names.get(thread, str(thread)))


def _thread_names() -> dict[int, str]:
    """Return the names of threads; none where they are greenlets, whose lock is not ours."""
    if shares_threads():
        return {}
    return {thread.ident: thread.name for thread in threading.enumerate() if thread.ident}
