"""One module a page; `VIEWS` says which view answers which address of `flaskprof.web.links`."""

from __future__ import annotations

from collections.abc import Mapping

from flaskprof.web.views.capture import capture
from flaskprof.web.views.captures import captures
from flaskprof.web.views.files import download_profile, download_record, download_stacks
from flaskprof.web.views.flame import tree
from flaskprof.web.views.function import function
from flaskprof.web.visit import View

__all__ = ["VIEWS"]

VIEWS: Mapping[str, View] = {
    "captures": captures,
    "capture": capture,
    "function": function,
    "tree": tree,
    "download_profile": download_profile,
    "download_stacks": download_stacks,
    "download_record": download_record,
}
