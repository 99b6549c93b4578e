"""Profiles every test of a run of pytest, and keeps captures of those that took longest."""

from __future__ import annotations

import heapq
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from flaskprof.capture.conversion import convert
from flaskprof.capture.engines import Recording
from flaskprof.config import Settings
from flaskprof.errors import FlaskprofError
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store.directory import DirectoryStore
from flaskprof.testing import CannotCount, start

__all__ = ["SlowestTests"]

_MARKER = "profile_budget"


@dataclass(order=True)
class _Test:
    seconds: float
    started: float
    name: str = field(compare=False)
    recording: Recording = field(compare=False)


class SlowestTests:
    """A plugin that keeps the `number` slowest of all tests, as long as they ran recorded.

    Tests with a budget of calls are recorded by that alone. `clock` counts seconds.
    """

    def __init__(self, number: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._number = number
        self._clock = clock
        self._slowest: list[_Test] = []
        self._lines: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Have the test recorded when it is run."""
        if item.get_closest_marker(_MARKER) or "profiled" in getattr(item, "fixturenames", ()):
            return
        run = item.runtest
        item.runtest = lambda: self._record(item.nodeid, run)  # type: ignore[method-assign]  # for this run of it alone

    def _record(self, name: str, run: Callable[[], object]) -> None:
        try:
            recording = start()
        except CannotCount as error:
            self._lines.append(f"{name}: {error}")
            run()
            return
        begun, started = self._clock(), time.time()
        recording.on()
        try:
            run()
        finally:
            recording.off()
            recording.stop()
            seconds = self._clock() - begun
            heapq.heappush(self._slowest, _Test(seconds, started, name, recording))
            if len(self._slowest) > self._number:
                heapq.heappop(self._slowest)

    def pytest_sessionfinish(self) -> None:
        """Write the captures."""
        settings = Settings.load()
        directory = settings.dir.absolute()
        store = DirectoryStore(directory)
        for test in sorted(self._slowest, reverse=True):
            record = CaptureRecord(
                id=new_capture_id(test.started),
                started=test.started,
                duration_seconds=test.seconds,
                cpu_seconds=test.recording.cpu_seconds,
                title=test.name,
                trigger="test",
                host=socket.gethostname(),
                pid=os.getpid(),
                app_packages=settings.app_packages,
            )
            try:
                store.save(*convert(record, test.recording))
            except FlaskprofError as error:
                self._lines.append(f"{test.name}: {error}")
                continue
            self._lines.append(f"{test.seconds:8.3f} s  {record.id}  {test.name}")
        if self._slowest:
            self._lines.append(f"to look at one: flaskprof show --dir {directory} ID")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List them."""
        if self._lines:
            terminalreporter.section("slowest tests, profiled")
            for line in self._lines:
                terminalreporter.write_line(line)
