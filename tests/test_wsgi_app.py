"""An application gets flaskprof from the outside: FLASKPROF_APP and flaskprof.wsgi:app."""

from __future__ import annotations

import importlib
import sys

import pytest
from werkzeug.test import Client

from flaskprof import FlaskProf, ProfilerMiddleware, wsgi
from flaskprof.errors import ConfigError
from servers import get, serve

MODULE = """
from flask import Flask

def plain(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]

def create_app(name="shop", *, debug=False):
    app = Flask(name)
    app.debug = debug
    app.add_url_rule("/", view_func=lambda: name)
    return app

application = create_app("by default")
nothing = None
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch, closed_recorders):
    (tmp_path / "zero_shop.py").write_text(MODULE)
    (tmp_path / "zero_broken.py").write_text("import no_such_library\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("FLASKPROF_DIR", str(tmp_path / "data"))
    yield
    for name in ("zero_shop", "zero_broken"):
        sys.modules.pop(name, None)
    vars(wsgi).pop("app", None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("zero_shop", "by default"),
        ("zero_shop:application", "by default"),
        ("zero_shop:create_app()", "shop"),
        ("zero_shop:create_app('named', debug=True)", "named"),
    ],
)
def test_a_flask_application_gets_the_extension(name, text, monkeypatch):
    monkeypatch.setenv("FLASKPROF_APP", name)
    app = importlib.import_module("flaskprof.wsgi").app
    assert Client(app).get("/").text == text
    assert isinstance(app.extensions["flaskprof"], FlaskProf)
    assert wsgi.app is app


def test_any_other_application_gets_the_middleware():
    application = wsgi.load_application("zero_shop:plain")
    assert type(application) is ProfilerMiddleware
    assert Client(application).get("/").text == "plain"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_shop:app", "there is no module 'no_such_shop'"),
        ("zero_shop:missing", "zero_shop has no missing"),
        ("zero_shop:nothing", "zero_shop has no nothing"),
        ("zero_shop:create_app(1 + x)", "neither a name nor a call with literals"),
        ("zero_shop:a.b()", "neither a name nor a call with literals"),
        ("zero_shop:MODULE()()", "neither a name nor a call with literals"),
        (
            "zero_shop:create_app",
            "does not take an environ and a start_response; a function that",
        ),
    ],
)
def test_what_is_no_application_is_refused_in_words(name, sentence):
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(")):
        wsgi.load_application(name)


def test_what_the_application_itself_cannot_import_is_its_own_error():
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        wsgi.load_application("zero_broken")


def test_without_a_name_it_says_what_is_missing(monkeypatch):
    monkeypatch.delenv("FLASKPROF_APP", raising=False)
    with pytest.raises(ConfigError, match="needs FLASKPROF_APP to say where"):
        wsgi.app  # noqa: B018  the access is what is tested
    with pytest.raises(AttributeError, match="no attribute 'ap'"):
        wsgi.ap  # noqa: B018  as above


def test_a_route_can_be_named_by_a_function(tmp_path):
    seen = []
    application = wsgi.load_application("zero_shop:plain").app.app
    client = Client(
        ProfilerMiddleware(application, route=lambda environ: seen.append(environ) or "/all")
    )
    client.get("/anything").close()
    assert 'http_route="/all"' in client.get("/metrics").text
    assert seen[0]["PATH_INFO"] == "/anything"


@pytest.mark.parametrize("server", ["gunicorn-sync", "waitress", "gunicorn-gevent"])
def test_servers_find_it(server, tmp_path):
    named = {"FLASKPROF_APP": "zero_shop:create_app()"}
    data = tmp_path / server
    with serve(server, data, app="flaskprof.wsgi:app", **named) as running:
        assert get(running.port, "/").body == b"shop"
        assert "X-Profile-Id" in get(running.port, "/", X_Profile="1").headers
        assert b'http_route="/"' in get(running.port, "/metrics").body
