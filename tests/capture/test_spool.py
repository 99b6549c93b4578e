"""The spool writes what it is given, off the request's path, and never blocks."""

from __future__ import annotations

import threading

import pytest

from flaskprof.capture.engines import Facts
from flaskprof.capture.spool import Spool
from flaskprof.errors import StoreError
from flaskprof.ids import new_capture_id
from flaskprof.metrics.instruments import Metrics
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.record import CaptureRecord

GRAPH = CallGraph({Function("shop.py", 1, "view"): FunctionStats(Sums(1, 1, 0.5, 0.5))})


class Finished:
    """A recording that is over."""

    def __init__(self, gate=None):
        self.notes = []
        self.facts = Facts()
        self.gate = gate

    def stop(self):
        pass

    def finish(self):
        if self.gate is not None:
            assert self.gate.wait(10)
        return GRAPH


class Sink:
    def __init__(self, used=0, error=None):
        self.saved = []
        self.announced = []
        self.withdrawn = []
        self.used = used
        self.error = error

    def save(self, record, files):
        if self.error is not None:
            raise self.error
        self.saved.append((record.id, sorted(files), threading.current_thread().name))

    def announce(self, capture_id):
        self.announced.append(capture_id)

    def withdraw(self, capture_id):
        self.withdrawn.append(capture_id)

    def bytes_used(self):
        return self.used


def a_record(duration_seconds=1.0):
    return CaptureRecord(
        id=new_capture_id(),
        started=0.0,
        duration_seconds=duration_seconds,
        trigger="header",
    )


@pytest.fixture
def metrics():
    return Metrics([1.0])


@pytest.fixture
def make(metrics):
    made = []

    def make(sink, max_bytes=1000, **keywords):
        made.append(Spool(sink, metrics, max_bytes, **keywords))
        return made[-1]

    yield make
    for spool in made:
        spool.close(10)


def outcomes(metrics, outcome):
    labels = {"trigger": "header", "outcome": outcome}
    return metrics.registry.get_sample_value("flaskprof_captures_total", labels)


def test_captures_are_written_by_a_thread_of_its_own(make, metrics):
    sink = Sink()
    spool = make(sink)
    record = a_record()
    spool.put(record, Finished())
    assert spool.flush(10)
    assert sink.saved == [(record.id, [".prof"], "flaskprof-spool")]
    assert outcomes(metrics, "stored") == 1


def test_no_thread_is_started_before_the_first_capture(make):
    make(Sink())
    assert not [t for t in threading.enumerate() if t.name == "flaskprof-spool"]


def test_what_does_not_fit_is_dropped_and_counted(make, metrics):
    gate = threading.Event()
    sink = Sink()
    spool = make(sink)
    for number in range(144):
        assert spool.is_behind() == (len(spool._queue) >= 64), number
        spool.put(a_record(), Finished(gate))
    assert spool.is_behind()
    gate.set()
    assert spool.flush(10)
    dropped = outcomes(metrics, "dropped")
    assert dropped in {15, 16}, "128 wait, and one may be in the writer's hands"
    assert len(sink.saved) == 144 - dropped == outcomes(metrics, "stored")
    assert not spool.is_behind()


def test_a_capture_that_cannot_be_written_is_counted_and_the_next_one_tried(make, metrics):
    sink = Sink(error=StoreError("read-only"))
    spool = make(sink)
    spool.put(a_record(), Finished())
    assert spool.flush(10)
    sink.error = None
    spool.put(a_record(), Finished())
    assert spool.flush(10)
    assert (outcomes(metrics, "failed"), outcomes(metrics, "stored")) == (1, 1)
    failures = metrics.registry.get_sample_value("flaskprof_failures_total", {"place": "spool"})
    assert failures == 1


def test_above_the_bound_nothing_is_written_until_there_is_room(make, metrics):
    now = [100.0]
    sink = Sink(used=1000)
    spool = make(sink, clock=lambda: now[0])
    assert not spool.is_full()
    spool.put(a_record(), Finished())
    assert spool.flush(10)
    assert spool.is_full()
    assert (sink.saved, outcomes(metrics, "dropped")) == ([], 1)
    sink.used = 0
    now[0] += 5
    assert not spool.is_full(), "it looks again after a while"
    spool.put(a_record(), Finished())
    assert spool.flush(10)
    assert (len(sink.saved), spool.is_full()) == (1, False)


def test_closing_writes_what_is_queued(make):
    sink = Sink()
    spool = make(sink)
    for _ in range(20):
        spool.put(a_record(), Finished())
    spool.close(10)
    assert len(sink.saved) == 20


def test_the_capture_of_a_long_request_is_announced_until_it_is_written(make):
    gate = threading.Event()
    sink = Sink()
    spool = make(sink)
    long, short = a_record(duration_seconds=11.0), a_record()
    spool.put(long, Finished(gate))
    spool.put(short, Finished())
    assert (sink.announced, sink.withdrawn) == ([long.id], [])
    gate.set()
    assert spool.flush(10)
    assert sink.withdrawn == [long.id]
    assert len(sink.saved) == 2


@pytest.mark.parametrize("why", ["closed", "full", "failed"])
def test_a_capture_that_is_not_written_is_announced_no_longer(make, why):
    sink = Sink(used=2000 if why == "full" else 0, error=StoreError("no"))
    spool = make(sink)
    if why == "closed":
        spool.close(10)
    record = a_record(duration_seconds=11.0)
    spool.put(record, Finished())
    assert spool.flush(10)
    assert sink.saved == []
    assert (sink.announced, sink.withdrawn) == ([record.id], [record.id])
