"""The viewer as a WSGI application.

`Viewer` reads a store and nothing else. It is served inside an application, which hands
it the requests below its prefix (with that prefix in ``SCRIPT_NAME``), or on its own.
Whoever reaches it may look: who that is is decided before it is called.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.datastructures import Headers, MultiDict
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Request, Response

from flaskprof.config import Settings
from flaskprof.errors import BadProfile, CaptureNotFound, StoreError
from flaskprof.ids import is_capture_id, time_of
from flaskprof.late import Late
from flaskprof.log import once
from flaskprof.store import Store
from flaskprof.web.assets import assets, needed, pack, speedscope, templates
from flaskprof.web.links import SPEEDSCOPE_PAGE, Links
from flaskprof.web.parsed import ParsedProfiles
from flaskprof.web.problems import wants_json
from flaskprof.web.views import VIEWS
from flaskprof.web.views.trouble import being_read, being_written, trouble
from flaskprof.web.visit import Data, Download, Page, Redirect, Visit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from flaskprof.metrics.live import Live  # files are looked at without any metrics

__all__ = ["Viewer"]

_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# speedscope makes an empty style element, of that digest, and fills it by script; it has a font
# of its own, and what reads mangled names is WebAssembly. No text can become script by that.
_SPEEDSCOPE_POLICY = (
    _SECURITY["Content-Security-Policy"]
    .replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
    .replace(
        "style-src 'self'",
        "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    )
    + "; font-src 'self'"
)
_FOR_EVER = "private, max-age=31536000, immutable"

_WORTH_COMPRESSING = 2_000

# How long a page may look for what is new in the store; the next one goes on with it.
_PATIENCE_SECONDS = 1.0
# What lists captures shows those that are read so far. What is found among all of them, as
# the median is, would be wrong until all are.
_LISTS = frozenset({"overview", "captures", "route"})

# How long the background writer may take before a capture that was announced is missed.
_WRITING_SECONDS = 10.0

_NOT_THERE = (
    "No capture of that ID is here. It may have been removed, or its request is still under "
    "way: a capture appears once its response has been sent whole."
)
_roots_of = Late("flaskprof.web.source:roots_of")

_OUR_FAULT = "This page failed by a fault of flaskprof itself; its log holds the details."


class _Frame(NamedTuple):
    """What every page has around it: where it leads to, and what there is.

    Where captures have not been read yet, `unread` of them, it loads itself again.
    """

    links: Links
    holds: str
    is_watched: bool
    unread: int = 0


class Viewer:
    """Shows the captures of `store`, as HTML or JSON as the client asks.

    Only GET and HEAD are answered. `is_development` says whether source may be shown where
    the settings do not say so; by default it is what they say. `clock` gives Unix seconds.
    `live` tells what the processes do whose captures these are; without it the front page
    is the list of captures. `profiles` keeps what was parsed, where that is shared.
    """

    def __init__(
        self,
        store: Store,
        *,
        settings: Settings,
        is_development: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.time,
        live: Live | None = None,
        profiles: ParsedProfiles | None = None,
    ) -> None:
        self._is_development = is_development or (lambda: settings.dev)
        self._live = live
        self._store = store
        self._settings = settings
        self._clock = clock
        self._profiles = ParsedProfiles() if profiles is None else profiles

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request."""
        # The request is kept out of the environ, where the host would take it for its own.
        request = Request(environ, populate_request=False)
        response = _compressed(self._respond(request), request)
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        links = Links(request.root_path)
        frame = self._frame(links)
        arguments: Mapping[str, Any] = {}
        try:
            endpoint, arguments = links.match(request.path, request.method)
            if not request.environ.get("PATH_INFO"):
                return _with_slash(request, links)
            if endpoint in _FILES:
                return _FILES[endpoint](arguments["name"], request)
            visit = self._visit(request.args, links, f"{request.scheme}://{request.host}")
            # A page asks the store for this and that, and what is there is the same for all.
            with self._store.at_once(_PATIENCE_SECONDS) as look:
                try:
                    answer = VIEWS[endpoint](visit, **arguments)
                finally:
                    frame = frame._replace(unread=look.unread)
            if frame.unread and endpoint not in _LISTS:
                answer = being_read()
            return _answer(answer, request, frame)
        except Exception as error:  # noqa: BLE001  whatever goes wrong is an answer too
            page, headers = self._explain(error, links, arguments.get("capture_id", ""))
            return _page(page, request, frame, headers)

    def prepare(self, capture_id: str) -> None:
        """Read a capture for those who will look at it; raises what reading it raises."""
        visit = self._visit(MultiDict(), Links(""), "")
        page = VIEWS["capture"](visit, capture_id=capture_id)
        if isinstance(page, Page):
            _html(page, self._frame(visit.links))
            pack(needed(is_drawn=page.is_drawn))

    def _visit(self, query: MultiDict[str, str], links: Links, origin: str) -> Visit:
        return Visit(
            store=self._store,
            settings=self._settings,
            profiles=self._profiles,
            links=links,
            query=query,
            now=self._clock(),
            live=self._live,
            origin=origin,
            source_roots=self._source_roots,
        )

    def _frame(self, links: Links) -> _Frame:
        return _Frame(links, self._store.holds, is_watched=self._live is not None)

    def _source_roots(self) -> Sequence[Path]:
        roots: Sequence[Path] = _roots_of(
            self._settings.source, is_development=self._is_development()
        )
        return roots

    def _explain(
        self, error: Exception, links: Links, capture_id: str
    ) -> tuple[Page, Mapping[str, str]]:
        """Return the page for what went wrong, and headers that belong to it."""
        if isinstance(error, HTTPException):
            allowed = getattr(error, "valid_methods", None)
            headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
            status = error.code or 500
            return trouble(status, error.name, error.description or ""), headers
        if isinstance(error, CaptureNotFound):
            if self._is_young(capture_id) or self._store.is_announced(capture_id):
                return being_written(capture_id), {}
            return trouble(404, "No such capture", _NOT_THERE), {}
        if isinstance(error, BadProfile):
            url = links.download_profile(capture_id)
            title = "This profile cannot be read"
            return trouble(422, title, _sentence(error), profile_url=url), {}
        if isinstance(error, StoreError):
            return trouble(503, "The captures cannot be read", _sentence(error)), {}
        kind = type(error).__name__
        once(f"viewer {kind}", "a page of the viewer failed: %s", kind, exc_info=True)
        return trouble(500, "Internal Server Error", _OUR_FAULT), {}

    def _is_young(self, capture_id: str) -> bool:
        if not is_capture_id(capture_id):
            return False
        return abs(self._clock() - time_of(capture_id).timestamp()) < _WRITING_SECONDS


