"""When things go wrong the process behaves as without us; a profile is whole or absent."""

import sys

import pytest
from scripts import run

PREAMBLE = """
import gc, os, signal, sys, threading, time
from counts import label, of_tree
from flaskprof.capture.calltree import CallTreeEngine
from flaskprof.capture.engines import EngineBusyError, RecordingLostError
ENGINE = CallTreeEngine()

def leaf():
    return len("x")

def branch(times):
    for _ in range(times):
        leaf()
"""

DEPTHS = """
def depths(tree, name):
    depth = []
    for parent in tree.parent:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return [d for d, f in zip(depth, tree.function) if tree.functions[f].name == name]
"""

OUT_OF_MEMORY = """
import _testcapi
functions = []
for number in range(300):
    namespace = {}
    exec(f"def f{number}(): len('x'); [].append(1)", namespace)
    functions.append(namespace[f"f{number}"])

def work():
    for function in functions:
        function()

def attempt(fail_at):
    "One capture in which the allocation number fail_at fails. What became of it."
    _testcapi.set_nomemory(fail_at, fail_at + 1)
    try:
        recording = ENGINE.start()
    except (EngineBusyError, MemoryError) as error:
        _testcapi.remove_mem_hooks()
        return "refused"
    failed = False
    try:
        recording.on()
        try:
            work()
        except MemoryError:
            failed = True
        try:
            recording.off()
        except MemoryError:
            recording.off()  # the interpreter could not even make the call
    except BaseException as error:
        _testcapi.remove_mem_hooks()
        raise AssertionError("on() or off() raised") from error
    try:
        # Python's own half of stop() may run out of memory like any code; it is repeated.
        recording.stop()
    except MemoryError:
        pass
    _testcapi.remove_mem_hooks()
    recording.stop()
    try:
        tree = recording.finish()
    except RecordingLostError as error:
        assert "out of memory" in str(error) or "could not be" in str(error), error
        assert not failed
        return "lost"
    if failed:
        return "the application's own"
    counts = of_tree(tree)
    assert all(counts[label(function.__code__)] == 1 for function in functions)
    assert counts["~", 0, "<built-in method builtins.len>"] == 300
    return "whole"

for _ in range(3):
    assert attempt(10**9) == "whole"
seen = [attempt(number) for number in range(2000 if sys.version_info < (3, 12) else 400)]
assert {"refused", "lost", "whole"} <= set(seen), set(seen)
assert attempt(10**9) == "whole"
if hasattr(sys, "monitoring"):
    assert [sys.monitoring.get_tool(i) for i in range(6)] == [None] * 6
"""


def test_out_of_memory_at_any_moment_gives_a_whole_profile_or_none():
    pytest.importorskip("_testcapi")
    run(PREAMBLE + OUT_OF_MEMORY)


INTERRUPTS = """
class Interrupt(Exception):
    pass

entered = 0
def counted(depth):
    global entered
    entered += 1
    if depth:
        counted(depth - 1)
    sorted([3, 1, 2], key=lambda x: -x)

def interrupted_work():
    while True:
        counted(20)

armed = False
interrupts = 0
def handler(signum, frame):
    global interrupts
    if armed:
        interrupts += 1
        raise KeyboardInterrupt if interrupts % 2 else Interrupt

def segment():
    global armed
    try:
        armed = True
        interrupted_work()
    except (KeyboardInterrupt, Interrupt):
        armed = False

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for _ in range(40):
    entered = interrupts = 0
    recording = ENGINE.start()
    recording.on()
    while interrupts < 5:
        segment()
    recording.off()
    recording.stop()
    tree = recording.finish()
    assert recording.notes == [], recording.notes
    # A signal may arrive after a call was made and before it was counted by itself.
    counts = of_tree(tree)
    found = counts[label(counted.__code__)]
    assert entered <= found <= entered + interrupts, (entered, found, interrupts)
    # Each segment begins where it should, whatever was torn down in the one before.
    work = label(interrupted_work.__code__)
    assert counts[label(segment.__code__), work] == counts[work]
    assert max(depths(tree, "segment")) == 0
signal.setitimer(signal.ITIMER_REAL, 0)
"""


def test_signal_handlers_that_raise_at_any_moment_leave_the_counts_right():
    run(PREAMBLE + DEPTHS + INTERRUPTS)


ABORT = """
def handler(signum, frame):
    sys.exit(7)  # what gunicorn does to a worker that took too long
signal.signal(signal.SIGABRT, handler)
recording = ENGINE.start()
recording.on()
try:
    branch(3)
    os.kill(os.getpid(), signal.SIGABRT)
    time.sleep(60)
finally:
    recording.off()
    recording.stop()
    assert of_tree(recording.finish())[label(leaf.__code__)] == 3
    print("finished")
"""


def test_an_abort_that_exits_during_a_capture_ends_the_process_as_it_would():
    assert run(PREAMBLE + ABORT, expect=7) == "finished\n"


