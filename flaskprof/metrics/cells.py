"""Words that many threads of one process add to and other processes read.

`Cells` is written in C where that was built: what it does happens under the interpreter lock,
so that a request is counted in a fraction of a microsecond. `PythonCells` does the same with a
lock of its own. Neither waits for itself where a signal handler of the application serves a
request amid a count of ours.
"""

from __future__ import annotations

import re
import struct
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flaskprof.metrics.layout import WORD, Layout

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Cells", "PythonCells"]

_ENTRY = struct.Struct("=qqq16s16s")
_ID = re.compile(r"([0-9a-fA-F]{32})?\Z")


class PythonCells:
    """The 64-bit words of `memory`, which begins at a word.

    A histogram is some words of which the first is the sum, and from the word `buckets` on
    how many values were in each bucket; `bounds` are the upper bounds of all but the last.
    Every word is written at once, so that other processes read it before or after.
    `exemplars` are the place that counts them, that where their ring begins, and that of the
    first histogram that they are of.
    """

    def __init__(
        self,
        memory: WriteableBuffer,
        bounds: Sequence[int],
        buckets: int,
        exemplars: tuple[int, int, int] | None = None,
        /,
    ) -> None:
        self._lock = threading.RLock()
        self._bytes = memoryview(memory).cast("B")
        self._words = self._bytes.cast("q")
        # A request that ends later than this, by the clock of ``perf_counter``, does more.
        self.due_ns = 0
        self._bounds = tuple(bounds)
        self._buckets = buckets
        self._exemplars = exemplars

    def add(self, *pairs: int) -> None:
        """Add to words, given as place, number, place, number…, up to 16 pairs."""
        places = iter(pairs)
        with self._lock:
            words = self._words
            for place, number in zip(places, places, strict=True):
                words[place] += number

    def observe(self, place: int, value: int, /, *others: int | None) -> None:
        """Count `value` in the histogram at `place`.

        Behind its sum there are, for each of `others`, a word that counts it and one that
        adds it up; what is None was not measured.
        """
        bucket = place + self._buckets + bisect_left(self._bounds, value)
        with self._lock:
            words = self._words
            words[bucket] += 1
            words[place] += value
            for other in others:
                if other is not None:
                    words[place + 1] += 1
                    words[place + 2] += other
                place += 2

    def add_exemplar(self, place: int, value: int, profile_id: str, trace_id: str, /) -> None:
        """Note what led to `value`, which is in the histogram at `place`, and when: now.

        The oldest of 256 gives way. Both IDs are 32 hexadecimal digits, or nothing.
        """
        if self._exemplars is None:
            raise TypeError("there is no ring")
        noted, ring, rows = self._exemplars
        width = self._buckets + len(self._bounds) + 1
        if not rows <= place <= len(self._words) - width:
            raise IndexError("there is no such histogram")
        if not (_ID.match(profile_id) and _ID.match(trace_id)):
            raise ValueError("an ID has 32 hexadecimal digits")
        data = _ENTRY.pack(
            (place - rows) // width << 16 | bisect_left(self._bounds, value),
            value,
            time.time_ns(),
            bytes.fromhex(profile_id),
            bytes.fromhex(trace_id),
        )
        with self._lock:
            words = self._words
            number = words[noted]
            entry = ring + number % Layout.RING_ENTRIES * Layout.RING_WORDS
            # A reader takes an entry only where it finds the same number before and after.
            words[entry] = 0
            self._bytes[(entry + 1) * WORD : (entry + Layout.RING_WORDS) * WORD] = data
            words[entry] = number + 1
            words[noted] = number + 1

    def move_to(self, memory: WriteableBuffer, kept: Sequence[int] | None = None, /) -> None:
        """Go on in other memory of the same size.

        All words go there as they are by now, or only those at the places `kept`.
        """
        data = memoryview(memory).cast("B")
        words = data.cast("q")
        if len(words) != len(self._words):
            raise ValueError("memory of another size")
        with self._lock:
            if kept is None:
                words[:] = self._words
            else:
                for place in kept:
                    words[place] = self._words[place]
            self._bytes, self._words = data, words

    def forget_lock(self) -> None:
        """Begin with a free lock: after a fork its holder may not exist."""
        self._lock = threading.RLock()


try:
    from flaskprof.metrics._request import Cells
except ImportError:  # no compiler was there
    Cells = PythonCells  # type: ignore[assignment,misc]  # the same face
