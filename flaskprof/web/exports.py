"""Every format that a profile can be exported in: the files for other tools, and the drawings.

`EXPORTS` is what the command line and the viewer offer. It is `flaskprof.formats.FORMATS`
with those that need the viewer's own files: the flame view as a picture, and as a page that
needs nothing beside itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from flaskprof.formats import FORMATS, Format
from flaskprof.profiles.estimate import EstimatedTree
from flaskprof.profiles.flame import FlameTree, flame_tree
from flaskprof.profiles.model import Profile
from flaskprof.record import CaptureRecord
from flaskprof.web.flame_page import write_page
from flaskprof.web.flame_svg import write_svg

__all__ = ["DRAWINGS", "EXPORTS", "export_of"]


def _drawn(profile: Profile | EstimatedTree, record: CaptureRecord) -> FlameTree:
    return flame_tree(profile, is_sampled=record.exactness == "sampled")


DRAWINGS: Mapping[str, Format] = {
    "svg": Format(
        "svg",
        ".svg",
        "image/svg+xml",
        "the flame view as a picture",
        has_stacks=True,
        write=lambda profile, record: write_svg(_drawn(profile, record), record),
    ),
    "html": Format(
        "html",
        ".html",
        "text/html; charset=utf-8",
        "the flame view as one page that needs no server",
        has_stacks=True,
        write=write_page,
    ),
}
"""Those that draw a tree, which may have bounds."""

EXPORTS: Mapping[str, Format] = {**FORMATS, **DRAWINGS}


def export_of(file_name: str) -> Format | None:
    """Return the format that the end of a file's name stands for, if it is one of ours."""
    return next((row for row in EXPORTS.values() if row.is_name(file_name)), None)
