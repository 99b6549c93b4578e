"""Samples two greenlets of one thread; run by test_sampler.py, patched or plain."""

import sys

if sys.argv[1] == "patched":
    from gevent import monkey

    monkey.patch_all()

import time

import gevent

from flaskprof.capture.sampling.sampler import SamplingEngine
from flaskprof.capture.sampling.watcher import Watcher
from flaskprof.metrics.instruments import Metrics


def until_seen(recording, name, step):
    """Take steps until a function is in the samples.

    The steps that compute never let another greenlet run, so that only a thread of the
    operating system can have taken the sample.
    """
    deadline = time.monotonic() + 20
    while name not in {function.name for function in recording._samples._functions}:
        assert time.monotonic() < deadline, name
        step()


def compute():
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end:
        pass


def wait():
    gevent.sleep(0.001)


# Both names in one call through C, as in a real stack, where greenlets are switched too.
def busy_one(recording):
    sorted([1], key=lambda _: until_seen(recording, "busy_one", compute))


def wait_one(recording):
    sorted([1], key=lambda _: until_seen(recording, "wait_one", wait))


def busy_two(recording):
    sorted([1], key=lambda _: until_seen(recording, "busy_two", compute))


def wait_two(recording):
    sorted([1], key=lambda _: until_seen(recording, "wait_two", wait))


def request(*parts):
    recording = engine.start()
    recording.on()
    for part in parts:
        part(recording)
    recording.off()
    return recording.finish()


watcher = Watcher(Metrics([1.0]))
engine = SamplingEngine(watcher)
names = {"busy_one", "wait_one", "busy_two", "wait_two"}
one = gevent.spawn(request, wait_one, busy_one, wait_one)
two = gevent.spawn(request, busy_two, wait_two, busy_two)
gevent.joinall([one, two], raise_error=True)
for name, greenlet in (("one", one), ("two", two)):
    tree = greenlet.value
    seen = {tree.functions[index].name for index in tree.function}
    print(f"{name}:", *sorted(names & seen))
print("closed" if watcher.close(20) else "not closed")