def _with_slash(request: Request, links: Links) -> Response:
    """Lead from the bare prefix to the front page below it."""
    query = request.query_string.decode("latin-1")
    target = f"{links.root}/" + (f"?{query}" if query else "")
    return Response(status=308, headers={**_SECURITY, "Location": target})


def _sentence(error: Exception) -> str:
    return str(error) or type(error).__name__


def _answer(
    answer: Page | Download | Data | Redirect, request: Request, frame: _Frame
) -> Response:
    match answer:
        case Download():
            return _download(answer)
        case Data():
            return _data(answer, request)
        case Redirect():
            return Response(status=303, headers={**_SECURITY, "Location": answer.url})
    return _page(answer, request, frame)


def _page(
    page: Page, request: Request, frame: _Frame, headers: Mapping[str, str] | None = None
) -> Response:
    headers = {**_SECURITY, "Vary": "Accept", **page.headers, **(headers or {})}
    if frame.unread:
        headers["Refresh"] = "1"
    if wants_json(request.environ):
        # ASCII with escapes, which every UTF-8 decoder and JSON parser takes, whatever
        # half characters a foreign name holds.
        unread = {"unread_captures": frame.unread} if frame.unread else {}
        body = json.dumps({**unread, **page.data()}, allow_nan=False).encode("ascii")
        return Response(body, page.status, headers, content_type=page.json_type)
    text = _html(page, frame)
    headers["Link"] = _ahead(page, frame.links)
    return Response(
        text.encode("utf-8"), page.status, headers, content_type="text/html; charset=utf-8"
    )


