"""Whose data directory it is: the name of the service, in a file ``service``.

Two services in one directory would be counted as one. The first that has a name and uses
the directory writes it down; who has another name is told so. A service without a name is
taken for the owner.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from flaskprof.store import layout

__all__ = ["claim", "owner_of"]

_NAME = "service"
_MOST_BYTES = 4096


def owner_of(directory: Path) -> str:
    """Return the name of the service that `directory` belongs to, "" where nobody said."""
    try:
        with (directory / _NAME).open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def claim(directory: Path, service: str) -> str:
    """Make `directory` that of `service`; returns the name of another whose it is, or "".

    Raises OSError where that cannot be read or written.
    """
    name = service.encode("utf-8", "replace")
    if not name:
        return ""
    owner = owner_of(directory)
    if not owner:
        layout.make_data_directory(directory)
        temporary = directory / f".{_NAME}.{os.urandom(8).hex()}.tmp"
        layout.write_whole(temporary, name + b"\n", sync=False)
        try:
            # Unlike a rename this leaves the name that another process may just have written.
            with suppress(FileExistsError):
                (directory / _NAME).hardlink_to(temporary)
        finally:
            layout.remove(temporary)
        owner = owner_of(directory)
    return "" if owner == name.decode() else owner
