"""Words that are added to by many threads of one process and read by other processes.

`Cells` is written in C where that was built: what it does happens under the interpreter lock,
so that a request is counted in a fraction of a microsecond. `PythonCells` does the same with a
lock of its own. Neither can wait for itself: where a signal handler of the application serves
a request amid a count of ours, that request is counted too.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Cells", "PythonCells"]


class PythonCells:
    """The 64-bit words of `memory`, which begins at a word."""

    def __init__(self, memory: WriteableBuffer, /) -> None:
        self._lock = threading.RLock()
        self._words = memoryview(memory).cast("B").cast("q")

    def add(self, *pairs: int) -> None:
        """Add to words, given as place, number, place, number…; all at once to threads here.

        Each word is written at once, so that other processes read it before or after.
        """
        places = iter(pairs)
        with self._lock:
            words = self._words
            for place, number in zip(places, places, strict=True):
                words[place] += number

    def move_to(self, memory: WriteableBuffer, /) -> None:
        """Go on in other memory of the same size, with what is counted so far."""
        words = memoryview(memory).cast("B").cast("q")
        with self._lock:
            words[:] = self._words
            self._words = words

    def forget_lock(self) -> None:
        """Begin with a free lock: after a fork its holder may not exist."""
        self._lock = threading.RLock()


try:
    from flaskprof.metrics._request import Cells
except ImportError:  # no compiler was there
    Cells = PythonCells  # type: ignore[assignment,misc]  # the same face
