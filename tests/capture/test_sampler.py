"""A sampled profile has the time of its own request, where the request spent it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from flaskprof.capture.engines import EngineBusyError
from flaskprof.capture.sampling import sampler
from flaskprof.capture.sampling.sampler import SamplingEngine, SamplingRecording
from flaskprof.capture.sampling.samples import NOT_SEEN
from flaskprof.capture.sampling.watcher import Watcher
from flaskprof.metrics.instruments import Metrics
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import Function
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph
from needs import needs_module

PATIENCE_SECONDS = 20.0
SCRIPTS = Path(__file__).parent


@pytest.fixture
def watcher():
    watcher = Watcher(Metrics([1.0]))
    yield watcher
    watcher.close(PATIENCE_SECONDS)


@pytest.fixture
def engine(watcher):
    return SamplingEngine(watcher)


def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def function_of(code):
    return Function(code.co_filename, code.co_firstlineno, code.co_name)


def names(tree):
    return {tree.functions[index].name for index in tree.function}


def seconds_in(tree, function):
    """Cumulative seconds of a function of this file."""
    stats = call_graph(tree).functions.get(function_of(function.__code__))
    return 0.0 if stats is None else stats.total.cumulative_seconds


class Timed(SamplingRecording):
    """Notes between which two moments each sample was taken, and how long it was on."""

    def __init__(self, watcher):
        super().__init__(watcher)
        self.moments = []
        self.ons = []

    def on(self):
        self.ons.append(time.perf_counter())
        super().on()
        # What runs between is the caller's: its frame is the base.
        self._segment = self._segment._replace(base=sys._getframe(1))

    def off(self):
        was_on = self._segment is not None
        super().off()
        if was_on:
            self.ons.append(time.perf_counter())

    def look(self, late_seconds):
        before, last = time.perf_counter(), self._samples._last
        super().look(late_seconds)
        if self._samples._last is not last:
            self.moments.append((before, time.perf_counter()))

    @property
    def on_seconds(self):
        return sum(self.ons[1::2]) - sum(self.ons[::2])


def test_each_function_gets_its_time_as_closely_as_the_samples_lie(watcher):
    # Each sample stands for the time since the one before. So all that can be given to a
    # wrong function is time between two samples between which the functions changed.
    changes = []
    truth = {}

    def timed(function):
        started = time.perf_counter()
        function()
        ended = time.perf_counter()
        truth[function] = truth.get(function, 0.0) + ended - started
        changes.extend((started, ended))

    def computing():
        spin(0.15)

    def waiting():
        time.sleep(0.1)

    def sorting():
        end = time.perf_counter() + 0.1
        while time.perf_counter() < end:
            sorted(range(200_000, 0, -1), key=abs)

    def work():
        for _ in range(2):
            timed(computing)
            timed(waiting)
            timed(sorting)

    watcher.start()
    recording = Timed(watcher)
    recording.on()
    work()
    recording.off()
    recording.stop()
    tree = recording.finish()

    moments = [(recording.ons[0],) * 2, *recording.moments, (recording.ons[-1],) * 2]
    uncertain = sum(
        later[1] - earlier[0]
        for earlier, later in pairwise(moments)
        if any(earlier[0] <= change <= later[1] for change in changes)
    )
    assert len(recording.moments) == sum(tree.calls) > 0
    for function, seconds in truth.items():
        assert abs(seconds_in(tree, function) - seconds) <= uncertain + 0.001, function
    assert sum(map(seconds_in, [tree] * 3, truth)) <= tree.total_ns / 1e9 + 1e-9


def test_the_times_sum_up_to_the_time_in_which_it_was_on(watcher):
    watcher.start()
    recording = Timed(watcher)
    for _ in range(5):
        recording.on()
        spin(0.02)
        recording.off()
        time.sleep(0.01)
    tree = recording.finish()
    # The recording's clock is read within the moments that are noted.
    assert tree.total_ns / 1e9 <= recording.on_seconds
    assert tree.total_ns / 1e9 >= 5 * 0.02


def test_time_between_segments_is_not_in_the_profile(engine):
    recording = engine.start()
    started, waited = time.perf_counter(), 0.0
    for _ in range(2):
        recording.on()
        spin(0.01)
        recording.off()
        between = time.perf_counter()
        threading.Event().wait(0.1)
        waited += time.perf_counter() - between
    elapsed = time.perf_counter() - started
    tree = recording.finish()
    assert "wait" not in names(tree)
    assert 0.02 <= tree.total_ns / 1e9 <= elapsed - waited


def test_a_recording_that_is_over_at_once_says_that_nothing_was_seen(engine):
    recording = engine.start()
    # Never looked at: the watcher begins some time after it is told of a target.
    recording._watcher = Watcher(Metrics([1.0]))
    recording.on()
    spin(0.001)
    recording.off()
    tree = recording.finish()
    assert tree.functions == (NOT_SEEN,)
    assert list(tree.calls) == [0]
    assert tree.total_ns >= 1_000_000


def await_samples(recording, *functions):
    """Run until all functions are in the recording's samples: how long that takes varies."""
    wanted = {function_of(function.__code__) for function in functions}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not wanted <= recording._samples._functions.keys():
        assert time.monotonic() < deadline
        for function in functions:
            function()


