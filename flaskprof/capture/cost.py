"""What the recording of one call costs on this machine.

Recording makes calls slower, tiny ones by several times. A viewer that knows the cost of a
call can show how much of a function is the recording itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from time import perf_counter_ns

from flaskprof.capture import _calltree

__all__ = ["Cost", "recording_cost"]

_CALLS = 1_000
_ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Cost:
    """Nanoseconds by which recording prolongs one call of a Python function or a builtin."""

    python_call_ns: float
    builtin_call_ns: float

    def of(self, python_calls: int, builtin_calls: int) -> float:
        """Return the seconds that recording so many calls takes."""
        python_ns = python_calls * self.python_call_ns
        return (python_ns + builtin_calls * self.builtin_call_ns) / 1e9


@cache
def recording_cost(clock: str) -> Cost | None:
    """Measure the cost with `clock` ("tsc" or "monotonic"), once a process, in some ms.

    None where nothing can be recorded in this thread now.
    """
    setting = "auto" if clock == "tsc" else clock
    try:
        return Cost(_per_call(_python_loop, setting), _per_call(_builtin_loop, setting))
    except RuntimeError:
        # Another profiler is on in this thread: an estimate is not worth a failure.
        return None


def _nothing(value: object) -> object:
    return value


def _python_loop() -> None:
    for value in repeat("", _CALLS):
        _nothing(value)


def _builtin_loop() -> None:
    for value in repeat("", _CALLS):
        len(value)


def _per_call(loop: Callable[[], None], clock: str) -> float:
    """Return the nanoseconds that recording adds to each call that `loop` makes.

    The best of several rounds counts: whatever else runs can only add to a round.
    """
    plain = min(_elapsed(loop) for _ in range(_ROUNDS))
    recorded = min(_elapsed_recorded(loop, clock) for _ in range(_ROUNDS))
    return max(0.0, (recorded - plain) / _CALLS)


def _elapsed(loop: Callable[[], None]) -> int:
    start = perf_counter_ns()
    loop()
    return perf_counter_ns() - start


def _elapsed_recorded(loop: Callable[[], None], clock: str) -> int:
    recording = _calltree.Recording(clock=clock)
    recording.on()
    try:
        return _elapsed(loop)
    finally:
        recording.off()
        recording.stop()
