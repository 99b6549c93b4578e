"""Under gevent a recording of every engine follows its greenlet alone.

Each test runs in an interpreter of its own, since monkey patching cannot be undone.
"""

import pytest
from scripts import run

from needs import needs_module

needs_module("gevent")

PREAMBLE = """
from gevent import monkey; monkey.patch_all()
import gc, sys, threading, time
from collections import Counter
import gevent, greenlet
from counts import differences, of_cprofile, quiet
from flaskprof.capture.calltree import CallTreeEngine
from flaskprof.capture.engines import EngineBusyError, RecordingLostError
from flaskprof.capture.notes import MIXED, STARTED_THREADS
from flaskprof.capture.python_engine.engine import PythonEngine
from flaskprof.profiles.sums import call_graph
ENGINE = {engine}()
IS_SWITCHING = sys.version_info < (3, 12) or {engine} is CallTreeEngine

def recurse(n):
    return n if n < 2 else recurse(n - 1) + recurse(n - 2)

def numbers(n):
    for i in range(n):
        yield recurse(i)

def step(number):
    recurse(4 + number)
    list(numbers(number))
    sorted(range(number + 3), key=lambda x: -x)

def make(number, wait):
    def work():
        for _ in range(5):
            step(number)
            try:
                [].pop()
            except IndexError:
                wait()
    return work

def wait():
    time.sleep(0.001)

def no_wait():
    pass

def segment(recording, code):
    recording.on()
    try:
        code()
    finally:
        recording.off()

def record(code):
    recording = ENGINE.start()
    segment(recording, code)
    recording.stop()
    return recording

def graph_of(recording):
    return call_graph(recording.finish())

def calls(graph, name):
    return sum(stats.total.calls for function, stats in graph.functions.items()
               if function.name == name)

def counts(graph):
    found = Counter()
    for function, stats in graph.functions.items():
        found[tuple(function)] = stats.total.calls
        for caller, edge in stats.callers.items():
            found[tuple(caller), tuple(function)] = edge.calls
    return found

def comparable(counts):
    # What waiting itself calls depends on who waits.
    def is_mine(key):
        return key[0] == "<string>" and key[2] not in ("wait", "no_wait")
    return Counter({{key: n for key, n in counts.items()
                     if is_mine(key) or isinstance(key[0], tuple) and is_mine(key[0])
                     and (key[1][0] != "<string>" or is_mine(key[1]))}})

def left():
    monitoring = getattr(sys, "monitoring", None)
    tools = [monitoring.get_tool(i) for i in range(6)] if monitoring else []
    return [tool for tool in [*tools, sys.getprofile(), greenlet.gettrace()] if tool]
"""


@pytest.fixture(params=["CallTreeEngine", "PythonEngine"])
def script(request):
    """Run a script with one of the engines as ENGINE."""

    def start(source):
        run(PREAMBLE.format(engine=request.param) + source + "\nassert left() == [], left()\n")

    return start


def test_concurrent_captures_on_one_thread_each_have_their_own_calls_alone(script):
    script("""
wanted = [comparable(of_cprofile(make(i, no_wait))) for i in range(6)]
recordings = {}
def captured(i):
    recordings[i] = record(make(i, wait))
def beside():
    for _ in range(30):
        make(7, wait)()
with quiet():
    gevent.joinall([gevent.spawn(captured, i) for i in range(6)] + [gevent.spawn(beside)])
for i in range(6):
    found = comparable(counts(graph_of(recordings[i])))
    assert differences(wanted[i], found) == [], (i, differences(wanted[i], found))
    assert recordings[i].notes == []
""")


def test_time_while_switched_out_is_waiting_at_the_call_that_waited(script):
    script("""
done = []
def captured():
    done.append(record(lambda: time.sleep(0.2)))
def beside():
    end = time.perf_counter() + 0.15
    while time.perf_counter() < end:
        recurse(10)
gevent.joinall([gevent.spawn(captured), gevent.spawn(beside)])
graph = graph_of(done[0])
assert calls(graph, "recurse") == 0
longest = max(graph.functions, key=lambda f: graph.functions[f].total.self_seconds)
# What gevent switches with is compiled and no builtin: sleep() is the call that waits.
assert longest.name == "sleep", longest
assert 0.2 <= graph.functions[longest].total.self_seconds < 5
assert graph.functions[longest].total.self_seconds > 0.9 * graph.total_seconds
cpu = done[0].cpu_seconds
assert cpu is None or cpu < 0.1, cpu
""")


def test_segments_of_two_greenlets_interleave(script):
    script("""
order = []
def captured(name, number):
    recording = ENGINE.start()
    for _ in range(4):
        segment(recording, make(number, wait))
        order.append(name)
        gevent.sleep(0)
    recording.stop()
    return counts(graph_of(recording))
wanted = {number: comparable(of_cprofile(make(number, no_wait))) for number in (2, 5)}
jobs = {number: gevent.spawn(captured, number, number) for number in (2, 5)}
for number, job in jobs.items():
    many = Counter({key: 4 * n for key, n in wanted[number].items()})
    assert differences(many, comparable(job.get())) == []
assert order != sorted(order)
""")


def test_a_recording_may_go_on_in_another_greenlet_or_thread(script):
    script("""
from gevent.threadpool import ThreadPool
recording = ENGINE.start()
def part():
    segment(recording, make(3, wait))
part()
gevent.spawn(part).get()
ThreadPool(1).spawn(part).get()
gevent.spawn(part).get()
recording.stop()
graph = graph_of(recording)
assert calls(graph, "step") == 20, calls(graph, "step")
assert recording.notes == []
""")


