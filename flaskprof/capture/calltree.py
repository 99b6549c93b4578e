"""The engine that records exact call trees, in C: `flaskprof.capture._calltree`.

Importing this module fails where that extension is missing or refuses the interpreter;
`flaskprof.capture.availability` says why.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass

from flaskprof.capture import _calltree
from flaskprof.capture.assemble import assemble
from flaskprof.capture.cost import Cost, recording_cost
from flaskprof.capture.engines import EngineBusyError, RecordingLostError
from flaskprof.capture.notes import MIXED, STARTED_THREADS
from flaskprof.profiles.model import CallTree

__all__ = ["CallTreeEngine", "CallTreeRecording", "Facts"]

MAX_NODES = 200_000

# What a parent records is its own; the child has neither its threads nor its captures.
os.register_at_fork(after_in_child=_calltree.forget_after_fork)
# After this no event reaches a process that is being taken apart.
atexit.register(_calltree.forget_at_exit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a finished recording knows of itself.

    `clock` is "tsc" or "monotonic". `events` are the calls and returns that were recorded;
    `overhead_seconds` estimates how much longer everything took for that, from `cost`
    (None where that could not be measured). `cpu_seconds` is the thread's CPU time while
    the recording was on.
    """

    clock: str
    nodes: int
    is_full: bool
    events: int
    cost: Cost | None
    overhead_seconds: float | None
    cpu_seconds: float


class CallTreeRecording(_calltree.Recording):
    """A recording of `CallTreeEngine`; `on` and `off` are those of the extension."""

    notes: list[str]
    facts: Facts | None = None

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the recorded threads while it was on."""
        return self.cpu_ns / 1e9

    def stop(self) -> None:
        """Let go of the interpreter's events and say what limits the profile."""
        super().stop()
        self.notes = self._limits()

    def finish(self) -> CallTree:
        """Return the tree, and fill in `facts`.

        Raises `RecordingLostError` where something kept the recording from being whole.
        """
        self.stop()
        try:
            functions, *columns = self.take()
        except RuntimeError as error:
            raise RecordingLostError(str(error)) from None
        tree = assemble(functions, (columns[0], columns[1], columns[2], columns[3]))
        self.facts = self._facts(tree)
        return tree

    def _limits(self) -> list[str]:
        limits = []
        if self.is_full:
            limits.append(
                f"More than {self.max_nodes} different stacks were seen: calls on further "
                "ones are summed up as (more)."
            )
        if self.has_threads:
            limits.append(STARTED_THREADS)
        if self.is_mixed:
            limits.append(MIXED)
        if self.orphans:
            limits.append(
                f"{self.orphans} returns came without their call, since another tool broke "
                "in: counts may be wrong by as many."
            )
        return limits

    def _facts(self, tree: CallTree) -> Facts:
        builtin = [function.file == "~" for function in tree.functions]
        builtin_calls = sum(
            calls
            for function, calls in zip(tree.function, tree.calls, strict=True)
            if builtin[function]
        )
        python_calls = sum(tree.calls) - builtin_calls
        cost = recording_cost(self.clock)
        return Facts(
            clock=self.clock,
            nodes=len(tree),
            is_full=self.is_full,
            events=2 * (python_calls + builtin_calls),
            cost=cost,
            overhead_seconds=cost.of(python_calls, builtin_calls) if cost else None,
            cpu_seconds=self.cpu_seconds,
        )


class CallTreeEngine:
    """Starts recordings of exact call trees, any number at a time, on any threads.

    `clock` is the setting of that name; beyond `max_nodes` different stacks a recording
    sums up what it cannot tell apart any more.
    """

    name = "calltree"

    def __init__(self, *, clock: str = "auto", max_nodes: int = MAX_NODES) -> None:
        self._clock = clock
        self._max_nodes = max_nodes

    def start(self) -> CallTreeRecording:
        """Return a recording that is off; raises `EngineBusyError` where none can be had."""
        try:
            recording = CallTreeRecording(self._max_nodes, self._clock)
        except (MemoryError, RuntimeError) as error:
            raise EngineBusyError(str(error) or "out of memory") from None
        recording.notes = []
        return recording

    @staticmethod
    def rest(pause_seconds: float) -> None:
        """Switch events off while captures wait, if nothing ran for so many seconds.

        For a watcher to call now and then: a response that is streamed slowly would else
        slow down the other threads between two of its chunks. The next `on` brings the
        events back.
        """
        _calltree.rest(pause_seconds)
