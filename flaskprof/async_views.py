"""Lets the recording of a request follow its async views into the thread that runs them.

Flask runs an ``async def`` view by `Flask.async_to_sync`, which hands the coroutine to an
event loop in another thread and waits. While a request is recorded, that call is held and
the coroutine's thread is recorded in its place, with all that its loop runs for it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from types import CodeType, FunctionType
from typing import Any, TypeVar

from flask import has_request_context, request

from flaskprof.capture.engines import Recording
from flaskprof.middleware import EXCHANGE

__all__ = ["following"]

R = TypeVar("R")
Function = Callable[..., Coroutine[Any, Any, R]]


def following(async_to_sync: Callable[[Function[R]], Callable[..., R]]) -> Callable[..., Any]:
    """Return `async_to_sync` such that recordings follow; without one it is as it was."""

    @wraps(async_to_sync)
    def follow(function: Function[R]) -> Callable[..., R]:
        recording = _recording()
        if recording is None:
            return async_to_sync(function)
        return _followed(async_to_sync, function, recording)

    return follow


def _recording() -> Recording | None:
    """Return what records the present request, if anything does."""
    exchange = request.environ.get(EXCHANGE) if has_request_context() else None
    return None if exchange is None else exchange.recording


def _followed(
    async_to_sync: Callable[[Function[R]], Callable[..., R]],
    function: Function[R],
    recording: Recording,
) -> Callable[..., R]:
    @wraps(function)
    async def recorded(*args: Any, **keywords: Any) -> R:
        recording.on()
        try:
            return await function(*args, **keywords)
        finally:
            recording.off()

    run = async_to_sync(recorded)
    code = _code_of(run)

    @wraps(function)
    def call(*args: Any, **keywords: Any) -> R:
        if not recording.hold(code):
            # Another thread is recorded at the moment, in which this one waits.
            return async_to_sync(function)(*args, **keywords)
        try:
            return run(*args, **keywords)
        finally:
            recording.resume()

    return call


def _code_of(run: Callable[..., Any]) -> CodeType:
    """Return the code that runs where `run` is called, or that of a function of ours."""
    function = run if isinstance(run, FunctionType) else type(run).__call__
    return getattr(function, "__code__", _code_of.__code__)
