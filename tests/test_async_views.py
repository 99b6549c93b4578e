"""A recording follows an async view into the thread that runs it, and comes back."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.sync import AsyncToSync, async_to_sync, sync_to_async
from flask import Flask, g, request

from flaskprof import FlaskProf
from flaskprof.capture.notes import STARTED_THREADS
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.profiles.marshal_reader import read_profile


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def before(n):
    return fibonacci(n)


def after(n):
    return fibonacci(n)


async def wait():
    await asyncio.sleep(0.001)


async def serving(n):
    before(n)
    await wait()
    after(n)
    return n


def make_app(directory, **settings):  # noqa: C901  an application has many views
    app = Flask("shop")
    app.debug = True
    app.config.update(FLASKPROF_DIR=str(directory), **settings)

    @app.get("/plain")
    def plain():
        return str(fibonacci(9))

    @app.get("/async/<int:n>")
    async def awaiting(n):
        before(n)
        for _ in range(3):
            await wait()
            after(n)
        return f"{request.path} {threading.current_thread() is threading.main_thread()}"

    @app.get("/gathered")
    async def gathered():
        return str(sum(await asyncio.gather(*(serving(n) for n in (3, 4, 5)))))

    @app.get("/fails")
    async def fails():
        await wait()
        raise ZeroDivisionError("on purpose")

    @app.get("/threads")
    async def threads():
        return str(await asyncio.to_thread(fibonacci, 9))

    @app.get("/nested")
    async def nested():
        before(5)
        value = await sync_to_async(lambda: async_to_sync(serving)(6))()
        value += await sync_to_async(lambda: app.async_to_sync(serving)(6))()
        after(5)
        return str(value)

    @app.get("/hooks")
    def hooks():
        return str(g.seen)

    @app.before_request
    async def note():
        if request.path == "/hooks":
            g.seen = await serving(4)

    return app


@pytest.fixture(params=["calltree", "python"])
def engine(request):
    return request.param


@pytest.fixture
def directory(tmp_path, closed_recorders):
    return tmp_path / "data"


@pytest.fixture
def app(directory, engine):
    app = make_app(directory, FLASKPROF_ENGINE=engine)
    FlaskProf(app)
    return app


def ask(app, path):
    return app.test_client().get(path, headers={"X-Profile": "1"}, buffered=True)


@pytest.fixture
def captured(app, directory):
    """Return the answer, the graph and the record of a captured request."""

    def captured(path, capture_id=None):
        recorder = recorder_for(Settings(dir=directory))
        answer = ask(app, path)
        capture_id = answer.headers["X-Profile-Id"]
        assert recorder.flush(10)
        graph = read_profile(recorder.store.read(capture_id, ".prof"))
        return answer, graph, recorder.store.record(capture_id)

    return captured


def calls(graph, name):
    return sum(
        stats.total.calls
        for function, stats in graph.functions.items()
        if function.name == name
    )


def callers(graph, name):
    return {
        caller.name: edge.calls
        for function, stats in graph.functions.items()
        if function.name == name
        for caller, edge in stats.callers.items()
    }


def of_fibonacci(n):
    """How many calls of it fibonacci(n) is."""
    return 1 if n < 2 else 1 + of_fibonacci(n - 1) + of_fibonacci(n - 2)


def test_an_async_view_is_recorded_to_the_last_call(captured):
    for _ in range(2):
        answer, graph, record = captured("/async/6")
        assert answer.text == "/async/6 False"
        assert calls(graph, "fibonacci") == 4 * of_fibonacci(6)
        assert callers(graph, "before") == {"awaiting": 1}
        assert callers(graph, "after") == {"awaiting": 3}
        # Each call of a coroutine is one, and each time that it goes on is another.
        assert calls(graph, "awaiting") == 1 + 3
        assert callers(graph, "wait") == {"awaiting": 3 + 3}
        assert record.notes == ()


def test_it_is_called_by_what_waits_for_it_and_the_request_goes_on(captured):
    _, graph, _ = captured("/async/6")
    waiting = {
        function: stats
        for function, stats in graph.functions.items()
        if function.file.endswith("asgiref/sync.py") and function.name == "__call__"
    }
    ((_, waits),) = waiting.items()
    assert {caller.name: edge.calls for caller, edge in waits.callers.items()} == {
        "dispatch_request": 1,
        # The hook that is run before each request is async as well.
        "preprocess_request": 1,
    }
    assert callers(graph, "awaiting")["__call__"] == 1
    assert callers(graph, "dispatch_request") == {"full_dispatch_request": 1}
    # What Flask does when the view has returned.
    assert callers(graph, "finalize_request") == {"full_dispatch_request": 1}
    assert callers(graph, "process_response") == {"finalize_request": 1}


def test_its_time_is_counted_once(captured, engine):
    _, graph, record = captured("/async/12")
    assert 0 < graph.total_seconds <= record.duration_seconds
    (whole,) = (
        stats.total.cumulative_seconds
        for function, stats in graph.functions.items()
        if function.name == "wsgi_app"
    )
    assert whole <= record.duration_seconds
    # The engine in Python cannot tell it where greenlets may run, and is not told here
    # whether another test brought them in.
    assert engine == "python" or record.cpu_seconds > 0


def test_tasks_that_it_starts_are_recorded_too(captured):
    answer, graph, _ = captured("/gathered")
    assert answer.text == "12"
    assert calls(graph, "fibonacci") == 2 * sum(map(of_fibonacci, (3, 4, 5)))
    assert callers(graph, "before") == {"serving": 3}


def test_an_async_hook_is_recorded(captured):
    answer, graph, _ = captured("/hooks")
    assert answer.text == "4"
    assert callers(graph, "before") == {"serving": 1}
    assert callers(graph, "serving") == {"note": 2}


def test_an_exception_passes_through(app, directory):
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        ask(app, "/fails")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert ask(app, "/fails").status_code == 500


def test_threads_that_it_starts_are_noted(captured):
    answer, graph, record = captured("/threads")
    assert answer.text == "34"
    assert calls(graph, "fibonacci") == 0
    assert record.notes == (STARTED_THREADS,)


def test_what_goes_back_and_forth_between_threads_works(captured):
    """Code that asgiref runs in the thread that waits is in no profile."""
    answer, graph, _ = captured("/nested")
    assert answer.text == "12"
    # What `serving` does runs in the loop of the view, which is recorded.
    assert calls(graph, "before") == 3
    assert calls(graph, "after") == 3


def test_requests_at_the_same_time_each_have_their_own_calls(app, directory):
    answers = {}
    together = threading.Barrier(4)

    def one(n):
        together.wait(10)
        answers[n] = ask(app, f"/async/{n}")

    threads = [threading.Thread(target=one, args=(n,)) for n in range(6, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder = recorder_for(Settings(dir=directory))
    assert recorder.flush(10)
    for n, answer in answers.items():
        graph = read_profile(recorder.store.read(answer.headers["X-Profile-Id"], ".prof"))
        assert calls(graph, "fibonacci") == 4 * of_fibonacci(n)


def test_how_the_application_runs_coroutines_itself_is_followed(directory, engine):
    app = make_app(directory, FLASKPROF_ENGINE=engine)
    # On the same thread, without asgiref.
    app.async_to_sync = lambda function: lambda *a, **k: asyncio.run(function(*a, **k))
    FlaskProf(app)
    answer = ask(app, "/async/6")
    assert answer.text == "/async/6 True"
    recorder = recorder_for(Settings(dir=directory))
    assert recorder.flush(10)
    graph = read_profile(recorder.store.read(answer.headers["X-Profile-Id"], ".prof"))
    assert calls(graph, "fibonacci") == 4 * of_fibonacci(6)
    assert callers(graph, "before") == {"awaiting": 1}
    assert callers(graph, "finalize_request") == {"full_dispatch_request": 1}


def test_without_a_recording_it_is_run_as_it_was(app):
    async def function():
        return 7

    assert type(app.async_to_sync(function)) is AsyncToSync
    with app.test_request_context():
        assert type(app.async_to_sync(function)) is AsyncToSync
        assert app.ensure_sync(function)() == 7
    assert app.test_client().get("/async/6").text == "/async/6 False"
