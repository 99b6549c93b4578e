"""What a look at a thread saw, and what the thread's clock says of the time since another.

The interpreter lets another thread look only where the one that runs gives it up: where that
begins to wait, or when it has run for the switch interval, 5 ms, since it was asked to. So
computing that is over sooner is never seen on the stack; what is seen is the waiting that
follows. How long the thread computed its processor clock says nevertheless. Where is not
known, but between two looks some calls were under way all the time: it was in one of them,
or in what they called.

Pure: stacks and nanoseconds come in, nanoseconds and places on the stack go out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from opcode import opmap
from types import CodeType
from typing import NamedTuple

from flaskprof.capture.sampling.stacks import Call

__all__ = ["Look", "Loops", "may_be_running", "steady_depth", "unseen_ns"]

_BYTES_OF_INSTRUCTION = 2
_EXTENDED_ARG = opmap["EXTENDED_ARG"]
_BACKWARD = re.compile(
    b"["
    + b"".join(re.escape(bytes([code])) for name, code in opmap.items() if "BACKWARD" in name)
    + b"]"
)


class Look(NamedTuple):
    """A stack, innermost call first, and what clocks said when it was seen.

    `at_ns` is the recording's own time, and `cpu_ns` the processor time of the recorded
    thread in it, None where that cannot be told. `is_running` says that the stack is that of
    code which was computing; else the thread waited, or had just begun to.
    """

    calls: Sequence[Call]
    at_ns: int
    cpu_ns: int | None
    is_running: bool


def unseen_ns(before: Look, now: Look) -> int:
    """Return how long the thread computed between two looks that both saw it waiting.

    Of other pairs nothing is said: the time that went by before something was seen and what
    went by after it come to the same in the mean.
    """
    return 0 if before.is_running or now.is_running else _computed_ns(before, now)


def may_be_running(before: Look, now: Look) -> bool:
    """Return whether `now`, which is not known to be running, may be all the same.

    Code in C computes without the interpreter too. What is asked is whether the thread
    computed most of the time since `before`.
    """
    gap_ns = now.at_ns - before.at_ns
    return not now.is_running and _computed_ns(before, now) > gap_ns / 2


def _computed_ns(before: Look, now: Look) -> int:
    if now.cpu_ns is None or before.cpu_ns is None:
        return 0
    # Some systems bring the clock of a thread that runs up to date at each tick only.
    return max(0, min(now.cpu_ns - before.cpu_ns, now.at_ns - before.at_ns))


def steady_depth(before: Sequence[Call], now: Sequence[Call], loops: Loops) -> int:
    """Return how many of the outermost calls were under way from one look to the other.

    A call is the same one if its caller is the same call and at the same instruction, and
    cannot have come back to that. A function that C code calls again and again (`map`,
    ``sort(key=…)``) is taken for one call.
    """
    depth = 0
    for (old_code, old_at), (code, at) in zip(reversed(before), reversed(now), strict=False):
        if old_code is not code:
            break
        depth += 1
        if old_at != at or ((known := loops.of(code)) and any(at in loop for loop in known)):
            break
    return depth


class Loops:
    """Tells which instructions a function may come back to; remembers it by function.

    More is taken for a loop than is one: whatever a jump backwards leaps over.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        # As in `Samples`: by identity, with the code, since its hash is slow.
        self._known: dict[int, tuple[CodeType, list[range]]] = {}

    def of(self, code: CodeType) -> list[range]:
        """Return the offsets, in bytes, of instructions that may run twice in a call."""
        known = self._known.get(id(code))
        if known is None:
            if len(self._known) >= self._most:
                self._known.clear()
            known = self._known[id(code)] = code, _jumps_back(code.co_code)
        return known[1]


def _jumps_back(instructions: bytes) -> list[range]:
    """Return what lies between the target and the place of each jump backwards."""
    jumps = []
    for found in _BACKWARD.finditer(instructions[::_BYTES_OF_INSTRUCTION]):
        place = found.start() * _BYTES_OF_INSTRUCTION
        length, digit, prefix = instructions[place + 1], 256, place - _BYTES_OF_INSTRUCTION
        while prefix >= 0 and instructions[prefix] == _EXTENDED_ARG:
            length += digit * instructions[prefix + 1]
            digit, prefix = digit * 256, prefix - _BYTES_OF_INSTRUCTION
        jumps.append(range(place - length * _BYTES_OF_INSTRUCTION, place + 1))
    return jumps
