"""What a view is given and what it returns.

A view takes a `Visit` and the arguments of its address. It returns a `Page`, which is
printed as HTML or as JSON, a `Download`, `Data` for a script, or a `Redirect`. It raises
werkzeug's HTTP exceptions for a query that makes no sense and lets the errors of the store
and the profile reader pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.datastructures import MultiDict

from flaskprof.config import Settings
from flaskprof.store import Store
from flaskprof.web.links import Links
from flaskprof.web.parsed import ParsedProfiles

if TYPE_CHECKING:
    from flaskprof.metrics.live import Live  # files are looked at without any metrics

__all__ = ["Data", "Download", "Page", "Redirect", "View", "Visit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request, as a view sees it.

    `now` is in Unix seconds; `source_roots` returns the folders whose source may be shown,
    `live` tells what goes on, where there are processes that are watched.
    """

    store: Store
    settings: Settings
    profiles: ParsedProfiles
    links: Links
    query: MultiDict[str, str]
    now: float
    origin: str
    source_roots: Callable[[], Sequence[Path]] = tuple
    live: Live | None = None


class Page(NamedTuple):
    """What is to be shown: `view` by the template, or what `data` returns as JSON.

    `json_type` is the media type of the latter. `is_drawn` says that the page has a flame
    view, with the scripts and styles of that.
    """

    template: str
    view: Any
    data: Callable[[], Mapping[str, Any]]
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    json_type: str = "application/json"
    is_drawn: bool = False


class Download(NamedTuple):
    """A file that the browser saves and never opens."""

    body: bytes
    filename: str
    mimetype: str


class Data(NamedTuple):
    """JSON for a script of the viewer, compressed by gzip: as it is kept and mostly sent."""

    packed: bytes


class Redirect(NamedTuple):
    """Another address, an absolute path, that shows what was asked for."""

    url: str


View = Callable[..., Page | Download | Data | Redirect]
