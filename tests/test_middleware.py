"""What the server gets through the middleware is what the application gave."""

from __future__ import annotations

import gc
import io
import sys
import time
import types
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from flaskprof import ProfilerMiddleware
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.ids import is_capture_id

OUR_HEADERS = ("X-Profile-Id", "X-Profile-Url", "X-Profile-Skipped")


class Closing:
    """A result with an own iterator that notes what is done to it."""

    def __init__(self, chunks, log, fail=None):
        self.chunks = chunks
        self.log = log
        self.fail = fail

    def __iter__(self):
        for number, chunk in enumerate(self.chunks):
            if self.fail == number:
                raise RuntimeError("while iterating")
            self.log.append(f"chunk {number}")
            yield chunk

    def close(self):
        self.log.append("close")
        if self.fail == "close":
            raise RuntimeError("while closing")


class SizedClosing(Closing):
    def __len__(self):
        return len(self.chunks)


def a_list(environ, start_response, log):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-A", "1"), ("X-A", "2")])
    return [b"one", b"two"]


def nothing(environ, start_response, log):
    start_response("204 No Content", [])
    return ()


def a_generator(environ, start_response, log):
    start_response("200 OK", [("Content-Type", "text/plain")])
    log.append("called")
    yield b"one"
    log.append("between")
    yield b""
    yield b"two"


def a_late_start(environ, start_response, log):
    def body():
        start_response("201 Created", [("Content-Type", "text/plain")])
        yield b"late"

    return body()


def a_closing_result(environ, start_response, log):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing([b"one", b"two"], log)


def a_sized_closing_result(environ, start_response, log):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return SizedClosing([b"only"], log)


def an_iteration_that_raises(environ, start_response, log):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing([b"one", b"two"], log, fail=1)


def a_close_that_raises(environ, start_response, log):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing([b"one"], log, fail="close")


def an_error_page_after_the_start(environ, start_response, log):
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        {}["half way"]
    except KeyError:
        start_response("500 Oh", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"sorry"]


def the_write_callable(environ, start_response, log):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    return [b"returned"]


def a_file(environ, start_response, log):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 20_000), 8192)


def it_raises(environ, start_response, log):
    raise ValueError("before the start")


def it_exits(environ, start_response, log):
    raise SystemExit(3)


def the_environ(environ, start_response, log):
    start_response("200 OK", [("Content-Type", "text/plain")])
    ours = {"flaskprof.exchange", "wsgi.input", "wsgi.errors", "wsgi.file_wrapper"}
    return [repr(sorted((k, v) for k, v in environ.items() if k not in ours)).encode()]


def caching_headers(environ, start_response, log):
    start_response("200 OK", [("Cache-Control", "max-age=60"), ("ETag", '"a"')])
    return [b"cached"]


APPS = [
    a_list,
    nothing,
    a_generator,
    a_late_start,
    a_closing_result,
    a_sized_closing_result,
    an_iteration_that_raises,
    a_close_that_raises,
    an_error_page_after_the_start,
    the_write_callable,
    a_file,
    it_raises,
    it_exits,
    the_environ,
    caching_headers,
]


def environ_for(path="/", method="GET", **extra):
    environ = {
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "wsgi.file_wrapper": FileWrapper,
        **extra,
    }
    setup_testing_defaults(environ)
    return environ


def exchange(app, environ):
    """Serve one request as a server does; return all that could be seen of it."""
    seen = {"starts": [], "written": [], "chunks": [], "error": None, "result": None}

    def start_response(status, headers, exc_info=None):
        seen["starts"].append((status, list(headers), exc_info and exc_info[0]))
        return seen["written"].append

    result = None
    try:
        result = app(environ, start_response)
        seen["size"] = len(result) if hasattr(result, "__len__") else None
        seen["is_file"] = isinstance(result, FileWrapper)
        for chunk in result:
            seen["chunks"].append(chunk)
    except BaseException as error:  # noqa: BLE001  a server sees all of them
        seen["error"] = (type(error), str(error))
    finally:
        try:
            if hasattr(result, "close"):
                result.close()
        except RuntimeError as error:
            seen["close_error"] = str(error)
    return seen


