"""A request is counted alike by the short way, by the long way, and without the helper in C."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from flaskprof.capture.flights import MATCH
from flaskprof.metrics import visit
from flaskprof.metrics.cells import Cells, PythonCells
from flaskprof.metrics.headers import content_length
from flaskprof.metrics.visit import (
    CPU_SHARE,
    MEASURE_CPU,
    MEASURE_EVERY_CPU,
    MEASURE_LENGTH,
    MEASURE_MORE,
    PythonBody,
    PythonVisit,
)
from flaskprof.routes import Match
from needs import needs_module

BOUNDS = (10**9,)
BUCKETS = 7
ACTIVE = 1  # the word that counts active requests
PLACE = 8  # where the only known label set begins
NOT_YET = 1 << 62
LABELS = ("GET", "/a", "200", "")
STATUS = "200 OK"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "17")]


@pytest.fixture(params=["python", "c"])
def kinds(request):
    """Return the classes of cells, visit and body of one way."""
    if request.param == "python":
        return PythonCells, PythonVisit, PythonBody
    needs_module("flaskprof.metrics._request")
    return Cells, visit.Visit, visit.Body


class Served:
    """One application's requests: its cells, and what the server and Python were told."""

    def __init__(self, kinds):
        self.words = memoryview(bytearray(8 * 32)).cast("q")
        self.cells = kinds[0](self.words, BOUNDS, BUCKETS)
        self.cells.due_ns = NOT_YET
        self.places = {LABELS: PLACE}
        self.match = Match("/a", "a")
        self.started = []
        self.flights = {}
        self.concluded = []
        self.sampled_in_python = 0
        served = self

        class Request(kinds[1]):
            __slots__ = ()

            def note_start(self, headers):
                self.match = self.flight[MATCH] = self.name_route(self.environ)
                self.length = content_length(headers)

            def conclude(self, ended, duration_ns, cpu_ns):
                served.concluded.append(duration_ns)
                served.sampled_in_python += cpu_ns is not None
                labels = (self.method, self.match.route, self.status[:3], "")
                length = None if self.method == "HEAD" else self.length
                numbers = (duration_ns, cpu_ns, self.queued_ns, length)
                served.cells.observe(served.places[labels], *numbers)

        self.kind = Request

    def begin(self, measures=MEASURE_LENGTH, method="GET", entered=0):
        request = self.kind()
        environ = {"REQUEST_METHOD": method}
        request.start(
            self.cells,
            ACTIVE,
            self.places,
            measures,
            entered,
            environ,
            lambda *arguments: self.started.append(arguments) or "write",
            lambda environ: self.match,
            self.flights,
        )
        return request

    def counted(self, place=PLACE):
        """Requests counted at a place; sums and counts of what else was measured."""
        words = self.words.tolist()[place : place + BUCKETS + 2]
        return sum(words[BUCKETS:]), words[1:BUCKETS]


@pytest.fixture
def served(kinds):
    return Served(kinds)


def test_an_ordinary_request_is_counted(served):
    for _ in range(3):
        request = served.begin()
        assert served.words[ACTIVE] == 1
        assert request.start_response(STATUS, HEADERS) == "write"
        request.queued_ns = 5
        request.end()
    assert served.words[ACTIVE] == 0
    assert served.counted() == (3, [0, 0, 3, 15, 3, 51])
    assert served.started == [(STATUS, HEADERS)] * 3


def test_in_c_an_ordinary_request_takes_the_short_way():
    needs_module("flaskprof.metrics._request")
    served = Served((Cells, visit.Visit, visit.Body))
    for _ in range(200):
        request = served.begin()
        request.start_response(STATUS, HEADERS)
        request.end()
    # One in 64 is left to Python, on the average.
    assert len(served.concluded) < 100
    assert served.counted()[0] == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda served, request: setattr(request, "is_plain", False),
        lambda served, request: setattr(served.cells, "due_ns", 0),
        lambda served, request: setattr(request, "match", Match("", "")),
        lambda served, request: setattr(request, "match", Match("/a", "a", is_counted=False)),
        lambda served, request: setattr(request, "status", "404 NOT FOUND"),
        lambda served, request: setattr(request, "match", object()),
    ],
)
def test_what_is_not_ordinary_comes_to_python(change, served):
    request = served.begin()
    request.start_response(STATUS, HEADERS)
    change(served, request)
    seen = []
    served.kind.conclude = lambda self, *measured: seen.append(measured)
    request.end()
    assert len(seen) == 1
    assert served.counted() == (0, [0] * 6)
    assert served.words[ACTIVE] == 0


