"""Sections of code that are timed by name, wherever they run.

Usage::

    @flaskprof.profile("resize")
    def resize(image): ...

    with flaskprof.profile("checkout"):
        ...

A section that is within one of the same name, by recursion for instance, is part of it and
counts once; one that is within another counts in both. What a coroutine waits for belongs
to it; of a generator only the time within it counts, not that of whoever iterates over it.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self, TypeVar

from flaskprof import log
from flaskprof.capture.engines import Engine, Recording
from flaskprof.capture.recorder import Recorder, SkippedError, recorder_of_process
from flaskprof.capture.triggers import Ask, Skip
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord

__all__ = ["Section", "observe", "profile", "timed"]

_TRIGGER = "api"

F = TypeVar("F", bound=Callable[..., Any])

# The names of the sections that are open where the code runs.
_open: ContextVar[tuple[str, ...]] = ContextVar("flaskprof_sections", default=())


def observe(name: str, duration_ns: int) -> None:
    """Count one run of a section."""
    recorder = recorder_of_process()
    if recorder is not None:
        recorder.metrics.observe_section(name, duration_ns)


class Section:
    """One run of a section, which may go on and off any number of times.

    `done` is called once at its end with its nanoseconds; not where it is within another
    run of the same name.
    """

    __slots__ = ("_before", "_done", "_is_inner", "_started", "name", "spent_ns")

    def __init__(self, name: str, done: Callable[[int], None]) -> None:
        self.name = name
        self.spent_ns = 0
        self._done = done
        self._before: tuple[str, ...] = ()
        self._is_inner = False
        self._started = 0

    def on(self) -> None:
        """Count time from here on."""
        self._before = before = _open.get()
        if self.name in before:
            self._is_inner = True
        _open.set((*before, self.name))
        self._started = perf_counter_ns()

    def off(self) -> None:
        """Stop counting time."""
        self.spent_ns += perf_counter_ns() - self._started
        # Not by a token: a generator may be closed in another context.
        _open.set(self._before)

    def end(self) -> None:
        """Say what it took."""
        if self._is_inner:
            return
        try:
            self._done(self.spent_ns)
        except Exception:  # noqa: BLE001  ours alone: the application goes on
            log.once("section", "flaskprof failed to count a section", exc_info=True)


class profile:  # noqa: N801  it is read as a verb: `@profile("name")`
    """Times what it decorates, or the block that it opens, as the section `name`.

    With ``capture=True`` each run is captured too, as far as the budget allows: what a
    captured request runs is in that capture anyway. `seconds` is what the last block took.
    """

    def __init__(self, name: str, *, capture: bool = False) -> None:
        self.name = name
        self.seconds = 0.0
        self._captures = capture
        self._runs: list[tuple[Section, _BlockCapture | None]] = []

    def __call__(self, function: F) -> F:
        """Return the function, coroutine or generator function with its runs timed."""
        name, captures = self.name, self._captures
        if captures and not _runs_in_one_piece(function):
            raise TypeError(f"{name}: only plain functions and blocks can be captured")

        def begin() -> Section:
            return Section(name, lambda spent_ns: observe(name, spent_ns))

        run = timed(function, begin)
        if not captures:
            return run

        @wraps(function)
        def captured(*args: Any, **keywords: Any) -> Any:
            capture = _BlockCapture.begin(name)
            try:
                return run(*args, **keywords)
            finally:
                if capture is not None:
                    capture.end()

        return captured  # type: ignore[return-value]  # of the same signature

    def __enter__(self) -> Self:
        section = Section(self.name, lambda spent_ns: observe(self.name, spent_ns))
        capture = _BlockCapture.begin(self.name) if self._captures else None
        self._runs.append((section, capture))
        section.on()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        section, capture = self._runs.pop()
        section.off()
        if capture is not None:
            capture.end()
        self.seconds = section.spent_ns / 1e9
        section.end()


def timed(function: F, begin: Callable[[], Section]) -> F:
    """Return `function` with a section, which `begin` returns, around each of its runs."""
    if isasyncgenfunction(function):
        wrapped: Callable[..., Any] = _timed_async_generator(function, begin)
    elif iscoroutinefunction(function):
        wrapped = _timed_coroutine(function, begin)
    elif isgeneratorfunction(function):
        wrapped = _timed_generator(function, begin)
    else:
        wrapped = _timed_call(function, begin)
    return wraps(function)(wrapped)  # type: ignore[return-value]  # of the same signature


def _runs_in_one_piece(function: Callable[..., Any]) -> bool:
    return not (
        isasyncgenfunction(function)
        or iscoroutinefunction(function)
        or isgeneratorfunction(function)
    )


def _timed_call(function: F, begin: Callable[[], Section]) -> Callable[..., Any]:
    def run(*args: Any, **keywords: Any) -> Any:
        section = begin()
        section.on()
        try:
            return function(*args, **keywords)
        finally:
            section.off()
            section.end()

    return run


def _timed_coroutine(function: F, begin: Callable[[], Section]) -> Callable[..., Any]:
    async def run(*args: Any, **keywords: Any) -> Any:
        section = begin()
        section.on()
        try:
            return await function(*args, **keywords)
        finally:
            section.off()
            section.end()

    return run


def _timed_generator(function: F, begin: Callable[[], Section]) -> Callable[..., Any]:
    def run(*args: Any, **keywords: Any) -> Generator[Any, Any, Any]:
        section = begin()
        iterator = function(*args, **keywords)
        resume: Callable[[], Any] = iterator.__next__
        try:
            while True:
                with _inside(section):
                    try:
                        item = resume()
                    except StopIteration as stop:
                        return stop.value
                try:
                    sent = yield item
                except GeneratorExit:
                    with _inside(section):
                        iterator.close()
                    raise
                except BaseException as error:  # noqa: BLE001  it is for the generator
                    resume = partial(iterator.throw, error)
                else:
                    resume = partial(iterator.send, sent)
        finally:
            section.end()

    return run


def _timed_async_generator(function: F, begin: Callable[[], Section]) -> Callable[..., Any]:
    async def run(*args: Any, **keywords: Any) -> AsyncGenerator[Any, Any]:
        section = begin()
        iterator = function(*args, **keywords)
        resume: Callable[[], Awaitable[Any]] = iterator.__anext__
        try:
            while True:
                with _inside(section):
                    try:
                        item = await resume()
                    except StopAsyncIteration:
                        return
                try:
                    sent = yield item
                except GeneratorExit:
                    with _inside(section):
                        await iterator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  it is for the generator
                    resume = partial(iterator.athrow, error)
                else:
                    resume = partial(iterator.asend, sent)
        finally:
            section.end()

    return run


@contextmanager
def _inside(section: Section) -> Iterator[None]:
    section.on()
    try:
        yield
    finally:
        section.off()


class _BlockCapture:
    """A capture of a block, which is all that its thread runs meanwhile."""

    def __init__(
        self, name: str, recorder: Recorder, engine: Engine, recording: Recording
    ) -> None:
        self._name = name
        self._recorder = recorder
        self._engine = engine
        self._recording = recording
        self._started_unix = time.time()
        self._started = perf_counter_ns()

    @classmethod
    def begin(cls, name: str) -> Self | None:
        """Begin to record; None where that cannot be, which is counted."""
        recorder = recorder_of_process()
        if recorder is None or not recorder.is_started:
            return None
        try:
            _refuse_event_loop()
            capture = cls(name, recorder, *recorder.record(Ask(_TRIGGER)))
            capture._recording.on()
        except SkippedError as error:
            recorder.metrics.count_skip(error.skip.name)
            recorder.metrics.count_capture(_TRIGGER, "skipped")
            return None
        except Exception:  # noqa: BLE001  ours alone: the block runs all the same
            log.once("block", "flaskprof failed to capture a block", exc_info=True)
            return None
        return capture

    def end(self) -> None:
        """End the recording and hand it over."""
        recording, recorder = self._recording, self._recorder
        recording.off()
        seconds = (perf_counter_ns() - self._started) / 1e9
        try:
            recording.stop()
            recorder.give_back()
            settings = recorder.settings
            record = CaptureRecord(
                id=new_capture_id(self._started_unix),
                started=self._started_unix,
                duration_seconds=seconds,
                cpu_seconds=recording.cpu_seconds,
                title=self._name,
                trigger=_TRIGGER,
                engine=self._engine.name,
                exactness=self._engine.exactness,
                host=socket.gethostname(),
                pid=os.getpid(),
                service=settings.service_name,
                service_version=settings.service_version,
                app_packages=recorder.app_packages,
            )
            recorder.store_later(record, recording)
        except Exception:  # noqa: BLE001  as above
            log.once("block", "flaskprof failed to capture a block", exc_info=True)


def _refuse_event_loop() -> None:
    asyncio = sys.modules.get("asyncio.events")
    if asyncio is not None and asyncio._get_running_loop() is not None:  # noqa: SLF001
        raise SkippedError(Skip.asynchronous)