def without_ours(seen):
    starts = [
        (status, [h for h in headers if h[0] not in OUR_HEADERS], exc)
        for status, headers, exc in seen["starts"]
    ]
    return {**seen, "starts": starts}


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def wrap(directory, closed_recorders):
    def wrap(app, **settings):
        return ProfilerMiddleware(app, dir=directory, dev=True, **settings)

    return wrap


def recorder_of(directory):
    return recorder_for(Settings(dir=directory))


def sample(directory, name, **labels):
    return recorder_of(directory).metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.__name__)
@pytest.mark.parametrize("method", ["GET", "HEAD", "BREW"])
def test_a_response_is_what_it_was_without(app, method, wrap):
    bare_log, log = [], []
    bare = exchange(lambda e, s: app(e, s, bare_log), environ_for(method=method))
    wrapped = exchange(wrap(lambda e, s: app(e, s, log)), environ_for(method=method))
    assert wrapped == bare
    assert log == bare_log


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.__name__)
@pytest.mark.parametrize("ask", ["1", "sample"])
def test_a_captured_response_differs_in_our_headers_alone(app, ask, wrap):
    bare_log, log = [], []
    bare = exchange(lambda e, s: app(e, s, bare_log), environ_for())
    wrapped = exchange(wrap(lambda e, s: app(e, s, log)), environ_for(HTTP_X_PROFILE=ask))
    for status, headers, _ in wrapped["starts"]:
        names = [name for name, _ in headers]
        assert names[-2:] == ["X-Profile-Id", "X-Profile-Url"], status
        assert ("Cache-Control", "no-store") in headers
        assert is_capture_id(dict(headers)["X-Profile-Id"])
    expected, got = without_ours(bare), without_ours(wrapped)
    for seen in (expected, got):
        for _, headers, _ in seen["starts"]:
            headers[:] = [header for header in headers if header[0] != "Cache-Control"]
    assert got == expected
    assert log == bare_log


@pytest.mark.parametrize("ask", [{}, {"HTTP_X_PROFILE": "1"}], ids=["plain", "captured"])
@pytest.mark.parametrize(
    "app",
    [a_list, a_generator, a_closing_result, a_sized_closing_result, the_write_callable],
    ids=lambda app: app.__name__,
)
def test_it_is_a_valid_wsgi_application_and_server(app, ask, wrap):
    inner = validator(lambda environ, start_response: app(environ, start_response, []))
    outer = validator(wrap(inner))
    environ = environ_for(**ask)
    del environ["wsgi.file_wrapper"]
    chunks = []

    def start_response(status, headers, exc_info=None):
        return chunks.append

    result = outer(environ, start_response)
    chunks.extend(result)
    result.close()
    assert b"".join(chunks) in {b"onetwo", b"only", b"written returned"}


def test_a_sized_result_and_a_file_go_back_as_they_are(wrap):
    result = [b"x"]
    assert wrap(lambda e, s: result)(environ_for(), lambda *_: None) is result
    wrapper = FileWrapper(io.BytesIO())
    assert wrap(lambda e, s: wrapper)(environ_for(), lambda *_: None) is wrapper


def test_a_streamed_body_is_iterated_without_a_step_of_ours(wrap):
    def chunks():
        yield b"x"

    inner = chunks()
    result = wrap(lambda e, s: inner)(environ_for(), lambda *_: None)
    assert iter(result) is inner
    result.close()


def test_a_client_that_goes_away_closes_the_result_once(wrap, directory):
    log = []
    app = wrap(lambda e, s: a_closing_result(e, s, log))
    result = app(environ_for(), lambda *_: None)
    next(iter(result))
    result.close()
    assert log == ["chunk 0", "close"]
    assert sample(directory, "http_server_active_requests", http_request_method="GET") == 0


