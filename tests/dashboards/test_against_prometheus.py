"""A real Prometheus scrapes a real sidecar, and every panel and rule has data."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlencode

import pytest
import yaml
from expressions import DASHBOARDS, RULES, chosen, of_dashboard, rules_of

from flaskprof.metrics import table
from needs import needs_program
from servers import get, serve, sidecar, until

WINDOW = "8s"
CLIENTS = 4
GENERATIONS = 5  # of workers, in the mean
DURATION = "http_server_request_duration_seconds"
COUNT = f"{DURATION}_count"


def ask_json(port, path, **query):
    return json.loads(get(port, f"{path}?{urlencode(query)}").body)


def value_of(port, expression, **options):
    found = ask_json(port, "/api/v1/query", query=expression, **options)
    (sample,) = found["data"]["result"]
    return float(sample["value"][1])


@contextmanager
def prometheus(directory, target):
    """Run Prometheus with our rules, scraping `target` each second; yields its port."""
    program = needs_program("prometheus")
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in RULES],
        "scrape_configs": [
            {"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        ],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={directory / 'prometheus.yaml'}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: is_ready(port), "Prometheus to be ready")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def is_ready(port):
    try:
        return get(port, "/-/ready").status == 200
    except (ConnectionError, http.client.HTTPException):
        return False


class Load:
    """Clients that each send requests one after the other, and await and count each answer."""

    REQUESTS = (
        ("/work/3", {"X_Request_Start": "t={now}"}),
        ("/work/4", {"X_Profile": "1"}),
        ("/stream/3", {}),
        ("/orders/7", {}),
        ("/fail", {}),
        ("/empty", {"X_Profile": "1"}),
        ("/nowhere", {}),
    )

    def __init__(self, port):
        self.port = port
        self.answered = 0
        self.failed = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self):
        while not self._ending.is_set():
            for path, headers in self.REQUESTS:
                self.send(path, headers)

    def send(self, path, headers):
        now = f"{time.time() - 0.01:.6f}"
        filled = {name: text.format(now=now) for name, text in headers.items()}
        try:
            get(self.port, path, **filled)
        except (OSError, http.client.HTTPException) as error:
            self.failed.append(error)
        else:
            with self._lock:
                self.answered += 1


@pytest.mark.timeout(180)
def test_under_churn_every_count_is_right_every_panel_has_data_and_exemplars_open(tmp_path):
    needs_program("prometheus")
    data = tmp_path / "data"
    data.mkdir()
    (data / "tokens").write_text("no directory")  # a failure of our own, to be shown as one
    settings = {
        "FLASKPROF_MEASURE": "cpu,length,own,queue,stream,templates,workers",
        "FLASKPROF_SQLALCHEMY": "1",
        "FLASKPROF_EXCLUDE": "/empty",
        "OTEL_SERVICE_NAME": "shop",
    }
    options = ("--preload", "-w", "4", "--threads", "4", "--max-requests", "25")
    with ExitStack() as running:
        app = running.enter_context(
            serve("gunicorn-gthread", data, *options, app="ordering:app", **settings)
        )
        load = Load(app.port)
        load.send("/", {})
        # Alone, the worker looks after the directory itself, and that fails.
        failed = b'flaskprof_failures_total{place="upkeep"}'
        until(lambda: failed in get(app.port, "/metrics").body, "a failure")
        viewer = running.enter_context(sidecar(data)).port
        port = running.enter_context(prometheus(tmp_path, viewer))
        with load:
            assert without_data(port) == []
            until(lambda: workers_started(viewer) >= 4 * GENERATIONS, "workers to come and go")
        assert load.failed == []

        # What was answered is what was counted, by the sidecar and by Prometheus.
        until(
            lambda: sum_of(get(viewer, "/metrics").body.decode(), COUNT) == load.answered,
            "the last answers to be counted",
        )
        until(lambda: value_of(port, f"sum({COUNT})") == load.answered, "the last scrape")
        assert_no_phantom(port, load.answered)

        healths = {
            rule["health"]
            for group in ask_json(port, "/api/v1/rules")["data"]["groups"]
            for rule in group["rules"]
        }
        assert healths == {"ok"}

        processes = set()
        for profile in exemplars_in(port):
            assert get(viewer, f"/flaskprof/c/{profile}").status == 200
            shown = get(viewer, f"/flaskprof/c/{profile}", Accept="application/json")
            processes.add(json.loads(shown.body)["capture"]["pid"])
        assert len(processes) > 1


def workers_started(viewer):
    return sum_of(get(viewer, "/metrics").body.decode(), table.STARTED_WORKERS.samples[0])


def assert_no_phantom(port, answered):
    """No series fell, and Prometheus' increase over all of it is no more than was answered."""
    newest = value_of(port, f"max(timestamp({COUNT}))")
    # At the moment of a scrape nothing is extrapolated beyond it, nor below zero before all.
    at = {"time": newest}
    for name in (COUNT, f"{DURATION}_bucket", f"{DURATION}_sum"):
        assert (name, value_of(port, f"max(resets({name}[10m]))", **at)) == (name, 0)
    series = ask_json(port, "/api/v1/query", query=f"{COUNT}[10m]", **at)["data"]["result"]
    values = [[float(value) for _, value in one["values"]] for one in series]
    seen = sum(of_one[-1] - of_one[0] for of_one in values)
    increase = value_of(port, f"sum(increase({COUNT}[10m]))", **at)
    assert 0 < seen <= increase + 0.001
    assert increase <= answered + 0.001


def exemplars_in(port):
    """The profiles that Prometheus keeps as exemplars of the buckets."""
    found = ask_json(
        port, "/api/v1/query_exemplars", query=f"{DURATION}_bucket", start=0, end=2**33
    )["data"]
    return {
        exemplar["labels"]["profile_id"] for series in found for exemplar in series["exemplars"]
    }


def without_data(port):
    """Wait until every expression and metric has data; returns those that have none."""
    missing = [
        (f"{path.stem}: {title}", chosen(expression, route_of(path.stem, title), WINDOW))
        for path in sorted((DASHBOARDS / "grafana").glob("*.json"))
        for title, expression in of_dashboard(path.name)
    ]
    # What rules record is a series by that name; alerts are proven by their cases.
    recorded = [rule for path in RULES for rule in rules_of(path) if "record" in rule]
    missing += [(rule["record"], rule["record"]) for rule in recorded]
    # Nor is there a metric that is never measured.
    missing += [(name, name) for metric in table.METRICS for name in metric.samples]

    def all_have_data():
        missing[:] = [
            (title, expression)
            for title, expression in missing
            if not ask_json(port, "/api/v1/query", query=expression)["data"]["result"]
        ]
        return not missing

    with suppress(AssertionError):
        until(all_have_data, "data")
    return missing


def route_of(board, title):
    if board != "flaskprof-route":
        return ".*"
    return "/fail" if title == "Unhandled exceptions" else "/work/<int:n>"


def sum_of(text, name):
    """The sum over all series of a metric in the text format."""
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith((name + "{", name + " "))
    )
