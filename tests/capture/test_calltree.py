"""The life of a recording: where it is on, what it holds, what it leaves behind."""

import gc
import os
import sys
import threading
import weakref
from collections import Counter
from functools import partial

import pytest
from counts import differences, in_threads, label, of_tree, recorded

from flaskprof.capture import _calltree
from flaskprof.capture.availability import why_no_calltree
from flaskprof.capture.calltree import CallTreeEngine
from flaskprof.capture.cost import recording_cost
from flaskprof.capture.engines import EngineBusyError, RecordingLostError
from flaskprof.profiles.model import Function

ENGINE = CallTreeEngine()
HAS_MONITORING = sys.version_info >= (3, 12)
needs_monitoring = pytest.mark.skipif(not HAS_MONITORING, reason="needs sys.monitoring")


def leaf():
    return len("leaf")


def branch(times=1):
    for _ in range(times):
        leaf()


def count_of(tree, function):
    return of_tree(tree)[label(function.__code__)]


def names(tree):
    return [tree.functions[index].name for index in tree.function]


def test_the_engine_is_available_here():
    assert why_no_calltree() is None


def test_a_tree_is_in_preorder_with_callees_in_the_order_of_their_first_call():
    def work():
        leaf()
        branch(2)
        leaf()

    tree = recorded(ENGINE, work)
    assert names(tree) == [
        "work",
        "leaf",
        "<built-in method builtins.len>",
        "branch",
        "leaf",
        "<built-in method builtins.len>",
    ]
    assert list(tree.parent) == [-1, 0, 1, 0, 3, 4]
    assert list(tree.calls) == [1, 2, 2, 1, 2, 2]


def test_only_what_runs_between_on_and_off_is_recorded():
    recording = ENGINE.start()
    branch()
    for _ in range(3):
        recording.on()
        leaf()
        recording.off()
        branch()
    recording.stop()
    leaf()
    recording.on()
    leaf()
    recording.off()
    tree = recording.finish()
    assert count_of(tree, leaf) == 3
    assert count_of(tree, branch) == 0


def test_a_recording_moves_between_threads():
    recording = ENGINE.start()

    def segment():
        recording.on()
        leaf()
        recording.off()

    for _ in range(3):
        in_threads([segment])
    recording.stop()
    assert recording.notes == []
    assert count_of(recording.finish(), leaf) == 3


def test_recordings_that_take_turns_on_one_thread_stay_apart():
    one, other = ENGINE.start(), ENGINE.start()
    for _ in range(3):
        one.on()
        leaf()
        one.off()
        other.on()
        branch(2)
        other.off()
    one_tree, other_tree = one.finish(), other.finish()
    assert (count_of(one_tree, leaf), count_of(one_tree, branch)) == (3, 0)
    assert (count_of(other_tree, leaf), count_of(other_tree, branch)) == (6, 3)


def test_nested_recordings_both_see_what_the_inner_one_covers():
    outer, inner = ENGINE.start(), ENGINE.start()
    outer.on()
    leaf()
    inner.on()
    branch()
    inner.off()
    leaf()
    outer.off()
    inner_tree, outer_tree = inner.finish(), outer.finish()
    assert names(inner_tree) == ["branch", "leaf", "<built-in method builtins.len>"]
    assert count_of(outer_tree, leaf) == 3
    assert count_of(outer_tree, branch) == 1


def test_recordings_that_overlap_without_nesting_are_exact():
    one, other = ENGINE.start(), ENGINE.start()
    one.on()
    leaf()
    other.on()
    leaf()
    one.off()
    branch(5)
    other.off()
    assert count_of(one.finish(), leaf) == 2
    assert count_of(other.finish(), leaf) == 6


def test_what_started_deep_in_the_stack_may_end_above_and_below():
    recording = ENGINE.start()

    def start_deep(depth):
        if depth:
            return start_deep(depth - 1)
        recording.on()
        return leaf()

    def stop_deep(depth):
        if depth:
            stop_deep(depth - 1)
        else:
            recording.off()
            leaf()

    start_deep(20)
    branch()
    stop_deep(3)
    recording.on()
    leaf()
    recording.off()
    tree = recording.finish()
    assert count_of(tree, start_deep) == 0
    assert count_of(tree, stop_deep) == 4
    assert count_of(tree, leaf) == 3


def test_a_stack_of_a_hundred_thousand_calls_is_recorded():
    depth = 100_000

    def descend(left):
        if left:
            descend(left - 1)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 1_000)
    try:
        tree = recorded(ENGINE, partial(descend, depth))
    finally:
        sys.setrecursionlimit(limit)
    assert count_of(tree, descend) == depth + 1
    assert len(tree) == depth + 1
    assert tree.totals_ns()[0] == tree.total_ns


