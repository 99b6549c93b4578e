"""Where the engine in Python puts its taps: on threads or, where there are some, greenlets."""

from __future__ import annotations

import sys
import threading
from typing import Any, Protocol

from flaskprof.capture.python_engine.taps import Tap

__all__ = ["Place", "Threads"]


class Place(Protocol):
    """Where taps are put: a spot is a thread, or a greenlet in one.

    `put_on` and `take_off` are called by `on`, `off`, `hold` and `resume` directly and
    switch the tap themselves, as their last call: see `PythonRecording.hold`.
    """

    counts_cpu: bool

    def is_taken(self) -> bool:
        """Whether no tap can be put on here, since there is another profiler."""
        ...

    def put_on(self, tap: Tap) -> Any:
        """Put a tap on here and return the spot; None where there is another profiler."""
        ...

    def is_here(self, spot: Any) -> bool:
        """Whether the caller runs at the spot."""
        ...

    def take_off(self, tap: Tap, spot: Any) -> bool:
        """Take a tap off here; false if it was not there any more.

        Raises `RecordingLostError` where it recorded what it should not.
        """
        ...

    def forsake(self, spot: Any) -> None:
        """Give up a spot elsewhere; its tap is then cut."""
        ...


class Threads(Place):
    """Each thread has one profiler."""

    counts_cpu = True

    def is_taken(self) -> bool:
        """See `Place`."""
        return sys.getprofile() is not None

    def put_on(self, tap: Tap) -> int | None:
        """See `Place`."""
        spot = threading.get_ident()
        if sys.getprofile() is not None:
            return None
        tap.put_on()
        return spot

    def is_here(self, spot: int) -> bool:
        """See `Place`."""
        return spot == threading.get_ident()

    def take_off(self, tap: Tap, spot: int) -> bool:  # noqa: ARG002  the thread is enough
        """See `Place`."""
        if sys.getprofile() is not tap.function:
            return False
        tap.take_off()
        return True

    def forsake(self, spot: int) -> None:
        """Do nothing: a thread has no list of what is on in it."""
