"""Capture IDs: time-ordered, 32 lower-case hexadecimal digits.

One ID is file name, URL, exemplar label and log field. The layout is UUID version 7
(RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits, so that sorting
IDs sorts captures by time and the day of a capture can be read from its ID.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime

__all__ = ["is_capture_id", "new_capture_id", "time_of"]

# Of the 48 bits of time the highest are left out: they lie beyond the year 9999, which is
# as far as a datetime goes.
_ID = re.compile(r"[0-9a-d][0-9a-f]{11}7[0-9a-f]{3}[89ab][0-9a-f]{15}\Z")


def new_capture_id(unix_seconds: float | None = None, *, tail: bytes | None = None) -> str:
    """Return a fresh ID for a capture that began at `unix_seconds` (default: now).

    `tail`, of ten bytes, takes the place of what is random: the same moment and tail give
    the same ID.
    """
    seconds = time.time() if unix_seconds is None else unix_seconds
    milliseconds = int(seconds * 1000) & 0xFFFF_FFFF_FFFF
    noise = int.from_bytes(os.urandom(10) if tail is None else tail, "big")
    random_a, random_b = noise >> 68, noise & ((1 << 62) - 1)
    value = milliseconds << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b
    return f"{value:032x}"


def is_capture_id(text: str) -> bool:
    """Whether `text` has the form of a capture ID; safe to use in a path if so."""
    return _ID.match(text) is not None


def time_of(capture_id: str) -> datetime:
    """The moment, in UTC, at which the capture of this ID began."""
    return datetime.fromtimestamp(int(capture_id[:12], 16) / 1000, UTC)