@pytest.mark.parametrize("ask", [{}, {"HTTP_X_PROFILE": "1"}], ids=["plain", "captured"])
def test_a_response_that_a_server_never_closes_is_ended_by_the_next_request(
    ask, wrap, directory
):
    app = wrap(lambda e, s: a_closing_result(e, s, []), max_captures=1)
    for _ in range(3):
        seen = []
        app(environ_for(**ask), lambda status, headers, *_, seen=seen: seen.append(headers))
        assert not [name for name, _ in seen[0] if name == "X-Profile-Skipped"]
        gc.collect()
    exchange(app, environ_for())
    assert sample(directory, "http_server_active_requests", http_request_method="GET") == 0
    labels = {"http_request_method": "GET", "http_response_status_code": "200"}
    name = "http_server_request_duration_seconds_count"
    assert sample(directory, name, http_route="", **labels) == 4
    assert recorder_of(directory).flush(10)
    stored = sample(directory, "flaskprof_captures_total", trigger="header", outcome="stored")
    assert stored == (3 if ask else None)


def test_the_time_of_a_request_runs_to_the_end_of_close(wrap, directory):
    labels = {
        "http_request_method": "GET",
        "http_route": "",
        "http_response_status_code": "200",
    }
    count = "http_server_request_duration_seconds_count"
    app = wrap(lambda e, s: a_closing_result(e, s, []))
    result = app(environ_for(), lambda *_: None)
    list(result)
    assert sample(directory, count, **labels) is None
    assert sample(directory, "http_server_active_requests", http_request_method="GET") == 1
    result.close()
    assert sample(directory, count, **labels) == 1
    assert sample(directory, "http_server_active_requests", http_request_method="GET") == 0


@pytest.mark.parametrize(
    ("app", "status", "error"),
    [(it_raises, "500", "ValueError"), (an_error_page_after_the_start, "500", None)],
)
def test_the_status_of_a_failed_request_is_counted(app, status, error, wrap, directory):
    exchange(wrap(lambda e, s: app(e, s, [])), environ_for(method="POST"))
    labels = {"http_request_method": "POST", "http_route": ""}
    name = "http_server_request_duration_seconds_count"
    assert sample(directory, name, **labels, http_response_status_code=status) == 1
    counted = sample(directory, "flaskprof_exceptions_total", **labels, error_type=str(error))
    assert counted == (1 if error else None)


def test_an_unknown_method_is_counted_as_other(wrap, directory):
    exchange(wrap(lambda e, s: a_list(e, s, [])), environ_for(method="BREW"))
    name = "http_server_request_duration_seconds_count"
    labels = {"http_route": "", "http_response_status_code": "200"}
    assert sample(directory, name, http_request_method="_OTHER", **labels) == 1
    assert sample(directory, name, http_request_method="BREW", **labels) is None


def test_the_route_is_named_by_the_callable_and_never_by_the_path(wrap, directory):
    app = wrap(lambda e, s: a_list(e, s, []), route=lambda environ: "/orders/<id>")
    exchange(app, environ_for("/orders/7", SCRIPT_NAME="/shop"))
    name = "http_server_request_duration_seconds_count"
    labels = {"http_request_method": "GET", "http_response_status_code": "200"}
    assert sample(directory, name, http_route="/shop/orders/<id>", **labels) == 1


def test_the_header_does_not_reach_the_application(wrap):
    seen = []

    def app(environ, start_response):
        seen.append("HTTP_X_PROFILE" in environ)
        start_response("200 OK", [])
        return []

    exchange(wrap(app), environ_for(HTTP_X_PROFILE="1"))
    exchange(wrap(app), environ_for(HTTP_X_PROFILE="not allowed to ask"))
    assert seen == [False, False]


