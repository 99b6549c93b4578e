"""Traces: read from a header or from OpenTelemetry, and found again wherever they help."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys

import pytest
from flask import Flask

import flaskprof
from checkout import ROOT
from flaskprof import FlaskProf
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.metrics.totals import Exemplar, Totals
from flaskprof.tracing import Trace, trace_of
from needs import needs_module
from servers import APPS

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-01", Trace(TRACE, SPAN, True)),
        (f" 00-{TRACE}-{SPAN}-00 ", Trace(TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", Trace(TRACE, SPAN, True)),
        # What a later version adds is passed over.
        (f"cc-{TRACE}-{SPAN}-01-what-ever", Trace(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-01-what-ever", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}0-{SPAN}-01", None),
        ("", None),
        ("\xe4" * 100_000, None),
    ],
)
def test_the_header_is_read_as_its_specification_says(header, expected):
    assert trace_of({"HTTP_TRACEPARENT": header}) == expected


def test_a_request_without_either_has_no_trace():
    assert trace_of({}) is None


@pytest.fixture
def app(tmp_path, closed_recorders):
    app = Flask("shop")
    app.add_url_rule("/", "front", lambda: "front")
    FlaskProf(app, dir=tmp_path / "data", dev=True)
    return app


def get(app, path="/", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().get(path, headers=headers, buffered=True)


def exemplars(app):
    text = get(app, "/metrics", Accept="application/openmetrics-text").text
    return re.findall(r" # \{([^}]*)\}", text)


def test_a_capture_names_its_trace_in_metadata_stacks_and_exemplar(app, tmp_path):
    response = get(app, X_Profile="1", traceparent=f"00-{TRACE}-{SPAN}-00")
    capture_id = response.headers["X-Profile-Id"]
    assert recorder_for(Settings(dir=tmp_path / "data")).flush()
    capture = flaskprof.load(tmp_path / "data").latest()
    assert (capture.record.trace_id, capture.record.span_id) == (TRACE, SPAN)
    if capture.record.has_stacks:
        (stacks,) = (tmp_path / "data").rglob("*.pb.gz")
        plain = gzip.decompress(stacks.read_bytes())
        assert TRACE.encode() in plain
        assert b"trace_id" in plain
        assert SPAN.encode() in plain
    assert TRACE in get(app, f"/flaskprof/c/{capture_id}").text
    assert exemplars(app) == [f'profile_id="{capture_id}",trace_id="{TRACE}"']


def test_a_request_that_is_not_captured_has_an_exemplar_where_its_trace_is_sampled(app):
    get(app, traceparent=f"00-{TRACE}-{SPAN}-00")
    get(app)
    assert exemplars(app) == []
    get(app, traceparent=f"00-{TRACE}-{SPAN}-01")
    assert exemplars(app) == [f'trace_id="{TRACE}"']


def test_traced_requests_do_not_crowd_out_captures(app, tmp_path, monkeypatch):
    capture_id = get(app, X_Profile="1").headers["X-Profile-Id"]
    for number in range(300):
        get(app, traceparent=f"00-{number + 1:032x}-{SPAN}-01")
    # At most one a second is kept, and what has a profile goes first in its bucket.
    assert f'profile_id="{capture_id}"' in exemplars(app)


def test_of_two_exemplars_one_with_a_profile_goes_first_for_ten_minutes():
    minute = 60 * 10**9
    profiled = Exemplar(1, 100 * minute, "a" * 32)
    for unix_ns, expected in ((109 * minute, profiled), (111 * minute, None)):
        traced = Exemplar(1, unix_ns, "", "b" * 32)
        for order in ((profiled, traced), (traced, profiled)):
            totals = Totals()
            for exemplar in order:
                totals._add_exemplar((b"x", 0), exemplar)
            assert totals.exemplars[b"x", 0] is (expected or traced)


def test_traces_that_are_not_wanted_are_not_looked_at(tmp_path, closed_recorders):
    app = Flask("shop")
    app.add_url_rule("/", "front", lambda: "front")
    FlaskProf(app, dir=tmp_path / "data", dev=True, measure=["cpu"])
    get(app, traceparent=f"00-{TRACE}-{SPAN}-01")
    get(app, X_Profile="1", traceparent=f"00-{TRACE}-{SPAN}-01")
    assert not any("trace_id" in exemplar for exemplar in exemplars(app))


def test_opentelemetry_is_never_imported_by_flaskprof(tmp_path):
    script = (
        "import sys, flask, flaskprof\n"
        "app = flask.Flask('shop')\n"
        "flaskprof.FlaskProf(app)\n"
        f"headers = {{'traceparent': '00-{TRACE}-{SPAN}-01', 'X-Profile': '1'}}\n"
        "app.test_client().get('/', headers=headers, buffered=True)\n"
        "flaskprof.LogFilter()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FLASKPROF_DEV": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[]\n", done.stderr


# The how-tos, with the real packages


def run_how_to(package, tmp_path):
    needs_module({"opentelemetry": "opentelemetry.sdk", "sentry": "sentry_sdk"}[package])
    done = subprocess.run(
        [
            sys.executable,
            str(APPS / "correlated.py"),
            package,
            str(ROOT / f"docs/how-to/{package}.md"),
        ],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "FLASKPROF_DEV": "1",
            "FLASKPROF_DIR": str(tmp_path / "data"),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_spans_of_opentelemetry_and_captures_name_each_other(tmp_path):
    seen = run_how_to("opentelemetry", tmp_path)
    (_, (_, capture_id), _, (_, failed_id)) = seen["answers"]
    assert [status for status, _ in seen["answers"]] == [200, 200, 500, 500]
    spans = seen["told"]
    assert [span["attributes"].get("flaskprof.profile_id", "") for span in spans] == [
        capture_id_of for _, capture_id_of in seen["answers"]
    ]
    assert spans[1]["attributes"]["flaskprof.profile_url"].endswith(f"/c/{capture_id}")
    records = {
        capture.id: capture.record for capture in flaskprof.load(tmp_path / "data").captures()
    }
    for span, profile_id in ((spans[1], capture_id), (spans[3], failed_id)):
        record = records[profile_id]
        assert (record.trace_id, record.span_id) == (span["trace_id"], span["span_id"])
        assert f'profile_id="{profile_id}",trace_id="{span["trace_id"]}"' in seen["metrics"]


def test_an_error_in_sentry_leads_to_its_capture(tmp_path):
    seen = run_how_to("sentry", tmp_path)
    (*_, (_, failed_id)) = seen["answers"]
    assert [status for status, _ in seen["answers"]] == [200, 200, 500, 500]
    plain, captured = seen["told"]
    assert plain == {
        "tags": {},
        "url": None,
        "type": "ZeroDivisionError",
        "transaction": "fail",
    }
    assert captured["tags"] == {"profile_id": failed_id}
    assert captured["url"].endswith(f"/flaskprof/c/{failed_id}")
    assert flaskprof.load(tmp_path / "data").get(failed_id).record.status == 500
