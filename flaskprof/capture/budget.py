"""How many captures a process may make, so that asking for them harms nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from flaskprof.capture.triggers import Skip

__all__ = ["Budget"]

_AT_ONCE = 4
_AT_ONCE_AT_HOME = 8


class Budget:
    """A number of captures at once, and a token bucket for those that are asked for.

    `at_once` of None means 4, and 8 at home. The bucket holds `burst` captures and gains
    `rate` of them a second; at home it is not asked.
    """

    def __init__(
        self,
        at_once: int | None,
        rate: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once = at_once
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._running = 0
        self._left = float(burst)
        self._filled = clock()

    def take(self, *, is_at_home: bool) -> Skip | None:
        """Take one capture out of the budget; returns why not, if there is none left."""
        most = self._at_once or (_AT_ONCE_AT_HOME if is_at_home else _AT_ONCE)
        with self._lock:
            if self._running >= most:
                return Skip.too_many
            if not is_at_home:
                now = self._clock()
                gained = (now - self._filled) * self._rate
                self._left = min(float(self._burst), self._left + gained)
                self._filled = now
                if self._left < 1:
                    return Skip.rate
                self._left -= 1
            self._running += 1
            return None

    def give_back(self) -> None:
        """Say that a capture that `take` allowed is no longer running."""
        with self._lock:
            self._running -= 1
