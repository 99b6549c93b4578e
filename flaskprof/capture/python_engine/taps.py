"""What records one stack of calls with the standard library: a profiler, put on and off.

Up to Python 3.11 that is a `cProfile` profiler as it is, which belongs to the thread that
enabled it. From 3.12 on it would be process-wide: it records every thread, and a second one
cannot be enabled. There the profile function of the thread (`sys.setprofile`) drives the
callbacks of an `_lsprof.Profiler` that is never enabled itself; they are the same C
functions that an enabled one registers with `sys.monitoring`, so calls and times are
attributed just as cProfile attributes them.
"""

from __future__ import annotations

import cProfile
import sys
from collections.abc import Callable
from functools import partial
from types import CodeType, FrameType
from typing import Any
from weakref import WeakSet

__all__ = ["ForwardingTap", "Tap", "ThreadTap", "new_tap", "take_off_leftover"]


class Tap:
    """One stack under recording.

    `function` is what `sys.getprofile` gives where the tap is on. `put_on` and `take_off`
    switch it in the calling thread and leave its open calls open. They are no functions,
    but partial objects: calling those is no event, so that exactly the Python functions
    around `take_off` stay open, and as many returns around `put_on` close them.
    """

    function: Any
    put_on: Callable[[], None]

    def __init__(self) -> None:
        self._profiler: Any = cProfile.Profile()
        self.take_off: Callable[[], None] = partial(sys.setprofile, None)

    def close(self) -> None:
        """Count the calls that are open, as cProfile does when it is disabled."""
        raise NotImplementedError

    def cut(self) -> None:
        """Record no more, on whichever thread it was left on."""
        raise NotImplementedError

    def entries(self) -> list[Any]:
        """Return what was recorded, as `_lsprof.Profiler.getstats` does."""
        entries: list[Any] = self._profiler.getstats()
        return entries


class ThreadTap(Tap):
    """Python 3.11: cProfile, which is per thread there."""

    def __init__(self) -> None:
        super().__init__()
        self.function = self._profiler
        self.put_on = partial(self._profiler.enable)
        self._entries: list[Any] | None = None

    def close(self) -> None:
        """See `Tap`."""
        if sys.getprofile() is None:
            self._profiler.disable()
        else:
            self.cut()  # to disable it would take off whatever there is

    def cut(self) -> None:
        """See `Tap`."""
        # A thread can be rid of its profiler only by itself.
        self._entries = super().entries()
        _elsewhere.add(self._profiler)
        _enabled.append(self._profiler)

    def entries(self) -> list[Any]:
        """See `Tap`."""
        return super().entries() if self._entries is None else self._entries


class ForwardingTap(Tap):
    """Python 3.12 and later: `sys.setprofile` drives a profiler that is never enabled.

    What drives it keeps `open_calls`, code objects and builtins, and leaves out a return
    without a call: that is one of what was called before the tap was put on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.open_calls: list[Any] = []
        self.py_start = self._profiler._pystart_callback  # noqa: SLF001  see the module
        self.py_return = self._profiler._pyreturn_callback  # noqa: SLF001
        self.c_call = self._profiler._ccall_callback  # noqa: SLF001
        self.c_return = self._profiler._creturn_callback  # noqa: SLF001
        self.function, self._cut = _forward_to(self)
        self.put_on = partial(sys.setprofile, self.function)

    def close(self) -> None:
        """See `Tap`."""
        while self.open_calls:
            callee = self.open_calls.pop()
            if isinstance(callee, CodeType):
                self.py_return(callee, 0, None)
            else:
                self.c_return(None, 0, callee, None)

    def cut(self) -> None:
        """See `Tap`."""
        self._cut()


def _forward_to(
    tap: ForwardingTap,
) -> tuple[Callable[[FrameType, str, Any], None], Callable[[], None]]:
    """Return the profile function that drives `tap`, and what ends it from elsewhere."""
    open_calls = tap.open_calls
    push, pop = open_calls.append, open_calls.pop
    py_start, py_return = tap.py_start, tap.py_return
    c_call, c_return = tap.c_call, tap.c_return

    def forward(frame: FrameType, event: str, argument: Any) -> None:
        # The most frequent events first. Nothing is caught: the callbacks do not raise, and
        # what a signal handler raises here is meant for the application and reaches it.
        if event == "call":
            code = frame.f_code
            push(code)
            py_start(code, 0)
        elif event == "return":
            if open_calls:
                pop()
                py_return(frame.f_code, 0, argument)
        elif event == "c_call":
            push(argument)
            c_call(None, 0, argument, None)
        elif open_calls:
            pop()
            c_return(None, 0, argument, None)

    def give_up(*_: Any) -> None:
        if sys.getprofile() is forward:
            sys.setprofile(None)

    def cut() -> None:
        nonlocal push, py_start, py_return, c_call, c_return
        push = py_start = py_return = c_call = c_return = give_up

    return forward, cut


# Profilers of Python 3.11 that could not be disabled when they were done with: those that
# may still be on in another thread, and those that think so. The latter must not be freed:
# they would take off whatever profiler the thread has that frees them.
_elsewhere: WeakSet[Any] = WeakSet()
_enabled: list[Any] = []


def take_off_leftover() -> None:
    """Take off a profiler of ours that could not be taken off this thread by another."""
    if sys.getprofile() in _elsewhere:
        sys.setprofile(None)
    if _enabled and sys.getprofile() is None:
        while _enabled:
            _enabled.pop().disable()


def new_tap() -> Tap:
    """Return a tap that has recorded nothing and is off."""
    return ForwardingTap() if sys.version_info >= (3, 12) else ThreadTap()
