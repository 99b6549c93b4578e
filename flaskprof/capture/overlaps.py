"""How many other requests ran in the process while one was being captured.

They share its cores and its interpreter lock, so its times are longer for them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

__all__ = ["Overlap", "Overlaps"]


@dataclass(slots=True, eq=False)
class Overlap:
    """The other requests of one capture so far."""

    others: int


class Overlaps:
    """Counts the other requests of every capture that is under way.

    `is_counting` is for those who start requests: without a capture they need not say so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[Overlap] = []
        self.is_counting = False

    def begin(self, already_running: int) -> Overlap:
        """Begin to count for a capture, during which so many others run already."""
        overlap = Overlap(already_running)
        with self._lock:
            self._open.append(overlap)
            self.is_counting = True
        return overlap

    def request_started(self) -> None:
        """Count a request that starts now for all captures that are under way."""
        with self._lock:
            for overlap in self._open:
                overlap.others += 1

    def end(self, overlap: Overlap) -> int:
        """End the count of a capture and return it."""
        with self._lock:
            self._open.remove(overlap)
            self.is_counting = bool(self._open)
        return overlap.others
