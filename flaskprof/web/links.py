"""The addresses of the viewer: one table, matched and built from the same rules.

Every link is an absolute path under the request's ``SCRIPT_NAME``, so that the viewer
works wherever it is mounted. A function is addressed by a digest of its key: the same in
every capture, in each process, and short however long its path and name are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

from werkzeug.routing import Map, Rule

from flaskprof.profiles.model import Function

__all__ = ["SPEEDSCOPE_PAGE", "Links", "function_key"]

SPEEDSCOPE_PAGE = "index.html"

_READS = ("GET", "HEAD")

_ADDRESSES = Map(
    [
        Rule("/", endpoint="overview", methods=_READS),
        Rule("/captures", endpoint="captures", methods=_READS),
        Rule("/r/", endpoint="route", methods=_READS),
        Rule("/compare", endpoint="compare", methods=_READS),
        Rule("/compare/tree.json", endpoint="compare_tree", methods=_READS),
        Rule("/compare/export/<name>", endpoint="compare_export", methods=_READS),
        Rule("/c/<capture_id>", endpoint="capture", methods=_READS),
        Rule("/c/<capture_id>/f/<key>", endpoint="function", methods=_READS),
        Rule("/c/<capture_id>/tree.json", endpoint="capture_tree", methods=_READS),
        Rule("/c/<capture_id>/export/<name>", endpoint="capture_export", methods=_READS),
        Rule("/merge", endpoint="merge", methods=_READS),
        Rule("/merge/tree.json", endpoint="merge_tree", methods=_READS),
        Rule("/merge/export/<name>", endpoint="merge_export", methods=_READS),
        Rule("/c/<capture_id>.prof", endpoint="download_profile", methods=_READS),
        Rule("/c/<capture_id>.pb.gz", endpoint="download_stacks", methods=_READS),
        Rule("/c/<capture_id>.json", endpoint="download_record", methods=_READS),
        Rule(
            "/speedscope/",
            endpoint="speedscope",
            defaults={"name": SPEEDSCOPE_PAGE},
            methods=_READS,
        ),
        Rule("/speedscope/<name>", endpoint="speedscope", methods=_READS),
        Rule("/static/<name>", endpoint="asset", methods=_READS),
    ],
    strict_slashes=False,
    merge_slashes=False,
)


def function_key(function: Function) -> str:
    """Return the 20 hexadecimal digits that stand for `function` in an address."""
    # The length keeps the fields apart, whatever characters they hold.
    text = f"{len(function.file)} {function.line} {function.file}{function.name}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


class Links:
    """Matches and builds the addresses of a viewer that is mounted at `script_name`."""

    def __init__(self, script_name: str) -> None:
        # Two slashes in front would make every link point to another host.
        self.root = "/" + quote(script_name.strip("/"), safe="/:@!$&'()*+,;=~")
        self.root = self.root.rstrip("/")
        self._adapter = _ADDRESSES.bind("viewer", script_name=self.root or "/")

    def match(self, path: str, method: str) -> tuple[str, Mapping[str, Any]]:
        """Return the endpoint and its arguments; raises werkzeug's HTTP exceptions."""
        endpoint, arguments = self._adapter.match(path, method=method)
        return endpoint, arguments

    def overview(self, **query: Any) -> str:
        """The front page."""
        return self._build("overview", query)

    def captures(self, **query: Any) -> str:
        """The list of captures."""
        return self._build("captures", query)

    def route(self, route: str, method: str, **query: Any) -> str:
        """The page of one route."""
        return self._build("route", {"route": route, "method": method, **query})

    def compare(self, **query: Any) -> str:
        """What changed from one side to the other; see `flaskprof.web.views.compare`."""
        return self._build("compare", query)

    def compare_tree(self, **query: Any) -> str:
        """The tree of both sides of a comparison."""
        return self._build("compare_tree", query)

    def compare_export(self, name: str, **query: Any) -> str:
        """The table of a comparison as a file."""
        return self._build("compare_export", {"name": name, **query})

    def capture(self, capture_id: str, **query: Any) -> str:
        """The page of one capture."""
        return self._build("capture", {"capture_id": capture_id, **query})

    def subject(self, ids: Sequence[str], **query: Any) -> str:
        """The page of one capture, or of several added up."""
        return self._of_subject("capture", "merge", ids, query)

    def subject_tree(self, ids: Sequence[str], **query: Any) -> str:
        """The data of the flame view of one capture, or of several added up."""
        return self._of_subject("capture_tree", "merge_tree", ids, query)

    def subject_export(self, ids: Sequence[str], name: str, **query: Any) -> str:
        """The download, in one of the formats, of one capture or of several added up."""
        query = {"name": name, **query}
        return self._of_subject("capture_export", "merge_export", ids, query)

    def function(self, capture_id: str, function: Function) -> str:
        """The callers and callees of one function in a capture."""
        values = {"capture_id": capture_id, "key": function_key(function)}
        return self._build("function", values)

    def download_profile(self, capture_id: str) -> str:
        """The ``.prof`` file of a capture."""
        return self._build("download_profile", {"capture_id": capture_id})

    def download_stacks(self, capture_id: str) -> str:
        """The stacks of a capture in pprof's format."""
        return self._build("download_stacks", {"capture_id": capture_id})

    def download_record(self, capture_id: str) -> str:
        """The metadata file of a capture."""
        return self._build("download_record", {"capture_id": capture_id})

    def speedscope(self, profile_url: str, title: str) -> str:
        """speedscope, opened on the profile at `profile_url` and heaviest first.

        What it is to open stands in the fragment, which it reads itself.
        """
        of = {"profileURL": profile_url, "title": _sendable(title), "view": "left-heavy"}
        fragment = "&".join(f"{name}={quote(value, safe='')}" for name, value in of.items())
        return f"{self._build('speedscope', {'name': SPEEDSCOPE_PAGE})}#{fragment}"

    def asset(self, name: str, version: str) -> str:
        """A static file, in the version that may be cached for ever."""
        return self._build("asset", {"name": name, "v": version})

    def _of_subject(
        self, of_one: str, of_many: str, ids: Sequence[str], query: Mapping[str, Any]
    ) -> str:
        if len(ids) == 1:
            return self._build(of_one, {"capture_id": ids[0], **query})
        return self._build(of_many, {"c": list(ids), **query})

    def _build(self, endpoint: str, values: Mapping[str, Any]) -> str:
        sendable = {
            name: _sendable(value) if isinstance(value, str) else value
            for name, value in values.items()
        }
        return self._adapter.build(endpoint, sendable)


def _sendable(text: str) -> str:
    """Return `text` without lone surrogates, which have no place in an address."""
    return text.encode("utf-8", "replace").decode()
