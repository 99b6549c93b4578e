"""One module a page; `VIEWS` says which view answers which address of `flaskprof.web.links`."""

from __future__ import annotations

from collections.abc import Mapping

from flaskprof.late import Late
from flaskprof.web.visit import View

__all__ = ["VIEWS"]

# Each is imported when its page is first looked at: most processes show few of them.
VIEWS: Mapping[str, View] = {
    endpoint: Late(f"{__name__}.{home}")
    for endpoint, home in {
        "overview": "overview:overview",
        "captures": "captures:captures",
        "route": "route:route",
        "capture": "capture:capture",
        "capture_tree": "flame:capture_tree",
        "capture_export": "export:capture_export",
        "merge": "capture:merge",
        "merge_tree": "flame:merge_tree",
        "merge_export": "export:merge_export",
        "compare": "compare:compare_page",
        "compare_tree": "compare:compare_tree",
        "compare_export": "compare:compare_export",
        "function": "capture:function",
        "download_profile": "files:download_profile",
        "download_stacks": "files:download_stacks",
        "download_record": "files:download_record",
    }.items()
}
