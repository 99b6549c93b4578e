"""What flaskprof tells a Flask application, and hears from it: signals, templates, headers."""

from __future__ import annotations

import gc
import logging
import re
import time
import weakref

import pytest
from flask import Flask, render_template, render_template_string, stream_template
from jinja2 import DictLoader
from werkzeug.test import create_environ

import flaskprof
from flaskprof import FlaskProf, log
from flaskprof.access import make_token
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.errors import StoreError
from flaskprof.flask_hooks import current_capture
from flaskprof.signals import capture_failed, capture_stored, request_profiled, slow_request

SECRET = "a secret of sixteen or more"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
TEMPLATES = {
    "page.html": "{% extends 'base.html' %}{% block main %}"
    "{{ take(1) }}{% include 'part.html' %}{{ nested() }}{% endblock %}",
    "base.html": "<{% block main %}{% endblock %}>",
    "part.html": "{{ take(2) }}",
    "mail.html": "{{ take(4) }}",
    "broken.html": "{{ nested() }}{{ 1 / 0 }}",
    "badge.html": "{{ flaskprof_capture.id }} {{ flaskprof_capture.url }}",
}


@pytest.fixture
def clock(monkeypatch):
    """A clock of templates that moves only where the code under test says so."""
    now = [0]
    monkeypatch.setattr("flaskprof.rendering.perf_counter_ns", lambda: now[0])

    def pass_seconds(seconds):
        now[0] += round(seconds * 1e9)
        return ""

    return pass_seconds


@pytest.fixture
def directory(tmp_path, closed_recorders, monkeypatch):
    monkeypatch.setattr(log, "_said", set())
    return tmp_path / "data"


@pytest.fixture
def make(directory, clock):
    def make(*, dev=True, **settings):
        app = Flask("shop")
        app.jinja_loader = DictLoader(TEMPLATES)
        app.jinja_env.globals.update(
            take=clock, nested=lambda: render_template("mail.html") and ""
        )
        app.add_url_rule("/", "front", lambda: "front")
        app.add_url_rule("/page", "page", lambda: render_template("page.html"))
        app.add_url_rule("/stream", "stream", lambda: stream_template("page.html"))
        app.add_url_rule("/badge", "badge", lambda: render_template("badge.html"))
        app.add_url_rule("/text", "text", lambda: render_template_string("{{ take(3) }}"))
        FlaskProf(app, dir=directory, dev=dev, **settings)
        return app

    return make


@pytest.fixture
def app(make):
    return make()


def get(app, path="/", *, captured=False, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if captured:
        headers["X-Profile"] = "1"
    return app.test_client().get(path, headers=headers, buffered=True)


def value(directory, name, **labels):
    return recorder_for(Settings(dir=directory)).metrics.registry.get_sample_value(name, labels)


def newest(directory):
    assert recorder_for(Settings(dir=directory)).flush()
    return flaskprof.load(directory).latest().record


# Signals


class Heard(list):
    """What a signal said to a receiver, which lives as long as this."""

    def __init__(self, signal, sender):
        super().__init__()
        signal.connect(self.hear, sender)

    __hash__ = object.__hash__

    def hear(self, sender, **arguments):
        self.append((sender, arguments))


def test_a_captured_request_is_told_of_when_it_ends_and_when_it_is_stored(app, directory):
    profiled, stored = Heard(request_profiled, app), Heard(capture_stored, app)
    get(app)
    assert (profiled, stored) == ([], [])
    response = get(app, captured=True)
    ((sender, arguments),) = profiled
    assert sender is app
    assert list(arguments) == ["record"]
    assert arguments["record"].id == response.headers["X-Profile-Id"]
    record = newest(directory)
    assert stored == [(app, {"record": record})]
    assert record.has_stacks != arguments["record"].has_stacks or record.engine == "python"


def test_a_slow_request_is_told_of_captured_or_not(make, directory):
    app = make(slow_seconds=0)
    slow = Heard(slow_request, app)
    get(app, traceparent=f"00-{TRACE}-{SPAN}-01")
    get(app, "/nowhere", captured=True)
    (_, first), (_, second) = slow
    assert first.pop("duration_seconds") > 0
    assert first == {
        "method": "GET",
        "route": "/",
        "endpoint": "front",
        "status": 200,
        "profile_id": "",
        "trace_id": TRACE,
    }
    assert (second["route"], second["status"]) == ("", 404)
    assert second["profile_id"] == newest(directory).id


def test_a_request_that_is_not_slow_is_not_told_of(make):
    app = make(slow_seconds=1000)
    slow = Heard(slow_request, app)
    get(app)
    assert slow == []


def test_a_capture_that_is_lost_is_told_of(app, directory, monkeypatch):
    def fail(record, files):
        raise StoreError("on purpose")

    failed = Heard(capture_failed, app)
    recorder = recorder_for(Settings(dir=directory))
    monkeypatch.setattr(recorder.store, "save", fail)
    response = get(app, captured=True)
    assert recorder.flush()
    ((_, arguments),) = failed
    assert arguments["reason"] == "failed"
    assert arguments["record"].id == response.headers["X-Profile-Id"]


def test_a_capture_for_which_there_is_no_room_is_told_of(make, directory):
    app = make(max_bytes=0)
    failed = Heard(capture_failed, app)
    get(app, captured=True)
    assert recorder_for(Settings(dir=directory)).flush()
    assert [arguments["reason"] for _, arguments in failed] == ["dropped"]


def test_each_application_hears_of_its_own(make):
    one, other = make(), make()
    heard = Heard(request_profiled, one)
    get(other, captured=True)
    assert heard == []
    get(one, captured=True)
    assert len(heard) == 1


def test_a_receiver_that_raises_harms_nobody(make, directory, caplog):
    app = make(slow_seconds=0)

    def fail(sender, **arguments):
        raise KeyError("on purpose")

    signals = (request_profiled, slow_request, capture_stored)
    for signal in signals:
        signal.connect(fail, app)
    others = [Heard(signal, app) for signal in signals]
    assert get(app, captured=True).text == "front"
    assert newest(directory).route == "/"
    assert [len(heard) for heard in others] == [1, 1, 1]
    assert value(directory, "flaskprof_failures_total", place="signal") == 3
    said = [text for text in caplog.messages if "a receiver of the signal" in text]
    assert len(said) == 1


def test_a_wsgi_application_is_the_sender_where_there_is_no_flask(directory):
    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"x"]

    wrapped = flaskprof.ProfilerMiddleware(application, dir=directory, dev=True)
    heard = Heard(request_profiled, application)
    environ = create_environ("/", headers={"X-Profile": "1"})
    environ["REMOTE_ADDR"] = "127.0.0.1"
    wrapped(environ, lambda status, headers: None)
    assert [sender for sender, _ in heard] == [application]


