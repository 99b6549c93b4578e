"""The story of a request, for any WSGI application.

A request for one of our own pages is answered by it. Any other request is timed from the
call of the application to the end of its response; one that was asked to be captured is
recorded while the application's own code runs. What the server gets is what the
application gave, to the byte; where something of ours fails, the application is called as
if we were not there.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from werkzeug.urls import iri_to_uri
from werkzeug.wsgi import get_current_url

from flaskprof import log
from flaskprof.access import AccessRules
from flaskprof.capture.engines import Engine, Recording
from flaskprof.capture.flights import ENVIRON, MATCH
from flaskprof.capture.overlaps import Overlap
from flaskprof.capture.recorder import Recorder, SkippedError
from flaskprof.capture.triggers import Ask, Skip, take_ask
from flaskprof.ids import new_capture_id
from flaskprof.metrics.headers import content_length, queued_ns
from flaskprof.metrics.instruments import Metrics
from flaskprof.metrics.stream import Stream, followed
from flaskprof.metrics.visit import OWN_MASK, OWN_SHARE, Body, PythonBody, Visit
from flaskprof.queries.log import begin as begin_queries
from flaskprof.queries.log import resume as resume_queries
from flaskprof.record import CaptureRecord
from flaskprof.rendering import Rendering
from flaskprof.routes import Match, RouteNamer
from flaskprof.server_timing import HEADER as SERVER_TIMING
from flaskprof.server_timing import Timing
from flaskprof.signals import request_profiled, send, slow_request
from flaskprof.tracing import TRACEPARENT, Trace, trace_of
from flaskprof.view_names import view_name

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["EXCHANGE", "RENDERING", "VIEW_NS", "Announced", "Exchange", "Middleware", "Pages"]

# Where an exchange is found in its environ: by a middleware further in, and by what
# hears of exceptions that the application handles itself.
EXCHANGE = "flaskprof.exchange"
# Where a framework leaves how long templates, and the view function, took.
RENDERING = "flaskprof.rendering"
VIEW_NS = "flaskprof.view_ns"

T = TypeVar("T")


class Pages(Protocol):
    """Our own pages. `starts` are the beginnings of their paths."""

    starts: tuple[str, ...]

    def find(self, environ: WSGIEnvironment) -> WSGIApplication | None:
        """Return what answers this request; None if it is the application's to answer."""
        ...


class Announced:
    """The capture that is being made of a request: its ID, and where it will be seen."""

    __slots__ = ("id", "url")

    # Written out: what a dataclass generates would be in the profile as the application's.
    def __init__(self, id: str, url: str) -> None:
        self.id = id
        self.url = url


