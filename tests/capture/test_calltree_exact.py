"""Call counts equal those of a single-threaded cProfile run to the last call."""

import cProfile
import sys
import threading
import time
from collections import Counter
from functools import partial

import pytest
from counts import (
    Reference,
    differences,
    in_threads,
    of_cprofile,
    of_tree,
    quiet,
    recorded,
)
from workloads import WORKLOADS, recursion, threads_inside

from flaskprof.capture.calltree import CallTreeEngine

ENGINE = CallTreeEngine()


def single_run(work):
    """Return the counts of one warm run of `work` alone, as cProfile has them."""
    for _ in range(3):
        work()
    return of_cprofile(work)


def reference_run(work):
    with quiet(), Reference() as reference:
        work()
    return reference.counts


@pytest.mark.parametrize("work", WORKLOADS, ids=lambda work: work.__name__)
def test_counts_equal_those_of_cprofile(work):
    if work is threads_inside and sys.version_info >= (3, 12):
        wanted = reference_run(work)  # cProfile counts the other threads too
    else:
        wanted = single_run(work)
    assert differences(wanted, of_tree(recorded(ENGINE, work))) == []
    assert differences(wanted, of_tree(recorded(ENGINE, work))) == []


# The first one overrides builtin methods in Python: cProfile and we then name a builtin after
# whichever class called it first, which a tracer in Python cannot see.
@pytest.mark.parametrize("work", WORKLOADS[1:], ids=lambda work: work.__name__)
def test_the_reference_tracer_of_the_fuzz_test_agrees_too(work):
    for _ in range(3):
        work()
    assert differences(reference_run(work), of_tree(recorded(ENGINE, work))) == []


def test_eight_captures_at_once_each_equal_their_own_single_run():
    works = [work for work in WORKLOADS if work is not threads_inside][:8]
    wanted = [single_run(work) for work in works]
    rounds = 20
    found = {}
    together = threading.Barrier(len(works))

    def record(work):
        recording = ENGINE.start()
        together.wait()
        for _ in range(rounds):
            recording.on()
            work()
            recording.off()
        recording.stop()
        found[work] = recording.finish()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with quiet():
            in_threads([partial(record, work) for work in works])
    finally:
        sys.setswitchinterval(interval)
    for work, single in zip(works, wanted, strict=True):
        many = Counter({key: calls * rounds for key, calls in single.items()})
        assert differences(many, of_tree(found[work])) == [], work.__name__


def test_functions_of_one_label_are_summed_where_cprofile_keeps_only_one():
    # cProfile's snapshot_stats() assigns twice to the key of these two.
    first, second = (lambda x: x), (lambda x: x)  # fmt: skip

    def work():
        first(1)
        first(2)
        second(3)

    profiler = cProfile.Profile()
    profiler.runcall(work)
    profiler.snapshot_stats()
    name = (__file__, first.__code__.co_firstlineno, "<lambda>")
    assert profiler.stats[name][1] in (1, 2)
    tree = recorded(ENGINE, work)
    assert of_tree(tree)[name] == 3
    assert len(tree) == 2


def test_totals_cover_the_time_that_passed():
    def work():
        recursion()
        time.sleep(0.02)

    before = time.perf_counter_ns()
    tree = recorded(ENGINE, work)
    passed = time.perf_counter_ns() - before
    assert 20_000_000 <= tree.total_ns <= passed
    assert sum(self_ns for self_ns in tree.self_ns) == tree.total_ns
    assert tree.totals_ns()[0] == tree.total_ns
