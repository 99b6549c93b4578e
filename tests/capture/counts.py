"""Calls per function and per caller→callee edge: of cProfile, and of a call tree.

cProfile keeps its sums by code object, but loses all but one of those that share file, line
and name when it writes them down (`Profile.snapshot_stats` assigns to one dict key, so that
two lambdas on a line overwrite each other). So its raw entries are summed here by label.
"""

import cProfile
import gc
import sys
import threading
from collections import Counter
from types import CodeType


def label(code):
    if isinstance(code, CodeType):
        return (code.co_filename, code.co_firstlineno, code.co_name)
    return ("~", 0, code)


def of_cprofile(work):
    """Return the counts of `work` as cProfile sees them."""
    profiler = cProfile.Profile()
    with quiet():
        profiler.enable()
        try:
            work()
        finally:
            profiler.disable()
    counts = Counter()
    for entry in profiler.getstats():
        counts[label(entry.code)] += entry.callcount
        for callee in entry.calls or ():
            counts[label(entry.code), label(callee.code)] += callee.callcount
    counts.pop(("~", 0, "<method 'disable' of '_lsprof.Profiler' objects>"))
    return counts


def of_tree(tree):
    counts = Counter()
    for parent, function, calls in zip(tree.parent, tree.function, tree.calls, strict=True):
        callee = tuple(tree.functions[function])
        counts[callee] += calls
        if parent >= 0:
            counts[tuple(tree.functions[tree.function[parent]]), callee] += calls
    return counts


class Reference:
    """A tracer in plain Python: the same counts, of the threads that it is installed in.

    Use it as a context manager around the work. Its stack is that of the calling thread.
    """

    def __init__(self):
        self.counts = Counter()
        self._stack = []

    def __enter__(self):
        sys.setprofile(self._event)
        return self

    def __exit__(self, *exc):
        sys.setprofile(None)
        exit_ = label(Reference.__exit__.__code__)
        for key in [key for key in self.counts if exit_ in (key, *key)]:
            del self.counts[key]
        del self.counts["~", 0, "<built-in method sys.setprofile>"]

    def _event(self, frame, event, arg):
        if event in ("call", "c_call"):
            callee = label(frame.f_code) if event == "call" else ("~", 0, _builtin_name(arg))
            self.counts[callee] += 1
            if self._stack:
                self.counts[self._stack[-1], callee] += 1
            self._stack.append(callee)
        elif self._stack:
            self._stack.pop()


def _builtin_name(function):
    """Return what cProfile calls a builtin (see `normalizeUserObj` in its source)."""
    owner, module, name = function.__self__, function.__module__, function.__name__
    if owner is None:
        return f"<{name}>" if module in (None, "builtins") else f"<{module}.{name}>"
    for class_ in type(owner).__mro__:
        if name in class_.__dict__:
            return repr(class_.__dict__[name])
    if module is None:
        return f"<built-in method {name}>"
    return f"<built-in method {module}.{name}>"


def recorded(engine, work):
    """Return the tree of `work`."""
    with quiet():
        recording = engine.start()
        recording.on()
        try:
            work()
        finally:
            recording.off()
            recording.stop()
    return recording.finish()


class quiet:  # noqa: N801  used like a function
    """Without garbage collection, which runs finalisers at any moment."""

    def __enter__(self):
        gc.disable()

    def __exit__(self, *exc):
        gc.enable()


def differences(wanted, found):
    """Return what differs, in words that a failure can show."""
    return [
        f"{key}: {wanted[key]} != {found[key]}"
        for key in sorted(set(wanted) | set(found), key=str)
        if wanted[key] != found[key]
    ]


def in_threads(functions):
    """Run all functions at once, each in a thread; raises what the first of them raised."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:  # noqa: BLE001  handed to the caller
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
