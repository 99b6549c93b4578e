"""What is served can be read by Prometheus' own tools and by prometheus_client's parsers."""

from __future__ import annotations

import math
import subprocess
import sys

import prometheus_client
import pytest
from counting_workers import new_metrics
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text
from werkzeug.test import Client

from flaskprof import log
from flaskprof.metrics import table
from flaskprof.metrics.exposition import metrics_app, sidecar_registry
from flaskprof.metrics.stream import Stream
from needs import needs_program

MS = 10**6
PROFILE = "0123456789abcdef" * 2
ALL = {"cpu", "queue", "length", "stream", "own", "workers"}
OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
BARE = {"http_request_method": "GET", "http_route": "/a"}


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(log, "_said", set())


@pytest.fixture
def metrics(tmp_path):
    """Metrics of which every row of the table has samples."""
    metrics = new_metrics(tmp_path / "metrics", measure=ALL, max_series=3)
    metrics.describe({"service": 'a "shop"\n', "engine": "c", "role": "app"})
    metrics.collector.usage = lambda: (1000, 10)
    metrics.request_started("GET")
    stream = Stream(0)
    stream.part(b"1234567")
    metrics.observe(
        *("GET", "/a", "200", 50 * MS, PROFILE),
        cpu_ns=3 * MS,
        queued_ns=5 * MS,
        length=7,
        stream=stream,
    )
    for number in range(4):
        metrics.observe("POST", f"/{number}", "500", 2000 * MS)
    metrics.count_exception("GET", "/a", "ValueError")
    metrics.observe_section("import", 50 * MS)
    metrics.observe_template("order.html", 3 * MS)
    metrics.observe_queries("GET", "/", 3, 3 * MS)
    metrics.count_capture("header", "stored")
    metrics.count_skip("budget")
    metrics.count_failure("spool")
    metrics.count_own_time("captures", 5 * MS)
    yield metrics
    metrics.close()


@pytest.fixture
def ask(metrics):
    client = Client(metrics_app(metrics.collector))
    return lambda **headers: client.get("/", headers=headers)


def families_of(text, parse):
    return {family.name: family for family in parse(text)}


def test_promtool_finds_nothing_to_say_about_the_text(ask):
    promtool = needs_program("promtool")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=ask().data, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr, checked.stdout) == (0, b"", b"")


def test_every_row_of_the_table_is_served_with_its_name_kind_and_help(ask):
    served = families_of(ask(**OPEN_METRICS).text, open_metrics)
    for metric in table.METRICS:
        family = served[metric.name]
        assert (family.type, family.documentation) == (metric.kind.value, metric.help)
        assert family.unit == metric.unit
        assert {sample.name for sample in family.samples} == set(metric.samples)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


def test_nothing_is_served_that_is_not_in_the_table(metrics):
    served = {family.name for family in metrics.registry.collect()}
    assert served == {metric.name for metric in table.METRICS}


@pytest.mark.parametrize(
    ("headers", "parse"), [({}, plain_text), (OPEN_METRICS, open_metrics)], ids=["text", "open"]
)
def test_values_come_through_both_formats_in_their_units(ask, headers, parse):
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(ask(**headers).text)
        for sample in family.samples
    }

    def value(name, **labels):
        return samples[name, *sorted({**BARE, **labels}.items())]

    ok = {"http_response_status_code": "200"}
    duration = table.DURATION.name
    assert value(f"{duration}_sum", **ok) == 0.05
    assert value(f"{duration}_count", **ok) == 1
    assert [value(f"{duration}_bucket", le=le, **ok) for le in ("0.1", "1.0", "+Inf")] == [
        1
    ] * 3
    assert value(f"{table.CPU.name}_sum") == 0.003
    assert value(f"{table.QUEUED.name}_sum") == 0.005
    assert value(f"{table.LENGTH.name}_sum") == 7
    assert value(f"{table.LENGTH.name}_count") == 1
    assert samples[f"{table.OWN_SECONDS.name}_total", ("part", "captures")] == 0.005


def test_buckets_rise_to_the_count(ask):
    family = families_of(ask().text, plain_text)[table.DURATION.name]
    by_labels = {}
    for sample in family.samples:
        labels = dict(sample.labels)
        bound = labels.pop("le", None)
        series = by_labels.setdefault(tuple(labels.values()), {})
        series[sample.name.rpartition("_")[2] if bound is None else float(bound)] = sample.value
    assert len(by_labels) == 4
    for series in by_labels.values():
        count = series.pop("count")
        series.pop("sum")
        bounds = sorted(series)
        assert bounds[-1] == math.inf
        assert [series[bound] for bound in bounds] == sorted(series.values())
        assert series[math.inf] == count


def test_exemplars_lead_to_captures_where_openmetrics_is_asked_for(ask):
    family = families_of(ask(**OPEN_METRICS).text, open_metrics)[table.DURATION.name]
    (sample,) = [sample for sample in family.samples if sample.exemplar is not None]
    assert sample.labels["http_route"] == "/a"
    assert sample.labels["le"] == "0.1"
    assert sample.exemplar.labels == {"profile_id": PROFILE}
    assert sample.exemplar.value == 0.05
    assert "profile_id" not in ask().text