def test_a_capture_holds_the_calls_of_the_application_alone(wrap, directory):
    def chunk(number):
        return str(number).encode()

    def app(environ, start_response):
        start_response("200 OK", [])
        for number in range(5):
            yield chunk(number)

    seen = exchange(wrap(app), environ_for(HTTP_X_PROFILE="1"))
    capture_id = dict(seen["starts"][0][1])["X-Profile-Id"]
    graph = stored_graph(directory, capture_id)
    calls = {function.name: stats.total.calls for function, stats in graph.functions.items()}
    # A generator is entered once for each chunk and once for its end.
    assert calls == {
        "app": 6,
        "chunk": 5,
        "<method 'encode' of 'str' objects>": 5,
        "<method 'close' of 'generator' objects>": 1,
        # The application calls the server's function: ours in between is left out.
        "start_response": 1,
        "<method 'append' of 'list' objects>": 1,
    }


def stored_graph(directory, capture_id):
    from flaskprof.profiles.marshal_reader import read_profile

    recorder = recorder_of(directory)
    assert recorder.flush(10)
    return read_profile(recorder.store.read(capture_id, ".prof"))


def test_the_metadata_says_what_is_known_of_the_request(wrap, directory):
    app = wrap(
        lambda e, s: a_closing_result(e, s, []),
        route=lambda environ: "/r",
        service_name="shop",
        service_version="7",
    )
    seen = exchange(app, environ_for("/r?secret", method="PUT", HTTP_X_PROFILE="1"))
    capture_id = dict(seen["starts"][0][1])["X-Profile-Id"]
    recorder = recorder_of(directory)
    assert recorder.flush(10)
    record = recorder.store.record(capture_id)
    assert (record.method, record.route, record.status) == ("PUT", "/r", 200)
    assert (record.trigger, record.exactness) == ("header", "exact")
    assert (record.service, record.service_version) == ("shop", "7")
    assert record.duration_seconds >= record.cpu_seconds >= 0
    assert record.notes == ()


def busy(environ, start_response):
    start_response("200 OK", [])
    end = time.perf_counter() + 0.1
    while time.perf_counter() < end:
        pass
    return []


def test_a_sampled_request_is_recorded_by_the_engine_that_samples(wrap, directory):
    app = wrap(busy)
    deadline = time.monotonic() + 20
    names = set()
    while "busy" not in names:  # when a sample is taken is up to the system
        assert time.monotonic() < deadline
        seen = exchange(app, environ_for(HTTP_X_PROFILE="sample"))
        capture_id = dict(seen["starts"][0][1])["X-Profile-Id"]
        graph = stored_graph(directory, capture_id)
        names = {function.name for function in graph.functions}
    record = recorder_of(directory).store.record(capture_id)
    assert (record.engine, record.exactness, record.trigger) == ("sampler", "sampled", "header")
    assert any("builtins are not seen" in note for note in record.notes)
    assert graph.is_sampled
    assert names == {"busy"}
    assert 0.1 <= round(graph.total_seconds, 9) <= record.duration_seconds


def test_sampling_needs_no_other_engine(wrap, directory, monkeypatch):
    monkeypatch.setattr("flaskprof.capture.recorder.choose_engine", lambda *_: (None, "none"))
    app = wrap(lambda e, s: a_list(e, s, []))
    assert skipped(exchange(app, environ_for(HTTP_X_PROFILE="1"))) == (
        "no engine works on this interpreter"
    )
    assert skipped(exchange(app, environ_for(HTTP_X_PROFILE="sample"))) is None


def test_sampling_that_is_not_to_be_had_says_why(wrap, monkeypatch):
    uwsgi = types.SimpleNamespace(version=b"2.0.26", opt={})
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    app = wrap(lambda e, s: a_list(e, s, []))
    seen = exchange(app, environ_for(HTTP_X_PROFILE="sample"))
    assert skipped(seen).startswith("uWSGI was started without --enable-threads")
    assert seen["chunks"] == [b"one", b"two"]
    assert skipped(exchange(app, environ_for(HTTP_X_PROFILE="1"))) is None


