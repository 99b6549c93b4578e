"""Finds the capture that a command line means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from flaskprof.config import Settings
from flaskprof.errors import CaptureNotFound
from flaskprof.ids import is_capture_id
from flaskprof.store import CaptureQuery, Store
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.files import FileStore

__all__ = ["locate"]


_DIGITS = re.compile(r"[0-9a-f]{8,32}\Z")
_SHOWN = 5


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
        "8 or more digits of it, 'latest' or the path of a .prof file (flaskprof ls lists "
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
