"""Every format that a profile can be exported in: the files for other tools, and the drawings.

`EXPORTS` is what the command line and the viewer offer. It is `flaskprof.formats.FORMATS`
with those that need the viewer's own files: the flame view as a picture, and as a page that
needs nothing beside itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from flaskprof.formats import FORMATS, Format
from flaskprof.late import Late

__all__ = ["DRAWINGS", "EXPORTS", "export_of"]

DRAWINGS: Mapping[str, Format] = {
    "svg": Format(
        "svg",
        ".svg",
        "image/svg+xml",
        "the flame view as a picture",
        has_stacks=True,
        write=Late("flaskprof.web.flame_svg:write_svg"),
    ),
    "html": Format(
        "html",
        ".html",
        "text/html; charset=utf-8",
        "the flame view as one page that needs no server",
        has_stacks=True,
        write=Late("flaskprof.web.flame_page:write_page"),
    ),
}
"""Those that draw a tree, which may have bounds."""

EXPORTS: Mapping[str, Format] = {**FORMATS, **DRAWINGS}


def export_of(file_name: str) -> Format | None:
    """Return the format that the end of a file's name stands for, if it is one of ours."""
    return next((row for row in EXPORTS.values() if row.is_name(file_name)), None)