SHUTDOWN = """
class Late:
    def __del__(self):
        branch(3)

recordings = [ENGINE.start() for _ in range(3)]
recordings[0].on()
started = threading.Event()
def daemon():
    recordings[1].on()
    late = Late()
    while True:
        branch(10)
        started.set()
threading.Thread(target=daemon, daemon=True).start()
started.wait()
def at_end():
    try:
        recordings[0].finish()
    except RecordingLostError as error:
        print(error)
    try:
        ENGINE.start()
    except EngineBusyError as error:
        print(error)
import builtins
builtins.kept = (recordings, Late(), at_end)
branch(2)
"""


def test_the_interpreter_ends_quietly_with_captures_running():
    assert run(PREAMBLE + SHUTDOWN) == ""


AT_EXIT = """
import atexit
recording, running = ENGINE.start(), ENGINE.start()
recording.on()
branch(2)
recording.off()
recording.stop()
running.on()
# Registered after ours and so called before it; the next one is called after ours.
from flaskprof.capture import _calltree
atexit.unregister(_calltree.forget_at_exit)
def late():
    print(of_tree(recording.finish())[label(leaf.__code__)])
    for call in (running.finish, ENGINE.start):
        try:
            call()
        except (RecordingLostError, EngineBusyError) as error:
            print(error)
atexit.register(late)
atexit.register(_calltree.forget_at_exit)
"""


def test_what_had_stopped_is_whole_at_the_end_and_the_rest_is_refused():
    assert run(PREAMBLE + AT_EXIT).splitlines() == [
        "2",
        "the interpreter is shutting down",
        "the interpreter is shutting down",
    ]


FINALISERS = """
class Profiled:
    "Runs profiled code, and captures of its own, whenever it is collected."
    def __init__(self):
        self.cycle = self
    def __del__(self):
        branch(2)
        inner = ENGINE.start()
        inner.on()
        branch(1)
        inner.off()
        seen.append(of_tree(inner.finish())[label(leaf.__code__)])

seen = []
gc.set_threshold(5)
recording = ENGINE.start()
recording.on()
for _ in range(200):
    Profiled()
    branch(1)
recording.off()
gc.set_threshold(700)
recording.stop()
collected = len(seen)
tree = recording.finish()
assert collected > 100
# Finishing an inner recording inside counts nothing: it only reads.
assert of_tree(tree)[label(leaf.__code__)] == 200 + 3 * collected, collected
assert set(seen) == {1}
"""


def test_finalisers_that_run_profiled_code_and_captures_are_exact():
    run(PREAMBLE + FINALISERS)


RECURSION = """
def deep_python(depth=0):
    try:
        return deep_python(depth + 1)
    except RecursionError:
        return depth

def deep_c(depth=0):
    try:
        max([depth + 1], key=deep_c)
        return reached(depth)
    except RecursionError:
        return reached(depth)

highest = 0
def reached(depth):
    global highest
    highest = max(highest, depth)
    return highest

for function in (deep_python, deep_c):
    highest = 0
    plain = function()
    highest = 0
    recording = ENGINE.start()
    recording.on()
    recorded = function()
    recording.off()
    recording.finish()
    assert plain == recorded > 50, (function, plain, recorded)
"""


def test_the_recursion_limit_is_reached_no_earlier():
    run(PREAMBLE + RECURSION)


EXCEPTION_STATE = """
def failing():
    # Each new function is entered while an exception is on its way.
    try:
        raise ValueError("first")
    except ValueError:
        for number in range(100):
            namespace = {}
            exec(f"def f{number}(): pass", namespace)
            namespace[f"f{number}"]()
            assert str(sys.exc_info()[1]) == "first"
        raise

class Context:
    def __exit__(self, *error):
        assert str(error[1]) == "first"
        leaf()
    def __enter__(self):
        return self

recording = ENGINE.start()
recording.on()
try:
    with Context():
        failing()
except ValueError as error:
    caught = error
recording.off()
assert str(caught) == "first" and caught.__context__ is None
recording.finish()
"""


def test_the_current_exception_is_left_alone():
    run(PREAMBLE + EXCEPTION_STATE)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")
def test_callbacks_withstand_arguments_that_no_interpreter_gives():
    run(
        PREAMBLE
        + """
recording = ENGINE.start()
recording.on()
monitoring = sys.monitoring
for event in (2**bit for bit in range(15)):
    try:
        callback = monitoring.register_callback(3, event, None)
    except ValueError:
        continue
    if callback is not None:
        for arguments in ((), (1,), (1, 2, 3), (None, 0, len, 1), (None, 0, str.join, None)):
            callback(*arguments)
        monitoring.register_callback(3, event, callback)
recording.off()
recording.finish()
"""
    )


AUDIT = """
outcomes = []
def hook(event, arguments):
    if event == "sys.monitoring.register_callback":
        try:
            ENGINE.start().stop()
        except EngineBusyError as error:
            outcomes.append(str(error))
sys.addaudithook(hook)
for _ in range(3):
    recording = ENGINE.start()
    recording.on()
    branch(3)
    recording.off()
    recording.stop()
    assert of_tree(recording.finish())[label(leaf.__code__)] == 3
    assert sys.monitoring.get_tool(3) is None
assert set(outcomes) == {"the tool ID is just being taken or given back"}
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")
def test_an_audit_hook_that_starts_a_capture_while_one_starts_or_stops_is_refused():
    run(PREAMBLE + AUDIT)
