"""flaskprof in a Flask application, which stays what it was."""

from __future__ import annotations

import gc
import weakref

import pytest
from flask import Blueprint, Flask, abort, session
from flask.testing import FlaskClient
from flask.views import MethodView
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import flaskprof
from flaskprof import FlaskProf
from flaskprof.access import make_token
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.errors import ConfigError

SECRET = "a secret of sixteen or more"
COUNT = "http_server_request_duration_seconds_count"


class ClosingClient(FlaskClient):
    """Reads and closes each response, as a server does."""

    def open(self, *args, **keywords):
        return super().open(*args, buffered=True, **keywords)


class Item(MethodView):
    def get(self, name, item_id):
        return {name: item_id}


def make_app(directory, *, debug=True, **config):
    app = Flask("shop")
    app.debug = debug
    app.test_client_class = ClosingClient
    app.config.update(SECRET_KEY="key", FLASKPROF_DIR=str(directory), **config)

    @app.get("/")
    def front():
        session["seen"] = True
        return "front"

    @app.get("/orders/<int:order_id>")
    def order(order_id):
        return f"order {order_id}"

    @app.get("/fail")
    def fail():
        raise ZeroDivisionError("on purpose")

    @app.get("/teapot")
    def teapot():
        abort(418)

    @app.get("/quiet")
    @flaskprof.exclude
    def quiet():
        return "quiet"

    outer = Blueprint("outer", __name__, url_prefix="/outer")
    inner = Blueprint("inner", __name__, url_prefix="/<name>")
    inner.add_url_rule("/items/<item_id>", view_func=Item.as_view("item"))
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


@pytest.fixture
def directory(tmp_path, closed_recorders):
    return tmp_path / "data"


@pytest.fixture
def app(directory):
    app = make_app(directory)
    FlaskProf(app)
    return app


def sample(directory, name, **labels):
    registry = recorder_for(Settings(dir=directory)).metrics.registry
    return registry.get_sample_value(name, labels)


def counted(directory, route, status="200", method="GET"):
    return sample(
        directory,
        COUNT,
        http_request_method=method,
        http_route=route,
        http_response_status_code=status,
    )


def captured(client, path, **keywords):
    return client.get(path, headers={"X-Profile": "1"}, **keywords)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/orders/7", "/orders/<int:order_id>"),
        ("/outer/x/items/3", "/outer/<name>/items/<item_id>"),
        ("/static/nothing.css", "/static/<path:filename>"),
    ],
)
def test_a_request_is_counted_under_its_rule(app, directory, path, route):
    status = str(app.test_client().get(path).status_code)
    assert counted(directory, route, status) == 1


def test_an_unknown_path_has_the_empty_route(app, directory):
    client = app.test_client()
    for number in range(20):
        client.get(f"/nowhere/{number}")
    assert counted(directory, "", "404") == 20


def test_an_answer_is_the_same_with_and_without(directory, monkeypatch):
    # A session's cookie holds the second it was signed in.
    monkeypatch.setattr("itsdangerous.TimestampSigner.get_timestamp", lambda _: 1_800_000_000)
    bare = make_app(directory).test_client()
    app = make_app(directory)
    FlaskProf(app)
    client = app.test_client()
    for path in ("/", "/orders/7", "/teapot", "/nowhere", "/outer/x/items/3", "/orders/7/"):
        for method in ("get", "head", "options", "post"):
            expected, got = getattr(bare, method)(path), getattr(client, method)(path)
            assert (got.status, list(got.headers), got.data) == (
                expected.status,
                list(expected.headers),
                expected.data,
            )


def test_the_url_map_the_hooks_and_the_blueprints_stay_as_they_are(directory):
    bare, app = make_app(directory), make_app(directory)
    FlaskProf(app)
    assert list(map(str, app.url_map.iter_rules())) == list(map(str, bare.url_map.iter_rules()))
    assert list(app.blueprints) == list(bare.blueprints)
    for hooks in (
        "before_request_funcs",
        "after_request_funcs",
        "teardown_request_funcs",
        "error_handler_spec",
        "template_context_processors",
    ):
        assert str(getattr(app, hooks).keys()) == str(getattr(bare, hooks).keys()), hooks


def test_an_exception_that_flask_answers_itself_is_counted_by_class(directory):
    app = make_app(directory, debug=False, PROPAGATE_EXCEPTIONS=False)
    FlaskProf(app)
    assert app.test_client().get("/fail").status_code == 500
    assert counted(directory, "/fail", "500") == 1
    labels = {"http_request_method": "GET", "http_route": "/fail"}
    name = "flaskprof_exceptions_total"
    assert sample(directory, name, **labels, error_type="ZeroDivisionError") == 1