@pytest.mark.parametrize("place", ["begin", "end", "headers"])
def test_a_failure_of_ours_is_counted_and_harms_nothing(place, wrap, directory, monkeypatch):
    def broken(*_):
        raise RuntimeError("our own bug")

    app = wrap(lambda e, s: a_closing_result(e, s, []))
    if place == "begin":
        monkeypatch.setattr(app.app.recorder, "start", broken)
    elif place == "end":
        monkeypatch.setattr(app.app, "_name_route", broken)
    else:
        monkeypatch.setattr("flaskprof.middleware.CapturedExchange._check_route", broken)
    seen = exchange(app, environ_for(HTTP_X_PROFILE="1"))
    assert seen["chunks"] == [b"one", b"two"]
    assert seen["error"] is None
    assert sample(directory, "flaskprof_failures_total", place=place) == 1


def test_where_the_directory_cannot_be_written_requests_go_on(wrap, directory):
    directory.write_text("a file where the data directory should be")
    seen = exchange(wrap(lambda e, s: a_list(e, s, [])), environ_for(HTTP_X_PROFILE="1"))
    assert seen["chunks"] == [b"one", b"two"]
    assert recorder_of(directory).flush(10)
    outcome = {"trigger": "header", "outcome": "failed"}
    assert sample(directory, "flaskprof_captures_total", **outcome) == 1


def test_a_directory_that_vanishes_is_made_again(wrap, directory):
    app = wrap(lambda e, s: a_list(e, s, []))
    for number in range(2):
        seen = exchange(app, environ_for(HTTP_X_PROFILE="1"))
        assert stored_graph(directory, dict(seen["starts"][0][1])["X-Profile-Id"])
        # At once and as a whole: threads of flaskprof still write into it.
        directory.rename(directory.with_name(f"vanished-{number}"))


def test_a_capture_says_which_engine_made_it_and_why(wrap, directory, monkeypatch):
    reason = "its extension was not built"
    monkeypatch.setattr("flaskprof.capture.choice.why_no_calltree", lambda: reason)
    seen = exchange(wrap(lambda e, s: a_list(e, s, [])), environ_for(HTTP_X_PROFILE="1"))
    recorder = recorder_of(directory)
    assert recorder.flush(10)
    record = recorder.store.record(dict(seen["starts"][0][1])["X-Profile-Id"])
    assert record.engine == "python"
    assert record.notes == (f"Recorded by the engine python; calltree: {reason}.",)


def skipped(seen):
    return dict(seen["starts"][0][1]).get("X-Profile-Skipped")


def test_an_excluded_route_says_so_and_is_not_captured(wrap, directory):
    app = wrap(lambda e, s: a_list(e, s, []), exclude=["/health*"])
    seen = exchange(app, environ_for("/healthz", HTTP_X_PROFILE="1"))
    assert skipped(seen) == "this route is excluded"
    assert sample(directory, "flaskprof_captures_skipped_total", reason="excluded") == 1
    outcome = {"trigger": "header", "outcome": "skipped"}
    assert sample(directory, "flaskprof_captures_total", **outcome) == 1


def test_a_route_excluded_from_metrics_is_not_counted(wrap, directory):
    app = wrap(lambda e, s: a_list(e, s, []), exclude_metrics=["/health*"])
    exchange(app, environ_for("/healthz"))
    exchange(app, environ_for("/other"))
    labels = {"http_route": "", "http_request_method": "GET"}
    name = "http_server_request_duration_seconds_count"
    assert sample(directory, name, **labels, http_response_status_code="200") == 1
    assert sample(directory, "http_server_active_requests", http_request_method="GET") == 0


def test_the_stop_file_halts_captures(wrap, directory):
    directory.mkdir()
    (directory / "stop").touch()
    seen = exchange(wrap(lambda e, s: a_list(e, s, [])), environ_for(HTTP_X_PROFILE="1"))
    assert "'stop'" in skipped(seen)


def test_another_profiler_on_the_thread_is_left_alone_and_said(wrap, directory):
    def strange(*_):
        return None

    sys.setprofile(strange)
    try:
        app = wrap(lambda e, s: a_list(e, s, []), engine="python")
        seen = exchange(app, environ_for(HTTP_X_PROFILE="1"))
        assert sys.getprofile() is strange
    finally:
        sys.setprofile(None)
    assert skipped(seen) == "another profiler is active on this thread"
    assert sample(directory, "flaskprof_captures_skipped_total", reason="busy") == 1


