"""The tree that the flame view of a capture draws, as data for its script."""

from __future__ import annotations

from flaskprof.errors import CaptureNotFound
from flaskprof.formats.pprof import read_pprof
from flaskprof.profiles.flame import flame_tree
from flaskprof.profiles.model import Profile
from flaskprof.record import CaptureRecord
from flaskprof.web.flame_data import flame_json
from flaskprof.web.visit import Data, Visit

__all__ = ["tree"]


def tree(visit: Visit, capture_id: str) -> Data:
    """Send the stacks of a capture; with ``app=1`` those of the application's own code."""
    record = visit.store.record(capture_id)
    found = flame_tree(
        _profile(visit, record),
        of_application=visit.query.get("app") == "1",
        is_sampled=record.exactness == "sampled",
    )
    return Data(flame_json(found))


def _profile(visit: Visit, record: CaptureRecord) -> Profile:
    """Return the exact stacks where they are kept, else the sums."""
    if record.has_stacks:
        try:
            return read_pprof(visit.store.read(record.id, ".pb.gz"))
        except CaptureNotFound:
            pass  # the file of stacks alone was removed
    return visit.profiles.get(visit.store.read(record.id, ".prof"))
