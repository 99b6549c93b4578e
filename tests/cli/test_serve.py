"""`flaskprof serve` as a process: its log, its end, its size."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from flaskprof.ids import new_capture_id
from flaskprof.metrics.reader import worker_files
from flaskprof.record import CaptureRecord
from flaskprof.store.directory import DirectoryStore
from servers import serve, until

SECRET = "a secret of sixteen or more"
MEMORY_BOUND = 60_000_000


@contextmanager
def serving(directory, *options, program=("-m", "flaskprof"), **environ):
    """Run the sidecar on a free port; yields process, what it said at start, and the rest."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FLASKPROF_", "OTEL_"))
    }
    process = subprocess.Popen(
        [sys.executable, *program, "serve", "--bind", "127.0.0.1:0", *options],
        cwd=directory,
        env={**inherited, "PYTHONPATH": os.pathsep.join(sys.path), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell may have started the tests with Control-C ignored, which is inherited.
        preexec_fn=lambda: signal.signal(  # noqa: PLW1509  no lock is taken in between
            signal.SIGINT, signal.SIG_DFL
        ),
    )
    try:
        line = process.stderr.readline()
        assert line.startswith("{"), line + process.stderr.read()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()
        process.stderr.close()


def ended(process, ending=signal.SIGTERM):
    """Tell it to end; returns exit code and the lines it logged."""
    process.send_signal(ending)
    process.wait(20)
    assert process.stdout.read() == ""
    # Not communicate(), which passes over what was read together with an earlier line.
    return process.returncode, [json.loads(line) for line in process.stderr]


def get(url, **headers):
    host, path = re.fullmatch(r"http://([^/]+)(/.*)", url).groups()
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request(
            "GET", path, headers={name.replace("_", "-"): v for name, v in headers.items()}
        )
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def resident_bytes(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def save(directory, age_seconds=0.0, **fields):
    started = 1_763_812_345.0 - age_seconds
    record = CaptureRecord(
        id=new_capture_id(started), started=started, duration_seconds=0.25, **fields
    )
    DirectoryStore(directory).save(record, {".prof": b"profile"})
    return record


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_logs_a_line_of_json_at_start_and_end_and_ends_in_order(tmp_path, ending):
    with serving(tmp_path, FLASKPROF_SERVICE_NAME="shop") as (process, start):
        assert (start["event"], start["level"], start["pid"]) == ("start", "info", process.pid)
        assert start["dir"] == str(tmp_path / ".flaskprof")
        assert (start["service"], start["may_look"]) == ("shop", "anyone on this machine")
        assert get(start["viewer"])[0] == 200
        assert get(start["metrics"])[0] == 200
        assert get(start["health"])[0] == 200
        code, lines = ended(process, ending)
        assert code == 0
        assert [(line["event"], line["level"]) for line in lines] == [("stop", "info")]
        assert lines[0]["uptime_seconds"] > 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", lines[0]["time"])


def test_requests_that_wait_for_a_thread_are_no_event(tmp_path):
    with serving(tmp_path) as (process, start):
        with ThreadPoolExecutor(24) as crowd:
            answers = crowd.map(get, [start["metrics"]] * 48)
            assert {status for status, _ in answers} == {200}
        code, lines = ended(process)
        assert (code, [line["event"] for line in lines]) == (0, ["stop"])


@pytest.mark.parametrize("moment", ["before", "after"])
def test_it_ends_in_order_however_soon_it_is_told_to(tmp_path, moment):
    script = (
        "import os, signal\n"
        "from flaskprof.cli import main\n"
        "from flaskprof.sidecar import Sidecar\n"
        "start = Sidecar.start\n"
        "end = lambda _=None: os.kill(os.getpid(), signal.SIGTERM)\n"
        f"moments = {{'before': (end, start), 'after': (start, end)}}[{moment!r}]\n"
        "Sidecar.start = lambda sidecar: [step(sidecar) for step in moments]\n"
        "main(prog_name='flaskprof')"
    )
    with serving(tmp_path, program=("-c", script)) as (process, _):
        code, lines = ended(process)
        assert (code, [line["event"] for line in lines]) == (0, ["stop"])


def test_an_error_is_a_line_of_json(tmp_path):
    (tmp_path / ".flaskprof").mkdir()
    (tmp_path / ".flaskprof" / "tokens").write_text("no directory")
    with serving(tmp_path) as (process, _):
        line = json.loads(process.stderr.readline())
        assert (line["event"], line["level"]) == ("error", "warning")
        assert "token uses of the data directory failed" in line["message"]
        assert ended(process)[0] == 0


def test_it_shows_what_an_application_captures_before_and_after_a_restart(tmp_path):
    directory = tmp_path / ".flaskprof"
    with serving(tmp_path) as (process, start):
        record = save(directory)
        url = f"{start['viewer']}c/{record.id}.prof"
        assert get(url) == (200, b"profile")
        assert ended(process)[0] == 0
    with serving(tmp_path) as (_, start):
        assert get(f"{start['viewer']}c/{record.id}.prof") == (200, b"profile")
        assert get(start["viewer"])[0] == 200


def test_what_ended_workers_counted_is_folded_and_outlives_every_restart(tmp_path):
    directory = tmp_path / ".flaskprof"
    counted = b'http_response_status_code="200",http_route="/work/<int:n>"} 7.0'
    with serve("waitress", directory) as app:
        for _ in range(7):
            assert get(f"http://127.0.0.1:{app.port}/work/3")[0] == 200
        metrics = f"http://127.0.0.1:{app.port}/metrics"
        # A client has its answer before the server closes it, which is when it is counted.
        until(lambda: counted in get(metrics)[1], "the last request to be counted")
    (left,) = (path for _, path in worker_files(directory / "metrics"))
    for ending in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        with serving(tmp_path) as (process, start):
            until(lambda: not left.exists(), "the file of the worker to be folded")
            metrics = get(start["metrics"])[1]
            assert counted in metrics
            assert b'role="sidecar"' in metrics
            assert b"flaskprof_workers 0.0" in metrics
            process.send_signal(ending)
            process.wait(20)


def test_it_keeps_the_directory_within_its_bounds(tmp_path):
    directory = tmp_path / ".flaskprof"
    for hours in range(5):
        save(directory, hours * 3600)
    store = DirectoryStore(directory)
    with serving(tmp_path, FLASKPROF_KEEP_CAPTURES="2"):
        until(lambda: len(store.find("")) == 2, "captures to be deleted")


def test_without_a_secret_it_serves_this_machine_alone(command):
    run = command("serve", "--bind", "0.0.0.0:0")
    assert (run.code, run.output) == (2, "")
    assert run.errors == (
        "flaskprof: FLASKPROF_BIND: 0.0.0.0 can be reached by other machines, which may look "
        "only with a token: set FLASKPROF_SECRET or FLASKPROF_SECRET_FILE to the secret of "
        "the application, or listen on 127.0.0.1\n"
    )


def test_with_a_secret_it_may_be_reached_by_others(tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    options = ("--secret-file", "secret", "--bind", "0.0.0.0:0")
    with serving(tmp_path, *options) as (_, start):
        assert start["may_look"] == "holders of a token (flaskprof token)"
        status, body = get(start["viewer"].replace("0.0.0.0", "127.0.0.1"))
        assert (status, body[:15]) == (403, b"Only holders of")


def test_a_proxy_in_front_is_noticed(tmp_path):
    with serving(tmp_path) as (_, start):
        assert get(start["viewer"], X_Forwarded_For="10.0.0.1")[0] == 403
        assert get(start["metrics"], Forwarded="for=10.0.0.1")[0] == 403


def test_two_services_do_not_share_a_directory(command, tmp_path):
    (tmp_path / ".flaskprof").mkdir()
    (tmp_path / ".flaskprof" / "service").write_text("shop\n")
    run = command("serve", "--bind", "127.0.0.1:0", FLASKPROF_SERVICE_NAME="billing")
    assert run.code == 2
    assert run.errors.startswith("flaskprof: the data directory ")
    assert "belongs to the service 'shop', not to 'billing'" in run.errors


def test_an_address_that_cannot_be_had_is_one_line(command, tmp_path):
    with serving(tmp_path) as (_, start):
        address = start["health"].removeprefix("http://").removesuffix("/healthz")
        run = command("serve", "--bind", address)
    assert run.code == 2
    assert run.errors == (
        f"flaskprof: {address} cannot be used: Address already in use; choose another with "
        "--bind\n"
    )
    run = command("serve", "--bind", "no-such-host.invalid:80")
    assert run.code == 2
    assert run.errors.startswith("flaskprof: FLASKPROF_BIND: no-such-host.invalid is not known")


def test_without_waitress_it_says_what_to_install(command):
    run = command("serve", "--bind", "127.0.0.1:0", without="waitress")
    assert (run.code, run.output) == (2, "")
    assert run.errors == (
        "flaskprof: the sidecar needs waitress: pip install 'flaskprof[serve]'\n"
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_idle_it_takes_at_most_60_mb(tmp_path, record_property):
    directory = tmp_path / ".flaskprof"
    for number in range(200):
        save(directory, number)
    with serving(tmp_path, FLASKPROF_KEEP_CAPTURES="100") as (process, start):
        for page in ("viewer", "metrics", "health"):
            assert get(start[page])[0] == 200
        until(lambda: len(DirectoryStore(directory).find("")) == 100, "a round of upkeep")
        resident = resident_bytes(process)
    record_property("resident_bytes", resident)
    print(f"resident: {resident / 1e6:.1f} MB")
    assert resident <= MEMORY_BOUND
