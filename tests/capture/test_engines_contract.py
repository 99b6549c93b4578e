"""What holds for the recordings of every engine, whatever it records with.

Most of it is about exact counts and so about the engines that count.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass
from itertools import product

import pytest
from counts import differences, in_threads, of_cprofile

from flaskprof.capture.calltree import CallTreeEngine
from flaskprof.capture.engines import Engine, EngineBusyError, RecordingLostError
from flaskprof.capture.notes import MIXED, STARTED_THREADS
from flaskprof.capture.python_engine.engine import PythonEngine
from flaskprof.capture.python_engine.greenlets import Greenlets
from flaskprof.capture.python_engine.places import Threads
from flaskprof.capture.sampling.sampler import SamplingEngine
from flaskprof.capture.sampling.watcher import Watcher
from flaskprof.metrics.instruments import Metrics
from flaskprof.profiles.model import CallGraph, Function
from flaskprof.profiles.sums import call_graph


@dataclass(frozen=True)
class Kind:
    """An engine, and what it can do that others may refuse."""

    name: str
    engine: Engine
    nests: bool
    counts_cpu: bool

    def __str__(self):
        return self.name


ENGINES = [
    Kind("calltree", CallTreeEngine(), nests=True, counts_cpu=True),
    Kind("python on threads", PythonEngine(Threads), nests=False, counts_cpu=True),
    Kind("python on greenlets", PythonEngine(Greenlets), nests=False, counts_cpu=False),
]


@pytest.fixture(params=ENGINES, ids=str)
def kind(request):
    return request.param


@pytest.fixture
def engine(kind):
    return kind.engine


@pytest.fixture(params=[*ENGINES, "sampler"], ids=str)
def any_engine(request):
    """An engine that counts, or the one that samples."""
    if request.param != "sampler":
        yield request.param.engine
        return
    watcher = Watcher(Metrics([1.0]))
    yield SamplingEngine(watcher)
    watcher.close(20)


def leaf(): ...


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def numbers(n):
    for i in range(n):
        yield fibonacci(i)


def fail(depth):
    if depth == 0:
        raise KeyError(depth)
    fail(depth - 1)


def work(n=7):
    list(numbers(n))
    sorted(range(n), key=lambda x: -x)
    with contextlib.suppress(KeyError):
        fail(n)


def twice():
    leaf()
    leaf()


def key_of(function):
    code = getattr(function, "__code__", function)
    return Function(code.co_filename, code.co_firstlineno, code.co_name)


def graph_of(recording) -> CallGraph:
    return call_graph(recording.finish())


def counts(graph):
    """Calls per function and per edge, as `counts.of_cprofile` has them."""
    found = {}
    for function, stats in graph.functions.items():
        found[tuple(function)] = stats.total.calls
        for caller, edge in stats.callers.items():
            found[tuple(caller), tuple(function)] = edge.calls
    return found


def calls(graph, function):
    stats = graph.functions.get(key_of(function))
    return 0 if stats is None else stats.total.calls


def callers(graph, function):
    edges = graph.functions[key_of(function)].callers
    return {caller.name: edge.calls for caller, edge in edges.items()}


def segment(recording, code, *arguments):
    """Run a piece of code with the recording on; only what it calls is recorded."""
    recording.on()
    try:
        code(*arguments)
    finally:
        recording.off()


def in_another_thread(function):
    in_threads([function])


def different(wanted, found):
    return differences(Counter(wanted), Counter(found))


def test_the_counts_are_those_of_cprofile(engine):
    for _ in range(2):
        work()
    recording = engine.start()
    segment(recording, work)
    recording.stop()
    assert different(of_cprofile(work), counts(graph_of(recording))) == []
    assert recording.notes == []


def test_nothing_is_recorded_before_between_and_after(engine):
    recording = engine.start()
    work()
    for _ in range(3):
        segment(recording, twice)
        work()
    recording.stop()
    work()
    graph = graph_of(recording)
    assert set(graph.functions) == {key_of(twice), key_of(leaf)}
    assert (calls(graph, twice), calls(graph, leaf)) == (3, 6)


def test_a_recording_without_a_segment_is_empty(engine):
    recording = engine.start()
    recording.stop()
    assert graph_of(recording).functions == {}


def test_each_segment_may_run_on_another_thread(engine):
    recording = engine.start()
    for _ in range(4):
        in_another_thread(lambda: segment(recording, twice))
    segment(recording, twice)
    recording.stop()
    graph = graph_of(recording)
    assert (calls(graph, twice), calls(graph, leaf)) == (5, 10)
    assert recording.notes == []


def test_threads_that_run_beside_it_are_not_in_it(engine):
    ready, done = threading.Event(), threading.Event()

    def beside():
        while not done.is_set():
            fibonacci(5)
            ready.set()

    def record():
        ready.wait(10)
        try:
            for _ in range(50):
                segment(recording, twice)
        finally:
            done.set()

    recording = engine.start()
    in_threads([beside, record])
    graph = graph_of(recording)
    assert set(graph.functions) == {key_of(twice), key_of(leaf)}
    assert calls(graph, leaf) == 100


def test_recordings_on_several_threads_at_once_stay_apart(engine):
    together = threading.Barrier(6)
    found = {}

    def record(n):
        recording = engine.start()
        together.wait(10)
        for _ in range(20):
            segment(recording, work, n)
        recording.stop()
        found[n] = counts(graph_of(recording))

    in_threads([lambda n=n: record(n) for n in range(4, 10)])
    for n in range(4, 10):

        def many(n=n):
            for _ in range(20):
                work(n)

        wanted = {k: v for k, v in of_cprofile(many).items() if "many" not in str(k)}
        assert different(wanted, found[n]) == [], n


def test_recordings_that_take_turns_on_one_thread_stay_apart(engine):
    first, second = engine.start(), engine.start()
    for _ in range(3):
        segment(first, leaf)
        segment(second, twice)
    assert set(graph_of(first).functions) == {key_of(leaf)}
    assert callers(graph_of(second), leaf) == {"twice": 6}


def test_a_recording_inside_another_is_whole_or_refused(kind):
    outer = kind.engine.start()
    inner = []

    def nested():
        leaf()
        if kind.nests:
            inner.append(kind.engine.start())
            segment(inner[0], twice)
        else:
            with pytest.raises(EngineBusyError, match="another profiler"):
                kind.engine.start()
            twice()

    segment(outer, nested)
    outer.stop()
    assert calls(graph_of(outer), leaf) == 3
    for recording in inner:
        assert set(graph_of(recording).functions) == {key_of(twice), key_of(leaf)}


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_passes_and_leaves_nothing_on(engine, error):
    raised = error("on purpose")

    def throw():
        raise raised

    recording = engine.start()
    with pytest.raises(error) as caught:
        segment(recording, throw)
    assert caught.value is raised
    recording.stop()
    assert calls(graph_of(recording), throw) == 1


def test_it_may_begin_deep_in_the_stack_and_end_above_and_below(engine):
    recording = engine.start()

    def deep(depth, then):
        if depth:
            deep(depth - 1, then)
        else:
            then()
        leaf()

    deep(3, recording.on)
    twice()
    deep(3, recording.off)
    deep(3, lambda: None)
    segment(recording, twice)
    graph = graph_of(recording)
    # On the way up four leaves, and two calls of `twice`; on the way down none.
    assert calls(graph, leaf) == 4 + 2 + 2
    assert callers(graph, leaf) == {"twice": 4}
    assert calls(graph, deep) == 4
    assert callers(graph, twice) == {}


def test_calls_that_are_open_at_the_end_are_counted(engine):
    recording = engine.start()

    def inside(_):
        recording.off()

    recording.on()
    max([1], key=inside)
    segment(recording, twice)
    graph = graph_of(recording)
    assert calls(graph, inside) == 1
    assert callers(graph, inside) == {"<built-in method builtins.max>": 1}
    assert callers(graph, twice) == {}


def test_a_second_on_changes_nothing_and_is_noted(engine):
    recording = engine.start()
    recording.on()
    leaf()
    recording.on()
    leaf()
    recording.off()
    leaf()
    recording.stop()
    assert calls(graph_of(recording), leaf) == 2
    assert recording.notes == [MIXED]


def test_an_off_without_an_on_changes_nothing(engine):
    recording = engine.start()
    recording.off()
    segment(recording, leaf)
    recording.off()
    recording.off()
    recording.stop()
    recording.stop()
    assert calls(graph_of(recording), leaf) == 1
    assert recording.notes == []


def test_after_stop_nothing_is_recorded(engine):
    recording = engine.start()
    recording.on()
    leaf()
    recording.stop()
    recording.on()
    leaf()
    recording.off()
    assert calls(graph_of(recording), leaf) == 1


def test_another_thread_may_switch_it_off_which_is_noted(engine):
    recording = engine.start()
    is_on, is_off, again = threading.Event(), threading.Event(), threading.Event()
    left = []

    def first():
        recording.on()
        leaf()
        is_on.set()
        is_off.wait(10)
        fibonacci(6)
        # The thread serves another request.
        another = engine.start()
        segment(another, twice)
        left.append(sys.getprofile())
        left.append(calls(graph_of(another), leaf))
        again.set()

    def second():
        is_on.wait(10)
        recording.off()
        is_off.set()
        again.wait(10)

    in_threads([first, second])
    recording.stop()
    graph = graph_of(recording)
    assert (calls(graph, leaf), calls(graph, fibonacci)) == (1, 0)
    assert left == [None, 2]
    assert recording.notes == [MIXED]


def test_a_recording_that_nobody_stops_leaves_nothing_on(engine):
    recording = engine.start()
    segment(recording, leaf)
    del recording
    gc.collect()
    assert sys.getprofile() is None


def test_threads_that_the_application_starts_are_not_in_it_and_noted(engine):
    recording = engine.start()
    segment(recording, in_another_thread, work)
    recording.stop()
    graph = graph_of(recording)
    assert calls(graph, work) == 0
    assert recording.notes == [STARTED_THREADS]


def test_a_foreign_profiler_stays_and_the_recording_is_marked_or_beside_it(engine):
    def foreign(*_):
        return None

    recording = engine.start()
    recording.on()
    leaf()
    sys.setprofile(foreign)
    leaf()
    recording.off()
    try:
        assert sys.getprofile() is foreign
    finally:
        sys.setprofile(None)
    gc.collect()
    try:
        graph = graph_of(recording)
    except RecordingLostError:
        return
    assert calls(graph, leaf) == 2 or recording.notes


def test_cpu_time_is_that_of_the_recorded_threads(kind):
    recording = kind.engine.start()
    before = time.thread_time()
    segment(recording, fibonacci, 18)
    recording.stop()
    if kind.counts_cpu:
        assert 0 < recording.cpu_seconds <= time.thread_time() - before
    else:
        assert recording.cpu_seconds is None


def waiting(recording, elsewhere):
    """Run `elsewhere` on another thread in place of a call of `plumbing`."""
    assert recording.hold(plumbing.__code__)
    plumbing(elsewhere)
    recording.resume()


def plumbing(elsewhere):
    leaf()
    in_another_thread(elsewhere)
    leaf()


def test_what_is_recorded_while_it_is_held_is_called_by_what_waits(engine):
    recording = engine.start()

    def elsewhere():
        segment(recording, work, 5)
        time.sleep(0.02)

    def caller():
        twice()
        waiting(recording, elsewhere)
        twice()

    def outermost():
        caller()
        leaf()

    segment(recording, outermost)
    segment(recording, outermost)
    recording.stop()
    graph = graph_of(recording)
    assert recording.notes == []
    assert callers(graph, leaf) == {"twice": 8, "outermost": 2}
    assert callers(graph, plumbing) == {"waiting": 2}
    assert callers(graph, work) == {"plumbing": 2}
    assert callers(graph, caller) == {"outermost": 2}
    assert callers(graph, twice) == {"caller": 4}
    wanted = of_cprofile(lambda: work(5))
    inside = counts(graph)
    for key, number in wanted.items():
        if "lambda" not in str(key):
            assert inside[key] == 2 * number, key
    whole = graph.functions[key_of(outermost)].total.cumulative_seconds
    # What the time was spent in is counted once.
    assert graph.total_seconds == pytest.approx(whole, rel=0.25)
    held = graph.functions[key_of(plumbing)].total
    assert held.cumulative_seconds > held.self_seconds > 0


def test_holds_nest(engine):
    recording = engine.start()

    def innermost():
        segment(recording, leaf)

    def elsewhere():
        segment(recording, leaf)
        segment(recording, waiting, recording, innermost)

    def caller():
        waiting(recording, elsewhere)
        leaf()

    segment(recording, caller)
    recording.stop()
    graph = graph_of(recording)
    assert recording.notes == []
    assert callers(graph, leaf) == {"caller": 1, "plumbing": 2}
    assert calls(graph, plumbing) == 2
    plumbed = graph.functions[key_of(plumbing)].total
    assert plumbed.primitive_calls == 1
    whole = graph.functions[key_of(caller)].total.cumulative_seconds
    assert plumbed.cumulative_seconds <= whole


def test_the_loop_of_a_held_call_may_begin_below_what_it_runs(engine):
    """A coroutine begins to be recorded within it, and goes on from a loop below."""
    recording = engine.start()

    def steps():
        recording.on()
        leaf()
        yield
        leaf()
        recording.off()

    def loop():
        generator = steps()
        next(generator)
        leaf()
        for _ in map(next, [generator]):
            leaf()

    def caller():
        assert recording.hold(plumbing.__code__)
        with contextlib.suppress(StopIteration):
            loop()
        recording.resume()
        leaf()

    segment(recording, caller)
    recording.stop()
    graph = graph_of(recording)
    assert recording.notes == []
    # The first step's leaf and that of the loop were called by nobody else.
    assert callers(graph, leaf) == {"plumbing": 2, "steps": 1, "caller": 1}
    assert calls(graph, steps) == 1
    assert callers(graph, caller) == {}


def test_only_the_recorded_thread_can_be_held(engine):
    recording = engine.start()
    assert not recording.hold(plumbing.__code__)
    answers = []
    recording.on()
    in_another_thread(lambda: answers.append(recording.hold(plumbing.__code__)))
    leaf()
    recording.off()
    recording.resume()
    recording.stop()
    assert answers == [False]
    assert calls(graph_of(recording), leaf) == 1


def test_what_is_left_held_or_on_is_let_go_by_stop(engine):
    recording = engine.start()

    def elsewhere():
        recording.on()
        leaf()

    recording.on()
    leaf()
    recording.hold(plumbing.__code__)
    in_another_thread(elsewhere)
    recording.stop()
    leaf()
    try:
        graph = graph_of(recording)
    except RecordingLostError:
        return  # the thread ended while it was recorded
    assert calls(graph, leaf) == 2


def test_hold_in_the_callback_of_a_builtin_keeps_the_stack(engine):
    recording = engine.start()

    def elsewhere():
        segment(recording, leaf)

    def key(value):
        waiting(recording, elsewhere)
        leaf()
        return value

    def caller():
        sorted([2, 1], key=key)
        leaf()

    segment(recording, caller)
    graph = graph_of(recording)
    assert callers(graph, key) == {"<built-in method builtins.sorted>": 2}
    assert callers(graph, leaf) == {"plumbing": 2, "key": 2, "caller": 1}


STEPS = {
    "on": lambda recording: recording.on(),
    "off": lambda recording: recording.off(),
    "hold": lambda recording: recording.hold(plumbing.__code__),
    "resume": lambda recording: recording.resume(),
    "stop": lambda recording: recording.stop(),
    "leaf": lambda _: leaf(),
    "on elsewhere": lambda recording: in_another_thread(recording.on),
    "off elsewhere": lambda recording: in_another_thread(recording.off),
}


@pytest.mark.parametrize("first", STEPS)
def test_in_whatever_order_they_are_called_none_raises_and_nothing_is_left_on(
    any_engine, first
):
    for others in product(STEPS, repeat=2):
        recording = any_engine.start()
        for step in (first, *others):
            STEPS[step](recording)
        recording.stop()
        assert sys.getprofile() is None, (first, *others)
        with contextlib.suppress(RecordingLostError):
            assert graph_of(recording).total_seconds >= 0, (first, *others)
        assert isinstance(recording.notes, list)


def test_what_is_known_of_a_recording_is_there_when_it_is_finished(any_engine):
    recording = any_engine.start()
    segment(recording, fibonacci, 12)
    recording.stop()
    profile = recording.finish()
    assert recording.facts.events is None or recording.facts.events > 0
    assert profile.is_sampled == (any_engine.exactness == "sampled")
    assert all(note.endswith((".", "missing")) for note in recording.notes)


def test_recordings_are_flat_in_memory(engine):
    def capture():
        recording = engine.start()
        for _ in range(3):
            segment(recording, work, 4)
        recording.stop()
        recording.finish()

    for _ in range(20):
        capture()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            capture()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 50_000
