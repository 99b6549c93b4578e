"""One module a page; `VIEWS` says which view answers which address of `flaskprof.web.links`."""

from __future__ import annotations

from collections.abc import Mapping

from flaskprof.web.views.capture import capture, function, merge
from flaskprof.web.views.captures import captures
from flaskprof.web.views.compare import compare_export, compare_page, compare_tree
from flaskprof.web.views.export import capture_export, merge_export
from flaskprof.web.views.files import download_profile, download_record, download_stacks
from flaskprof.web.views.flame import capture_tree, merge_tree
from flaskprof.web.views.overview import overview
from flaskprof.web.views.route import route
from flaskprof.web.visit import View

__all__ = ["VIEWS"]

VIEWS: Mapping[str, View] = {
    "overview": overview,
    "captures": captures,
    "route": route,
    "capture": capture,
    "capture_tree": capture_tree,
    "capture_export": capture_export,
    "merge": merge,
    "merge_tree": merge_tree,
    "merge_export": merge_export,
    "compare": compare_page,
    "compare_tree": compare_tree,
    "compare_export": compare_export,
    "function": function,
    "download_profile": download_profile,
    "download_stacks": download_stacks,
    "download_record": download_record,
}
