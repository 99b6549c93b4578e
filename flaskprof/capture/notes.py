"""Sentences about what limits a profile that more than one engine may have to say."""

from __future__ import annotations

__all__ = ["MIXED", "STARTED_THREADS"]

STARTED_THREADS = "The request started threads: what ran in them is not in the profile."
MIXED = (
    "Two threads worked on the request at the same time: only one of them is in the profile."
)
