"""Sentences about what limits a profile that more than one engine may have to say."""

from __future__ import annotations

from flaskprof.profiles.model import Function

__all__ = ["MIXED", "STARTED_THREADS", "starts_thread"]

STARTED_THREADS = "The request started threads: what ran in them is not in the profile."
MIXED = (
    "Two threads worked on the request at the same time: only one of them is in the profile."
)

_STARTS = ("start_new_thread", "start_joinable_thread")
_BUILTIN_STARTS = tuple(f"<built-in method _thread.{name}>" for name in _STARTS)


def starts_thread(function: Function) -> bool:
    """Whether calling this is starting a thread; under gevent that is a greenlet."""
    if function.file == "~":
        return function.name in _BUILTIN_STARTS
    return function.name in _STARTS and function.file.endswith("gevent/thread.py")
