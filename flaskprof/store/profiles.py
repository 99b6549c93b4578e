"""The profile of a capture, with whole stacks where they are kept."""

from __future__ import annotations

from flaskprof.formats import FORMATS
from flaskprof.profiles.model import Profile
from flaskprof.record import CaptureRecord
from flaskprof.store import Store

__all__ = ["profile_of"]


def profile_of(store: Store, record: CaptureRecord) -> Profile:
    """Return the profile of a capture that `store` holds.

    Raises `BadProfile` where it cannot be read, and what `Store.read` raises.
    """
    row = FORMATS["pprof" if record.has_stacks else "prof"]
    assert row.read is not None, "both can be read"  # noqa: S101  for mypy
    return row.read(store.read(record.id, row.suffix))
