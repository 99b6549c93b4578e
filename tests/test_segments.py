"""Only the application's own code is recorded, wherever its server runs the pieces of it.

A server may do other things between two chunks of a response: serve another request on the
same thread, wait, or go on on another thread.
"""

from __future__ import annotations

import threading
import time
from wsgiref.util import setup_testing_defaults

import pytest

from flaskprof import ProfilerMiddleware
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.profiles.marshal_reader import read_profile

CHUNKS = 4
GAP_SECONDS = 0.05


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def first_part(n):
    return fibonacci(n)


def second_part(n):
    return sorted(range(n), key=lambda x: -x)


class Body:
    """A result with an own iterator, whose closing is work as well."""

    def __init__(self, part, n):
        self.part = part
        self.n = n
        self.left = CHUNKS

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        self.part(self.n)
        return b"chunk"

    def close(self):
        self.part(self.n)


def generated(part, n):
    try:
        for _ in range(CHUNKS):
            part(n)
            yield b"chunk"
    finally:
        part(n)


PARTS = {"/first": first_part, "/second": second_part}
KINDS = {"object": Body, "generator": generated}


def streaming(environ, start_response):
    part = PARTS[environ["PATH_INFO"]]
    part(int(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return KINDS[environ["kind"]](part, int(environ["QUERY_STRING"]))


class Response:
    """A captured request as a server drives it, one step at a time, on any thread."""

    def __init__(self, app, path, n, kind):
        self.environ = {
            "PATH_INFO": path,
            "QUERY_STRING": str(n),
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_X_PROFILE": "1",
            "kind": kind,
        }
        setup_testing_defaults(self.environ)
        self.environ["HTTP_HOST"] = "localhost"
        self.app = app
        self.headers = {}
        self.chunks = []

    def start_response(self, status, headers, exc_info=None):
        self.headers = dict(headers)

    def call(self):
        self.result = self.app(self.environ, self.start_response)
        self.iterator = iter(self.result)

    def step(self):
        """Take one chunk; false where there is none left."""
        chunk = next(self.iterator, None)
        if chunk is None:
            return False
        self.chunks.append(chunk)
        return True

    def close(self):
        self.result.close()
        assert self.chunks == [b"chunk"] * CHUNKS


def serve_alone(response):
    response.call()
    while response.step():
        pass
    response.close()


@pytest.fixture(params=["calltree", "python"])
def site(request, tmp_path, closed_recorders):
    return Site(tmp_path / "data", request.param)


class Site:
    """The application with flaskprof around it, and what it captured."""

    def __init__(self, directory, engine):
        self.app = ProfilerMiddleware(streaming, dir=directory, dev=True, engine=engine)
        self.recorder = recorder_for(Settings(dir=directory))

    def request(self, path, n, kind):
        return Response(self.app, path, n, kind)

    def graph(self, response):
        assert self.recorder.flush(10)
        capture_id = response.headers["X-Profile-Id"]
        return read_profile(self.recorder.store.read(capture_id, ".prof"))

    def counts(self, response):
        return {
            function: (stats.total[:2], {f: edge[:2] for f, edge in stats.callers.items()})
            for function, stats in self.graph(response).functions.items()
        }

    def record(self, response):
        assert self.recorder.flush(10)
        return self.recorder.store.record(response.headers["X-Profile-Id"])


def in_another_thread(step):
    done = []
    thread = threading.Thread(target=lambda: done.append(step()))
    thread.start()
    thread.join()
    return done[0]


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


@pytest.fixture
def alone(site, kind):
    """The counts of each request without another beside it."""
    found = {}
    for path in PARTS:
        response = site.request(path, 9, kind)
        serve_alone(response)
        found[path] = site.counts(response)
    return found


def calls(counts, name):
    return [value[0][0] for function, value in counts.items() if function.name == name]


def test_a_response_alone_holds_the_calls_of_every_piece(alone):
    assert calls(alone["/first"], "first_part") == [1 + CHUNKS + 1]
    assert calls(alone["/second"], "second_part") == [1 + CHUNKS + 1]
    assert calls(alone["/first"], "second_part") == []


def test_two_responses_that_take_turns_on_one_thread_stay_apart(site, kind, alone):
    responses = [site.request(path, 9, kind) for path in PARTS]
    for response in responses:
        response.call()
    while [response for response in responses if response.step()]:
        pass
    # The server closes the first after it is through with the second.
    for response in reversed(responses):
        response.close()
    for path, response in zip(PARTS, responses, strict=True):
        assert site.counts(response) == alone[path]
        assert site.record(response).notes == ()


def test_a_response_may_begin_within_a_step_of_another(site, kind, alone):
    outer, inner = (site.request(path, 9, kind) for path in PARTS)
    outer.call()
    outer.step()
    serve_alone(inner)
    while outer.step():
        pass
    outer.close()
    assert site.counts(outer) == alone["/first"]
    assert site.counts(inner) == alone["/second"]


def test_a_response_may_go_on_and_end_on_another_thread(site, kind, alone):
    response = site.request("/first", 9, kind)
    response.call()
    assert response.step()
    while in_another_thread(response.step):
        pass
    in_another_thread(response.close)
    assert site.counts(response) == alone["/first"]
    assert site.record(response).notes == ()


def test_each_piece_may_run_on_a_thread_of_its_own_beside_others(site, kind, alone):
    responses = [site.request(path, 9, kind) for path in PARTS]
    together = threading.Barrier(len(responses))

    def serve(response):
        in_another_thread(response.call)
        while True:
            together.wait(10)
            if not in_another_thread(response.step):
                break
        in_another_thread(response.close)

    threads = [threading.Thread(target=serve, args=(response,)) for response in responses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for path, response in zip(PARTS, responses, strict=True):
        assert site.counts(response) == alone[path]


def test_time_between_the_chunks_is_in_the_duration_and_not_in_the_profile(site, kind):
    response = site.request("/first", 9, kind)
    response.call()
    while response.step():
        time.sleep(GAP_SECONDS)
    response.close()
    duration = site.record(response).duration_seconds
    gaps = CHUNKS * GAP_SECONDS
    assert duration >= gaps
    assert 0 < site.graph(response).total_seconds <= duration - gaps


def test_a_server_that_drops_a_response_half_way_leaves_nothing_on(site, kind):
    response = site.request("/first", 9, kind)
    response.call()
    response.step()
    response.result.close()
    counts = site.counts(response)
    assert calls(counts, "first_part") == [1 + 1 + 1]
