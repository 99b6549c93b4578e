"""Finds the capture that a command line means, and reads its profile."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import click
from click.shell_completion import CompletionItem

from flaskprof.cli.named import named_file
from flaskprof.cli.program import load_settings
from flaskprof.config import Settings
from flaskprof.errors import BadProfile, CaptureNotFound, FlaskprofError
from flaskprof.ids import is_capture_id
from flaskprof.profiles.model import Profile
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery, Store
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.files import FileStore
from flaskprof.store.profiles import profile_of

__all__ = ["Loaded", "Reference", "load", "locate"]

_DIGITS = re.compile(r"[0-9a-f]{8,32}\Z")
_SHOWN = 5
_COMPLETED = 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """A capture: what is known of it, and its profile."""

    record: CaptureRecord
    profile: Profile


class Reference(click.ParamType[str]):
    """What names a capture or a file; a shell completes either."""

    name = "capture"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the newest captures that it may be; where there is none, files."""
        del param
        files = CompletionItem(incomplete, type="file")
        try:
            with ctx.scope(cleanup=False):
                store = DirectoryStore(load_settings(dir=ctx.params.get("dir")).dir)
            ids = [record.id for record in store.list(CaptureQuery(limit=_COMPLETED)).records]
        except FlaskprofError:
            return [files]
        named = (["latest"] if ids else []) + ids
        return [files, *(CompletionItem(name) for name in named if name.startswith(incomplete))]


def load(reference: str, settings: Settings) -> Loaded:
    """Return the capture that `reference` names, with its stacks where they are kept.

    Its record names the packages that `settings` say are the application's own, too.

    Raises what `locate` raises, and `BadProfile` where the profile cannot be read.
    """
    store, capture_id = locate(reference, settings)
    record = store.record(capture_id)
    packages = {*record.app_packages, *settings.app_packages}
    record = replace(record, app_packages=tuple(sorted(packages)))
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
    path = named_file(reference)
    if path.is_file():
        files = FileStore([path])
        return files, files.list(CaptureQuery(limit=1)).records[0].id
    if path.is_dir():
        raise CaptureNotFound(
            f"{reference} is a folder: name a file in it, or look at all of them with "
            f"flaskprof open {reference}"
        )
    if path.exists():
        raise CaptureNotFound(f"{reference} is no regular file: save its content as one first")
    raise CaptureNotFound(
        f"there is no capture {reference!r} in {store.path}, and no such file: give its ID, "
        "8 or more digits of it, 'latest', the path of a profile, or - for standard input "
        "(flaskprof ls lists captures)"
    )


def _latest(store: DirectoryStore) -> str:
    records = store.list(CaptureQuery(limit=1)).records
    if not records:
        raise CaptureNotFound(f"there is no capture in {store.path} yet")
    return records[0].id


def _ambiguous(reference: str, found: Sequence[str]) -> str:
    some = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
    return f"{len(found)} captures begin with {reference}: give more digits of one of {some}"