def test_the_content_type_is_as_negotiated(ask):
    assert ask().headers["Content-Type"].startswith("text/plain; version=")
    assert (
        ask(**OPEN_METRICS).headers["Content-Type"].startswith("application/openmetrics-text")
    )


def test_a_sidecar_serves_the_same_sums(metrics, tmp_path):
    ours = {family.name: family.samples for family in metrics.registry.collect()}
    registry = sidecar_registry(tmp_path / "metrics", lambda: (1000, 10))
    theirs = {family.name: family.samples for family in registry.collect()}
    changing = {table.INFO.name, table.CPU_OF_WORKERS.name, table.RESIDENT.name}
    assert {name: theirs[name] for name in ours if name not in changing} == {
        name: samples for name, samples in ours.items() if name not in changing
    }
    assert [sample.labels["role"] for sample in theirs[table.INFO.name]] == ["sidecar"]


# The application's own metrics


@pytest.fixture
def host(monkeypatch):
    """Return a default registry of prometheus_client that is this test's own."""
    registry = CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    return registry


def test_metrics_of_the_application_are_served_beside_ours(ask, host):
    prometheus_client.Counter("orders", "Orders.", registry=host).inc(3)
    assert "\norders_total 3.0\n" in ask().text


def test_of_several_processes_they_are_left_out_with_a_word(ask, host, tmp_path, caplog):
    prometheus_client.Counter("orders", "Orders.", registry=host).inc(3)
    other = new_metrics(tmp_path / "metrics")
    assert "orders_total" not in ask().text
    assert "set PROMETHEUS_MULTIPROC_DIR" in caplog.text
    other.close()


def test_of_several_processes_they_are_left_out_before_others_have_answered(
    ask, host, metrics, caplog
):
    prometheus_client.Counter("orders", "Orders.", registry=host).inc(3)
    client = Client(metrics_app(metrics.collector))
    page = client.get("/", environ_overrides={"wsgi.multiprocess": True}).text
    assert "\nflaskprof_workers 1.0\n" in page
    assert "orders_total" not in page
    assert "set PROMETHEUS_MULTIPROC_DIR" in caplog.text


# Two processes of an application in prometheus_client's multiprocess mode.
COUNT_ORDERS = """
import prometheus_client
prometheus_client.Counter("orders", "Orders.", ["kind"]).labels("new").inc(3)
prometheus_client.Gauge("flaskprof_workers", "Mine.").set(-7)
"""


def test_with_a_multiprocess_directory_both_serve_the_sums_of_all_processes(
    ask, tmp_path, monkeypatch, caplog
):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(theirs))
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COUNT_ORDERS], check=True)
    other = new_metrics(tmp_path / "metrics")
    beside = Client(make_wsgi_app(sidecar_registry(tmp_path / "metrics")))
    for text in (ask().text, beside.get("/").text):
        assert '\norders_total{kind="new"} 6.0\n' in text
        assert "\nflaskprof_workers 2.0\n" in text
        assert "-7" not in text
    assert caplog.text.count("a metric flaskprof_workers of its own") == 1
    other.close()


def test_a_metric_named_like_one_of_ours_is_left_out_and_reported(ask, host, caplog):
    prometheus_client.Gauge("flaskprof_workers", "Mine.", registry=host).set(77)
    prometheus_client.Gauge("mine", "Mine.", registry=host).set(78)
    text = ask().text
    assert "mine 78.0" in text
    assert "flaskprof_workers 1.0" in text
    assert "flaskprof_workers 77" not in text
    assert "a metric flaskprof_workers of its own" in caplog.text


def test_a_collector_of_the_application_that_fails_costs_none_of_ours(ask, host, caplog):
    class Broken:
        def collect(self):
            raise ZeroDivisionError

        def describe(self):
            return []

    host.register(Broken())
    assert "flaskprof_workers 1.0" in ask().text
    assert "the application's own metrics failed" in caplog.text


# When a series was created


@pytest.fixture(params=[True, False], ids=["created series on", "created series off"])
def has_created(request):
    """prometheus_client's switch for them, which is one for the whole process."""
    switch = (
        prometheus_client.enable_created_metrics
        if request.param
        else prometheus_client.disable_created_metrics
    )
    switch()
    yield request.param
    prometheus_client.enable_created_metrics()


@pytest.mark.parametrize("headers", [{}, OPEN_METRICS], ids=["text", "OpenMetrics"])
def test_ours_have_no_created_series_whatever_the_application_wants_for_its_own(
    metrics, has_created, headers, monkeypatch
):
    registry = CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    prometheus_client.Counter("shop_orders", "Orders.", registry=registry).inc()
    prometheus_client.Histogram("shop_seconds", "Time.", registry=registry).observe(1)
    text = Client(metrics_app(metrics.collector)).get("/", headers=headers).text
    lines = [line.partition(" ")[0] for line in text.splitlines() if line[:1] != "#"]
    created = [name for name in lines if "_created" in name.partition("{")[0]]
    expected = ["shop_orders_created", "shop_seconds_created"] if has_created else []
    assert created == expected
    assert "shop_orders_total" in lines
