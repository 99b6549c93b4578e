"""The viewer's own files, and those of speedscope: all are read once a process."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from functools import cache, cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flaskprof.web.figures import visible

__all__ = ["Asset", "assets", "needed", "pack", "speedscope", "templates"]

_HERE = Path(__file__).parent

# What is served, by the ends of names; what else lies beside it, as licences, is not.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml; charset=utf-8",
    ".woff2": "font/woff2",
}

# What a page needs together comes as one file: a request takes a browser longer than its bytes.
_TOGETHER = {
    "flame-view.css": ("viewer.css", "flame.css"),
    "flame-view.js": ("flame_tree.js", "flame.js"),
}


class Asset:
    """A static file; `version` changes with its content."""

    def __init__(self, body: bytes, mimetype: str) -> None:
        self.body = body
        self.mimetype = mimetype
        self.version = blake2b(body, digest_size=8).hexdigest()

    @cached_property
    def packed(self) -> bytes:
        """The file compressed by gzip, once for all who ask for it."""
        return gzip.compress(self.body, mtime=0)


@cache
def assets() -> dict[str, Asset]:
    """Return the static files by name, and those that are several in one."""
    files = _files("static")
    for name, parts in _TOGETHER.items():
        body = b"\n".join(files[part].body for part in parts)
        files[name] = Asset(body, _TYPES[Path(name).suffix])
    return files


def needed(*, is_drawn: bool) -> tuple[str, ...]:
    """Return the static files of every page, or of one with a flame view, in their order."""
    if not is_drawn:
        return ("viewer.css", "viewer.js")
    # What the keys of all pages do comes before what those of the drawing do.
    return ("flame-view.css", "viewer.js", "flame-view.js")


def pack(names: Iterable[str]) -> None:
    """Compress static files before they are asked for."""
    for name in names:
        _ = assets()[name].packed


@cache
def speedscope() -> dict[str, Asset]:
    """Return the files of speedscope's release by name."""
    return _files("speedscope")


def _files(folder: str) -> dict[str, Asset]:
    found = {}
    for path in sorted((_HERE / folder).iterdir()):
        if path.suffix in _TYPES:
            found[path.name] = Asset(path.read_bytes(), _TYPES[path.suffix])
    return found


@cache
def templates() -> Environment:
    """Return the environment in which every page is rendered.

    What an expression puts on a page is escaped, and characters that cannot be seen are
    written out, whatever template it is in.
    """
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        optimized=False,  # there is nothing to be folded, and looking for it takes time
        auto_reload=False,
        finalize=_written_out,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _written_out(value: Any) -> Any:
    is_foreign = isinstance(value, str) and not hasattr(value, "__html__")
    return visible(value) if is_foreign else value