def test_no_more_requests_are_captured_at_once_than_the_budget_allows(wrap, directory):
    app = wrap(lambda e, s: a_closing_result(e, s, []), max_captures=2)
    heads = []

    def start_response(status, headers, exc_info=None):
        heads.append(dict(headers))

    results = [app(environ_for(HTTP_X_PROFILE="1"), start_response) for _ in range(3)]
    assert ["X-Profile-Id" in head for head in heads] == [True, True, False]
    for result in results:
        result.close()
    app(environ_for(HTTP_X_PROFILE="1"), start_response).close()
    assert "X-Profile-Id" in heads[-1]


def test_a_request_beside_a_capture_is_counted_and_eases_what_is_on(
    wrap, directory, monkeypatch
):
    rested = []
    captured = wrap(lambda e, s: a_closing_result(e, s, []))
    heads = []
    result = captured(environ_for(HTTP_X_PROFILE="1"), lambda _, h, *__: heads.append(dict(h)))
    recorder = recorder_of(directory)
    monkeypatch.setattr(type(recorder.engine), "rest", lambda _, pause: rested.append(pause))
    for _ in range(3):
        exchange(wrap(lambda e, s: a_list(e, s, [])), environ_for())
    result.close()
    exchange(wrap(lambda e, s: a_list(e, s, [])), environ_for())
    assert rested == [1.0, 1.0, 1.0]
    assert recorder.flush(10)
    assert recorder.store.record(heads[0]["X-Profile-Id"]).overlaps == 3


def test_no_capture_is_begun_while_too_many_wait_to_be_written(wrap, directory, monkeypatch):
    app = wrap(lambda e, s: a_list(e, s, []))
    exchange(app, environ_for())
    monkeypatch.setattr(recorder_of(directory)._spool, "is_behind", lambda: True)
    seen = exchange(app, environ_for(HTTP_X_PROFILE="1"))
    assert skipped(seen) == "too many captures wait to be written"


def test_nested_middlewares_count_once_and_the_inner_one_names_the_route(wrap, directory):
    inner = wrap(lambda e, s: a_list(e, s, []), route=lambda environ: "/inner")
    outer = wrap(inner, route=lambda environ: "/outer")
    seen = exchange(outer, environ_for(HTTP_X_PROFILE="1"))
    names = [name for name, _ in seen["starts"][0][1]]
    assert names.count("X-Profile-Id") == 1
    labels = {"http_request_method": "GET", "http_response_status_code": "200"}
    name = "http_server_request_duration_seconds_count"
    assert sample(directory, name, http_route="/inner", **labels) == 1
    assert sample(directory, name, http_route="/outer", **labels) is None


def test_middlewares_of_one_directory_share_engine_spool_and_metrics(wrap, directory):
    for _ in range(1000):
        exchange(wrap(lambda e, s: a_list(e, s, [])), environ_for())
    labels = {"http_request_method": "GET", "http_response_status_code": "200"}
    name = "http_server_request_duration_seconds_count"
    assert sample(directory, name, http_route="", **labels) == 1000


def test_switched_off_it_leaves_the_bare_application(directory):
    def app(environ, start_response):
        return []

    assert ProfilerMiddleware(app, dir=directory, enabled=False).app is app


def test_werkzeugs_keywords_are_understood(tmp_path, closed_recorders):
    app = ProfilerMiddleware(
        lambda e, s: a_list(e, s, []),
        profile_dir=str(tmp_path / "profiles"),
        restrictions=(30, "shop"),
        sort_by=("cumulative", "calls"),
    )
    settings = app.app.recorder.settings
    assert settings.dir == tmp_path / "profiles"
    assert settings.restrictions == (30, "shop")
    assert settings.sort_by == ("cumulative", "calls")
