"""Who may, where the application decides: with its own users, in its own context."""

from __future__ import annotations

import importlib.util
import logging
import warnings

import pytest
from flask import Flask, g, request, session
from werkzeug.test import Client

from checkout import ROOT
from flaskprof import FlaskProf, ProfilerMiddleware, log
from flaskprof.access import AccessRules, make_token
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings

PASSWORD = "only for this example"
VIEWER = "/flaskprof/captures"
SECRET = "a secret of sixteen or more"


def load(name):
    spec = importlib.util.spec_from_file_location(
        f"example_{name}", ROOT / "examples" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def directory(tmp_path, closed_recorders):
    return tmp_path / "data"


@pytest.fixture(scope="module")
def flask_security():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the packages it brings
        return load("security_roles")


@pytest.fixture
def shop_with_security(flask_security, tmp_path, directory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        app = flask_security.create_app(
            FLASKPROF_DIR=str(directory),
            SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'users.sqlite'}",
            TESTING=True,
            WTF_CSRF_ENABLED=False,
        )
    yield app
    with app.app_context():
        for engine in flask_security.database.engines.values():
            engine.dispose()


def rights(client):
    """What the sender may: ask, look, change."""
    asked = client.get("/orders/7", headers={"X-Profile": "1"}, buffered=True)
    assert (asked.status_code, asked.json) == (200, {"order": 7})
    looked = client.get(VIEWER)
    changed = client.post(VIEWER)
    assert looked.status_code in (200, 404)
    # The viewer has nothing to be posted there: 405 is its own answer to who may.
    assert changed.status_code in (403, 404, 405)
    return {
        right
        for right, has in (
            ("ask", "X-Profile-Id" in asked.headers),
            ("look", looked.status_code == 200),
            ("change", changed.status_code == 405),
        )
        if has
    }


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        (None, set()),
        ("bob@example.com", set()),
        ("ada@example.com", {"ask", "look", "change"}),
    ],
)
def test_with_flask_security_the_role_decides(shop_with_security, email, expected):
    client = shop_with_security.test_client()
    if email:
        form = {"email": email, "password": PASSWORD}
        assert client.post("/login", data=form).status_code == 302
    assert rights(client) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, set()),
        ("eve", set()),
        ("bob", {"look"}),
        ("ada", {"ask", "look", "change"}),
    ],
)
def test_with_flask_login_the_user_decides(directory, name, expected):
    client = load("login_users").create_app(FLASKPROF_DIR=str(directory)).test_client()
    if name:
        form = {"name": name, "password": PASSWORD}
        assert client.post("/login", data=form).status_code == 200
    assert rights(client) == expected


def make_app(directory, access, **settings):
    app = Flask("shop")
    app.secret_key = "key"

    @app.get("/orders/<int:order_id>")
    def order(order_id):
        return {"order": order_id}

    @app.post("/echo")
    def echo():
        return request.get_data()

    FlaskProf(app, dir=directory, access=access, **settings)
    return app


def test_it_is_asked_with_session_and_request_and_leaves_both_as_they_were(directory):
    seen = []

    def access(wanted, environ):
        seen.append((wanted, session.get("user"), request.path, request.get_data()))
        session["user"] = "changed"
        g.anything = 1
        return True

    app = make_app(directory, access)
    torn_down = []
    app.teardown_request(torn_down.append)
    client = app.test_client()
    with client.session_transaction() as kept:
        kept["user"] = "ada"
    torn_down.clear()
    answer = client.post("/echo", data=b"body", headers={"X-Profile": "1"}, buffered=True)
    assert (answer.data, "X-Profile-Id" in answer.headers) == (b"body", True)
    assert seen == [("ask", "ada", "/echo", b"")]
    assert torn_down == [None, None]
    with client.session_transaction() as kept:
        assert kept["user"] == "ada"
    assert "Set-Cookie" not in client.get(VIEWER).headers


def test_it_is_not_asked_by_requests_that_want_nothing(directory):
    app = make_app(directory, lambda wanted, environ: 1 / 0)
    assert app.test_client().get("/orders/7").status_code == 200


def test_where_it_fails_nobody_may_and_the_application_answers(directory, caplog, monkeypatch):
    monkeypatch.setattr(log, "_said", set())
    client = make_app(directory, lambda wanted, environ: 1 / 0).test_client()
    with caplog.at_level(logging.WARNING):
        assert rights(client) == set()
    assert [r.message for r in caplog.records] == ["the access function failed: nobody may"]


def test_those_with_a_token_may_as_well(directory):
    app = make_app(directory, lambda wanted, environ: False, secret=SECRET)
    client = app.test_client()
    token = make_token([SECRET], ttl_seconds=60)
    asked = client.get("/orders/7", headers={"X-Profile": token}, buffered=True)
    assert "X-Profile-Id" in asked.headers
    assert client.get(VIEWER, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_captures_that_users_ask_for_keep_to_the_budget(directory):
    client = make_app(directory, lambda *_: True, capture_rate=0, capture_burst=2).test_client()
    answers = [
        client.get("/orders/7", headers={"X-Profile": "1"}, buffered=True) for _ in range(3)
    ]
    assert ["X-Profile-Id" in answer.headers for answer in answers] == [True, True, False]
    assert recorder_for(Settings(dir=directory)).flush()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 405),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 405),
        ({"Origin": "http://localhost"}, 405),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
    ids=str,
)
def test_nothing_is_changed_by_the_page_of_another_site(directory, headers, status):
    client = make_app(directory, lambda *_: True).test_client()
    assert client.post(VIEWER, headers=headers).status_code == status


def test_any_wsgi_application_is_asked_with_the_environ(directory):
    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"done"]

    def access(wanted, environ):
        return environ["REMOTE_USER"] == "ada" and wanted == "look"

    client = Client(ProfilerMiddleware(application, dir=directory, access=access))
    statuses = [
        client.get(VIEWER, environ_base={"REMOTE_USER": name}).data == b"done"
        for name in ("ada", "bob")
    ]
    assert statuses == [False, True]


def test_the_line_at_start_says_so():
    rules = AccessRules((), lambda: False, lambda *_: True)
    assert rules.explain() == "whom the application's access function allows"
