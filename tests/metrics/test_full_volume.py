"""Where nothing can be written a worker runs on, says so once, and tries again later."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest
from counting_workers import new_metrics, requests_in
from werkzeug.test import Client

from flaskprof import ProfilerMiddleware, log
from flaskprof.metrics import table
from flaskprof.metrics.folding import fold, read
from flaskprof.metrics.reader import worker_files

MS = 10**6
A = ("GET", "/a", "200")
LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
# Less than a worker file, more than the folders around it.
TOO_LITTLE = "16k"
ENOUGH = "8m"


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(log, "_said", set())


@pytest.fixture
def volume(tmp_path):
    """Return a small volume and what mounts it anew with other options."""
    path = tmp_path / "volume"
    path.mkdir()

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"no volume can be mounted here: {done.stderr.strip()}")

    mount(f"size={TOO_LITTLE}")
    yield path, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", "--lazy", path], check=True)


@contextmanager
def largest_file(size):
    """Let no file of this process grow beyond `size` bytes, as a full volume would not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(volume):
    """Leave no room on a volume."""
    descriptor = os.open(volume / "filler", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        with suppress(OSError):
            while True:
                os.write(descriptor, bytes(4096))
    finally:
        os.close(descriptor)


def assert_in_memory(metrics, directory, caplog, reason):
    """One that ran out of room counts on, leaves nothing, and has said why once."""
    for _ in range(3):
        metrics.observe("GET", "/a", "200", MS)
        metrics._next_try_ns = 0
        metrics.note_process()
    value = metrics.registry.get_sample_value
    assert value("flaskprof_metrics_in_memory") == 1
    assert value("flaskprof_failures_total", {"place": "metrics"}) >= 3
    labels = dict(zip(table.DURATION.labels, A, strict=True))
    assert value(f"{table.DURATION.name}_count", labels) == 3
    assert not directory.exists() or list(directory.iterdir()) == []
    (warning,) = [r.getMessage() for r in caplog.records if "cannot be written" in r.message]
    assert reason in warning


def assert_placed(metrics, directory):
    """Once there is room, all that was counted is where others see it."""
    metrics._next_try_ns = 0
    metrics.note_process()
    assert metrics.registry.get_sample_value("flaskprof_metrics_in_memory") == 0
    metrics.observe("GET", "/a", "200", MS)
    assert requests_in(read(directory)) == {A: 4}
    metrics.close()


def test_on_a_full_volume_it_counts_in_memory_until_there_is_room(volume, caplog):
    path, remount = volume
    metrics = new_metrics(path / "metrics")
    assert_in_memory(metrics, path / "metrics", caplog, "No space left on device")
    remount(f"size={ENOUGH}")
    assert_placed(metrics, path / "metrics")


def test_on_a_read_only_volume_it_counts_in_memory_until_that_can_be_written(volume, caplog):
    path, remount = volume
    remount(f"size={ENOUGH},ro")
    metrics = new_metrics(path / "metrics")
    assert_in_memory(metrics, path / "metrics", caplog, "Read-only file system")
    remount(f"size={ENOUGH},rw")
    assert_placed(metrics, path / "metrics")


def test_under_a_limit_of_file_size_it_counts_in_memory_until_that_is_lifted(tmp_path, caplog):
    with largest_file(4096):
        metrics = new_metrics(tmp_path / "metrics")
        assert_in_memory(metrics, tmp_path / "metrics", caplog, "File too large")
    assert_placed(metrics, tmp_path / "metrics")


def test_a_volume_that_fills_up_costs_a_worker_that_has_its_file_nothing(volume):
    path, remount = volume
    remount(f"size={ENOUGH}")
    metrics = new_metrics(path / "metrics")
    fill(path)
    metrics.observe("GET", "/a", "200", MS)
    # Every page of the file can be written, up to the last.
    for number in range(600):
        metrics.observe("GET", f"/{number}", "200", MS, "f" * 32)
    assert requests_in(read(path / "metrics"))[A] == 1
    metrics.close()


def test_what_cannot_be_folded_for_want_of_room_is_counted_all_the_same(volume):
    path, remount = volume
    directory = path / "metrics"
    remount(f"size={ENOUGH}")
    for _ in range(2):
        metrics = new_metrics(directory)
        metrics.observe("GET", "/a", "200", MS)
        metrics.close()
    fill(path)
    with pytest.raises(OSError, match="No space left"):
        fold(directory)
    assert requests_in(read(directory)) == {A: 2}
    (path / "filler").unlink()
    assert fold(directory) == 2
    assert requests_in(read(directory)) == {A: 2}
    assert worker_files(directory) == []


@pytest.mark.usefixtures("closed_recorders")
def test_an_application_on_a_full_or_read_only_volume_answers_as_without_us(volume):
    path, remount = volume

    def hello(_environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    for number, options in enumerate([f"size={TOO_LITTLE}", f"size={ENOUGH},ro"]):
        remount(options)
        app = ProfilerMiddleware(hello, dir=path / f"data{number}", dev=True)
        for headers in ({}, {"X-Profile": "1"}):
            answer = Client(app).get("/", environ_base=LOCAL, headers=headers)
            assert (answer.status_code, answer.data) == (200, b"hello")
        text = Client(app).get("/metrics", environ_base=LOCAL).text
        assert "flaskprof_metrics_in_memory 1.0" in text
        assert f"{table.DURATION.name}_count" in text


def test_doctor_says_that_there_is_no_room(volume):
    path, _ = volume
    looked = subprocess.run(
        [sys.executable, "-m", "flaskprof", "doctor", "--dir", path / "data"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert looked.returncode == 1
    assert "no room for the file of a worker" in " ".join(looked.stdout.split())
