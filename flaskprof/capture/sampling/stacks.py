"""Reads the stack of another thread, or of a greenlet that waits, at one moment.

Between two steps of Python code another thread may run. A stack that were followed step by
step could change on the way, and since Python 3.12 following one whose greenlet is switched
meanwhile reads memory that is no longer a frame
(https://github.com/python-greenlet/greenlet/pull/393). So each stack is read by one call
into C, made up of iterators that are all in C: nothing else runs until it is read. No frame
outlives the call either, and with none the life of an application's variables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import accumulate, chain, repeat, starmap
from operator import attrgetter
from types import CodeType, FrameType
from typing import Any, TypeAlias

__all__ = ["Call", "of_greenlet", "of_thread"]

Call: TypeAlias = tuple[CodeType, int]
"""A function under way, and which of its instructions is (`f_lasti`)."""

_outer: Any = FrameType.f_back.__get__
_call = attrgetter("f_code", "f_lasti")
_waiting_frame = attrgetter("gr_frame")


def of_thread(thread: int, base: FrameType) -> list[Call] | None:
    """Return what runs on a thread above `base`, innermost first; None without `base`.

    `thread` is the identifier that the operating system's thread has for the interpreter.
    """
    frames_of_all = starmap(sys._current_frames, ((),))  # noqa: SLF001  documented
    return _above(map(dict.get, frames_of_all, (thread,)), base)


def of_greenlet(greenlet: Any, base: FrameType) -> list[Call] | None:
    """Return what waits in a greenlet above `base`, as `of_thread` does."""
    return _above(map(_waiting_frame, (greenlet,)), base)


def _above(innermost: Iterator[FrameType | None], base: FrameType) -> list[Call] | None:
    stack = accumulate(chain(innermost, repeat(None)), _outer)
    # The frames first, all of them: asking one for its code may run an audit hook.
    frames = chain.from_iterable(map(list, (iter(stack.__next__, base),)))
    try:
        return list(map(_call, frames))
    except TypeError:
        return None  # there is nothing beyond the outermost frame, and it was not the base