def test_an_exception_that_passes_through_is_counted_once(app, directory):
    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/fail")
    labels = {"http_request_method": "GET", "http_route": "/fail"}
    name = "flaskprof_exceptions_total"
    assert sample(directory, name, **labels, error_type="ZeroDivisionError") == 1
    assert counted(directory, "/fail", "500") == 1


def test_a_capture_is_asked_for_and_looked_at(app, directory):
    client = app.test_client()
    response = captured(client, "/orders/7")
    assert response.text == "order 7"
    assert response.headers["Cache-Control"] == "no-store"
    url = response.headers["X-Profile-Url"]
    capture_id = response.headers["X-Profile-Id"]
    assert url == f"http://localhost/flaskprof/c/{capture_id}"
    assert recorder_for(Settings(dir=directory)).flush(10)
    page = client.get(url)
    assert page.status_code == 200
    assert "/orders/&lt;int:order_id&gt;" in page.text
    assert "order" in page.text
    assert capture_id in client.get("/flaskprof/captures").text


def test_the_exemplar_of_a_captured_request_names_its_capture(app):
    client = app.test_client()
    capture_id = captured(client, "/orders/7").headers["X-Profile-Id"]
    text = client.get("/metrics", headers={"Accept": "application/openmetrics-text"}).text
    assert f'# {{profile_id="{capture_id}"}}' in text


def test_metrics_are_negotiated(app):
    client = app.test_client()
    client.get("/")
    plain = client.get("/metrics")
    assert plain.content_type.startswith("text/plain; version=")
    assert 'http_route="/"' in plain.text
    assert "flaskprof_info{" in plain.text
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    assert client.get("/metrics", headers=wanted).text.endswith("# EOF\n")


def test_our_own_pages_are_not_counted(app, directory):
    client = app.test_client()
    for path in ("/flaskprof/", "/metrics", "/flaskprof/c/nothing"):
        client.get(path)
    assert counted(directory, "") is None
    assert counted(directory, "", "404") is None


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    "origin",
    [
        {"REMOTE_ADDR": "203.0.113.5"},
        {"REMOTE_ADDR": ""},
        {"HTTP_HOST": "shop.example.com"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    ],
    ids=str,
)
def test_whoever_may_not_gets_the_plain_answer_without_a_hint(directory, debug, origin):
    bare = make_app(directory, debug=debug).test_client()
    app = make_app(directory, debug=debug)
    FlaskProf(app)
    client = app.test_client()
    for path in ("/orders/7", "/flaskprof/", "/flaskprof/c/x", "/flaskprof"):
        expected = captured(bare, path, environ_overrides=origin)
        got = captured(client, path, environ_overrides=origin)
        assert (got.status, list(got.headers), got.data) == (
            expected.status,
            list(expected.headers),
            expected.data,
        )


def test_outside_development_nobody_may_without_a_token(directory):
    app = make_app(directory, debug=False)
    FlaskProf(app)
    client = app.test_client()
    assert "X-Profile-Id" not in captured(client, "/").headers
    assert client.get("/flaskprof/").status_code == 404


def test_the_metrics_are_closed_to_proxies_and_can_demand_a_token(directory):
    app = make_app(directory, debug=False)
    FlaskProf(app)
    forwarded = {"X-Forwarded-For": "10.0.0.1"}
    assert app.test_client().get("/metrics").status_code == 200
    assert app.test_client().get("/metrics", headers=forwarded).status_code == 404

    closed = make_app(directory, debug=False)
    FlaskProf(closed, metrics="token", secret=[SECRET])
    client = closed.test_client()
    assert client.get("/metrics").status_code == 404
    bearer = {"Authorization": "Bearer " + make_token([SECRET], ttl_seconds=60)}
    assert client.get("/metrics", headers=bearer | forwarded).status_code == 200

    off = make_app(directory, debug=False)
    FlaskProf(off, metrics="off")
    assert off.test_client().get("/metrics").status_code == 404


def test_a_token_holder_asks_and_looks_from_anywhere(directory):
    app = make_app(directory, debug=False)
    FlaskProf(app, secret=SECRET)
    far = {"REMOTE_ADDR": "203.0.113.5", "HTTP_HOST": "shop.example.com"}
    token = make_token([SECRET], ttl_seconds=60)
    client = app.test_client()
    response = client.get("/", headers={"X-Profile": token}, environ_overrides=far)
    assert response.headers["X-Profile-Url"].startswith("http://shop.example.com/flaskprof/c/")
    assert client.get("/flaskprof/", environ_overrides=far).status_code == 404
    link = client.get(f"/flaskprof/?token={token}&page=1", environ_overrides=far)
    assert (link.status_code, link.location) == (
        303,
        "http://shop.example.com/flaskprof/?page=1",
    )
    cookie = link.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/flaskprof" in cookie
    again = {**far, "HTTP_COOKIE": cookie.partition(";")[0]}
    assert client.get("/flaskprof/", environ_overrides=again).status_code == 200


