"""Counters and histograms of the application's own: named, bounded, summed over workers."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess

import prometheus_client
import pytest
from flask import Flask
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
from werkzeug.test import Client

import flaskprof
from flaskprof import FlaskProf, custom
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.errors import ConfigError
from flaskprof.metrics.exposition import metrics_app, sidecar_registry
from flaskprof.metrics.folding import fold
from needs import needs_program

OPEN_METRICS = {"Accept": "application/openmetrics-text"}


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch):
    monkeypatch.setattr(custom, "_known", {})


@pytest.fixture
def metrics(tmp_path, closed_recorders):
    """The metrics of an application that has answered a request."""
    app = Flask("shop")
    FlaskProf(app, dir=tmp_path / "data")
    app.test_client().get("/")
    return recorder_for(Settings(dir=tmp_path / "data")).metrics


def scrape(metrics, **headers):
    return Client(metrics_app(metrics.collector)).get("/", headers=headers)


def test_a_counter_is_served_with_its_help_and_labels(metrics):
    orders = flaskprof.counter(
        "orders_total", "Orders taken.", labels={"tier": ["free", "paid"], "paid_by": ["card"]}
    )
    orders.inc(tier="paid", paid_by="card")
    orders.inc(2, tier="paid", paid_by="card")
    orders.inc(tier="made up", paid_by="card")
    value = metrics.registry.get_sample_value
    assert value("orders_total", {"tier": "paid", "paid_by": "card"}) == 3
    assert value("orders_total", {"tier": "_other_", "paid_by": "card"}) == 1
    family = {family.name: family for family in parse(scrape(metrics, **OPEN_METRICS).text)}[
        "orders"
    ]
    assert (family.type, family.documentation) == ("counter", "Orders taken.")


def test_a_counter_of_seconds_takes_parts_of_them(metrics):
    flaskprof.counter("waited_seconds_total").inc(0.25)
    assert metrics.registry.get_sample_value("waited_seconds_total") == 0.25
    for name, amount in (("orders", 0.5), ("orders", -1), ("waited_seconds", -0.1)):
        with pytest.raises(ValueError, match=f"{name} cannot be increased by"):
            flaskprof.counter(name).inc(amount)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("wait_seconds", (0.1, 0.2, 7.5)),
        ("upload_bytes", (10, 100, 1000)),
        ("score", (0.5, 3, 9)),
    ],
)
def test_a_histogram_counts_by_buckets(metrics, name, values):
    buckets = [values[0], values[1]]
    sizes = flaskprof.histogram(name, labels={"kind": ["a"]}, buckets=buckets)
    for value in values:
        sizes.observe(value, kind="a")
    sample = metrics.registry.get_sample_value
    assert sample(f"{name}_count", {"kind": "a"}) == 3
    assert sample(f"{name}_sum", {"kind": "a"}) == pytest.approx(sum(values))
    family = {family.name: family for family in parse(scrape(metrics, **OPEN_METRICS).text)}[
        name
    ]
    counts = [one.value for one in family.samples if one.name.endswith("_bucket")]
    assert counts == [1, 2, 3]
    for wrong in (-1, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"{name} cannot count"):
            sizes.observe(wrong, kind="a")


def test_wrong_labels_are_an_error_of_the_call(metrics):
    orders = flaskprof.counter("orders", labels={"tier": ["free"]})
    for labels in ({}, {"tier": "free", "other": "x"}, {"tiers": "free"}):
        with pytest.raises(TypeError, match="orders has the labels tier"):
            orders.inc(**labels)


def test_the_same_metric_is_made_once(metrics):
    made = flaskprof.counter("orders_total", labels={"tier": ["free", "paid"]})
    assert flaskprof.counter("orders", labels={"tier": ["paid", "free"]}) is made
    with pytest.raises(ConfigError, match="orders is there already"):
        flaskprof.counter("orders", labels={"tier": ["free"]})
    with pytest.raises(ConfigError, match="orders is there already"):
        flaskprof.histogram("orders")


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("no-name", {}, "is no name of a metric"),
        ("", {}, "is no name of a metric"),
        ("orders_bucket", {}, "is no name of a metric"),
        ("orders_created", {}, "is no name of a metric"),
        ("flaskprof_orders", {}, "is a name of flaskprof's own"),
        ("http_server_active_requests", {}, "is a name of flaskprof's own"),
        ("orders", {"labels": {"le": ["1"]}}, "'le' is no name of a label"),
        ("orders", {"labels": {"__x": ["1"]}}, "'__x' is no name of a label"),
        ("orders", {"labels": {"a": map(str, range(200))}}, "there is room for 400"),
        ("orders", {"buckets": []}, "rising list"),
        ("orders", {"buckets": [1, 1]}, "rising list"),
        ("orders", {"buckets": [0, 1]}, "rising list"),
    ],
)
def test_what_cannot_be_is_an_error_where_it_is_made(name, arguments, message):
    with pytest.raises(ConfigError, match=message):
        flaskprof.histogram(name, **arguments)


def test_all_of_them_together_are_bounded():
    for number in range(4):
        flaskprof.histogram(f"number_{number}", labels={"kind": ["a", "b", "c", "d"]})
    flaskprof.counter("small_total")
    with pytest.raises(ConfigError, match="the application's metrics would have 407 series"):
        flaskprof.histogram("large", labels={"kind": ["a", "b", "c", "d"]})


def test_exceptions_keep_their_room_beside_them(metrics):
    for number in range(20):
        sizes = flaskprof.histogram(f"number_{number}")
        for value in (0.001, 0.02, 0.3, 4, 50):
            sizes.observe(value)
    for number in range(400):
        metrics.count_exception("GET", "/", f"Error{number}")
    labels = {"http_request_method": "GET", "http_route": "/", "error_type": "Error399"}
    assert metrics.registry.get_sample_value("flaskprof_exceptions_total", labels) == 1


def test_promtool_finds_nothing_to_say(metrics):
    flaskprof.counter("orders_total", "Orders taken.").inc()
    flaskprof.histogram("wait_seconds", "Time waited.").observe(0.1)
    checked = subprocess.run(
        [needs_program("promtool"), "check", "metrics"],
        input=scrape(metrics).data,
        capture_output=True,
    )
    assert (checked.returncode, checked.stderr, checked.stdout) == (0, b"", b"")


def test_a_metric_of_prometheus_client_of_the_same_name_is_left_out(metrics, caplog):
    registered = prometheus_client.Counter("orders", "Of prometheus_client.")
    try:
        flaskprof.counter("orders_total", "Of flaskprof.").inc(5)
        text = scrape(metrics).text
    finally:
        prometheus_client.REGISTRY.unregister(registered)
    assert re.findall(r"^orders_total.*$", text, re.MULTILINE) == ["orders_total 5.0"]
    assert "a metric orders of its own, which is left out" in caplog.text


def test_the_sums_of_many_workers_outlive_them(metrics, tmp_path):
    orders = flaskprof.counter("orders_total", "Orders taken.", labels={"tier": ["free"]})
    waited = flaskprof.histogram("wait_seconds", "Time waited.", buckets=[1, 2])
    orders.inc(tier="free")
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            recorder = recorder_for(Settings(dir=tmp_path / "data"))
            recorder.start("nobody")
            orders.inc(10, tier="free")
            waited.observe(number + 0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)

    def sums():
        value = sidecar_registry(tmp_path / "data" / "metrics").get_sample_value
        return (
            value("orders_total", {"tier": "free"}),
            [value("wait_seconds_bucket", {"le": le}) for le in ("1.0", "2.0", "+Inf")],
            value("wait_seconds_sum"),
        )

    expected = (31, [1, 2, 3], 0.5 + 1.5 + 2.5)
    assert sums() == expected
    fold(tmp_path / "data" / "metrics")
    assert len(list((tmp_path / "data" / "metrics").glob("*.worker"))) == 1
    assert sums() == expected


def test_a_younger_declaration_goes_before_an_older_one(metrics):
    flaskprof.histogram("wait_seconds", "Old.", buckets=[1, 2]).observe(1.5)
    custom._known.clear()
    flaskprof.histogram("wait_seconds", "New.", buckets=[1, 3]).observe(2.5)
    text = scrape(metrics).text
    assert "# HELP wait_seconds New." in text
    # What was counted up to 2 seconds is in every greater bucket.
    assert re.findall(r'wait_seconds_bucket{le="([^"]+)"} (\S+)', text) == [
        ("1.0", "0.0"),
        ("2.0", "1.0"),
        ("3.0", "2.0"),
        ("+Inf", "2.0"),
    ]
