"""Threads and locks of the operating system, also where gevent has put its own in their place.

A monkey-patched `threading` runs greenlets: all of them wait while one computes, which is
just when a watcher has to look. What is made here is never a greenlet and never switches
between them.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["Signal", "original", "start_thread"]


def original(module: str, name: str) -> Any:
    """Return `name` of the standard library's `module` as it was before any patching."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return getattr(importlib.import_module(module), name)
    return monkey.get_original(module, name)


def start_thread(run: Callable[[], None], name: str) -> None:
    """Run something on a daemon thread; raises RuntimeError where none can be started.

    Under gevent the thread has no name, since `threading` must not hear of it.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        monkey.get_original("_thread", "start_new_thread")(run, ())
    else:
        threading.Thread(target=run, name=name, daemon=True).start()


class Signal:
    """Wakes the one thread that waits for it, or else the next that does.

    Setting it waits for nobody, so that it may be done anywhere, in a ``__del__`` or a
    signal handler too. Setting it again before it was awaited changes nothing.
    """

    def __init__(self) -> None:
        # Held as long as the signal is not set.
        self._lock: Any = original("_thread", "allocate_lock")()
        self._lock.acquire()

    def set(self) -> None:
        """Wake whoever waits."""
        with suppress(RuntimeError):  # it may be set already
            self._lock.release()

    def wait(self, timeout_seconds: float = -1) -> bool:
        """Wait until it is set, and unset it; false where that took too long."""
        return bool(self._lock.acquire(timeout=timeout_seconds))
