"""The stack of another thread or greenlet is read whole, above a frame of it."""

from __future__ import annotations

import sys
import threading

import pytest
from greenlet import getcurrent, greenlet

from flaskprof.capture.sampling import stacks


def names(calls):
    return None if calls is None else [code.co_name for code, _ in calls]


class Waiting:
    """A thread that waits in `deep`, called by `run` some calls down."""

    def __init__(self, depth):
        self.base = None
        self.is_there, self.is_over = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, args=(depth,))

    def run(self, depth):
        self.base = sys._getframe()
        self.deep(depth)

    def deep(self, depth):
        if depth:
            self.deep(depth - 1)
        else:
            self.is_there.set()
            self.is_over.wait()

    def __enter__(self):
        self.thread.start()
        self.is_there.wait()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()


@pytest.mark.parametrize("depth", [0, 1, 500])
def test_a_thread_is_read_innermost_first_without_the_base(depth):
    with Waiting(depth) as waiting:
        found = names(stacks.of_thread(waiting.thread.ident, waiting.base))
    assert found[-depth - 1 :] == ["deep"] * (depth + 1)
    # What else there is are the calls by which it waits.
    assert "deep" not in found[: -depth - 1]


def test_a_thread_without_the_base_has_no_stack():
    with Waiting(3) as waiting:
        assert stacks.of_thread(waiting.thread.ident, sys._getframe()) is None


def test_a_thread_that_is_gone_has_no_stack():
    with Waiting(3) as waiting:
        pass
    assert stacks.of_thread(waiting.thread.ident, waiting.base) is None


def test_a_thread_that_is_at_the_base_has_an_empty_stack():
    with Waiting(3) as waiting:
        innermost = sys._current_frames()[waiting.thread.ident]
        assert stacks.of_thread(waiting.thread.ident, innermost) == []


def test_reading_keeps_no_frame_alive():
    import gc
    import weakref

    class Local:
        pass

    def call():
        local = Local()
        gone.append(weakref.ref(local))
        stacks.of_thread(threading.get_ident(), base)

    gone = []
    base = sys._getframe()
    gc.disable()
    try:
        call()
        assert gone[0]() is None
    finally:
        gc.enable()


def test_a_greenlet_that_waits_is_read_through_c_code_above_its_base():
    hub = getcurrent()
    bases = []

    def run():
        bases.append(sys._getframe())
        sorted([1], key=inner)

    def inner(_):
        hub.switch()

    waiting = greenlet(run)
    waiting.switch()
    try:
        assert names(stacks.of_greenlet(waiting, bases[0])) == ["inner"]
        assert stacks.of_thread(threading.get_ident(), bases[0]) is None
    finally:
        waiting.switch()
    assert stacks.of_greenlet(waiting, bases[0]) is None
