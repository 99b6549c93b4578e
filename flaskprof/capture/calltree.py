"""The engine that records exact call trees, in C: `flaskprof.capture._calltree`.

Importing this module fails where that extension is missing or refuses the interpreter;
`flaskprof.capture.availability` says why.
"""

from __future__ import annotations

import atexit
import os

from flaskprof.capture import _calltree
from flaskprof.capture.assemble import assemble
from flaskprof.capture.cost import recording_cost
from flaskprof.capture.engines import EngineBusyError, Facts, RecordingLostError
from flaskprof.capture.notes import MIXED, STARTED_THREADS, starts_thread
from flaskprof.profiles.model import CallTree

__all__ = ["CallTreeEngine", "CallTreeRecording"]

MAX_NODES = 200_000

# What a parent records is its own; the child has neither its threads nor its captures.
os.register_at_fork(after_in_child=_calltree.forget_after_fork)
# After this no event reaches a process that is being taken apart.
atexit.register(_calltree.forget_at_exit)


class CallTreeRecording(_calltree.Recording):
    """A recording of `CallTreeEngine`; `on` and `off` are those of the extension."""

    notes: list[str]
    facts: Facts

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
        if STARTED_THREADS not in self.notes and any(map(starts_thread, tree.functions)):
            self.notes.append(STARTED_THREADS)
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
            events=2 * (python_calls + builtin_calls),
            overhead_seconds=cost.of(python_calls, builtin_calls) if cost else None,
            python_call_ns=cost.python_call_ns if cost else None,
            builtin_call_ns=cost.builtin_call_ns if cost else None,
        )


class CallTreeEngine:
    """Starts recordings of exact call trees, any number at a time, on any threads.

    `clock` is the setting of that name; beyond `max_nodes` different stacks a recording
    sums up what it cannot tell apart any more.
    """

    name = "calltree"
    exactness = "exact"

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
        recording.facts = Facts()
        return recording

    def rest(self, pause_seconds: float, /) -> None:
        """Switch events off while captures wait, if nothing ran for so many seconds.

        A response that is streamed slowly would else slow down the other threads between
        two of its chunks. The next `on` brings the events back.
        """
        _calltree.rest(pause_seconds)