def test_sys_exit_and_interrupts_leave_the_recording_right():
    def work():
        for error in (SystemExit, KeyboardInterrupt):
            try:
                sys.exit() if error is SystemExit else interrupt()
            except error:
                leaf()

    def interrupt():
        raise KeyboardInterrupt

    tree = recorded(ENGINE, work)
    assert of_tree(tree)[label(work.__code__), label(leaf.__code__)] == 2
    assert of_tree(tree)[label(work.__code__), label(interrupt.__code__)] == 1


def test_a_wide_tree_finds_its_children_by_hash():
    functions = []
    for number in range(10_000):
        namespace = {}
        exec(f"def f{number}(): pass", namespace)
        functions.append(namespace[f"f{number}"])

    def work():
        for _ in range(3):
            for function in functions:
                function()

    tree = recorded(ENGINE, work)
    assert len(tree) == 10_001
    assert set(tree.calls[1:]) == {3}
    assert names(tree)[1:4] == ["f0", "f1", "f2"]


@pytest.mark.parametrize("max_nodes", [1, 2, 3, 10, 100])
def test_beyond_its_nodes_a_recording_sums_up_and_says_so(max_nodes):
    def work(depth=0):
        leaf()
        if depth < 60:
            work(depth + 1)
        leaf()

    engine = CallTreeEngine(max_nodes=max_nodes)
    recording = engine.start()
    for _ in range(2):
        recording.on()
        work()
        recording.off()
    recording.stop()
    tree = recording.finish()
    more = Function("~", 0, "(more)")
    assert of_tree(tree)[more] > 0
    assert sum(tree.calls) == 2 * (61 + 4 * 61)
    assert max_nodes < len(tree) <= 2 * max_nodes + 1
    assert all(
        tree.functions[tree.function[above]] != more for above in tree.parent if above >= 0
    )
    (note,) = recording.notes
    assert note == (
        f"More than {max_nodes} different stacks were seen: calls on further ones are summed "
        "up as (more)."
    )
    assert recording.is_full


def test_threads_of_the_application_are_not_recorded_and_noted():
    recording = ENGINE.start()
    recording.on()
    in_threads([partial(branch, 5)])
    leaf()
    recording.off()
    recording.stop()
    assert recording.notes == [
        "The request started threads: what ran in them is not in the profile."
    ]
    assert count_of(recording.finish(), leaf) == 1


def test_a_thread_that_ends_while_recorded_loses_the_recording():
    recording = ENGINE.start()
    in_threads([lambda: (recording.on(), leaf())])
    assert not recording.is_on
    recording.off()
    recording.stop()
    with pytest.raises(RecordingLostError, match="the thread ended while it was recorded"):
        recording.finish()


def test_another_thread_may_switch_a_recording_off():
    recording = ENGINE.start()
    is_on, is_off = threading.Event(), threading.Event()

    def segment():
        recording.on()
        leaf()
        is_on.set()
        is_off.wait()
        branch(10)

    thread = threading.Thread(target=segment)
    thread.start()
    is_on.wait()
    recording.off()
    is_off.set()
    thread.join()
    recording.stop()
    tree = recording.finish()
    assert count_of(tree, leaf) == 1
    (note,) = recording.notes
    assert note == (
        "Two threads worked on the request at the same time: only one of them is in the "
        "profile."
    )


def test_a_second_on_changes_nothing_and_is_noted():
    recording = ENGINE.start()
    recording.on()
    recording.on()
    leaf()
    recording.off()
    branch()
    recording.off()
    recording.stop()
    assert len(recording.notes) == 1
    assert count_of(recording.finish(), leaf) == 1


def test_a_recording_is_given_once():
    recording = ENGINE.start()
    recording.finish()
    with pytest.raises(RecordingLostError, match="taken already"):
        recording.finish()


def test_an_abandoned_recording_leaves_nothing_on():
    recording = ENGINE.start()
    recording.on()
    leaf()
    recording.off()
    del recording
    gc.collect()