# Templates


def test_templates_are_timed_by_name_each_without_what_it_renders(app, directory):
    assert get(app, "/page", captured=True).text == "<>"
    # What is included or inherited is part of it, what another call renders is not.
    assert newest(directory).template_seconds == {"page.html": 3.0, "mail.html": 4.0}
    name = "flaskprof_template_seconds"
    for template, seconds in (("page.html", 3), ("mail.html", 4)):
        assert value(directory, f"{name}_count", template=template) == 1
        assert value(directory, f"{name}_sum", template=template) == seconds
    get(app, "/page")
    assert value(directory, f"{name}_sum", template="page.html") == 6


def test_a_template_that_is_streamed_and_one_without_a_name(app, directory):
    assert get(app, "/stream", captured=True).text == "<>"
    assert newest(directory).template_seconds == {"page.html": 3.0, "mail.html": 4.0}
    get(app, "/text")
    assert value(directory, "flaskprof_template_seconds_sum", template="(string)") == 3


def test_a_template_that_fails_leaves_the_others_right(app, directory):
    def page():
        with pytest.raises(ZeroDivisionError):
            render_template("broken.html")
        return render_template("page.html")

    app.add_url_rule("/after", "after", page)
    get(app, "/after", captured=True)
    assert newest(directory).template_seconds == {"mail.html": 8.0, "page.html": 3.0}


def test_templates_outside_of_a_request_are_left_alone(app, directory):
    with app.app_context():
        assert render_template("mail.html") == ""
    get(app)
    assert value(directory, "flaskprof_template_seconds_count", template="mail.html") is None


def test_templates_that_are_not_to_be_measured_are_not_listened_to(make, directory):
    from flask import before_render_template

    app = make(measure=["cpu"])
    assert list(before_render_template.receivers_for(app)) == []
    get(app, "/page", captured=True)
    assert newest(directory).template_seconds == {}


def test_the_page_of_a_capture_lists_its_templates(app, directory):
    get(app, "/page", captured=True)
    page = get(app, f"/flaskprof/c/{newest(directory).id}").text
    assert "mail.html 4.00 s, page.html 3.00 s" in page


def test_an_application_that_is_gone_leaves_nothing_behind(make):
    references = []
    for _ in range(3):
        app = make(server_timing=True, context_processor=True)
        get(app, "/page", captured=True)
        references.append(weakref.ref(app))
    del app
    deadline = time.monotonic() + 60
    while any(one() for one in references) and time.monotonic() < deadline:
        gc.collect()  # what was captured is written by another thread
    assert [one() for one in references] == [None] * 3


# In templates


