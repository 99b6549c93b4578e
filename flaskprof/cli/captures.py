"""Finds the capture that a command line means, and reads its profile."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flaskprof.config import Settings
from flaskprof.errors import BadProfile, CaptureNotFound
from flaskprof.ids import is_capture_id
from flaskprof.profiles.model import Profile
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery, Store
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.files import FileStore
from flaskprof.store.profiles import profile_of

__all__ = ["Loaded", "load", "locate"]

_DIGITS = re.compile(r"[0-9a-f]{8,32}\Z")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Loaded:
    """A capture: what is known of it, and its profile."""

    record: CaptureRecord
    profile: Profile


def load(reference: str, settings: Settings) -> Loaded:
    """Return the capture that `reference` names, with its stacks where they are kept.

    Raises what `locate` raises, and `BadProfile` where the profile cannot be read.
    """
    store, capture_id = locate(reference, settings)
    record = store.record(capture_id)
    try:
        return Loaded(record, profile_of(store, record))
    except BadProfile as error:
        raise BadProfile(f"the profile of {reference} cannot be read: {error}") from error


def locate(reference: str, settings: Settings) -> tuple[Store, str]:
    """Return the store and the ID of the capture that `reference` names.

    Raises `CaptureNotFound` where it names none, or more than one.
    """
    store = DirectoryStore(settings.dir)
    if reference == "latest":
        return store, _latest(store)
    digits = reference.replace("-", "").lower()
    if is_capture_id(digits):
        return store, digits
    if _DIGITS.match(digits) and (found := store.find(digits)):
        if len(found) > 1:
            raise CaptureNotFound(_ambiguous(reference, found))
        return store, found[0]
    if Path(reference).is_file():
        files = FileStore([reference])
        return files, files.list(CaptureQuery(limit=1)).records[0].id
    raise CaptureNotFound(
        f"there is no capture {reference!r} in {store.path}, and no such file: give its ID, "
        "8 or more digits of it, 'latest' or the path of a profile (flaskprof ls lists "
        "captures)"
    )


def _latest(store: DirectoryStore) -> str:
    records = store.list(CaptureQuery(limit=1)).records
    if not records:
        raise CaptureNotFound(f"there is no capture in {store.path} yet")
    return records[0].id


def _ambiguous(reference: str, found: Sequence[str]) -> str:
    some = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
    return f"{len(found)} captures begin with {reference}: give more digits of one of {some}"