def _html(page: Page, frame: _Frame) -> str:
    template = templates().get_template(page.template)
    return template.render(
        view=page.view,
        is_drawn=page.is_drawn,
        needed=needed(is_drawn=page.is_drawn),
        versions={name: asset.version for name, asset in assets().items()},
        **frame._asdict(),
    )


def _ahead(page: Page, links: Links) -> str:
    """Name what a browser can ask for before it reads the page (RFC 8288, preload)."""
    return ", ".join(
        f"<{links.asset(name, assets()[name].version)}>; rel=preload; "
        f"as={'style' if name.endswith('.css') else 'script'}"
        for name in needed(is_drawn=page.is_drawn)
    )


def _download(download: Download) -> Response:
    headers = Headers(_SECURITY)
    headers["Content-Security-Policy"] = "sandbox"
    headers.set("Content-Disposition", "attachment", filename=download.filename)
    return Response(download.body, 200, headers, content_type=download.mimetype)


def _data(data: Data, request: Request) -> Response:
    return _unpacked_if_wanted(data.packed, _SECURITY, "application/json", request)


def _compressed(response: Response, request: Request) -> Response:
    """Compress what the viewer shows or draws; what is saved goes out as it is.

    No page holds a secret, which its length could give away.
    """
    headers = response.headers
    is_final = "Content-Disposition" in headers or "Content-Encoding" in headers
    if is_final or "Accept-Encoding" in headers.get("Vary", ""):
        return response
    body = response.get_data()
    if len(body) < _WORTH_COMPRESSING:
        return response
    response.vary.add("Accept-Encoding")
    if _takes_gzip(request):
        # Level 1 takes a fifth of the time of the default and sends little more.
        response.set_data(gzip.compress(body, 1, mtime=0))
        headers["Content-Encoding"] = "gzip"
    return response


def _takes_gzip(request: Request) -> bool:
    return request.accept_encodings["gzip"] > 0


def _unpacked_if_wanted(
    packed: bytes, headers: Mapping[str, str], content_type: str, request: Request
) -> Response:
    """Send what is kept compressed by gzip, as it is to whoever takes that."""
    headers = {**headers, "Vary": "Accept-Encoding"}
    if _takes_gzip(request):
        headers["Content-Encoding"] = "gzip"
        return Response(packed, 200, headers, content_type=content_type)
    return Response(gzip.decompress(packed), 200, headers, content_type=content_type)


def _asset(name: str, request: Request) -> Response:
    asset = assets().get(name)
    if asset is None:
        raise NotFound
    headers = dict(_SECURITY)
    # During a deployment old and new versions answer side by side: only the bytes that
    # were asked for are kept.
    if request.args.get("v") == asset.version:
        headers["Cache-Control"] = _FOR_EVER
    return _unpacked_if_wanted(asset.packed, headers, asset.mimetype, request)


def _speedscope(name: str, request: Request) -> Response:
    """Serve a file of speedscope; those but its page have their version in their name."""
    asset = speedscope().get(name)
    if asset is None:
        raise NotFound
    headers = {**_SECURITY, "Content-Security-Policy": _SPEEDSCOPE_POLICY}
    if name != SPEEDSCOPE_PAGE:
        headers["Cache-Control"] = _FOR_EVER
    return _unpacked_if_wanted(asset.packed, headers, asset.mimetype, request)


_FILES = {"asset": _asset, "speedscope": _speedscope}
