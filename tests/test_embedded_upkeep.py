"""Without a sidecar the application itself keeps its data directory in order."""

from __future__ import annotations

import time

import pytest
from werkzeug.test import Client

from flaskprof import ProfilerMiddleware, log
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery
from flaskprof.store.directory import DirectoryStore
from servers import until

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


@pytest.fixture
def ask(tmp_path, closed_recorders, monkeypatch):
    """Send one request to an application with these settings."""
    monkeypatch.setattr(log, "_said", set())

    def ask(headers=None, path="/", **settings):
        app = ProfilerMiddleware(hello, dir=tmp_path / "data", dev=True, **settings)
        return Client(app).get(path, headers=headers or {}, environ_base=LOCAL)

    return ask


def test_captures_beyond_the_bounds_go_without_anybody_looking(ask, tmp_path):
    store = DirectoryStore(tmp_path / "data")
    for hours in range(5):
        started = time.time() - 90_000 - hours * 3600
        record = CaptureRecord(id=new_capture_id(started), started=started, duration_seconds=1)
        store.save(record, {".prof": b"profile"})
    assert ask(keep_captures=2).status_code == 200
    assert until(lambda: store.list(CaptureQuery()).matching == 2, "captures to be deleted")


def test_a_second_service_answers_but_leaves_the_directory_of_the_first_alone(
    ask, tmp_path, caplog
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "service").write_text("shop\n")
    answer = ask({"X-Profile": "1"}, service_name="billing")
    assert answer.text == "hello"
    assert (
        answer.headers["X-Profile-Skipped"] == "the data directory belongs to another service"
    )
    metrics = ask(path="/metrics", service_name="billing").text
    assert 'http_server_request_duration_seconds_count{http_request_method="GET"' in metrics
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["service"]
    (warning,) = [r.getMessage() for r in caplog.records if "belongs" in r.getMessage()]
    assert "'shop': no captures are made for 'billing', and its metrics are those" in warning


@pytest.mark.parametrize("name", ["shop", ""])
def test_the_owner_and_a_service_without_a_name_capture(ask, tmp_path, name):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "service").write_text("shop\n")
    assert "X-Profile-Id" in ask({"X-Profile": "1"}, service_name=name).headers
