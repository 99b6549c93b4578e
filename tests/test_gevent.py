"""On gunicorn's gevent worker each capture holds the calls of its own request alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from flaskprof.profiles.marshal_reader import read_profile
from needs import needs_module
from servers import get, serve, until

needs_module("gevent")

NUMBERS = range(8)
WAYS = ["sleep", "hub", "socket"]


@pytest.fixture(scope="module", params=["calltree", "python"])
def port(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    engine = {"FLASKPROF_ENGINE": request.param}
    with serve("gunicorn-gevent", directory, app="switching:app", **engine) as running:
        assert get(running.port, "/ready").status == 200
        yield running.port


def capture(port, path):
    answer = get(port, path, X_Profile="1")
    assert answer.status == 200
    assert "X-Profile-Id" in answer.headers, answer.headers["X-Profile-Skipped"]
    return urlsplit(answer.headers["X-Profile-Url"]).path


def written(port, path, suffix):
    def file():
        answer = get(port, path + suffix)
        return answer.body if answer.status == 200 else None

    return until(file, f"the capture at {path}{suffix}")


def graph_of(port, path):
    return read_profile(written(port, path, ".prof"))


def own_counts(graph):
    """Calls per function and edge of the application itself: waiting calls what it may."""

    def is_own(function):
        return function.file.endswith("switching.py") or function.file.startswith("work_")

    return {
        function: (
            stats.total[:2],
            {caller: edge[:2] for caller, edge in stats.callers.items() if is_own(caller)},
        )
        for function, stats in graph.functions.items()
        if is_own(function)
    }


def works_in(graph):
    return {function.name for function in graph.functions if function.name.startswith("work_")}


@pytest.mark.parametrize("way", WAYS)
def test_captures_at_the_same_time_have_exactly_the_counts_that_each_has_alone(port, way):
    paths = {number: f"/work/{number}/{way}" for number in NUMBERS}
    alone = {
        number: own_counts(graph_of(port, capture(port, path)))
        for number, path in paths.items()
    }
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            captures = list(pool.map(lambda path: capture(port, path), paths.values()))
            for number, path in zip(NUMBERS, captures, strict=True):
                graph = graph_of(port, path)
                assert own_counts(graph) == alone[number]
                assert works_in(graph) == {f"work_{number}"}
    (fibonacci,) = (function for function in alone[4] if function.name == "fibonacci")
    # Five times fibonacci(8).
    assert alone[4][fibonacci][0] == (5 * 67, 5)


def test_time_switched_out_is_waiting_at_the_call_that_waited(port):
    with ThreadPoolExecutor(2) as pool:
        sleeping = pool.submit(capture, port, "/sleep/0.3")
        computing = pool.submit(get, port, "/compute/0.4")
        path = sleeping.result()
        computing.result()
    graph = graph_of(port, path)
    assert not [function for function in graph.functions if function.name == "fibonacci"]
    waited = max(graph.functions, key=lambda f: graph.functions[f].total.self_seconds)
    assert waited.name == "sleep"
    assert waited.file.endswith("hub.py")
    assert 0.3 <= graph.functions[waited].total.self_seconds < 20
    record = json.loads(written(port, path, ".json"))
    assert record["duration_seconds"] >= 0.3
    # The CPU time is not that of the other request.
    assert record["cpu_seconds"] is None or record["cpu_seconds"] < 0.2
    assert record["notes"] == []


def test_threads_that_a_request_starts_are_noted(port):
    path = capture(port, "/threads")
    assert works_in(graph_of(port, path)) == set()
    (note,) = json.loads(written(port, path, ".json"))["notes"]
    assert note == "The request started threads: what ran in them is not in the profile."
