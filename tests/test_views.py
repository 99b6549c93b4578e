"""Every way to write a view in Flask: its route, its endpoint, and the function that ran."""

from __future__ import annotations

import functools
import inspect

import pytest
from flask import Blueprint, Flask, abort, g, redirect, url_for
from flask.views import MethodView, View

import flaskprof
from flaskprof import FlaskProf
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.view_names import view_name

COUNT = "http_server_request_duration_seconds_count"


def logged(view):
    @functools.wraps(view)
    def run(*args, **keywords):
        return view(*args, **keywords)

    return run


class Base(MethodView):
    def get(self, **values):
        return f"{type(self).__name__} {sorted(values.items())}"


class Item(Base):
    init_every_request = False

    @logged
    def post(self, **values):
        return "posted", 201


class Report(View):
    methods = ("GET", "PUT")
    decorators = (logged,)

    def dispatch_request(self):
        return "report"


class Later(MethodView):
    async def get(self):
        return "later"


def plain(**values):
    return "plain"


@logged
def decorated():
    return "decorated"


async def asynchronous():
    return "asynchronous"


def aborting():
    abort(418)


def moved():
    return redirect("/plain")


def streaming():
    return (part for part in ("a", "b"))


def page_number(page):
    return f"page {page}"


def make_app(directory):
    app = Flask(__name__, subdomain_matching=True)
    app.config.update(SERVER_NAME="example.test", TESTING=True, PROPAGATE_EXCEPTIONS=False)
    for view in (plain, decorated, asynchronous, aborting, moved, streaming):
        app.add_url_rule(f"/{view.__name__}", view_func=view)
    app.add_url_rule("/item/<int:number>", view_func=Item.as_view("item"))
    app.add_url_rule("/report", view_func=Report.as_view("report"))
    app.add_url_rule("/later", view_func=Later.as_view("later"))
    app.add_url_rule("/with-slash/", "with_slash", plain)
    app.add_url_rule("/here", "here", plain, subdomain="<tenant>")
    app.add_url_rule("/defaults", "defaults", page_number, defaults={"page": 1})
    app.add_url_rule("/defaults/<int:page>", "defaults")
    app.register_blueprint(nested())
    FlaskProf(app, dir=directory, dev=True)
    return app


def nested():
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    inner = Blueprint("inner", __name__, url_prefix="/<lang>")

    @inner.url_value_preprocessor
    def take(endpoint, values):
        g.lang = values.pop("lang")

    @inner.url_defaults
    def give(endpoint, values):
        values.setdefault("lang", g.lang)

    @inner.get("/page")
    def page():
        return url_for("outer.inner.page")

    @inner.before_request
    def answer():
        if g.lang == "xx":
            return "no such language", 404
        return None

    outer.register_blueprint(inner)
    return outer


@pytest.fixture
def directory(tmp_path, closed_recorders):
    return tmp_path / "data"


@pytest.fixture
def app(directory):
    return make_app(directory)


def ask(app, directory, path, method="GET", base="http://example.test"):
    """Send a request that asks for a capture, and wait for that."""
    headers = {"X-Profile": "1"}
    response = app.test_client().open(
        path, method=method, base_url=base, headers=headers, buffered=True
    )
    assert recorder_for(Settings(dir=directory)).flush()
    return response


def source_of(function):
    code = inspect.unwrap(function).__code__
    return code.co_filename, code.co_firstlineno


def records(directory):
    return flaskprof.load(directory).captures()


WHERE = "test_views"

# Path, method, status, route, endpoint, the view that runs (None: no view does).
REQUESTS = [
    ("/plain", "GET", 200, "/plain", "plain", plain),
    ("/plain", "HEAD", 200, "/plain", "plain", plain),
    ("/plain", "OPTIONS", 200, "/plain", "plain", None),
    ("/plain", "POST", 405, "", "", None),
    ("/decorated", "GET", 200, "/decorated", "decorated", decorated),
    ("/asynchronous", "GET", 200, "/asynchronous", "asynchronous", asynchronous),
    ("/aborting", "GET", 418, "/aborting", "aborting", aborting),
    ("/moved", "GET", 302, "/moved", "moved", moved),
    ("/streaming", "GET", 200, "/streaming", "streaming", streaming),
    ("/item/7", "GET", 200, "/item/<int:number>", "item", Item.get),
    ("/item/7", "HEAD", 200, "/item/<int:number>", "item", Item.get),
    ("/item/7", "POST", 201, "/item/<int:number>", "item", Item.post),
    ("/item/7", "DELETE", 405, "", "", None),
    ("/item/x", "GET", 404, "", "", None),
    ("/report", "GET", 200, "/report", "report", Report.dispatch_request),
    ("/report", "PUT", 200, "/report", "report", Report.dispatch_request),
    ("/later", "GET", 200, "/later", "later", Later.get),
    ("/with-slash", "GET", 308, "", "", None),
    ("/with-slash/", "GET", 200, "/with-slash/", "with_slash", plain),
    ("/defaults", "GET", 200, "/defaults", "defaults", page_number),
    ("/defaults/2", "GET", 200, "/defaults/<int:page>", "defaults", page_number),
    ("/outer/en/page", "GET", 200, "/outer/<lang>/page", "outer.inner.page", "page"),
    ("/outer/xx/page", "GET", 404, "/outer/<lang>/page", "outer.inner.page", None),
    ("/static/nothing.css", "GET", 404, "/static/<path:filename>", "static", "static"),
]


