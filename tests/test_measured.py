"""What a setting measures is measured, through the middleware and in Flask, and else is not."""

from __future__ import annotations

import random
import time

import pytest
from flask import Flask, Response, g
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from flaskprof import FlaskProf, ProfilerMiddleware
from flaskprof.metrics import table
from flaskprof.metrics.visit import CPU_SHARE
from servers import until

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
STORED = (table.CAPTURES.name + "_total", "stored", "header")
# What marks, templates and queries of an application add is proven beside them.
BESIDE = {table.SECTIONS, table.TEMPLATES, table.QUERIES}
METRICS = [one for one in table.METRICS if one not in BESIDE]
# Of processor time all requests, not some at random.
EVERY = {"cpu": "every_cpu"}
CHOICES = sorted({EVERY.get(metric.measure, metric.measure) for metric in METRICS} - {""})
ROUTE = "/<thing>"

pytestmark = pytest.mark.usefixtures("closed_recorders")


@pytest.fixture
def make(tmp_path):
    """Return a Flask application with flaskprof and these settings, and its client."""

    def make(**settings):
        app = Flask("measured")

        @app.get(ROUTE)
        def show(thing):
            g.tenant = thing
            end = time.thread_time() + 0.002
            while time.thread_time() < end:
                pass
            return thing

        @app.get("/stream")
        def stream():
            return Response((b"x" * 100 for _ in range(5)), mimetype="text/plain")

        FlaskProf(app, dir=tmp_path / "data", dev=True, **settings)
        return app.wsgi_app

    return make


def ask(app, path, **options):
    return Client(app).get(path, environ_base=LOCAL, **options)


def samples(app):
    """Return all that is served, by name and label values in the order of the labels."""
    text = ask(app, "/metrics").text
    return {
        (sample.name, *(v for _, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def names(found):
    return {name for name, *_ in found}


def use_all(app):
    """Send requests that every metric of requests has something to say about."""
    ask(app, "/a", headers={"X-Request-Start": f"t={time.time() - 0.5:.6f}", "X-Profile": "1"})
    whole = ask(app, "/stream", buffered=True)
    assert len(whole.data) == 500
    begun, _, _ = run_wsgi_app(app, EnvironBuilder("/stream", environ_base=LOCAL).get_environ())
    next(begun)
    begun.close()
    until(lambda: STORED in samples(app), "the capture to be stored")


@pytest.mark.parametrize("choice", [*CHOICES, "nothing"])
def test_a_choice_of_measure_is_what_its_metrics_need_and_all_that_they_need(make, choice):
    app = make(measure=[] if choice == "nothing" else [choice])
    use_all(app)
    served = names(samples(app))
    for metric in METRICS:
        if metric.measure:
            is_served = bool(served & set(metric.samples))
            assert is_served == (EVERY.get(metric.measure, metric.measure) == choice), (
                metric.name
            )


def test_what_takes_a_step_for_each_part_is_off_by_default(make):
    app = make()
    use_all(app)
    served = names(samples(app))
    missing = {metric.name for metric in METRICS if not served & set(metric.samples)}
    nothing_of_the_kind = {table.EXCEPTIONS, table.FAILURES, table.SKIPPED}
    by_chance = {table.CPU.name}
    assert missing - by_chance == {
        metric.name
        for metric in METRICS
        if metric.measure == "stream" or metric in nothing_of_the_kind
    }


def test_processor_time_of_some_requests_stands_for_that_of_all(make):
    app = make()
    count = (table.CPU.name + "_count", "GET", ROUTE)

    def is_measured():
        ask(app, "/a")
        return count in samples(app)

    until(is_measured, "one of the requests to be measured")
    found = samples(app)
    assert found[count] % CPU_SHARE == 0
    # Each busies itself for two milliseconds.
    assert found[table.CPU.name + "_sum", "GET", ROUTE] >= 0.002 * found[count]


def test_what_is_measured_of_a_request_is_right(make):
    app = make(measure=CHOICES)
    use_all(app)
    found = samples(app)

    def value(metric, suffix, route):
        return found[metric.name + suffix, "GET", route]

    assert value(table.CPU, "_count", ROUTE) == 1
    assert 0.002 <= value(table.CPU, "_sum", ROUTE) < 1
    assert value(table.QUEUED, "_count", ROUTE) == 1
    assert 0.5 <= value(table.QUEUED, "_sum", ROUTE) < 10
    assert value(table.LENGTH, "_count", ROUTE) == 1
    assert value(table.LENGTH, "_sum", ROUTE) == 1
    assert (table.LENGTH.name + "_count", "GET", "/stream") not in found
    assert value(table.FIRST_BYTE, "_count", "/stream") == 2
    assert value(table.SENT, "_sum", "/stream") == 600
    assert value(table.DISCONNECTS, "_total", "/stream") == 1
    assert value(table.DISCONNECTS, "_total", ROUTE) == 0
    assert found[STORED] == 1
    assert 0 < found[table.OWN_SECONDS.name + "_total", "captures"] < 1


@pytest.mark.parametrize("scale", [1, 1_000, 1_000_000])
@pytest.mark.parametrize("header", ["X-Request-Start", "X-Queue-Start"])
def test_the_queue_is_timed_in_all_three_units(make, header, scale):
    app = make()
    start = int((time.time() - 2) * scale)
    ask(app, "/a", headers={header: f"t={start}"})
    ask(app, "/a", headers={header: "t=5"})
    found = samples(app)
    assert found[table.QUEUED.name + "_count", "GET", ROUTE] == 1
    assert 1 <= found[table.QUEUED.name + "_sum", "GET", ROUTE] < 30


def test_the_label_of_the_application_comes_from_its_callable(make):
    app = make(
        label="tenant", label_values=["gold", "silver"], label_from=lambda _: g.get("tenant")
    )
    for path in ("/gold", "/gold", "/silver", "/brass"):
        assert ask(app, path).status_code == 200
    text = ask(app, "/metrics").text
    count = f'{table.DURATION.name}_count{{http_request_method="GET",'
    counted = {
        line.partition('tenant="')[2].partition('"')[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith(count) and f'http_route="{ROUTE}"' in line
    }
    assert counted == {"gold": 2, "silver": 1, "_other_": 1}


def test_a_scan_of_100_000_paths_and_methods_adds_the_empty_route_alone(tmp_path):
    def nowhere(_environ, start_response):
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"nothing here"]

    app = ProfilerMiddleware(nowhere, dir=tmp_path / "data", dev=True)
    chance = random.Random(7)
    environ = EnvironBuilder("/", environ_base=LOCAL).get_environ()
    for _ in range(100_000):
        path, method = f"/{chance.getrandbits(80):x}", f"{chance.getrandbits(40):X}"
        scanned = {**environ, "PATH_INFO": path, "REQUEST_METHOD": method}
        body = app(scanned, lambda *_: None)
        if hasattr(body, "close"):
            body.close()
    counts = {
        key[1:]: value
        for key, value in samples(app).items()
        if key[0] == table.DURATION.name + "_count"
    }
    assert counts == {("_OTHER", "404", ""): 100_000}
