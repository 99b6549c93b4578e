"""What records a capture, and which recorder this process has.

An engine starts recordings; a recording is switched on and off around each piece of the
application's own code and then gives its profile. Whatever an engine does, it never
raises into the application and never leaves a profiler behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import CodeType
from typing import Protocol

from flaskprof.profiles.model import Profile

__all__ = ["Engine", "EngineBusyError", "Facts", "Recording", "RecordingLostError"]


class EngineBusyError(Exception):
    """A recording cannot be started now; the message says why, in a few words."""


class RecordingLostError(Exception):
    """What was recorded is not whole and is not given; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a finished recording knows of itself; None or nothing where it does not.

    `clock` is what it measured time with. `events` are the calls and returns that it
    recorded; `overhead_seconds` estimates how much longer everything took for that, at
    `python_call_ns` and `builtin_call_ns` for each call of a function of the kind.
    """

    clock: str = ""
    events: int | None = None
    overhead_seconds: float | None = None
    python_call_ns: float | None = None
    builtin_call_ns: float | None = None


class Recording(Protocol):
    """One capture under way.

    `on` and `off` bracket a piece of code on the calling thread and may do so any number
    of times, each time on another thread; `stop` follows the last `off`. In between, `hold`
    and `resume` bracket a call that waits for code on another thread, or in another
    greenlet, where `on` and `off` bracket that. None of them ever raises. An `off` on
    another thread than the `on`, or an `on` while it is on elsewhere, is noted.

    `finish` turns what was recorded into a profile; it may take long and is called once,
    off the request's path. `notes` are sentences on what limits the profile; they and
    `facts` are complete once `finish` returned. `cpu_seconds` is the CPU time of the
    recorded threads while it was on; None where that cannot be told from that of others.
    """

    notes: list[str]
    facts: Facts

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time; complete once `stop` returned."""
        ...

    def on(self) -> None:
        """Record the calling thread from here on."""
        ...

    def off(self) -> None:
        """Stop recording the calling thread."""
        ...

    def hold(self, code: CodeType, /) -> bool:
        """Stop recording the calling thread, whose calls stay open, until `resume`.

        The caller is about to call `code`, which is not recorded itself: it becomes a call
        that takes the time until `resume`, and what is recorded meanwhile is called by it.
        Returns false, and does nothing, where it is not the calling thread that is recorded.
        """
        ...

    def resume(self) -> None:
        """Go on with the calls that were open at `hold`, in the function that called it."""
        ...

    def stop(self) -> None:
        """Let go of what is on in the interpreter: no further `on` will come."""
        ...

    def finish(self) -> Profile:
        """Return the profile, without frames of flaskprof itself; stops the recording.

        Raises `RecordingLostError` where what was recorded is not whole.
        """
        ...


class Engine(Protocol):
    """Starts recordings. `name` and `exactness` are what the metadata of a capture says.

    `exactness` is "exact" where every call is counted, else "sampled".
    """

    name: str
    exactness: str

    def start(self) -> Recording:
        """Return a recording that is off; raises `EngineBusyError` where none can be had."""
        ...

    def rest(self, pause_seconds: float, /) -> None:
        """Ease other threads where no recording was on for so long; the next `on` wakes it."""
        ...