def test_a_token_for_one_route_and_a_number_of_captures(directory):
    app = make_app(directory, debug=False)
    FlaskProf(app, secret=SECRET)
    client = app.test_client()
    route = "/orders/<int:order_id>"
    token = {"X-Profile": make_token([SECRET], ttl_seconds=60, route=route, count=2)}
    assert "X-Profile-Id" in client.get("/orders/1", headers=token).headers
    elsewhere = client.get("/", headers=token).headers
    assert elsewhere["X-Profile-Skipped"] == "the token is for another route"
    assert "X-Profile-Id" not in elsewhere
    assert client.get("/orders/1", headers=token).headers["X-Profile-Skipped"] == (
        "the token is used up"
    )


def test_an_excluded_view_is_not_captured(app):
    response = captured(app.test_client(), "/quiet")
    assert response.headers["X-Profile-Skipped"] == "this route is excluded"


def test_a_rule_of_the_host_keeps_its_path_and_a_catch_all_does_not(directory, caplog):
    app = make_app(directory)
    app.add_url_rule("/metrics", "own", lambda: "my own metrics")
    app.add_url_rule("/flaskprof/mine/<x>", "mine", lambda x: "mine")
    app.add_url_rule("/<path:p>", "all", lambda p: "caught")
    FlaskProf(app)
    client = app.test_client()
    assert client.get("/metrics").text == "my own metrics"
    assert client.get("/flaskprof/mine/1").text == "mine"
    assert "caught" not in client.get("/flaskprof/").text
    assert client.get("/flaskprofessional").text == "caught"
    assert "a rule of its own at /metrics" in caplog.text


def test_paths_respect_the_mount_of_the_application(directory):
    app = make_app(directory)
    FlaskProf(app)
    client = Client(DispatcherMiddleware(Flask("root"), {"/shop": app}))
    local = {"REMOTE_ADDR": "127.0.0.1"}
    asked = {"X-Profile": "1"}
    response = client.get("/shop/orders/7", headers=asked, environ_base=local, buffered=True)
    assert "/shop/flaskprof/c/" in response.headers["X-Profile-Url"]
    assert counted(directory, "/shop/orders/<int:order_id>") == 1
    assert client.get("/shop/flaskprof/", environ_base=local).status_code == 200
    assert client.get("/shop/metrics", environ_base=local).status_code == 200


def test_where_applications_nest_the_outer_one_counts_and_the_inner_one_names(directory):
    inner = make_app(directory)
    FlaskProf(inner)
    outer = make_app(directory)
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/shop": inner.wsgi_app})
    FlaskProf(outer)
    client = outer.test_client()
    response = captured(client, "/shop/orders/7")
    assert response.headers.get_all("X-Profile-Id") == [response.headers["X-Profile-Id"]]
    assert counted(directory, "/shop/orders/<int:order_id>") == 1
    assert counted(directory, "/orders/<int:order_id>") is None
    assert client.get("/shop/flaskprof/").status_code == 200
    assert counted(directory, "") is None


def test_a_second_init_app_does_nothing(app, directory):
    wrapped = app.wsgi_app
    FlaskProf(app)
    FlaskProf().init_app(app)
    assert app.wsgi_app is wrapped
    app.test_client().get("/")
    assert counted(directory, "/") == 1


def test_switched_off_the_application_is_bare(directory, monkeypatch):
    monkeypatch.setenv("FLASKPROF_ENABLED", "0")
    app = make_app(directory)
    bare = app.wsgi_app
    FlaskProf(app)
    assert app.wsgi_app == bare


def test_a_wrong_value_is_an_error_at_start(directory):
    app = make_app(directory, FLASKPROF_PREFIX="no slash")
    with pytest.raises(ConfigError, match="FLASKPROF_PREFIX: 'no slash' is not"):
        FlaskProf(app)


def test_one_extension_serves_many_applications(directory):
    prof = FlaskProf()
    apps = [make_app(directory) for _ in range(3)]
    for app in apps:
        prof.init_app(app)
    for app in apps:
        app.test_client().get("/")
    assert counted(directory, "/") == 3


def test_a_factory_called_often_leaves_no_application_behind(directory):
    references = []
    for _ in range(50):
        app = make_app(directory)
        FlaskProf(app)
        app.test_client().get("/")
        references.append(weakref.ref(app))
    del app
    gc.collect()
    assert [reference() for reference in references] == [None] * 50
