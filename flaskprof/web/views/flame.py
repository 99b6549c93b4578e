"""The tree that the flame view of a subject draws, as data for its script."""

from __future__ import annotations

from flaskprof.profiles.flame import flame_tree
from flaskprof.web.flame_data import flame_json
from flaskprof.web.subject import Subject, merged, subject_of
from flaskprof.web.visit import Data, Visit

__all__ = ["capture_tree", "merge_tree"]


def capture_tree(visit: Visit, capture_id: str) -> Data:
    """Send the stacks of a capture; with ``app=1`` those of the application's own code."""
    return _data(subject_of(visit, capture_id))


def merge_tree(visit: Visit) -> Data:
    """Send the stacks of several captures added up, which ``c`` names."""
    return _data(merged(visit, visit.query.getlist("c")))


def _data(subject: Subject) -> Data:
    is_sampled = subject.truth == "sampled"
    return Data(flame_json(flame_tree(subject.tree, is_sampled=is_sampled)))
