"""Under gevent a recording follows its greenlet and sees nothing of the others."""

from scripts import run

from needs import needs_module

needs_module("gevent")

PREAMBLE = """
from gevent import monkey; monkey.patch_all()
import gevent, greenlet, time
from collections import Counter
from counts import differences, label, of_cprofile, of_tree, quiet
from flaskprof.capture.calltree import CallTreeEngine
ENGINE = CallTreeEngine()

def recurse(n):
    return n if n < 2 else recurse(n - 1) + recurse(n - 2)

def numbers(n):
    for i in range(n):
        yield recurse(i)

def make(number, wait):
    def work():
        for _ in range(5):
            recurse(4 + number)
            list(numbers(number))
            sorted(range(number + 3), key=lambda x: -x)
            try:
                [].pop()
            except IndexError:
                wait()
    return work

def application(counts):
    # What waiting itself calls depends on who waits, so it is not compared.
    mine = lambda name: name[0] == "<string>"
    return Counter({key: n for key, n in counts.items()
                    if (mine(key) or isinstance(key[0], tuple) and mine(key[0]))
                    and "wait" not in str(key)})

def record(work):
    recording = ENGINE.start()
    recording.on()
    try:
        work()
    finally:
        recording.off()
        recording.stop()
    return recording

def wait():
    time.sleep(0.001)

def no_wait():
    pass
"""

ISOLATION = """
wanted = [application(of_cprofile(make(i, no_wait))) for i in range(6)]
recordings = {}
def captured(i):
    recordings[i] = record(make(i, wait))
def noise():
    for _ in range(30):
        make(7, wait)()
with quiet():
    gevent.joinall([gevent.spawn(captured, i) for i in range(6)] + [gevent.spawn(noise)])
for i in range(6):
    differing = differences(wanted[i], application(of_tree(recordings[i].finish())))
    assert differing == [], (i, differing)
    assert recordings[i].notes == []
assert greenlet.gettrace() is None
"""


def test_concurrent_captures_on_one_thread_stay_apart_and_exact():
    run(PREAMBLE + ISOLATION)


WAITING = """
done = []
def captured():
    def work():
        time.sleep(0.2)
    done.append(record(work))
def noise():
    end = time.perf_counter() + 0.15
    while time.perf_counter() < end:
        recurse(10)
gevent.joinall([gevent.spawn(captured), gevent.spawn(noise)])
recording, = done
tree = recording.finish()
assert not any(f.name == "recurse" for f in tree.functions)
totals = tree.totals_ns()
assert 0.2e9 <= totals[0] < 5e9
# What gevent switches with is compiled and no builtin: sleep() is the call that waits.
waiting = max(range(len(tree)), key=lambda i: tree.self_ns[i])
assert tree.self_ns[waiting] > 0.95 * tree.total_ns
assert tree.functions[tree.function[waiting]].name == "sleep"
assert recording.cpu_ns < 10**8, recording.cpu_ns
"""


def test_time_while_switched_out_is_waiting_at_the_call_that_waited():
    run(PREAMBLE + WAITING)


CHAINED = """
seen = Counter()
def tracer(event, args):
    seen[event] += 1
greenlet.settrace(tracer)
recordings = []
def captured():
    recordings.append(record(make(3, wait)))
gevent.joinall([gevent.spawn(captured) for _ in range(3)])
assert greenlet.gettrace() is tracer
assert seen["switch"] > 20
for recording in recordings:
    assert of_tree(recording.finish())[label(recurse.__code__)] > 0
"""


def test_a_greenlet_trace_function_that_was_there_is_called_and_put_back():
    run(PREAMBLE + CHAINED)


REPLACED = """
import pytest
from flaskprof.capture.engines import RecordingLostError
seen = Counter()
def tracer(event, args):
    seen[event] += 1
def captured():
    recording = ENGINE.start()
    recording.on()
    greenlet.settrace(tracer)
    wait()
    recording.off()
    with pytest.raises(RecordingLostError, match="another greenlet trace function"):
        recording.finish()
gevent.spawn(captured).get()
assert greenlet.gettrace() is tracer
greenlet.settrace(None)
def again():
    recording = record(make(3, wait))
    assert of_tree(recording.finish())[label(recurse.__code__)] > 0
gevent.spawn(again).get()
assert greenlet.gettrace() is None
"""


def test_a_trace_function_that_takes_our_place_loses_the_recording_alone():
    run(PREAMBLE + REPLACED)


KILLED = """
import gc, weakref
parked = []
def captured():
    recording = ENGINE.start()
    recording.on()
    try:
        parked.append(1)
        gevent.sleep(1000)
    finally:
        recording.off()
        recording.stop()
        parked.append(of_tree(recording.finish()))
victim = gevent.spawn(captured)
gevent.sleep(0)
victim.kill()
assert len(parked) == 2
gone = weakref.ref(victim)
del victim
gevent.sleep(0)
gc.collect()
assert gone() is None

# A recording that is stopped from elsewhere while its greenlet is switched out.
kept = []
def abandoned():
    kept.append(ENGINE.start())
    kept[0].on()
    recurse(3)
    gevent.sleep(0.01)
    recurse(3)
other = gevent.spawn(abandoned)
gevent.sleep(0)
kept[0].stop()
other.join()
assert of_tree(kept[0].finish())[label(recurse.__code__)] == 5
import sys
assert sys.version_info < (3, 12) or sys.monitoring.get_tool(3) is None
"""


def test_a_killed_greenlet_and_one_that_is_stopped_from_elsewhere_leave_nothing():
    run(PREAMBLE + KILLED)


NATIVE = """
from gevent.threadpool import ThreadPool
def captured(i):
    return of_tree(record(make(i, no_wait)).finish())[label(recurse.__code__)]
alone = captured(3)
found = []
pool = ThreadPool(2)
native = pool.spawn(captured, 3)
here = gevent.spawn(captured, 3)
assert native.get() == here.get() == alone
"""


def test_native_threads_beside_the_hub_are_recorded_as_threads():
    run(PREAMBLE + NATIVE)


def test_plain_greenlets_without_a_hub_stay_apart():
    run("""
import greenlet
from counts import label, of_tree
from flaskprof.capture.calltree import CallTreeEngine
def leaf(): pass
def other():
    leaf()
    main.switch()
    leaf()
main = greenlet.getcurrent()
child = greenlet.greenlet(other)
recording = CallTreeEngine().start()
recording.on()
leaf()
child.switch()
leaf()
recording.off()
child.switch()
tree = recording.finish()
assert of_tree(tree)[label(leaf.__code__)] == 2
assert greenlet.gettrace() is None
""")