@pytest.fixture
def at_home(monkeypatch):
    """Let the names of these tests' hosts pass for this machine's."""
    monkeypatch.setattr("flaskprof.peer._is_loopback_host", lambda host: True)


@pytest.mark.parametrize(("path", "method", "status", "route", "endpoint", "view"), REQUESTS)
def test_route_endpoint_and_the_view_that_ran(
    app, directory, at_home, path, method, status, route, endpoint, view
):
    response = ask(app, directory, path, method)
    assert response.status_code == status
    record = records(directory)[0].record
    assert (record.route, record.endpoint, record.status) == (route, endpoint, status)
    labels = {"http_request_method": method, "http_route": route}
    registry = recorder_for(Settings(dir=directory)).metrics.registry
    labels["http_response_status_code"] = str(status)
    assert registry.get_sample_value(COUNT, labels) == 1
    if view is None:
        assert (record.view, record.view_file, record.view_line) == ("", "", None)
        return
    if isinstance(view, str):
        view = app.view_functions[endpoint]
    assert (record.view_file, record.view_line) == source_of(view)


@pytest.mark.parametrize(
    ("endpoint", "method", "name"),
    [
        ("plain", "GET", f"{WHERE}.plain"),
        ("decorated", "GET", f"{WHERE}.decorated"),
        ("asynchronous", "GET", f"{WHERE}.asynchronous"),
        # Inherited methods are named as they are called.
        ("item", "GET", f"{WHERE}.Item.get"),
        ("item", "HEAD", f"{WHERE}.Item.get"),
        ("item", "POST", f"{WHERE}.Item.post"),
        ("report", "PUT", f"{WHERE}.Report.dispatch_request"),
        ("later", "GET", f"{WHERE}.Later.get"),
    ],
)
def test_a_view_has_the_name_that_it_has_in_the_source(app, endpoint, method, name):
    assert view_name(app.view_functions[endpoint], method).name == name


def test_what_is_not_written_in_python_has_no_name():
    assert view_name(None, "GET") is None
    assert view_name(7, "GET") is None
    assert view_name(len, "GET") is None
    assert view_name(functools.partial(print), "GET") is None
    assert view_name(Item.as_view("item"), "DELETE") is None


def test_a_rule_of_a_subdomain_and_one_of_a_host(directory, at_home):
    app = make_app(directory)
    response = ask(app, directory, "/here", base="http://acme.example.test")
    assert response.text == "plain"
    assert records(directory)[0].record.route == "/here"

    app = Flask("hosts", host_matching=True, static_host="static.test")
    app.add_url_rule("/", "front", lambda: "front", host="shop.test")
    app.add_url_rule("/", "other", lambda name: "other", host="<name>.other.test")
    FlaskProf(app, dir=directory, dev=True)
    for base, endpoint in (("http://shop.test", "front"), ("http://a.other.test", "other")):
        response = ask(app, directory, "/", base=base)
        assert response.text == endpoint
        assert records(directory)[0].record.endpoint == endpoint


def test_a_hook_that_answers_for_all_leaves_route_and_endpoint(app, directory, at_home):
    app.before_request(lambda: ("closed", 503))
    ask(app, directory, "/plain")
    record = records(directory)[0].record
    assert (record.route, record.endpoint, record.status) == ("/plain", "plain", 503)
    assert record.view == ""


def test_the_page_of_a_capture_names_the_view_and_its_line(app, directory, at_home):
    ask(app, directory, "/item/7")
    capture = records(directory)[0]
    page = app.test_client().get(f"/flaskprof/c/{capture.id}", base_url="http://example.test")
    line = source_of(Item.get)[1]
    assert f"{WHERE}.Item.get, " in page.text
    assert f"tests/test_views.py:{line}" in page.text


def test_an_exception_in_a_view_is_counted_under_its_route(app, directory):
    def fail(number):
        raise KeyError(number)

    app.add_url_rule("/fail/<int:number>", view_func=fail)
    app.config["TESTING"] = False
    assert app.test_client().get("/fail/1", buffered=True).status_code == 500
    value = recorder_for(Settings(dir=directory)).metrics.registry.get_sample_value(
        "flaskprof_exceptions_total",
        {
            "http_request_method": "GET",
            "http_route": "/fail/<int:number>",
            "error_type": "KeyError",
        },
    )
    assert value == 1