def one():
    spin(0.01)


def two():
    spin(0.01)


def test_recordings_at_the_same_time_hold_what_their_own_thread_does(engine):
    trees = {}
    stop = threading.Event()

    def record(function):
        recording = engine.start()
        recording.on()
        await_samples(recording, function)
        recording.off()
        trees[function] = recording.finish()

    def stranger():
        while not stop.is_set():
            spin(0.001)

    threads = [threading.Thread(target=record, args=(function,)) for function in (one, two)]
    other = threading.Thread(target=stranger)
    other.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    other.join()
    assert "one" in names(trees[one])
    assert "two" in names(trees[two])
    assert not {"two", "stranger"} & names(trees[one])
    assert not {"one", "stranger"} & names(trees[two])


def test_what_called_the_recorded_code_is_not_in_the_profile(engine):
    recording = engine.start()
    recording.on()
    await_samples(recording, one)
    recording.off()
    tree = recording.finish()
    roots = {
        tree.functions[function].name
        for function, parent in zip(tree.function, tree.parent, strict=True)
        if parent < 0
    }
    assert roots == {"await_samples"}


def test_segments_may_run_on_different_threads(engine):
    recording = engine.start()

    def record(function):
        recording.on()
        await_samples(recording, function)
        recording.off()

    for function in (one, two):
        thread = threading.Thread(target=record, args=(function,))
        thread.start()
        thread.join()
    assert {"one", "two"} <= names(recording.finish())


def test_two_threads_at_once_are_noted_and_break_nothing(engine):
    recording = engine.start()
    recording.on()
    thread = threading.Thread(target=recording.on)
    thread.start()
    thread.join()
    recording.off()
    await_samples(recording, one)
    recording.off()
    recording.stop()
    assert any("Two threads" in note for note in recording.notes)
    assert "one" in names(recording.finish())


def test_every_profile_says_what_sampling_does_not_see(engine):
    recording = engine.start()
    recording.stop()
    (note,) = recording.notes
    assert "builtins are not seen" in note
    assert (engine.name, engine.exactness) == ("sampler", "sampled")


class Waits:
    """A recorded thread that waits and computes in turn, looked at when the test says so."""

    def __init__(self, watcher):
        self.recording = SamplingRecording(watcher)
        self.is_waiting, self.may_go_on = threading.Event(), threading.Event()
        self.computed_seconds = 0.0
        self.thread = threading.Thread(target=self.record)

    def record(self):
        self.recording.on()
        self.work()
        self.recording.off()

    def work(self):
        self.one()
        self.compute()
        self.other()

    def one(self):
        self.wait()

    def other(self):
        self.wait()

    def wait(self):
        self.is_waiting.set()
        self.may_go_on.wait()
        self.may_go_on.clear()

    def compute(self):
        started = time.thread_time()
        while self.computed_seconds < 0.05:
            self.computed_seconds = time.thread_time() - started

    def look_at_both(self, late_seconds):
        """Return self seconds of each function after a look at either wait."""
        self.thread.start()
        for _ in range(2):
            assert self.is_waiting.wait(PATIENCE_SECONDS)
            self.is_waiting.clear()
            self.recording.look(late_seconds)
            self.may_go_on.set()
        self.thread.join()
        functions = call_graph(self.recording.finish()).functions
        return {
            function.name: stats.total.self_seconds for function, stats in functions.items()
        }


needs_clock = pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="no clock of another thread is to be had"
)


@pytest.fixture
def idle_watcher():
    return Watcher(Metrics([1.0]))


@needs_clock
def test_computing_between_two_waits_is_time_of_what_called_both(idle_watcher):
    waits = Waits(idle_watcher)
    seconds = waits.look_at_both(late_seconds=0.001)
    assert "compute" not in seconds
    # The system may be some milliseconds late to bring the clock up to date.
    assert 0.02 <= seconds["work"] <= waits.recording.cpu_seconds
    (_, note) = waits.recording.notes
    assert re.match(r"≈ \d+ % of the time was computing in stretches of up to 5 ms", note)