def test_frames_of_flaskprof_are_taken_out_and_what_they_call_moves_up(monkeypatch):
    namespace = {"leaf": leaf, "len": len}
    source = "def middleware(): len('a'); leaf(); leaf()"
    path = os.path.join(os.path.dirname(_calltree.__file__), "..", "middleware.py")  # noqa: PTH118, PTH120
    exec(compile(source, os.path.normpath(path), "exec"), namespace)

    def view():
        leaf()
        namespace["middleware"]()

    tree = recorded(ENGINE, view)
    assert names(tree) == ["view", "leaf", "<built-in method builtins.len>"]
    assert list(tree.calls) == [1, 3, 3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_loses_the_recording_in_the_child_alone():
    recording, waiting = ENGINE.start(), ENGINE.start()
    recording.on()
    leaf()
    child = os.fork()
    if child == 0:
        # Nothing but os._exit must leave here: pytest belongs to the parent.
        code = 1
        try:
            recording.off()
            recording.stop()
            lost = []
            for one in (recording, waiting):
                try:
                    one.finish()
                except RecordingLostError as error:
                    lost.append(str(error))
            own = count_of(recorded(ENGINE, branch), leaf)
            is_clean = not HAS_MONITORING or sys.monitoring.get_tool(3) is None
            expected = ["the process forked while it was recorded"] * 2
            code = 0 if lost == expected and own == 1 and is_clean else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    recording.off()
    assert os.waitstatus_to_exitcode(status) == 0
    assert count_of(recording.finish(), leaf) == 1
    waiting.stop()


def test_sub_interpreters_are_refused_with_a_reason():
    testcapi = pytest.importorskip("_testcapi")
    path = next(path for path in sys.path if os.path.isdir(os.path.join(path, "flaskprof")))  # noqa: PTH112, PTH118
    code = (
        f"import sys; sys.path.insert(0, {path!r})\n"
        "try: from flaskprof.capture import _calltree\n"
        "except ImportError as error:\n"
        "    assert 'interpreter' in str(error), error\n"
        "else: raise SystemError('accepted')"
    )
    assert testcapi.run_in_subinterp(code) == 0
    leaf()


@needs_monitoring
def test_the_tool_id_is_held_as_long_as_a_recording_lives_and_no_longer():
    one, other = ENGINE.start(), ENGINE.start()
    assert sys.monitoring.get_tool(3) == "flaskprof"
    one.stop()
    assert sys.monitoring.get_events(3) != 0
    other.stop()
    other.stop()
    assert sys.monitoring.get_tool(3) is None
    sys.monitoring.use_tool_id(3, "next")
    try:
        events = sys.monitoring.events
        for event in (events.PY_START, events.CALL, events.C_RAISE):
            assert sys.monitoring.register_callback(3, event, None) is None
    finally:
        sys.monitoring.free_tool_id(3)


@pytest.fixture
def take_tools():
    taken = []

    def take(*tools, name="stranger"):
        for tool in tools:
            sys.monitoring.use_tool_id(tool, name)
            taken.append(tool)

    yield take
    for tool in taken:
        sys.monitoring.free_tool_id(tool)


@needs_monitoring
@pytest.mark.parametrize(("taken", "ours"), [((), 3), ((3,), 4), ((3, 4), 5), ((3, 4, 5), 2)])
def test_the_ids_of_others_are_left_to_them_and_cprofiles_is_the_last_choice(
    taken, ours, take_tools
):
    take_tools(*taken)
    recording = ENGINE.start()
    assert sys.monitoring.get_tool(ours) == "flaskprof"
    recording.on()
    leaf()
    recording.off()
    assert count_of(recording.finish(), leaf) == 1
    assert all(sys.monitoring.get_tool(tool) == "stranger" for tool in taken)


@needs_monitoring
def test_without_a_free_id_a_recording_is_refused_with_a_reason(take_tools):
    take_tools(2, 3, 4, 5)
    with pytest.raises(EngineBusyError, match="all tool IDs of sys.monitoring are in use"):
        ENGINE.start()
    assert [sys.monitoring.get_tool(tool) for tool in (2, 3, 4, 5)] == ["stranger"] * 4


@needs_monitoring
def test_an_id_that_a_crashed_start_left_under_our_name_is_recovered():
    for tool in (2, 3, 4, 5):
        sys.monitoring.use_tool_id(tool, "flaskprof" if tool == 4 else "stranger")
    try:
        assert count_of(recorded(ENGINE, branch), leaf) == 1
        assert sys.monitoring.get_tool(4) is None
    finally:
        for tool in (2, 3, 5):
            sys.monitoring.free_tool_id(tool)


@needs_monitoring
def test_events_rest_in_a_long_pause_and_come_back():
    recording = ENGINE.start()
    recording.on()
    ENGINE.rest(0)
    leaf()
    assert sys.monitoring.get_events(3) != 0
    recording.off()
    ENGINE.rest(3600)
    assert sys.monitoring.get_events(3) != 0
    ENGINE.rest(0)
    assert sys.monitoring.get_events(3) == 0
    recording.on()
    leaf()
    recording.off()
    assert count_of(recording.finish(), leaf) == 2


def test_a_profiler_in_python_that_is_on_is_refused_or_works_beside():
    seen = Counter()
    sys.setprofile(lambda frame, event, arg: seen.update([event]))
    try:
        if HAS_MONITORING:
            assert count_of(recorded(ENGINE, branch), leaf) == 1
        else:
            with pytest.raises(EngineBusyError, match="another profiler is on in this thread"):
                ENGINE.start()
        before = seen["call"]
        branch()
        assert seen["call"] == before + 2
    finally:
        sys.setprofile(None)


def test_a_profiler_that_comes_in_between_loses_the_recording_or_works_beside():
    seen = Counter()
    recording = ENGINE.start()
    recording.on()
    leaf()
    sys.setprofile(lambda frame, event, arg: seen.update([event]))
    leaf()
    sys.setprofile(None)
    recording.off()
    recording.stop()
    assert seen["call"] == 1
    if HAS_MONITORING:
        assert count_of(recording.finish(), leaf) == 2
    else:
        with pytest.raises(RecordingLostError, match="another profiler was switched on"):
            recording.finish()


@pytest.mark.parametrize("clock", ["auto", "monotonic"])
def test_both_clocks_measure_the_same_time(clock):
    engine = CallTreeEngine(clock=clock)
    event = threading.Event()
    tree = recorded(engine, lambda: event.wait(0.05))
    assert 0.05 <= tree.total_ns / 1e9 < 5


def test_the_monotonic_clock_is_used_where_it_is_asked_for():
    recording = CallTreeEngine(clock="monotonic").start()
    recording.finish()
    assert recording.facts.clock == "monotonic"


def test_a_wrong_clock_or_size_is_refused():
    with pytest.raises(ValueError, match="clock must be"):
        _calltree.Recording(clock="sundial")
    with pytest.raises(ValueError, match="max_nodes must lie"):
        _calltree.Recording(max_nodes=0)


def test_the_facts_of_a_recording_tell_what_recording_cost():
    recording = ENGINE.start()
    recording.on()
    branch(100)
    recording.off()
    tree = recording.finish()
    facts = recording.facts
    assert facts.events == 2 * sum(tree.calls) == 2 * (1 + 100 + 100)
    assert len(tree) == 3
    assert not recording.is_full
    cost = recording_cost(facts.clock)
    assert facts.overhead_seconds == cost.of(101, 100) > 0
    assert (facts.python_call_ns, facts.builtin_call_ns) == (
        cost.python_call_ns,
        cost.builtin_call_ns,
    )
    assert recording.cpu_ns > 0


def test_recording_keeps_no_object_of_the_application_alive():
    class Thing(list):
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    append = thing.append
    recording = ENGINE.start()
    recording.on()
    append(1)
    recording.off()
    del thing, append
    assert gone() is None
    assert "<method 'append' of 'list' objects>" in names(recording.finish())


def test_code_that_was_freed_is_not_mixed_with_code_that_took_its_place():
    recording = ENGINE.start()
    for number in range(500):
        namespace = {}
        exec(f"def made{number}(): pass", namespace)
        recording.on()
        namespace[f"made{number}"]()
        recording.off()
        del namespace
    tree = recording.finish()
    assert sorted(names(tree)) == sorted(f"made{number}" for number in range(500))


def test_references_and_memory_are_flat_over_thousands_of_captures():
    def capture():
        recording = ENGINE.start()
        recording.on()
        branch(3)
        recording.off()
        recording.finish()

    rounds = int(os.environ.get("FLASKPROF_LEAK_ROUNDS", "3000"))
    for _ in range(200):
        capture()
    gc.collect()
    watched = (leaf.__code__, branch.__code__, list.append, _calltree.Recording)
    before = [sys.getrefcount(item) for item in watched]
    blocks, resident = sys.getallocatedblocks(), resident_bytes()
    for _ in range(rounds):
        capture()
    gc.collect()
    assert [sys.getrefcount(item) for item in watched] == before
    # The interpreter's free lists fill up meanwhile; a leak is one block a capture or more.
    assert sys.getallocatedblocks() - blocks < rounds / 10
    # (A sanitizer keeps what was freed, to find uses of it.)
    assert "FLASKPROF_SANITIZED" in os.environ or resident_bytes() - resident < 2_000_000


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_differences_are_seen():
    """The comparison that proofs of exactness rest on finds a single call too many."""
    tree = recorded(ENGINE, partial(branch, 3))
    counts = of_tree(tree)
    assert differences(counts, of_tree(tree)) == []
    counts[label(leaf.__code__)] += 1
    assert len(differences(counts, of_tree(tree))) == 1