class Middleware:
    """Wraps `app`; everything it needs is handed to it, decided at start."""

    def __init__(
        self,
        app: WSGIApplication,
        *,
        recorder: Recorder,
        pages: Pages,
        rules: AccessRules,
        name_route: RouteNamer,
    ) -> None:
        self.app = app
        self.recorder = recorder
        self._pages = pages
        self._page_starts = pages.starts
        self._rules = rules
        self._name_route = name_route.quick
        self._exchange: Callable[[], Exchange] = (
            partial(TellingExchange, rules) if recorder.settings.server_timing else Exchange
        )

    def __call__(  # noqa: C901  a function more would cost every request
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request."""
        entered = perf_counter_ns()
        try:
            if environ.get("PATH_INFO", "").startswith(self._page_starts):
                page = self._pages.find(environ)
                if page is not None:
                    return self._answer(page, environ, start_response)
            if EXCHANGE in environ:
                environ[EXCHANGE].is_named_by(self._name_route, environ)
                return self.app(environ, start_response)
            recorder = self.recorder
            if not recorder.is_started:
                recorder.start(self._rules.explain())
            if recorder.abandoned:
                recorder.end_abandoned()
            if recorder.overlaps.is_counting:
                recorder.request_started()
            ask = take_ask(environ, self._rules) if "HTTP_X_PROFILE" in environ else None
            if ask is None:
                exchange = self._exchange()
            else:
                exchange = CapturedExchange(environ, recorder, ask)
            exchange.start(recorder.plan, entered, environ, start_response, self._name_route)
            environ[EXCHANGE] = exchange
            if recorder.in_flight.is_parked:
                recorder.wake_watcher()
            if (
                recorder.watches_queries
                or recorder.metrics.is_attentive
                or slow_request.receivers
            ):
                exchange.attend()
        except Exception:  # noqa: BLE001  ours alone: the application has not been called
            _failed(self.recorder, "begin")
            return self.app(environ, start_response)
        return exchange.run(self.app)

    def _answer(
        self, page: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if not self.recorder.is_started:
            self.recorder.start(self._rules.explain())
        self.recorder.end_abandoned()
        outer = environ.get(EXCHANGE)
        if outer is not None:
            outer.leave_out()
        return page(environ, start_response)


class Exchange(Visit):
    """One request and its response, from the call of the application to its `end`."""

    __slots__ = ()

    recording: Recording | None = None

    @property
    def _recorder(self) -> Recorder:
        recorder: Recorder = self.plan.recorder
        return recorder

    @property
    def _metrics(self) -> Metrics:
        # Not the recorder's, which has others after a fork or when it is closed.
        metrics: Metrics = self.plan.metrics
        return metrics

    def attend(self) -> None:
        """See to more than what is ordinary."""
        self.is_plain = False
        if self._metrics.measures_stream:
            self.stream = Stream(self.started_ns)
        if self._recorder.watches_queries:
            self.watch_queries()

    def watch_queries(self) -> None:
        """Count the queries of the request from here on, and keep those of a captured one."""
        self.is_plain = False
        queries = self.queries = begin_queries(self._recorder.kinds)
        if self.recording is not None:
            queries.keep_statements()

    def note_queue(self) -> None:
        """Note how long the request waited at the proxy."""
        self.queued_ns = queued_ns(self.environ or {}, time_ns())

    def is_named_by(
        self, name_route: Callable[[WSGIEnvironment], Match], environ: WSGIEnvironment
    ) -> None:
        """Let a middleware further in name the route, in the environ that it sees."""
        self.name_route = name_route
        self.environ = environ
        if self.flight is not None and self.flight[ENVIRON] is not None:
            self.flight[ENVIRON] = environ

    def leave_out(self) -> None:
        """Do not count the request: it is for one of our own pages."""
        self.is_left_out, self.is_plain = True, False

    def follow(self, result: Iterable[bytes], environ: WSGIEnvironment) -> Iterable[bytes]:
        """Return the result with the end of the exchange tied to its own."""
        stream: Stream | None = self.stream
        if _is_passed_on(result, environ):
            if stream is not None:
                stream.whole(result)
            self.end()
            return result
        body = self.wrapped(result)
        return body if stream is None else followed(body, stream)

    def wrapped(self, result: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server gets in place of the result."""
        return (SizedBody if hasattr(result, "__len__") else Body)(result, self)

    def note_start(self, headers: list[Any]) -> None:
        """Note what the start of the response tells."""
        self.name()
        metrics, environ = self._metrics, self.environ or {}
        try:
            if metrics.measures_length:
                self.length = content_length(headers)
            if metrics.label is not None:
                self.label = metrics.label.of(environ)
            if metrics.sees_spans or TRACEPARENT in environ:
                self.noted_trace = self.trace()
        except Exception:  # noqa: BLE001  not ours alone, but the response goes on
            _failed(self._recorder, "measure")

    def name(self) -> None:
        """Name the route while it is known: Flask forgets its request when it returns."""
        if self.environ is None or self.flight is None:
            return
        try:
            self.match = self.flight[MATCH] = self.name_route(self.environ)
        except Exception:  # noqa: BLE001  ours alone: the response goes on
            _failed(self._recorder, "route")

    def note_exception(self, error: Exception) -> None:
        """Note an unhandled exception, and the route while it is known."""
        self.is_plain = False
        self.exception = type(error)
        self.name()

    def route(self) -> str:
        """Return the route if it is known by now, else nothing."""
        match: Match = self.name_route(self.environ or {})
        return match.route

    def trace(self) -> Trace | None:
        """Return the trace of the request, if traces are wanted and it has one."""
        return trace_of(self.environ or {}) if self._metrics.measures_traces else None

    def announced(self) -> Announced | None:
        """Return the capture that is being made of the request, if there is one."""
        return None

    def count_template(self, name: str, own_ns: int) -> None:
        """Count the rendering of a template."""
        self._metrics.observe_template(name, own_ns)

    def fail(self, error: BaseException) -> None:
        """Note that the application raised, and end."""
        self.is_plain = False
        if not self.status:
            self.status = "500"
        if isinstance(error, Exception):
            self.exception = type(error)
        self.end()

    def abandon(self) -> None:
        """Have the exchange ended later; for finalizers, which may take no lock."""
        if not self.is_over:
            self._recorder.abandoned.append(self)

    def conclude(self, ended: int, duration_ns: int, cpu_ns: int | None) -> None:
        """Count the request, at its end. Never raises."""
        try:
            metrics = self._metrics
            self._release()
            if self.queries is not None:
                self.queries.end()
            match = self.match
            if match is None or not match.route:
                # Other frameworks may say what matched only when they have answered.
                match = self.name_route(self.environ or {})
            profile_id = self._hand_over(match, duration_ns / 1e9)
            if match.is_counted and not self.is_left_out:
                self._count(match, duration_ns, cpu_ns, profile_id)
            if slow_request.receivers and duration_ns >= self._recorder.slow_ns:
                self._tell_slow(match, duration_ns, profile_id)
            if ended >= metrics.cells.due_ns:
                metrics.note_process()
            if not ended & OWN_MASK:
                spent_ns = self.started_ns - self.entered_ns + perf_counter_ns() - ended
                metrics.count_own_time("requests", spent_ns * OWN_SHARE)
        except Exception:  # noqa: BLE001  the response is the application's and stands
            _failed(self._recorder, "end")

    def _release(self) -> None:
        """End what else runs with the request."""

    def _hand_over(self, match: Match, seconds: float) -> str | None:  # noqa: ARG002
        """Hand the capture of the request over, if there is one, and return its ID."""
        return None

    def _count(
        self, match: Match, duration_ns: int, cpu_ns: int | None, profile_id: str | None
    ) -> None:
        metrics = self._metrics
        metrics.observe(
            self.method,
            match.route,
            # Without a status the server answers for the application.
            (self.status or "")[:3] or "500",
            duration_ns,
            profile_id,
            cpu_ns,
            self.queued_ns,
            None if self.method == "HEAD" else self.length,
            self.label or "",
            self.stream,
            self.noted_trace,
            metrics.cpu_share,
        )
        if self.exception is not None:
            metrics.count_exception(self.method, match.route, self.exception.__name__)
        queries = self.queries
        if queries is not None and queries.count:
            metrics.observe_queries(self.method, match.route, queries.count, queries.spent_ns)

    def _code(self) -> int | None:
        """Return the status code, if the response has one."""
        code = (self.status or "")[:3]
        return int(code) if code.isdecimal() else None

    def _tell_slow(self, match: Match, duration_ns: int, profile_id: str | None) -> None:
        send(
            slow_request,
            match.sender,
            self._metrics.count_failure,
            method=self.method,
            route=match.route,
            endpoint=match.endpoint,
            status=self._code(),
            duration_seconds=duration_ns / 1e9,
            profile_id=profile_id or "",
            trace_id=self.noted_trace.trace_id if self.noted_trace else "",
        )

    def _timing_header(self, timing: Timing) -> tuple[str, str]:
        environ = self.environ or {}
        rendering: Rendering | None = environ.get(RENDERING)
        return SERVER_TIMING, timing.header(
            {
                "db": self.queries.spent_ns if self.queries else None,
                "template": rendering.spent_ns if rendering else None,
                "view": environ.get(VIEW_NS),
            }
        )


class TellingExchange(Exchange):
    """An exchange whose response says where its time went, to whoever may ask."""

    __slots__ = ("_rules", "_timing")

    def __init__(self, rules: AccessRules) -> None:
        super().__init__()
        self._rules = rules

    def start(self, *arguments: Any) -> None:
        """Begin to time, also for the sender."""
        super().start(*arguments)
        self._timing = Timing(measures_cpu=self._metrics.measures_cpu)

    def start_response(self, status: str, headers: list[Any], exc_info: Any = None) -> Any:
        """Start the response with what it took so far."""
        try:
            if self.environ is not None and self._rules.may_ask(self.environ):
                headers = [*headers, self._timing_header(self._timing)]
        except Exception:  # noqa: BLE001  the response goes out without our header
            _failed(self._recorder, "headers")
        return super().start_response(status, headers, exc_info)


class CapturedExchange(Exchange):
    """An exchange that is recorded while the application's own code runs.

    Where no recording can be had, or it turns out not to be wanted once the route is
    known, the response says why and nothing is stored.
    """

    __slots__ = (
        "_ask",
        "_base_url",
        "_engine",
        "_id",
        "_overlap",
        "_skip_text",
        "_started_unix",
        "_timing",
        "recording",
    )

    def __init__(self, environ: WSGIEnvironment, recorder: Recorder, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._base_url = _base_url(environ, recorder)
        self._skip_text = ""
        self._started_unix = time.time()
        self._id = new_capture_id(self._started_unix)
        self._engine: Engine | None = None
        self._overlap: Overlap | None = None
        self.recording = None
        try:
            self._engine, self.recording = recorder.record(ask)
            self._overlap = recorder.overlaps.begin(recorder.metrics.active_requests())
        except SkippedError as error:
            self._skip(recorder, error.skip, str(error))
        self._timing: Timing | None = None
        if recorder.settings.server_timing:
            self._timing = Timing(measures_cpu=recorder.metrics.measures_cpu)

    def start(self, *arguments: Any) -> None:
        """Begin to count and time."""
        super().start(*arguments)
        self.is_plain = False

    def announced(self) -> Announced | None:
        """Return the capture that is being made of the request, if it is not skipped."""
        self.name()
        if not self._skip_text:
            self._check_route()
        if self._skip_text:
            return None
        return Announced(self._id, f"{self._base_url}/c/{self._id}")

    def run(self, app: WSGIApplication) -> Iterable[bytes]:
        """Call the application and return its result, recorded to its end."""
        return super().run(partial(self.inside, app))

    def wrapped(self, result: Iterable[bytes]) -> Iterable[bytes]:
        """Return the result with its recording and the end of the exchange tied to it."""
        return (SizedCapturedBody if hasattr(result, "__len__") else CapturedBody)(result, self)

    def inside(self, code: Callable[..., T], *arguments: Any) -> T:
        """Run a piece of the application's own code with the recording on."""
        recording = self.recording
        if recording is None:
            return code(*arguments)
        try:
            if self.queries is not None:
                resume_queries(self.queries)
            recording.on()
        except Exception:  # noqa: BLE001  the application runs all the same
            _failed(self._recorder, "recording")
        try:
            return code(*arguments)
        finally:
            try:
                recording.off()
            except Exception:  # noqa: BLE001  as above
                _failed(self._recorder, "recording")

    def start_response(self, status: str, headers: list[Any], exc_info: Any = None) -> Any:
        """Start the response with the headers of the capture added."""
        try:
            headers = self._with_our_headers(headers)
        except Exception:  # noqa: BLE001  the response goes out without our headers
            _failed(self._recorder, "headers")
        return super().start_response(status, headers, exc_info)

    def _with_our_headers(self, headers: list[Any]) -> list[Any]:
        announced = self.announced()
        if self._timing is not None:
            headers = [*headers, self._timing_header(self._timing)]
        if announced is None:
            return [*headers, ("X-Profile-Skipped", self._skip_text)]
        return [
            *(header for header in headers if header[0].lower() != "cache-control"),
            ("Cache-Control", "no-store"),
            ("X-Profile-Id", announced.id),
            ("X-Profile-Url", announced.url),
        ]

    def _check_route(self) -> None:
        """Skip the capture if its route, which is known by now, is not to be captured."""
        match = self.match or Match()
        token = self._ask.token
        if token is not None and token.route not in (None, match.route):
            self._skip(self._recorder, Skip.other_route)
        elif not match.is_captured:
            self._skip(self._recorder, Skip.excluded)

    def _skip(self, recorder: Recorder, skip: Skip, text: str = "") -> None:
        self._skip_text = text or skip.value
        recorder.metrics.count_skip(skip.name)
        recorder.metrics.count_capture(self._ask.trigger, "skipped")

    def _release(self) -> None:
        if self.recording is not None:
            self.recording.stop()
            self._recorder.give_back()
        if self._overlap is not None:
            self._recorder.overlaps.end(self._overlap)

    def _hand_over(self, match: Match, seconds: float) -> str | None:
        engine, recording = self._engine, self.recording
        self._engine = self.recording = None
        if engine is None or recording is None or self._skip_text:
            return None
        settings = self._recorder.settings
        view = view_name(match.view, self.method)
        record = CaptureRecord(
            id=self._id,
            started=self._started_unix,
            duration_seconds=seconds,
            cpu_seconds=recording.cpu_seconds,
            method=self.method,
            route=match.route,
            endpoint=match.endpoint,
            view=view.name if view else "",
            view_file=view.file if view else "",
            view_line=view.line if view else None,
            template_seconds=self._template_seconds(),
            trace_id=self.noted_trace.trace_id if self.noted_trace else "",
            span_id=self.noted_trace.span_id if self.noted_trace else "",
            status=self._code(),
            trigger=self._ask.trigger,
            engine=engine.name,
            exactness=engine.exactness,
            host=socket.gethostname(),
            pid=os.getpid(),
            service=settings.service_name,
            service_version=settings.service_version,
            app_packages=self._recorder.app_packages,
            overlaps=self._overlap.others if self._overlap else None,
            notes=self._notes_on(engine),
        )
        self._recorder.store_later(record, recording, self.queries, match.sender)
        send(
            request_profiled, match.sender, self._recorder.metrics.count_failure, record=record
        )
        return self._id

    def _template_seconds(self) -> dict[str, float]:
        rendering: Rendering | None = (self.environ or {}).get(RENDERING)
        if rendering is None:
            return {}
        return {name: own_ns / 1e9 for name, own_ns in rendering.own_ns.items()}

    def _notes_on(self, engine: Engine) -> tuple[str, ...]:
        limit = self._recorder.engine_limit
        if not limit or engine is not self._recorder.engine:
            return ()
        return (f"Recorded by the engine {engine.name}; {limit}.",)


class CapturedBody:
    """The application's result, recorded at each step of the iteration and in ``close()``."""

    __slots__ = ("_exchange", "_iterator", "_result")

    def __init__(self, result: Iterable[bytes], exchange: CapturedExchange) -> None:
        self._result = result
        self._exchange = exchange
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        # A test client may ask again for what is an iterator by then.
        if self._iterator is None:
            self._iterator = self._begin()
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = self._begin()
        return self._exchange.inside(self._iterator.__next__)

    def _begin(self) -> Iterator[bytes]:
        # Not `iter` itself, which would be in the profile as a call of the application's.
        begin = getattr(self._result, "__iter__", None)
        return iter(self._result) if begin is None else self._exchange.inside(begin)

    def close(self) -> None:
        """Close the application's result and end the exchange, whatever closing does."""
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                self._exchange.inside(close)
        except BaseException as error:
            self._exchange.fail(error)
            raise
        self._exchange.end()

    def __del__(self) -> None:
        # As that of any other body.
        self._exchange.abandon()


class SizedBody(PythonBody):
    """A body whose length a server may ask for, as it may ask the result itself."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._result)  # type: ignore[arg-type]  # chosen for having a length


class SizedCapturedBody(CapturedBody):
    """A captured body whose length a server may ask for."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._result)  # type: ignore[arg-type]  # chosen for having a length


def _is_passed_on(result: Iterable[bytes], environ: WSGIEnvironment) -> bool:
    """Whether the server must get this very object.

    A sized result lets a server send Content-Length instead of chunks, and a
    ``wsgi.file_wrapper`` lets it use sendfile.
    """
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type) and isinstance(result, wrapper):
        return True
    return hasattr(result, "__len__") and not hasattr(result, "close")


def _base_url(environ: WSGIEnvironment, recorder: Recorder) -> str:
    settings = recorder.settings
    if settings.url:
        return settings.url
    mount = iri_to_uri(get_current_url(environ, root_only=True)).rstrip("/")
    return mount + settings.prefix


def _failed(recorder: Recorder, place: str) -> None:
    """Count a failure of our own and log the first of its place."""
    recorder.metrics.count_failure(place)
    log.once(
        f"middleware {place}",
        "flaskprof failed at the %s of a request, which was answered all the same",
        place,
        exc_info=True,
    )
