"""Sections: what is timed, how often it counts, and what becomes of the application's code."""

from __future__ import annotations

import asyncio
import inspect
import logging
import subprocess
import sys
import threading

import pytest
from flask import Flask
from flask.views import MethodView

import flaskprof
from flaskprof import FlaskProf, profile, profile_endpoint
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.metrics.layout import OVERFLOW
from flaskprof.metrics.table import SECTIONS
from flaskprof.store import CaptureQuery

NAME = SECTIONS.name


@pytest.fixture
def directory(tmp_path, closed_recorders):
    return tmp_path / "data"


@pytest.fixture
def app(directory):
    app = Flask("shop")
    FlaskProf(app, dir=directory, dev=True)
    return app


@pytest.fixture
def sections(app, directory):
    """Return a function that gives count and sum of a section."""
    registry = recorder_for(Settings(dir=directory)).metrics.registry

    def sections(name):
        return tuple(
            registry.get_sample_value(f"{NAME}_{what}", {"section": name})
            for what in ("count", "sum")
        )

    return sections


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only where the code under test says so."""
    now = [0]
    monkeypatch.setattr("flaskprof.sections.perf_counter_ns", lambda: now[0])

    def pass_seconds(seconds):
        now[0] += round(seconds * 1e9)

    return pass_seconds


def test_a_function_a_method_and_a_block_are_timed(sections, clock):
    @profile("work")
    def work(seconds):
        """What it does."""
        clock(seconds)
        return seconds

    class Shop:
        @profile("work")
        def work(self):
            clock(1)
            return self

    shop = Shop()
    assert (work(2), work.__name__, work.__doc__) == (2, "work", "What it does.")
    assert shop.work() is shop
    with profile("work") as block:
        clock(4)
    assert block.seconds == 4
    assert sections("work") == (3, 7)


def test_an_exception_passes_and_the_run_counts(sections, clock):
    @profile("failing")
    def fail():
        clock(1)
        raise KeyError("on purpose")

    with pytest.raises(KeyError, match="on purpose"):
        fail()
    with pytest.raises(KeyError), profile("failing"):
        fail()
    assert sections("failing") == (2, 2)


def test_nested_sections_count_in_each_and_one_in_itself_counts_once(sections, clock):
    @profile("inner")
    def inner(depth):
        clock(1)
        if depth:
            inner(depth - 1)

    with profile("outer"):
        clock(1)
        inner(3)
        inner(0)
    assert sections("inner") == (2, 5)
    assert sections("outer") == (1, 6)


def test_a_coroutine_is_timed_to_its_end(sections, clock):
    @profile("coroutine")
    async def wait(event):
        clock(1)
        await event.wait()
        clock(2)
        return "done"

    async def main():
        event = asyncio.Event()
        tasks = [asyncio.create_task(wait(event)) for _ in range(3)]
        await asyncio.sleep(0)
        clock(10)
        event.set()
        return await asyncio.gather(*tasks)

    assert inspect.iscoroutinefunction(wait)
    assert asyncio.run(main()) == ["done"] * 3
    # Tasks side by side are each timed by themselves: 15, 16 and 17 seconds and so on.
    count, total = sections("coroutine")
    assert count == 3
    assert total == (3 + 2 + 1) + 3 * 10 + (2 + 4 + 6)


def test_of_a_generator_only_the_time_within_it_counts(sections, clock):
    @profile("generator")
    def numbers():
        received = []
        for number in range(3):
            clock(1)
            received.append((yield number))
        return received

    assert inspect.isgeneratorfunction(numbers)
    iterator = numbers()
    assert next(iterator) == 0
    clock(100)
    assert iterator.send("a") == 1
    assert iterator.send("b") == 2
    with pytest.raises(StopIteration) as stop:
        iterator.send("c")
    assert stop.value.value == ["a", "b", "c"]
    assert sections("generator") == (1, 3)


def test_a_generator_that_is_thrown_into_or_closed_behaves_as_it_did(sections, clock):
    seen = []

    @profile("thrown")
    def numbers():
        try:
            yield 1
        except ValueError as error:
            seen.append(str(error))
            clock(2)
            yield 2
        finally:
            seen.append("closed")
            clock(4)

    iterator = numbers()
    next(iterator)
    assert iterator.throw(ValueError("in")) == 2
    iterator.close()
    assert seen == ["in", "closed"]
    assert sections("thrown") == (1, 6)


def test_an_asynchronous_generator_counts_what_is_within_it(sections, clock):
    @profile("stream")
    async def stream():
        for number in range(2):
            clock(1)
            yield number

    async def main():
        got = []
        async for number in stream():
            clock(100)
            got.append(number)
        partly = stream()
        await partly.asend(None)
        await partly.aclose()
        return got

    assert inspect.isasyncgenfunction(stream)
    assert asyncio.run(main()) == [0, 1]
    assert sections("stream") == (2, 3)


def test_a_section_open_in_a_paused_generator_is_not_open_outside(sections, clock):
    @profile("same")
    def generator():
        yield

    @profile("same")
    def function():
        clock(1)

    iterator = generator()
    next(iterator)
    function()
    assert sections("same") == (1, 1)
    iterator.close()
    assert sections("same") == (2, 1)


def test_threads_have_sections_of_their_own(sections, clock):
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with profile("held"):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(10)
    with profile("held"):
        pass
    assert sections("held")[0] == 1
    leave.set()
    thread.join()
    assert sections("held")[0] == 2


def test_names_without_bound_count_as_one(sections):
    for number in range(SECTIONS.most + 7):
        with profile(f"section {number}"):
            pass
    assert sections(f"section {SECTIONS.most - 1}")[0] == 1
    assert sections(f"section {SECTIONS.most}") == (None, None)
    assert sections(OVERFLOW)[0] == 7


def test_without_flaskprof_in_the_process_nothing_happens(tmp_path):
    script = (
        "import flaskprof\n"
        "@flaskprof.profile('work', capture=True)\n"
        "def work(): return 7\n"
        "with flaskprof.profile('block') as block: assert work() == 7\n"
        "assert block.seconds > 0\n"
        "flaskprof.counter('orders_total').inc()\n"
        "import os, sys\n"
        "print(os.listdir(), 'flask' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("[] False\n", "")


def test_a_process_without_requests_counts_into_the_directory_of_its_environment(
    directory, monkeypatch, caplog
):
    monkeypatch.setenv("FLASKPROF_DIR", str(directory))
    with profile("job", capture=True):
        pass
    recorder = recorder_for(Settings(dir=directory))
    assert recorder.metrics.registry.get_sample_value(f"{NAME}_count", {"section": "job"}) == 1
    assert recorder.flush()
    (record,) = recorder.store.list(CaptureQuery()).records
    assert (record.title, record.trigger) == ("job", "api")
    assert len(list((directory / "metrics").glob("*.worker"))) == 1


def test_a_wrong_environment_harms_nobody(directory, monkeypatch, caplog):
    monkeypatch.setenv("FLASKPROF_DIR", str(directory))
    monkeypatch.setenv("FLASKPROF_PREFIX", "no slash")
    with profile("job"):
        pass
    assert "nothing is counted or captured: FLASKPROF_PREFIX" in caplog.text
    assert not directory.exists()


# Captures of blocks


def captures_of(directory):
    recorder = recorder_for(Settings(dir=directory))
    assert recorder.flush()
    found = flaskprof.load(directory).captures()
    return {capture.record.title: capture for capture in found}


def test_a_block_and_a_function_are_captured_on_demand(app, directory):
    def helper():
        return sum(abs(number) for number in range(10))

    @profile("function", capture=True)
    def function():
        return helper()

    @app.get("/")
    def front():
        with profile("block", capture=True):
            helper()
        return str(function())

    assert app.test_client().get("/").text == "45"
    captures = captures_of(directory)
    assert set(captures) == {"block", "function"}
    for capture in captures.values():
        assert (capture.record.trigger, capture.record.exactness) == ("api", "exact")
        assert [edge.function.name for edge in capture.callees("helper")] != []
        assert list(capture.top(search="flaskprof/")) == []


def test_a_captured_request_and_a_captured_block_within_it_are_both_whole(app, directory):
    def helper():
        return sum(abs(number) for number in range(10))

    @app.get("/")
    def front():
        helper()
        with profile("block", capture=True):
            helper()
        return "x"

    app.test_client().get("/", headers={"X-Profile": "1"}).close()
    captures = captures_of(directory)
    (request,) = [one for one in captures.values() if one.record.trigger == "header"]
    (helped,) = [row for row in request.top(1000) if row.function.name == "helper"]
    assert helped.calls == 2


def test_in_an_event_loop_a_block_is_not_captured(app, directory):
    async def main():
        with profile("block", capture=True):
            await asyncio.sleep(0)

    app.test_client().get("/")
    asyncio.run(main())
    recorder = recorder_for(Settings(dir=directory))
    assert (
        recorder.metrics.registry.get_sample_value(
            "flaskprof_captures_skipped_total", {"reason": "asynchronous"}
        )
        == 1
    )
    assert captures_of(directory) == {}


@pytest.mark.parametrize("kind", ["async def f(): pass", "def f(): yield"])
def test_what_runs_in_pieces_cannot_be_captured_as_a_whole(kind):
    names = {}
    exec(kind, names)
    with pytest.raises(TypeError, match="only plain functions and blocks"):
        profile("pieces", capture=True)(names["f"])


# Endpoints


def test_an_endpoint_says_what_it_took(app, sections, clock, caplog):
    class Item(MethodView):
        decorators = (profile_endpoint,)

        def get(self):
            clock(0.25)
            return "item"

    @app.get("/slow")
    @profile_endpoint(slow_seconds=0.5)
    def slow():
        clock(0.75)
        return "slow"

    @app.get("/named")
    @profile_endpoint(name="my name")
    async def named():
        clock(0.1)
        return "named"

    app.add_url_rule("/item", view_func=Item.as_view("item"))
    client = app.test_client()
    with caplog.at_level(logging.INFO, app.logger.name):
        texts = [client.get(path).text for path in ("/item", "/slow", "/named")]
    assert texts == ["item", "slow", "named"]
    assert [
        (record.name, record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == app.logger.name
    ] == [
        ("shop", "INFO", "Endpoint item took 0.250 seconds"),
        ("shop", "WARNING", "Endpoint slow took 0.750 seconds"),
        ("shop", "INFO", "Endpoint my name took 0.100 seconds"),
    ]
    assert sections("item") == (1, 0.25)
    assert sections("slow") == (1, 0.75)
    assert sections("my name") == (1, 0.1)


def test_an_endpoint_without_flaskprof_in_its_application_still_logs(clock, caplog):
    app = Flask("bare")

    @app.get("/")
    @profile_endpoint
    def front():
        clock(1)
        return "front"

    assert app.test_client().get("/").text == "front"
    assert caplog.messages == ["Endpoint front took 1.000 seconds"]


def test_an_excluded_view_stays_excluded_below_other_decorators(app):
    @app.get("/")
    @profile_endpoint
    @flaskprof.exclude
    def front():
        return "front"

    response = app.test_client().get("/", headers={"X-Profile": "1"})
    assert response.headers["X-Profile-Skipped"] == "this route is excluded"
    response.close()
