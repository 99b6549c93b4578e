"""Counting goes on through forks, lost files and directories that cannot be written."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading

import pytest
from counting_workers import BUCKETS, counters_in, new_metrics, requests_in

from flaskprof import log
from flaskprof.metrics import table
from flaskprof.metrics.folding import fold, read
from flaskprof.metrics.instruments import Label, Metrics, known_method, known_status
from flaskprof.metrics.reader import worker_files

MS = 10**6
A = ("GET", "/a", "200")

# A process that forks amid a request, and whose child counts too.
FORKING = """
import os, sys, threading
from pathlib import Path
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings

recorder = recorder_for(Settings(dir=Path(sys.argv[1])))
recorder.start("nobody")
recorder.metrics.observe("GET", "/parent", "200", 1)
recorder.metrics.request_started("GET")
pid = os.fork()
if pid == 0:
    recorder.start("nobody")
    recorder.metrics.observe("GET", "/child", "200", 1)
    recorder.metrics.observe("GET", "/parent", "200", 1)
    os._exit(0)
os.waitpid(pid, 0)
recorder.metrics.observe("GET", "/parent", "200", 1)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "metrics"


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(log, "_said", set())


def test_a_forked_child_counts_in_a_file_of_its_own_and_nothing_twice(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        reading = read(tmp_path / "metrics")
        process.communicate("")
    assert requests_in(reading) == {("GET", "/parent", "200"): 3, ("GET", "/child", "200"): 1}
    counters = counters_in(reading)
    # The request in flight at the fork is the parent's alone.
    assert counters[table.ACTIVE.name, "GET"] == 1
    assert counters[table.STARTED_WORKERS.name,] == 2
    assert (reading.alive, reading.dead) == (1, 1)


def test_a_deleted_file_is_followed_by_a_new_one(directory):
    metrics = new_metrics(directory)
    metrics.observe("GET", "/a", "200", MS)
    metrics.request_started("GET")
    ((_, path),) = worker_files(directory)
    path.unlink()
    metrics.note_process()
    ((_, new),) = worker_files(directory)
    assert new != path
    metrics.observe("GET", "/a", "200", MS)
    reading = read(directory)
    assert requests_in(reading) == {A: 1}
    counters = counters_in(reading)
    assert counters[table.ACTIVE.name, "GET"] == 1
    # It is still the same worker.
    assert counters[table.STARTED_WORKERS.name,] == 0
    metrics.request_ended("GET")
    assert metrics.active_requests() == 0
    metrics.close()


def test_a_descriptor_that_was_closed_by_others_costs_no_count(directory):
    metrics = new_metrics(directory)
    metrics.observe("GET", "/a", "200", MS)
    os.close(metrics._file._descriptor)
    metrics.note_process()
    metrics.observe("GET", "/a", "200", MS)
    assert requests_in(read(directory)) == {A: 2}
    assert fold(directory) == 1
    assert requests_in(read(directory)) == {A: 2}
    metrics.close()
    assert requests_in(read(directory)) == {A: 2}


def test_without_a_writable_directory_all_is_in_memory_and_says_so(tmp_path, caplog):
    (tmp_path / "metrics").write_text("in the way")
    metrics = new_metrics(tmp_path / "metrics")
    metrics.observe("GET", "/a", "200", MS)
    value = metrics.registry.get_sample_value
    assert value("flaskprof_metrics_in_memory") == 1
    labels = dict(zip(table.DURATION.labels, A, strict=True))
    assert value(f"{table.DURATION.name}_count", labels) == 1
    assert value("flaskprof_failures_total", {"place": "metrics"}) == 1
    warnings = [r.getMessage() for r in caplog.records if "cannot be written" in r.getMessage()]
    assert len(warnings) == 1
    assert str(tmp_path / "metrics") in warnings[0]


def test_once_the_directory_can_be_written_nothing_is_lost(tmp_path):
    directory = tmp_path / "metrics"
    directory.write_text("in the way")
    metrics = new_metrics(directory)
    metrics.observe("GET", "/a", "200", MS)
    directory.unlink()
    metrics.note_process()
    assert not directory.exists(), "it is not tried at every request"
    metrics._next_try_ns = 0
    metrics.note_process()
    metrics.observe("GET", "/a", "200", MS)
    assert requests_in(read(directory)) == {A: 2}
    assert metrics.registry.get_sample_value("flaskprof_metrics_in_memory") == 0
    metrics.close()


def test_a_full_volume_is_an_error_at_the_start_and_leaves_no_file(directory, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    metrics = new_metrics(directory)
    metrics.observe("GET", "/a", "200", MS)
    assert list(directory.iterdir()) == []
    assert metrics.registry.get_sample_value("flaskprof_metrics_in_memory") == 1


@pytest.mark.parametrize(
    ("method", "known"), [("GET", "GET"), ("QUERY", "QUERY"), ("get", "_OTHER"), ("", "_OTHER")]
)
def test_methods_are_folded_to_the_standard_ones(method, known):
    assert known_method(method) == known


@pytest.mark.parametrize(
    ("status", "known"),
    [
        ("200", "200"),
        ("299", "200"),
        ("599", "500"),
        ("600", "500"),
        ("", "500"),
        ("٢٠٠", "500"),
    ],
)
def test_statuses_are_folded_to_the_standard_ones(status, known):
    assert known_status(status) == known


def test_made_up_methods_and_statuses_add_no_series(directory):
    metrics = new_metrics(directory)
    for number in range(2000):
        metrics.request_started(f"M{number}")
        metrics.observe(f"M{number}", "", str(number), MS)
        metrics.request_ended(f"M{number}")
    counts = requests_in(read(directory))
    assert {labels[:2] for labels in counts} == {("_OTHER", "")}
    assert sum(counts.values()) == 2000
    assert len(counts) < 70
    assert metrics.active_requests() == 0
    assert len(metrics.active) <= 1
    assert len(metrics.places) == 0
    metrics.close()


def test_the_label_of_the_application_has_its_declared_values_only(directory):
    label = Label("tenant", frozenset({"north"}), lambda environ: environ["tenant"])
    metrics = new_metrics(directory, label=label)
    for tenant in ("north", "made up", None, 7):
        metrics.observe("GET", "/a", "200", MS, extra=label.of({"tenant": tenant}))
    assert requests_in(read(directory)) == {
        (*A, "tenant", "north"): 1,
        (*A, "tenant", "_other_"): 3,
    }
    labels = dict(zip(table.DURATION.labels, A, strict=True)) | {"tenant": "_other_"}
    assert metrics.registry.get_sample_value(f"{table.DURATION.name}_count", labels) == 3
    metrics.close()


def test_threads_lose_no_count(directory):
    metrics = new_metrics(directory)

    def count():
        for _ in range(5000):
            metrics.request_started("GET")
            metrics.observe("GET", "/a", "200", MS)
            metrics.request_ended("GET")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert requests_in(read(directory)) == {A: 20_000}
    assert metrics.active_requests() == 0
    metrics.close()


def test_a_signal_handler_that_counts_amid_a_count_waits_for_nobody(directory):
    metrics = new_metrics(directory)
    handled = []

    def handler(*_):
        handled.append(None)
        metrics.observe("GET", f"/{len(handled) % 50}", "200", MS)

    thresholds = gc.get_threshold()
    gc.enable()
    gc.set_threshold(1)
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        counted = 0
        while len(handled) < 100:
            metrics.observe("GET", f"/own/{counted % 400}", "200", MS)
            counted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.set_threshold(*thresholds)
        gc.disable()
    assert sum(requests_in(read(directory)).values()) == counted + len(handled)
    metrics.close()


def test_metrics_without_a_directory_are_those_of_the_process():
    metrics = Metrics(BUCKETS)
    metrics.start()
    metrics.observe("GET", "/a", "200", MS)
    labels = dict(zip(table.DURATION.labels, A, strict=True))
    assert metrics.registry.get_sample_value(f"{table.DURATION.name}_count", labels) == 1
    assert metrics.registry.get_sample_value("flaskprof_workers") == 1
