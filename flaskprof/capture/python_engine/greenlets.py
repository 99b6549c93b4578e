"""Where the engine in Python records while greenlets switch: each follows its own.

Greenlets share the one profiler of their thread, and one may run in the middle of another's
call. On Python 3.11 a greenlet trace function (`greenlet.settrace`) takes a tap off when its
greenlet is switched out, without closing its calls, and puts it on again when it is
switched in. From 3.12 on, where that would instrument all code anew at each switch, one
profile function of the thread looks at each event which greenlet runs. Either way the clock
goes on while a greenlet is switched out: the time is counted to the call that waits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from greenlet import getcurrent, gettrace, greenlet, settrace

from flaskprof.capture.engines import RecordingLostError
from flaskprof.capture.python_engine.places import Place
from flaskprof.capture.python_engine.taps import Tap, take_off_leftover

__all__ = ["Greenlets"]

_DISPLACED = "another greenlet trace function took the place of ours"


class _Switching:
    """Python 3.11: taps are put on and off at each switch."""

    counts_cpu = False

    def is_taken(self) -> bool:
        return sys.getprofile() is not None

    def put_on(self, tap: Tap) -> tuple[_Hook, greenlet] | None:
        current = getcurrent()
        if sys.getprofile() is not None:
            return None
        hook = gettrace()
        if not isinstance(hook, _Hook):
            hook = _Hook(hook)
            settrace(hook)
        hook.taps[current] = tap
        tap.put_on()
        return hook, current

    def is_here(self, spot: tuple[_Hook, greenlet]) -> bool:
        return spot[1] is getcurrent()

    def take_off(self, tap: Tap, spot: tuple[_Hook, greenlet]) -> bool:
        hook, current = spot
        is_on = sys.getprofile() is tap.function
        is_followed = gettrace() is hook
        hook.taps.pop(current, None)
        hook.leave()
        if is_on:
            tap.take_off()
        if not is_followed:
            # Whoever took the place may call ours or not.
            raise RecordingLostError(_DISPLACED)
        return is_on

    def forsake(self, spot: tuple[_Hook, greenlet]) -> None:
        hook, elsewhere = spot
        hook.taps.pop(elsewhere, None)
        hook.leave()


class _Hook:
    """The greenlet trace function of one thread; `previous` is the one that it replaced."""

    def __init__(self, previous: Callable[..., Any] | None) -> None:
        self.taps: dict[greenlet, Tap] = {}
        self._previous = previous

    def __call__(self, event: str, greenlets: tuple[greenlet, greenlet]) -> Any:
        # Nothing that is called here is an event: greenlet sees to that.
        origin, target = greenlets
        tap = self.taps.get(origin)
        if tap is not None and sys.getprofile() is tap.function:
            tap.take_off()
        tap = self.taps.get(target)
        if tap is not None and sys.getprofile() is None:
            tap.put_on()
        previous = self._previous
        if not self.taps:
            take_off_leftover()
            self.leave()
        return None if previous is None else previous(event, greenlets)

    def leave(self) -> None:
        """Put back the trace function that was there, if nothing needs this one."""
        if not self.taps and gettrace() is self:
            settrace(self._previous)


class _Dispatching:
    """Python 3.12 and later: the profile function of the thread finds the tap."""

    counts_cpu = False

    def is_taken(self) -> bool:
        active = sys.getprofile()
        if isinstance(active, _Dispatcher):
            return getcurrent() in active.taps
        return active is not None

    def put_on(self, tap: Tap) -> tuple[_Dispatcher, greenlet] | None:
        current = getcurrent()
        active: Any = sys.getprofile()
        dispatcher = _Dispatcher() if active is None else active
        if not isinstance(dispatcher, _Dispatcher) or current in dispatcher.taps:
            return None
        put_on = partial(sys.setprofile, dispatcher)
        # From here on the tap may be on. What is called no longer is an event: see `Tap`.
        dispatcher.taps[current] = tap
        if active is None:
            put_on()
        return dispatcher, current

    def is_here(self, spot: tuple[_Dispatcher, greenlet]) -> bool:
        return spot[1] is getcurrent()

    def take_off(self, _tap: Tap, spot: tuple[_Dispatcher, greenlet]) -> bool:
        dispatcher, current = spot
        was_on = sys.getprofile() is dispatcher
        del dispatcher.taps[current]
        if was_on and not dispatcher.taps:
            sys.setprofile(None)
        return was_on

    def forsake(self, spot: tuple[_Dispatcher, greenlet]) -> None:
        dispatcher, elsewhere = spot
        dispatcher.taps.pop(elsewhere, None)
        if not dispatcher.taps and sys.getprofile() is dispatcher:
            sys.setprofile(None)


class _Dispatcher:
    """The profile function of one thread: drives the tap of the greenlet that runs."""

    __slots__ = ("_find", "taps")

    def __init__(self) -> None:
        self.taps: dict[greenlet, Any] = {}  # of `taps.ForwardingTap`
        self._find = self.taps.get

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        # As `taps.ForwardingTap` is driven, one call less for each event.
        tap = self._find(getcurrent())
        if tap is None:
            if not self.taps and sys.getprofile() is self:
                sys.setprofile(None)
        elif event == "call":
            code = frame.f_code
            tap.open_calls.append(code)
            tap.py_start(code, 0)
        elif event == "return":
            if tap.open_calls:
                tap.open_calls.pop()
                tap.py_return(frame.f_code, 0, argument)
        elif event == "c_call":
            tap.open_calls.append(argument)
            tap.c_call(None, 0, argument, None)
        elif tap.open_calls:
            tap.open_calls.pop()
            tap.c_return(None, 0, argument, None)


Greenlets: type[Place] = _Dispatching if sys.version_info >= (3, 12) else _Switching