def test_the_start_of_what_is_not_plain_comes_to_python(served):
    seen = []
    served.kind.note_start = lambda self, headers: seen.append(headers)
    request = served.begin(measures=MEASURE_MORE)
    request.start_response(STATUS, HEADERS)
    assert seen == [HEADERS]
    assert served.started == [(STATUS, HEADERS)]


def test_a_failure_to_name_the_route_comes_to_python(served):
    def fail(environ):
        raise LookupError("a bug of a framework's")

    seen = []
    served.kind.note_start = lambda self, headers: seen.append(headers)
    request = served.begin()
    request.name_route = fail
    assert request.start_response(STATUS, HEADERS) == "write"
    assert seen == [HEADERS]


def test_an_interrupt_is_not_taken_for_a_failure(served):
    def interrupt(environ):
        raise KeyboardInterrupt

    request = served.begin()
    request.name_route = interrupt
    with pytest.raises(KeyboardInterrupt):
        request.start_response(STATUS, HEADERS)


def test_the_server_gets_what_the_application_gave(served):
    error = (ValueError, ValueError("x"), None)
    request = served.begin()
    request.start_response(STATUS, HEADERS, None)
    request.start_response(STATUS, HEADERS, error)
    request.start_response(STATUS, HEADERS, exc_info=error)
    request.start_response(headers=HEADERS, status=STATUS)
    whole = (STATUS, HEADERS, error)
    assert served.started == [(STATUS, HEADERS), whole, whole, (STATUS, HEADERS)]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((), {}), ((STATUS,), {}), ((1, 2, 3, 4), {}), ((STATUS, HEADERS), {"other": 1})],
)
def test_a_start_that_cannot_be_is_refused(arguments, named, served):
    request = served.begin()
    with pytest.raises(TypeError):
        request.start_response(*arguments, **named)
    assert served.started == []


def test_what_a_server_raises_is_the_applications_to_see(served):
    def server(status, headers):
        raise AssertionError("Headers already set")

    request = served.kind()
    environ = {"REQUEST_METHOD": "GET"}
    name_route = lambda environ: served.match  # noqa: E731
    request.start(served.cells, ACTIVE, served.places, 0, 0, environ, server, name_route, {})
    with pytest.raises(AssertionError, match="already set"):
        request.start_response(STATUS, HEADERS)


def test_the_length_of_a_body_that_is_not_sent_is_not_counted(served):
    served.places["HEAD", "/a", "200", ""] = PLACE
    request = served.begin(method="HEAD")
    request.start_response(STATUS, HEADERS)
    request.end()
    assert served.counted() == (1, [0] * 6)


def test_a_request_is_active_until_its_first_end(served):
    request = served.kind()
    assert request.is_over
    request.end()
    request = served.begin(entered=1000)
    assert not request.is_over
    assert request.entered_ns == 1000
    request.start_response(STATUS, HEADERS)
    request.end()
    assert request.is_over
    request.end()
    assert served.counted()[0] == 1
    assert served.words[ACTIVE] == 0
    assert request.environ is None


def test_a_request_is_timed_by_the_clocks_of_the_standard_library(served):
    before = time.perf_counter_ns(), time.thread_time_ns()
    request = served.begin(measures=MEASURE_EVERY_CPU)
    middle = time.perf_counter_ns()
    request.start_response(STATUS, HEADERS)
    while time.thread_time_ns() - before[1] < 10_000_000:
        pass
    request.end()
    after = time.perf_counter_ns(), time.thread_time_ns()
    assert before[0] <= request.started_ns <= middle
    duration_ns, count, cpu_ns = served.words[PLACE : PLACE + 3]
    assert count == 1
    assert 0 < cpu_ns <= after[1] - before[1]
    assert after[0] - request.started_ns >= duration_ns >= cpu_ns // 2


def test_processor_time_is_not_that_of_two_threads(served):
    request = served.begin(measures=MEASURE_EVERY_CPU)
    request.start_response(STATUS, HEADERS)
    thread = threading.Thread(target=request.end)
    thread.start()
    thread.join()
    requests, others = served.counted()
    assert requests == 1
    assert others[:2] == [0, 0]


def test_processor_time_is_that_of_a_sample_counted_for_all(served):
    requests = 8000
    for _ in range(requests):
        request = served.begin(measures=MEASURE_CPU)
        request.start_response(STATUS, HEADERS)
        request.end()
    measured = served.counted()[1][0] + (CPU_SHARE - 1) * served.sampled_in_python
    # Eight standard deviations on either side of what is expected.
    spread = 8 * (requests * (CPU_SHARE - 1)) ** 0.5
    assert abs(measured - requests) < spread


