"""One thread looks at what is watched, and waits without polling while nothing is."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flaskprof import log
from flaskprof.capture.sampling import watcher as module
from flaskprof.capture.sampling.watcher import Watcher, next_round
from flaskprof.metrics.instruments import Metrics

PATIENCE_SECONDS = 20.0


class Target:
    """Counts the looks at it; `looked` is set by each."""

    def __init__(self):
        self.threads = []
        self.looked = threading.Event()

    def look(self, _late_seconds):
        self.threads.append(threading.current_thread())
        self.looked.set()

    def await_look(self):
        self.looked.clear()
        assert self.looked.wait(PATIENCE_SECONDS)


class Broken:
    def look(self, _late_seconds):
        raise ZeroDivisionError("on purpose")


@pytest.fixture
def metrics():
    return Metrics([1.0])


@pytest.fixture
def watcher(metrics):
    watcher = Watcher(metrics)
    yield watcher
    watcher.close(PATIENCE_SECONDS)


def watcher_threads():
    return [thread for thread in threading.enumerate() if thread.name == "flaskprof-watcher"]


def until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_there_is_no_thread_before_it_is_started_and_one_after_however_often(watcher):
    assert watcher_threads() == []
    starters = [threading.Thread(target=watcher.start) for _ in range(8)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    (thread,) = watcher_threads()
    assert thread.daemon


def test_all_targets_are_looked_at_again_and_again_on_that_thread(watcher):
    targets = [Target() for _ in range(3)]
    watcher.start()
    for target in targets:
        watcher.watch(target)
    for _ in range(3):
        for target in targets:
            target.await_look()
    assert {thread.name for target in targets for thread in target.threads} == {
        "flaskprof-watcher"
    }


def test_a_target_is_told_how_long_the_round_had_to_wait(watcher, monkeypatch):
    now, late = 100.0, []

    class Waits:
        def set(self):
            pass

        def wait(self, timeout_seconds):
            nonlocal now
            now += timeout_seconds + 0.03

    class Told:
        def look(self, late_seconds):
            late.append(late_seconds)
            watcher._is_closing = len(late) == 4

    monkeypatch.setattr(module, "perf_counter", lambda: now)
    watcher._wake = Waits()
    watcher.watch(Told())
    watcher._run()
    assert late[1:] == [pytest.approx(0.03)] * 3


def test_a_forgotten_target_is_looked_at_no_more(watcher):
    target, other = Target(), Target()
    watcher.start()
    watcher.watch(target)
    watcher.watch(other)
    target.await_look()
    watcher.forget(target)
    other.await_look()  # a round that may have begun before
    seen = len(target.threads)
    for _ in range(3):
        other.await_look()
    assert len(target.threads) == seen


def test_what_comes_while_the_watcher_is_parked_wakes_it(watcher):
    watcher.start()
    for _ in range(3):
        until(lambda: watcher._is_parked)
        target = Target()
        watcher.watch(target)
        target.await_look()
        watcher.forget(target)


def test_coming_and_going_from_many_threads_loses_no_wake_up(watcher):
    watcher.start()

    def come_and_go():
        for _ in range(30):
            target = Target()
            watcher.watch(target)
            target.await_look()
            watcher.forget(target)

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    until(lambda: watcher._is_parked)


def test_a_target_that_fails_is_forgotten_and_counted_and_the_others_go_on(
    watcher, metrics, monkeypatch
):
    monkeypatch.setattr(log, "once", lambda *_, **__: None)
    target = Target()
    watcher.watch(Broken())
    watcher.watch(target)
    watcher.start()
    for _ in range(3):
        target.await_look()
    failures = metrics.registry.get_sample_value(
        "flaskprof_failures_total", {"place": "watcher"}
    )
    assert failures == 1


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_parked_thread_never_wakes_up(watcher):
    watcher.start()
    target = Target()
    watcher.watch(target)
    target.await_look()
    watcher.forget(target)
    until(lambda: watcher._is_parked)
    (thread,) = watcher_threads()
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def switches():
        text = status.read_text()
        return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    until(lambda: "State:\tS" in status.read_text())
    before = switches()
    # The time of fifty looks; one switch may be the one into parking.
    threading.Event().wait(0.5)
    assert switches() - before <= 1
    assert watcher._is_parked


def test_a_parked_watcher_keeps_nothing_of_what_it_looked_at(watcher):
    import gc
    import weakref

    watcher.start()
    target = Target()
    gone = weakref.ref(target)
    watcher.watch(target)
    target.await_look()
    watcher.forget(target)
    until(lambda: watcher._is_parked)
    del target
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("is_busy", [False, True], ids=["parked", "at work"])
def test_closing_ends_the_thread(metrics, is_busy):
    watcher = Watcher(metrics)
    target = Target()
    watcher.start()
    (thread,) = watcher_threads()
    if is_busy:
        watcher.watch(target)
        target.await_look()
    else:
        until(lambda: watcher._is_parked)
    watcher.close(PATIENCE_SECONDS)
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def test_closing_a_watcher_that_was_never_started_waits_for_nothing(metrics):
    assert Watcher(metrics).close(1e6)


def test_the_next_round_comes_after_about_a_hundredth_of_a_second():
    pauses = [next_round(10.0, 10.0, 0.0) - 10.0 for _ in range(1000)]
    assert min(pauses) >= 0.005
    assert max(pauses) <= 0.015
    assert len(set(pauses)) > 900


def test_a_round_that_was_late_is_made_up_for_in_part():
    pauses = [next_round(10.0, 10.005, 0.0) - 10.005 for _ in range(1000)]
    assert min(pauses) < 0.005 < max(pauses) <= 0.010
    assert min(next_round(10.0, 99.0, 0.0) - 99.0 for _ in range(1000)) >= 0.0025


def test_however_long_a_round_takes_it_is_a_twentieth_of_the_time():
    for busy_seconds in (0.001, 0.01, 1.0):
        pause = next_round(10.0, 10.0 + busy_seconds, busy_seconds) - (10.0 + busy_seconds)
        assert busy_seconds / (busy_seconds + pause) <= 0.05 + 1e-9


UWSGI = """
import sys, types
sys.modules["uwsgi"] = types.SimpleNamespace(version={version!r}, opt={options!r})
from flaskprof.capture.sampling.watcher import why_no_watcher
print(why_no_watcher())
"""


@pytest.mark.parametrize(
    ("version", "options", "has_threads"),
    [
        (b"2.0.26", {"wsgi-file": b"app.py"}, False),
        (b"2.0.26", {b"wsgi-file": b"app.py"}, False),
        (b"2.0.26", {"enable-threads": b"false"}, False),
        (b"2.0.26", {"enable-threads": True}, True),
        (b"2.0.26", {b"enable-threads": b"1"}, True),
        (b"2.0.26", {"threads": b"1"}, True),
        (b"2.0.27", {}, True),
        (b"2.0.30", {"enable-threads": b"false"}, True),
        (b"2.1-dev", {}, False),
    ],
)
def test_under_uwsgi_there_is_a_watcher_only_where_threads_run(version, options, has_threads):
    # The module is there in processes of uWSGI alone; these values are what it showed.
    script = UWSGI.format(version=version, options=options)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    refusal = "uWSGI was started without --enable-threads: no watcher can be relied on"
    assert (done.stdout.strip(), done.stderr) == ("None" if has_threads else refusal, "")
