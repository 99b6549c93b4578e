"""What a request pays for being watched: microseconds added to a hello-world Flask application.

Each subject is put into an application of its own, in a process of its own, and called as a
WSGI application beside a bare one: batches of both alternate, so that whatever else the
machine does meets both alike. The figure is the median, over all rounds, of the CPU time (of
all threads; nothing here waits) that one call takes beyond one call of the bare application.

::

    make bench
    python benchmarks/overhead.py --only flaskprof --rounds 100 --json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from time import process_time
from typing import Any

BODY = b"Hello, World!"
WARM_UP = 3


def nothing(app):
    """Leave the application bare: the difference that is no difference."""


def flaskprof(app):
    from flaskprof import FlaskProf

    FlaskProf(app)


def prometheus_flask_exporter(app):
    from prometheus_client import CollectorRegistry
    from prometheus_flask_exporter import PrometheusMetrics

    PrometheusMetrics(app, registry=CollectorRegistry())


def opentelemetry(app):
    """Metrics to a Prometheus reader; no tracer, which would cost more."""
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider

    provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
    FlaskInstrumentor().instrument_app(app, meter_provider=provider)


@dataclass(frozen=True)
class Subject:
    """What is put into an application, the distribution it comes from, what proves it works.

    `proof` is the name of a metric that it serves once it has seen a request.
    """

    install: Callable[[Any], None]
    distribution: str
    proof: str = ""


# A further subject is a further row.
SUBJECTS = {
    "bare Flask": Subject(nothing, "flask"),
    "flaskprof": Subject(flaskprof, "flaskprof", "http_server_request_duration_seconds_count"),
    "prometheus-flask-exporter": Subject(
        prometheus_flask_exporter,
        "prometheus-flask-exporter",
        "flask_http_request_duration_seconds_count",
    ),
    "opentelemetry-instrumentation-flask": Subject(
        opentelemetry,
        "opentelemetry-instrumentation-flask",
        "http_server_duration_milliseconds_count",
    ),
}


def hello_app():
    from flask import Flask

    app = Flask("hello")

    @app.route("/hello")
    def hello():
        return BODY

    return app


def environ_of(path: str) -> dict[str, Any]:
    """Return an environ with as many keys as gunicorn's has for a client like curl."""
    from werkzeug.test import EnvironBuilder

    headers = {"User-Agent": "overhead/1", "Accept": "*/*"}
    server = {
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "RAW_URI": path,
        "SERVER_SOFTWARE": "overhead/1",
        "wsgi.input_terminated": True,
        "server.socket": None,
    }
    return EnvironBuilder(path, headers=headers, environ_base=server).get_environ()


def ask(app, environ):
    """Call the application as a server does; returns status and body."""
    statuses: list[str] = []

    def start_response(status, headers, exc_info=None):  # noqa: ARG001  as servers have it
        statuses.append(status)

    result = app(dict(environ), start_response)
    try:
        body = b"".join(result)
    finally:
        if hasattr(result, "close"):
            result.close()
    return statuses[0], body


def seconds_per_call(app, environ, calls: int) -> float:
    """Return CPU seconds of a call, of so many after `WARM_UP` times as many.

    An interpreter adapts its code to the objects that it meets, and both applications go
    through much of the same code: what is measured is the one that it is used to, as in a
    process that has but one.
    """
    for _ in range(WARM_UP * calls):
        ask(app, environ)
    started = process_time()
    for _ in range(calls):
        ask(app, environ)
    return (process_time() - started) / calls


def measure(name: str, rounds: int, batch: int) -> list[tuple[float, float]]:
    """Return seconds per call of the bare application and of the subject, for each round."""
    subject = SUBJECTS[name]
    bare, watched = hello_app(), hello_app()
    subject.install(watched)
    environ = environ_of("/hello")
    for app in (bare, watched):
        assert ask(app, environ) == ("200 OK", BODY)
        seconds_per_call(app, environ, batch)
    times = []
    for number in range(rounds):
        if number % 2:
            bare_seconds = seconds_per_call(bare, environ, batch)
            times.append((bare_seconds, seconds_per_call(watched, environ, batch)))
        else:
            watched_seconds = seconds_per_call(watched, environ, batch)
            times.append((seconds_per_call(bare, environ, batch), watched_seconds))
    prove(subject, watched, calls=1 + (1 + rounds) * (1 + WARM_UP) * batch)
    return times


def prove(subject: Subject, app, calls: int) -> None:
    """Fail if the subject has not counted every call: it may not have been at work."""
    if not subject.proof:
        return
    import prometheus_client

    status, body = ask(app, environ_of("/metrics"))
    if not status.startswith("200"):  # it has no such page: it fills the common registry
        body = prometheus_client.generate_latest()
    counts = [
        float(line.rpartition(" ")[2])
        for line in body.decode().splitlines()
        if line.startswith(subject.proof)
    ]
    assert max(counts) == calls, f"{subject.distribution} counted {counts}, not {calls}"


def measure_apart(name: str, rounds: int, batch: int) -> list[tuple[float, float]]:
    """Measure in a process of its own, with nothing else installed in it."""
    command = [sys.executable, __file__, f"--measure={name}"]
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [*command, f"--rounds={rounds}", f"--batch={batch}"],
            env={**os.environ, "FLASKPROF_DIR": directory},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return [(bare, watched) for bare, watched in json.loads(done.stdout)]


def summarise(times: list[tuple[float, float]]) -> dict[str, float]:
    """Return microseconds: of the bare call, what is added to it, and quartiles of that."""
    added = [(watched - bare) * 1e6 for bare, watched in times]
    low, middle, high = statistics.quantiles(added, n=4)
    bare = statistics.median(bare for bare, _ in times) * 1e6
    return {"bare_us": bare, "added_us": middle, "added_low_us": low, "added_high_us": high}


def print_table(results: dict[str, dict[str, float]]) -> None:
    ours = results.get("flaskprof", {}).get("added_us", float("nan"))
    print(
        f"Python {platform.python_version()}, Flask {version('flask')}, microseconds a call\n"
    )
    print(f"{'':48} {'bare':>7} {'added':>7} {'quartiles':>15} {'of bare':>8} {'of ours':>8}")
    for name, row in results.items():
        label = f"{name} {version(SUBJECTS[name].distribution)}"
        quartiles = f"{row['added_low_us']:.1f} to {row['added_high_us']:.1f}"
        of_bare, of_ours = row["added_us"] / row["bare_us"], row["added_us"] / ours
        print(
            f"{label:48} {row['bare_us']:7.1f} {row['added_us']:7.1f} {quartiles:>15} "
            f"{of_bare:7.0%} {of_ours:7.1f}x"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="rounds of a pass")
    parser.add_argument("--batch", type=int, default=200, help="calls in a round, of each")
    parser.add_argument("--passes", type=int, default=3, help="passes over all subjects")
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="leave out the rest")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--measure", choices=SUBJECTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.rounds, arguments.batch)))
        return
    times: dict[str, list[tuple[float, float]]] = {
        name: [] for name in SUBJECTS if name in (arguments.only or SUBJECTS)
    }
    for _ in range(arguments.passes):
        for name in times:
            times[name] += measure_apart(name, arguments.rounds, arguments.batch)
    results = {name: summarise(so_far) for name, so_far in times.items()}
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        print_table(results)


if __name__ == "__main__":
    main()