def test_a_request_is_in_flight_with_its_route_until_it_ends(served):
    request = served.begin(entered=1000)
    (flight,) = served.flights.values()
    assert flight == ["GET", 1000, threading.get_ident(), request.environ, None]
    assert request.flight is flight
    assert set(served.flights) == {id(flight)}
    request.start_response(STATUS, HEADERS)
    assert flight[MATCH] is served.match
    request.end()
    assert served.flights == {}


def test_no_request_is_lost_among_threads(served):
    def serve():
        for _ in range(5000):
            request = served.begin()
            request.start_response(STATUS, HEADERS)
            request.end()

    threads = [threading.Thread(target=serve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served.counted() == (40_000, [0, 0, 0, 0, 40_000, 40_000 * 17])
    assert served.words[ACTIVE] == 0


@pytest.mark.parametrize("change", [{0: None}, {1: 10**6}, {5: {}}, {5: None}, {0: "short"}])
def test_a_request_that_cannot_be_started_is_none(change, served, kinds):
    arguments = [served.cells, ACTIVE, {}, 0, 0, {"REQUEST_METHOD": "GET"}, None, None, {}]
    for at, value in change.items():
        arguments[at] = value
    request = served.kind()
    with pytest.raises((TypeError, KeyError, AttributeError, IndexError)):
        request.start(*arguments)
    assert request.is_over
    assert not any(served.words)


def test_a_request_is_started_once(served):
    request = served.begin()
    with pytest.raises(RuntimeError, match="before"):
        request.start(served.cells, ACTIVE, {}, 0, 0, {"REQUEST_METHOD": "GET"}, None, None, {})
    assert served.words[ACTIVE] == 1


def test_an_ended_request_is_in_no_cycle_with_its_environ(served):
    request = served.begin()
    request.environ["request"] = request
    request.start_response(STATUS, HEADERS)
    request.end()
    del request
    assert gc.collect() == 0 or not [
        one for one in gc.get_objects() if isinstance(one, served.kind)
    ]


def test_a_request_in_a_cycle_is_collected(served):
    request = served.begin()
    request.environ["request"] = request
    served.flights.clear()
    del request
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, served.kind)]


class Owner:
    """What a body belongs to; `log` is what the body said."""

    def __init__(self, error=None):
        self.log = []
        self.error = error

    def close(self, result):
        self.log.append(("close", result))
        if self.error is not None:
            raise self.error

    def abandon(self):
        self.log.append("abandon")
        if self.error is not None:
            raise self.error


def test_a_body_is_iterated_by_the_applications_own_iterator(kinds):
    result = iter([b"x"])
    body = kinds[2](result, Owner())
    assert iter(body) is result
    body.close()


def test_a_body_is_closed_by_its_owner_as_often_as_the_server_does(kinds):
    owner, result = Owner(), [b"x"]
    body = kinds[2](result, owner)
    body.close()
    body.close()
    del body
    assert owner.log == [("close", result)] * 2


def test_an_error_at_the_close_goes_to_the_server(kinds):
    body = kinds[2]([], Owner(ValueError("x")))
    with pytest.raises(ValueError, match="x"):
        body.close()


def test_a_body_that_nobody_closes_tells_its_owner(kinds):
    owner = Owner()
    body = kinds[2]([], owner)
    assert owner.log == []
    del body
    assert owner.log == ["abandon"]


def test_a_body_in_a_cycle_tells_its_owner_too(kinds):
    owner, result = Owner(), []
    result.append(kinds[2](result, owner))
    del result
    gc.collect()
    assert owner.log == ["abandon"]


def test_a_body_that_is_dropped_in_an_error_keeps_the_error(kinds):
    owner = Owner()

    def fail():
        body = kinds[2]([], owner)
        raise LookupError(len(str(body)))

    with pytest.raises(LookupError) as caught:
        fail()
    caught.value.__traceback__ = None
    del caught
    gc.collect()
    assert owner.log == ["abandon"]


def test_the_helper_in_c_leaves_the_same_requests_to_python():
    needs_module("flaskprof.metrics._request")
    from flaskprof.metrics import _request

    # The ring is that of the cells.
    names = [name for name in dir(_request) if name.isupper() and "RING" not in name]
    assert names == [
        "CPU_SHARE",
        *sorted(n for n in names if n.startswith("MEASURE_")),
        "OWN_MASK",
    ]
    assert {name: getattr(_request, name) for name in names} == {
        name: getattr(visit, name) for name in names
    }