@needs_clock
def test_a_look_that_made_the_thread_give_way_is_believed(idle_watcher):
    waits = Waits(idle_watcher)
    seconds = waits.look_at_both(late_seconds=sys.getswitchinterval())
    assert seconds["work"] == 0
    assert len(waits.recording.notes) == 1


def test_without_a_clock_the_profile_says_what_it_misreads(idle_watcher, monkeypatch):
    monkeypatch.delattr(time, "pthread_getcpuclockid", raising=False)
    waits = Waits(idle_watcher)
    seconds = waits.look_at_both(late_seconds=0.001)
    assert seconds["work"] == 0
    (_, note) = waits.recording.notes
    assert note.endswith("is read as the waiting that follows it.")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="there is no /proc")
def test_a_thread_that_waits_is_told_from_one_that_computes_by_what_the_system_says():
    is_over = threading.Event()
    thread = threading.Thread(target=is_over.wait)
    thread.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sampler._is_ready(thread.native_id):
        assert time.monotonic() < deadline
    is_over.set()
    assert sampler._is_ready(threading.get_native_id())
    thread.join()
    assert not sampler._is_ready(0), "there is no such thread"


def test_a_deep_recursion_is_cut_and_noted(engine):
    depth = sys.getrecursionlimit()
    sys.setrecursionlimit(5_000)

    def dive(levels):
        if levels:
            dive(levels - 1)
        else:
            await_samples(recording, one)

    recording = engine.start()
    try:
        recording.on()
        dive(2_000)
        recording.off()
    finally:
        sys.setrecursionlimit(depth)
    recording.stop()
    tree = recording.finish()
    assert any("more than 1,000 calls" in note for note in recording.notes)
    assert {"dive", "(more)", "one"} <= names(tree)


def test_the_file_of_a_sampled_tree_says_so(engine):
    recording = engine.start()
    recording.on()
    await_samples(recording, one)
    recording.off()
    graph = call_graph(recording.finish())
    assert graph.is_sampled
    assert read_profile(write_profile(graph)) == graph


def test_a_stopped_recording_is_no_longer_watched(engine, watcher):
    recording = engine.start()
    recording.on()
    recording.stop()
    assert not watcher._targets
    assert recording.finish().is_sampled


def test_without_a_watcher_the_engine_says_why(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "uwsgi", _Uwsgi)
    with pytest.raises(EngineBusyError, match="without --enable-threads"):
        engine.start()


class _Uwsgi:
    """What a process of an older uWSGI has as the module of that name."""

    version = b"2.0.26"
    opt: dict = {}  # noqa: RUF012  read only


def run_script(name, *arguments):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", SCRIPTS / name, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPTS), *sys.path])},
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_within_a_recording_has_a_recorder_of_its_own(tmp_path):
    done = run_script("sampled_fork.py", str(tmp_path))
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "child: the process forked, and the recording is its parent's",
        "child: sampled anew",
        "child: one watcher",
        "parent: sampled",
        "parent: one watcher",
    ]


@pytest.mark.parametrize("patched", ["patched", "plain"])
def test_greenlets_are_sampled_apart_by_a_thread_that_is_none(patched):
    needs_module("gevent")
    done = run_script("sampled_greenlets.py", patched)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "one: busy_one wait_one",
        "two: busy_two wait_two",
        "closed",
    ]


def in_thread(code):
    thread = threading.Thread(target=code)
    thread.start()
    thread.join()


def test_what_runs_elsewhere_while_it_is_held_is_called_by_what_waits(watcher):
    recording = SamplingEngine(watcher).start()

    def elsewhere():
        recording.on()
        spin(0.2)
        recording.off()

    def waits():
        assert recording.hold(in_thread.__code__)
        assert not recording.hold(in_thread.__code__), "it is held already"
        in_thread(elsewhere)
        in_thread(lambda: time.sleep(0.1))
        recording.resume()
        spin(0.1)

    recording.on()
    waits()
    recording.off()
    tree = recording.finish()
    graph = call_graph(tree)
    callers = graph.functions[function_of(spin.__code__)].callers
    assert {function.name for function in callers} == {"in_thread", "waits"}
    assert graph.functions[function_of(in_thread.__code__)].callers.keys() == {
        function_of(waits.__code__)
    }
    assert graph.functions[function_of(waits.__code__)].callers == {}
    assert tree.total_ns == recording._on_ns
    assert tree.total_ns / 1e9 > 0.3
    assert recording.cpu_seconds > 0
    recording.resume()
