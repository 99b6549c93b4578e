"""The tree that the flame view of a subject draws, as data for its script."""

from __future__ import annotations

from flaskprof.web.subject import merged, subject_of
from flaskprof.web.visit import Data, Visit

__all__ = ["capture_tree", "merge_tree"]


def capture_tree(visit: Visit, capture_id: str) -> Data:
    """Send the stacks of a capture; with ``app=1`` those of the application's own code."""
    return Data(subject_of(visit, capture_id).flame)


def merge_tree(visit: Visit) -> Data:
    """Send the stacks of several captures added up, which ``c`` names."""
    return Data(merged(visit, visit.query.getlist("c")).flame)
