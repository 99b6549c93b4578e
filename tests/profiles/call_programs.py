"""Random programs of nested calls, and what they give as call trees and in cProfile.

A program is a list of calls; a call is the number of a function and the program that it
runs. A deterministic clock shows the same times to two recorders, one after the other.
"""

import cProfile
import gc
import itertools
import sys
from array import array
from contextlib import contextmanager

from hypothesis import strategies as st

from flaskprof.profiles.model import CallTree, Function

FILE = "/srv/shop/program.py"
COUNT = 4

_function = """
def f{}(program):
    for number, inner in program:
        FUNCTIONS[number](inner)
"""
_source = "".join(_function.format(number) for number in range(COUNT))
_namespace = {}
exec(compile(_source, FILE, "exec"), _namespace)
FUNCTIONS = _namespace["FUNCTIONS"] = [_namespace[f"f{number}"] for number in range(COUNT)]

programs = st.recursive(
    st.just([]),
    lambda inner: st.lists(st.tuples(st.integers(0, COUNT - 1), inner), max_size=4),
    max_leaves=25,
)
ticks = st.lists(st.integers(0, 10**9), min_size=1, max_size=10)


def clock(steps):
    """A clock that goes on by these nanoseconds, over and over, each time it is read."""
    return itertools.accumulate(itertools.cycle(steps)).__next__


@contextmanager
def without_collections():
    """Keep the callbacks of the garbage collector, such as hypothesis has, out of a record."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def traced_by_cprofile(program, steps):
    """The stats of cProfile, with nanoseconds for seconds."""
    recording = cProfile.Profile(clock(steps), 1.0, builtins=False)
    with without_collections():
        recording.enable()
        for number, inner in program:
            FUNCTIONS[number](inner)
        recording.disable()
    recording.create_stats()
    # From 3.14 on the call that ends the recording is in it, whatever `builtins` says.
    return {key: sums for key, sums in recording.stats.items() if "disable" not in key[2]}


class Builder:
    """Builds a call tree from the events of a thread."""

    def __init__(self, now):
        self.now = now
        self.functions = {}
        self.nodes = {}
        self.parent, self.function = array("q"), array("q")
        self.calls, self.self_ns = array("q"), array("q")
        self.stack = []

    def __call__(self, frame, event, arg):
        if event == "call":
            code = frame.f_code
            self.enter(Function(code.co_filename, code.co_firstlineno, code.co_name))
        elif event == "return" and self.stack:
            self.leave()

    def enter(self, function):
        number = self.functions.setdefault(function, len(self.functions))
        above = self.stack[-1][0] if self.stack else -1
        node = self.nodes.setdefault((above, number), len(self.parent))
        if node == len(self.parent):
            self.parent.append(above)
            self.function.append(number)
            self.calls.append(0)
            self.self_ns.append(0)
        self.calls[node] += 1
        self.stack.append([node, 0, self.now()])

    def leave(self):
        end = self.now()
        node, below, begin = self.stack.pop()
        self.self_ns[node] += end - begin - below
        if self.stack:
            self.stack[-1][1] += end - begin

    def tree(self):
        return CallTree(
            tuple(self.functions), self.parent, self.function, self.calls, self.self_ns
        )


def traced_as_tree(program, steps):
    """The call tree of the same events at the same times, nodes in the order of creation."""
    builder = Builder(clock(steps))
    previous = sys.getprofile()
    with without_collections():
        sys.setprofile(builder)
        try:
            for number, inner in program:
                FUNCTIONS[number](inner)
        finally:
            sys.setprofile(previous)
    return builder.tree()