def test_a_badge_has_id_and_url_where_it_is_wanted(make):
    app = make(context_processor=True)
    response = get(app, "/badge", captured=True)
    headers = response.headers
    assert response.text == f"{headers['X-Profile-Id']} {headers['X-Profile-Url']}"
    assert get(app, "/badge").text == " "


def test_without_the_setting_templates_have_what_they_had(make):
    app = make()
    bare = Flask("bare")
    assert list(app.template_context_processors[None]) == [
        *bare.template_context_processors[None]
    ]
    with app.test_request_context("/"):
        assert render_template_string("{{ flaskprof_capture is defined }}") == "False"


def test_a_name_of_the_applications_own_goes_before_the_badge(make):
    app = make(context_processor=True)
    app.context_processor(lambda: {"flaskprof_capture": {"id": "own", "url": "mine"}})
    assert get(app, "/badge", captured=True).text == "own mine"


def test_an_excluded_view_has_no_badge(make):
    app = make(context_processor=True, exclude=["/badge"])
    response = get(app, "/badge", captured=True)
    assert response.text == " "
    assert response.headers["X-Profile-Skipped"] == "this route is excluded"
    assert current_capture() is None


# Server-Timing


def timings(response):
    parts = [part.split(";") for part in response.headers["Server-Timing"].split(", ")]
    told = {name: float(duration.removeprefix("dur=")) for name, duration, _ in parts}
    # Of queries it is told wherever SQLAlchemy was imported, as other tests may have done.
    return {name: duration for name, duration in told.items() if (name, duration) != ("db", 0)}


@pytest.mark.parametrize("captured", [False, True])
def test_whoever_may_ask_is_told_where_the_time_went(make, captured):
    app = make(server_timing=True)
    told = timings(get(app, "/page", captured=captured))
    assert list(told) == ["total", "cpu", "template", "view"]
    assert told["template"] == 7000
    assert 0 < told["view"] <= told["total"]
    assert told["cpu"] > 0
    assert list(timings(get(app, captured=captured))) == ["total", "cpu", "view"]


def test_nobody_else_is_told(make):
    app = make(server_timing=True, dev=False, secret=SECRET)
    assert "Server-Timing" not in get(app).headers
    assert "Server-Timing" not in get(app, X_Profile="1").headers
    token = make_token([SECRET], ttl_seconds=60)
    assert "total" in timings(get(app, Authorization=f"Bearer {token}"))


def test_without_the_setting_nobody_is_told_and_views_are_the_applications(make):
    app = make()
    assert "dispatch_request" not in vars(app)
    assert "Server-Timing" not in get(app, captured=True).headers


def test_a_header_of_the_applications_own_stays(make):
    app = make(server_timing=True)
    app.after_request(lambda response: response.headers.add("Server-Timing", "own") or response)
    values = get(app).headers.getlist("Server-Timing")
    assert values[0] == "own"
    assert re.match(r"total;dur=\d+\.\d{3};desc=", values[1])


def test_queries_are_in_it(make):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    app = make(server_timing=True)
    engine = sqlalchemy.create_engine("sqlite://")

    @app.get("/rows")
    def rows():
        with engine.connect() as connection:
            return str(connection.execute(sqlalchemy.text("SELECT 7")).scalar())

    told = timings(get(app, "/rows"))
    engine.dispose()
    assert list(told) == ["total", "cpu", "db", "view"]
    assert 0 < told["db"] < told["view"]


# Logging


@pytest.fixture
def logger():
    """A logger whose handler has the filter; gives it and what it wrote."""
    lines = []

    class Handler(logging.Handler):
        def emit(self, record):
            lines.append(self.format(record))

    handler = Handler()
    handler.addFilter(flaskprof.LogFilter())
    handler.setFormatter(logging.Formatter("%(route)s|%(trace_id)s|%(profile_id)s|%(message)s"))
    logger = logging.getLogger("a logger of the test")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield logger, lines
    logger.removeHandler(handler)


def test_log_lines_say_which_request_they_belong_to(app, logger):
    logger, lines = logger

    @app.get("/logging/<int:number>")
    def speak(number):
        logger.info("number %d", number)
        return "spoken"

    get(app, "/logging/7", traceparent=f"00-{TRACE}-{SPAN}-01")
    get(app, "/logging/8")
    captured = get(app, "/logging/9", captured=True).headers["X-Profile-Id"]
    logger.info("outside")
    assert lines == [
        f"/logging/<int:number>|{TRACE}||number 7",
        "/logging/<int:number>|||number 8",
        f"/logging/<int:number>||{captured}|number 9",
        "|||outside",
    ]


def test_a_log_line_without_flaskprof_in_the_application_is_written_too(logger):
    logger, lines = logger
    bare = Flask("bare")
    with bare.test_request_context("/"):
        logger.info("bare")
    assert lines == ["|||bare"]
