"""Whether the engine in C can be used here and, if not, why."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flaskprof.capture._calltree import Recording

__all__ = ["why_no_calltree"]


@cache
def why_no_calltree() -> str | None:
    """Return why exact call trees cannot be recorded here; None if they can.

    The engine is tried on a few calls whose counts are known, so that an interpreter that
    has changed under it shows here and not in a profile.
    """
    implementation = platform.python_implementation()
    if implementation != "CPython":
        return f"it is made for CPython, and this is {implementation}"
    try:
        from flaskprof.capture._calltree import Recording  # noqa: PLC0415  may be absent
    except ModuleNotFoundError:
        return (
            "its extension was not built: flaskprof was installed without a C compiler, or "
            "for another interpreter"
        )
    except ImportError as error:
        return str(error)
    try:
        return _why_wrong(Recording())
    except RuntimeError:
        return None  # it is there but busy; who asks for a capture will be told


def _why_wrong(recording: Recording) -> str | None:
    recording.on()
    try:
        _known_calls()
    finally:
        recording.off()
    functions, _, function, calls, _ = recording.take()
    counted: Counter[str] = Counter()
    for index, count in zip(
        memoryview(function).cast("i"), memoryview(calls).cast("q"), strict=True
    ):
        counted[getattr(functions[index], "co_name", "") or str(functions[index])] += count
    if counted == _EXPECTED:
        return None
    return f"it counts calls wrongly on this interpreter: {dict(counted)}"


_EXPECTED = Counter(
    {
        "_known_calls": 1,
        "_recurse": 4,
        "_generate": 3,
        "_fail": 1,
        "<built-in method builtins.len>": 2,
        "<built-in method builtins.sum>": 1,
        "<method 'index' of 'list' objects>": 1,
    }
)


def _known_calls() -> None:
    _recurse(3)
    sum(_generate())
    try:  # noqa: SIM105  a context manager is two calls more
        _fail()
    except ValueError:
        pass  # the failure is part of what is counted


def _recurse(depth: int) -> None:
    if depth:
        _recurse(depth - 1)


def _generate() -> Iterator[int]:
    yield len("a")
    yield len("b")


def _fail() -> None:
    [1].index(2)
