"""The engine in Python counts exactly the calls of the code it brackets."""

from __future__ import annotations

import contextlib
import cProfile
import pstats
import sys
import threading

import pytest

from flaskprof.capture.engines import EngineBusyError
from flaskprof.capture.python_engine.engine import PythonEngine, self_test
from flaskprof.profiles.model import Function


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def numbers(n):
    yield from range(n)


def fail(depth):
    if depth == 0:
        raise KeyError(depth)
    fail(depth - 1)


def work(n):
    fibonacci(n)
    list(numbers(n))
    with contextlib.suppress(KeyError):
        fail(n)
    sorted(range(n), key=lambda x: -x)
    return "".join(str(i) for i in range(n)).encode()


def key_of(function):
    code = function.__code__
    return Function(code.co_filename, code.co_firstlineno, code.co_name)


def record(code, *arguments, segments=1):
    recording = PythonEngine().start()
    for _ in range(segments):
        recording.on()
        try:
            code(*arguments)
        finally:
            recording.off()
    return recording


def by_cprofile(code, *arguments):
    """Counts by function, and by caller and callee, of a single-threaded cProfile run."""
    profiler = cProfile.Profile()
    profiler.enable()
    code(*arguments)
    profiler.disable()
    stats = pstats.Stats(profiler).stats
    own = [key for key in stats if "disable" in key[2]]
    for key in own:
        del stats[key]
    return {
        Function(*key): (
            (value[1], value[0]),
            # Edges are stored the other way round: see cProfile.
            {Function(*caller): edge[:2] for caller, edge in value[4].items()},
        )
        for key, value in stats.items()
    }


def counts(graph):
    return {
        function: (
            tuple(stats.total[:2]),
            {caller: tuple(edge[:2]) for caller, edge in stats.callers.items()},
        )
        for function, stats in graph.functions.items()
    }


def test_the_counts_are_those_of_cprofile():
    assert counts(record(work, 9).finish()) == by_cprofile(work, 9)


def test_segments_add_up_and_nothing_of_ours_is_in_them():
    def thrice():
        for _ in range(3):
            work(7)

    expected = by_cprofile(thrice)
    del expected[key_of(thrice)]
    for _, callers in expected.values():
        callers.pop(key_of(thrice), None)
    assert counts(record(work, 7, segments=3).finish()) == expected


def test_time_between_segments_is_not_in_the_profile():
    recording = PythonEngine().start()
    for _ in range(2):
        recording.on()
        fibonacci(1)
        recording.off()
        done = threading.Event()
        done.wait(0.2)
    assert recording.finish().total_seconds < 0.2


def test_concurrent_recordings_hold_their_own_calls_alone():
    barrier = threading.Barrier(8)
    results = {}

    def one(n):
        barrier.wait()
        results[n] = counts(record(work, n).finish())

    threads = [threading.Thread(target=one, args=(n,)) for n in range(5, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(5, 13):
        assert results[n] == by_cprofile(work, n), n


def test_a_segment_may_run_on_another_thread():
    recording = record(work, 6)

    def more():
        recording.on()
        work(6)
        recording.off()

    thread = threading.Thread(target=more)
    thread.start()
    thread.join()
    assert recording.finish().functions[key_of(work)].total.calls == 2


def test_a_thread_with_a_profiler_is_refused():
    sys.setprofile(lambda *_: None)
    try:
        with pytest.raises(EngineBusyError, match="another profiler"):
            PythonEngine().start()
    finally:
        sys.setprofile(None)


def test_a_profiler_that_takes_over_is_noted_and_left_alone():
    def stranger(*_):
        return None

    recording = PythonEngine().start()
    recording.on()
    fibonacci(3)
    sys.setprofile(stranger)
    fibonacci(3)
    recording.off()
    try:
        assert sys.getprofile() is stranger
    finally:
        sys.setprofile(None)
    assert [note.split(":")[0] for note in recording.notes] == [
        "another profiler took over during the request"
    ]


def test_an_exception_passes_and_leaves_no_profiler_behind():
    with pytest.raises(KeyError):
        record(fail, 3)
    assert sys.getprofile() is None


def test_two_functions_of_one_name_on_one_line_are_summed():
    namespace = {}
    exec("def pair(): (lambda: 1)(); (lambda: 2)()", namespace)
    graph = record(namespace["pair"]).finish()
    assert graph.functions[Function("<string>", 1, "<lambda>")].total.calls == 2


def test_it_proves_itself_on_this_interpreter():
    assert self_test() is None


def test_it_says_so_where_the_interpreter_has_changed(monkeypatch):
    class Changed:
        def __init__(self):
            pass

    monkeypatch.setattr(cProfile, "Profile", Changed)
    assert "not as expected" in self_test()
    assert sys.getprofile() is None
