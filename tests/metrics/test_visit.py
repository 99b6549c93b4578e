"""A request is counted alike by the short way, by the long way, and without the helper in C."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from flaskprof.capture.flights import ENVIRON, MATCH
from flaskprof.metrics import visit
from flaskprof.metrics.cells import Cells, PythonCells
from flaskprof.metrics.headers import content_length
from flaskprof.metrics.visit import (
    CPU_SHARE,
    MEASURE_CPU,
    MEASURE_EVERY_CPU,
    MEASURE_LENGTH,
    MEASURE_MORE,
    MEASURE_QUEUE,
    MEASURE_TRACES,
    Plan,
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
        self.active = {}
        self.flights = {}
        self.concluded = []
        self.failed = []
        self.sampled_in_python = 0
        served = self

        class Request(kinds[1]):
            __slots__ = ()

            def follow(self, result, environ):
                return "followed", result, environ

            def fail(self, error):
                self.status = "500"
                self.end()
                served.failed.append(error)

            def note_queue(self):
                self.queued_ns = 5

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

    def plan(self, measures=0):
        return Plan(
            self.cells,
            self.active,
            self.find_active,
            self.places,
            measures,
            self.flights,
            Result,
            recorder=None,
            metrics=None,
        )

    def find_active(self, method):
        self.active[method] = ACTIVE
        return ACTIVE

    def begin(self, measures=MEASURE_LENGTH, method="GET", entered=0, **environ):
        request = self.kind()
        request.start(
            self.plan(measures),
            entered,
            {"REQUEST_METHOD": method, **environ},
            lambda *arguments: self.started.append(arguments) or "write",
            lambda environ: self.match,
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
    request.start(served.plan(), 0, environ, server, name_route)
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


@pytest.mark.parametrize(
    "change",
    [{"cells": None}, {"find_active": lambda _: 10**6}, {"flights": None}, {"environ": {}}],
)
def test_a_request_that_cannot_be_started_is_none(change, served):
    environ = change.get("environ", {"REQUEST_METHOD": "GET"})
    plan = served.plan()._replace(**{key: change[key] for key in change if key != "environ"})
    request = served.kind()
    with pytest.raises((TypeError, KeyError, AttributeError, IndexError)):
        request.start(plan, 0, environ, None, None)
    assert request.is_over
    assert not any(served.words)


def test_a_request_is_started_once(served):
    request = served.begin()
    with pytest.raises(RuntimeError, match="before"):
        request.start(served.plan(), 0, {"REQUEST_METHOD": "GET"}, None, None)
    assert served.words[ACTIVE] == 1


@pytest.mark.parametrize("name", ["HTTP_X_REQUEST_START", "HTTP_X_QUEUE_START"])
def test_a_wait_at_the_proxy_is_noted_where_a_header_tells_of_one(name, served):
    request = served.begin(measures=MEASURE_QUEUE, **{name: "1"})
    request.start_response(STATUS, HEADERS)
    request.end()
    assert served.counted()[1][2:4] == [1, 5]
    for measures, environ in ((0, {name: "1"}), (MEASURE_QUEUE, {})):
        assert served.begin(measures=measures, **environ).queued_ns is None


def test_a_request_of_a_trace_is_not_plain(served):
    assert served.begin(measures=MEASURE_TRACES).is_plain
    assert served.begin(HTTP_TRACEPARENT="00").is_plain
    assert not served.begin(measures=MEASURE_TRACES, HTTP_TRACEPARENT="00").is_plain


def test_the_environ_is_in_flight_while_the_application_is_called(served):
    def app(environ, start_response):
        assert request.flight[ENVIRON] is request.environ is environ
        start_response(STATUS, HEADERS)
        return result

    result = [b"x"]
    request = served.begin()
    environ = request.environ
    assert request.run(app) == ("followed", result, environ)
    assert request.flight[ENVIRON] is None
    assert served.started == [(STATUS, HEADERS)]


def test_what_the_application_raises_is_its_callers_to_see(served):
    def app(environ, start_response):
        raise error

    error = LookupError("x")
    request = served.begin()
    request.match = served.match
    served.places["GET", "/a", "500", ""] = PLACE
    with pytest.raises(LookupError) as caught:
        request.run(app)
    assert caught.value is error
    assert caught.traceback[-1].name == "app"
    assert served.failed == [error]
    assert served.flights == {}


def test_a_usual_result_is_closed_with_the_end_of_the_request(served):
    closed = []
    result = Result(lambda: closed.append(True))
    request = served.begin()

    def app(environ, start_response):
        start_response(STATUS, HEADERS)
        return result

    body = request.run(app)
    if isinstance(body, tuple):  # in Python all are followed alike
        body = PythonBody(result, request)
    assert list(body) == [b"x"]
    assert not request.is_over
    body.close()
    assert closed == [True]
    assert request.is_over
    assert served.counted()[0] == 1


def test_in_c_what_is_not_plain_is_followed_in_python():
    needs_module("flaskprof.metrics._request")
    served = Served((Cells, visit.Visit, visit.Body))
    result = Result(lambda: None)

    def app(environ, start_response):
        start_response(STATUS, HEADERS)
        return result

    plain = served.begin().run(app)
    assert type(plain) is visit.Body
    plain.close()
    request = served.begin(measures=MEASURE_MORE)
    environ = request.environ
    assert request.run(app) == ("followed", result, environ)
    request.end()


def test_a_request_that_was_not_started_is_not_run(served):
    with pytest.raises(RuntimeError, match="not started"):
        served.kind().run(lambda *_: [])


def test_an_ended_request_is_in_no_cycle_with_its_environ(served):
    request = served.begin()
    request.environ["request"] = request
    request.start_response(STATUS, HEADERS)
    request.end()
    del request
    assert gc.collect() == 0 or not [
        one for one in gc.get_objects() if issubclass(type(one), served.kind)
    ]


def test_a_request_in_a_cycle_is_collected(served):
    request = served.begin()
    request.environ["request"] = request
    served.flights.clear()
    del request
    gc.collect()
    assert not [one for one in gc.get_objects() if issubclass(type(one), served.kind)]


class Owner:
    """What a body belongs to; `log` is what the body said."""

    def __init__(self):
        self.log = []

    def end(self):
        self.log.append("end")

    def fail(self, error):
        self.log.append(error)

    def abandon(self):
        self.log.append("abandon")


class Result:
    """What an application returns; its `close` calls `closing`."""

    def __init__(self, closing):
        self.close = closing

    def __iter__(self):
        return iter([b"x"])


def test_a_body_is_iterated_by_the_applications_own_iterator(kinds):
    result = iter([b"x"])
    body = kinds[2](result, Owner())
    assert iter(body) is result
    body.close()


def test_the_result_is_closed_before_its_owner_hears_of_it(kinds):
    owner = Owner()
    body = kinds[2](Result(lambda: owner.log.append("close")), owner)
    body.close()
    body.close()
    del body
    assert owner.log == ["close", "end"] * 2


def test_a_result_without_close_is_merely_over(kinds):
    owner = Owner()
    kinds[2]([b"x"], owner).close()
    assert owner.log == ["end"]


@pytest.mark.parametrize("error", [ValueError("x"), AttributeError("x"), KeyboardInterrupt()])
def test_an_error_at_the_close_goes_to_the_owner_and_to_the_server(error, kinds):
    def fail():
        raise error

    owner = Owner()
    body = kinds[2](Result(fail), owner)
    with pytest.raises(type(error)) as caught:
        body.close()
    assert caught.value is error
    assert [entry.name for entry in caught.traceback][-1] == "fail"
    del body
    assert owner.log == [error]


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