def test_one_that_is_switched_off_in_another_greenlet_ends_there_and_notes_it(script):
    script("""
recording = ENGINE.start()
def first():
    recording.on()
    step(3)
    wait()
    step(3)
def second():
    recording.off()
    step(3)
job = gevent.spawn(first)
gevent.sleep(0)
gevent.spawn(second).get()
job.get()
recording.stop()
assert calls(graph_of(recording), "step") == 1
assert recording.notes in ([MIXED], []), recording.notes
""")


def test_one_that_is_switched_off_in_another_thread_ends_there_and_notes_it(script):
    script("""
from gevent.threadpool import ThreadPool
recording = ENGINE.start()
is_on, is_off = (monkey.get_original("threading", "Event")() for _ in range(2))
left_there = []
def first():
    recording.on()
    step(3)
    is_on.set()
    is_off.wait(20)
    step(3)
    record(wait)
    left_there.append((sys.getprofile(), greenlet.gettrace()))
job = ThreadPool(1).spawn(first)
is_on.wait(20)
recording.off()
is_off.set()
job.get()
recording.stop()
assert calls(graph_of(recording), "step") == 1
assert recording.notes == [MIXED], recording.notes
assert left_there == [(None, None)], left_there
""")


def test_a_greenlet_trace_function_that_was_there_is_called_and_put_back(script):
    script("""
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
    assert calls(graph_of(recording), "step") == 5
greenlet.settrace(None)
""")


def test_a_trace_function_that_takes_the_place_of_ours_loses_the_recording_alone(script):
    script("""
seen = Counter()
def tracer(event, args):
    seen[event] += 1
def captured():
    recording = ENGINE.start()
    recording.on()
    step(3)
    greenlet.settrace(tracer)
    wait()
    recording.off()
    recording.stop()
    try:
        assert calls(graph_of(recording), "step") == 1
    except RecordingLostError as error:
        assert "another greenlet trace function" in str(error)
        return "lost"
    return "whole"
became = gevent.spawn(captured).get()
assert became == ("lost" if IS_SWITCHING else "whole"), became
assert greenlet.gettrace() is tracer
greenlet.settrace(None)
def again():
    return calls(graph_of(record(make(3, wait))), "step")
assert gevent.spawn(again).get() == 5
""")


def test_a_killed_greenlet_leaves_nothing_on(script):
    script("""
import weakref
done = []
def captured():
    recording = ENGINE.start()
    try:
        segment(recording, lambda: gevent.sleep(1000))
    finally:
        recording.stop()
        done.append(calls(graph_of(recording), "<lambda>"))
victim = gevent.spawn(captured)
gevent.sleep(0)
victim.kill()
assert done == [1]
gone = weakref.ref(victim)
del victim
gevent.sleep(0)
gc.collect()
assert gone() is None
""")


def test_one_that_is_stopped_while_its_greenlet_is_switched_out_ends_there(script):
    script("""
kept = []
def abandoned():
    kept.append(ENGINE.start())
    kept[0].on()
    step(3)
    gevent.sleep(0.01)
    step(3)
other = gevent.spawn(abandoned)
gevent.sleep(0)
kept[0].stop()
other.join()
assert calls(graph_of(kept[0]), "step") == 1
""")


def test_a_profiler_of_the_host_in_the_thread_is_refused_or_beside(script):
    script("""
def foreign(*_):
    pass
sys.setprofile(foreign)
def captured():
    try:
        return calls(graph_of(record(lambda: step(3))), "step")
    except EngineBusyError:
        return "refused"
answer = gevent.spawn(captured).get()
assert answer in (1, "refused"), answer
assert sys.getprofile() is foreign
sys.setprofile(None)
""")


def test_a_second_recording_in_a_greenlet_is_whole_or_refused(script):
    script("""
def nested():
    step(3)
    try:
        inner = ENGINE.start()
    except EngineBusyError:
        inner = None
    if inner is not None:
        segment(inner, lambda: step(3))
        assert calls(graph_of(inner), "step") == 1
    step(3)
def captured():
    return calls(graph_of(record(nested)), "step")
assert gevent.spawn(captured).get() in (2, 3)
assert [job.get() for job in [gevent.spawn(captured) for _ in range(3)]] in ([2] * 3, [3] * 3)
""")


def test_threads_that_the_application_starts_are_noted(script):
    script("""
def work():
    thread = threading.Thread(target=lambda: step(3))
    thread.start()
    thread.join()
def captured():
    recording = record(work)
    assert calls(graph_of(recording), "step") == 0, "it ran in a greenlet of its own"
    return recording.notes
assert gevent.spawn(captured).get() == [STARTED_THREADS]
""")


def test_a_held_recording_goes_on_in_another_greenlet_and_comes_back(script):
    script("""
def plumbing():
    pass
def captured(number):
    recording = ENGINE.start()
    def elsewhere():
        segment(recording, make(number, wait))
    def caller():
        step(number)
        assert recording.hold(plumbing.__code__)
        gevent.spawn(elsewhere).get()
        recording.resume()
        step(number)
    segment(recording, caller)
    recording.stop()
    assert recording.notes == []
    graph = graph_of(recording)
    edges, = (stats.callers for function, stats in graph.functions.items()
              if function.name == "step")
    return {caller.name: edge.calls for caller, edge in edges.items()}
jobs = [gevent.spawn(captured, number) for number in range(4)]
assert [job.get() for job in jobs] == [{"caller": 2, "work": 5}] * 4
""")
