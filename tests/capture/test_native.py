"""A signal wakes its one waiter, whoever sets it and however often."""

from __future__ import annotations

import threading

from flaskprof.capture.sampling.native import Signal, start_thread


def test_a_signal_that_was_set_before_is_not_awaited():
    signal = Signal()
    signal.set()
    signal.set()
    assert signal.wait(0) is True
    assert signal.wait(0) is False


def test_a_signal_wakes_a_thread_that_waits():
    signal, woken = Signal(), Signal()
    names = []

    def wait():
        signal.wait()
        names.append(threading.current_thread().name)
        woken.set()

    start_thread(wait, "flaskprof-test")
    assert not woken.wait(0)
    signal.set()
    assert woken.wait(20)
    assert names == ["flaskprof-test"]
