"""The demo shop does what its front page says."""

from __future__ import annotations

import csv
import gc
import io
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session
from werkzeug.test import create_environ

from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.demo import database as tables
from flaskprof.demo import shop


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("shop") / "filled.sqlite"
    tables.open_database(path)
    return path


@pytest.fixture
def app(tmp_path, filled, closed_recorders):
    return shop.create_app(
        {
            "DATABASE": shutil.copy(filled, tmp_path / "shop.sqlite"),
            "FLASKPROF_DIR": str(tmp_path / "captures"),
        }
    )


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def queries(app):
    """The statements that the application sends to its database."""
    sent = []
    engine = app.extensions["shop_engine"]

    def note(connection, cursor, statement, parameters, context, executemany):
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return sent


def lines_of_order(app, order_id):
    with Session(app.extensions["shop_engine"]) as session:
        order = session.get(tables.Order, order_id)
        return [(line.product.name, line.quantity) for line in order.lines]


def test_the_front_page_has_a_line_to_copy_for_every_endpoint(app, client):
    page = client.get("/", base_url="http://shop.test:5001").text
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    for rule in rules - {"/", "/static/<path:filename>", "/api/users/<int:user_id>"}:
        path = rule.replace("<int:order_id>", "7")
        assert f"http://shop.test:5001{path}</code>" in page


def test_the_product_list_shows_all_or_one_category(client):
    everything = client.get("/products").text
    kitchen = client.get("/products?category=Kitchen").text
    assert (everything.count("<section"), kitchen.count("<section")) == (92, 24)
    assert "Teapot, red" in kitchen
    assert "Trowel, red" not in kitchen


def test_a_category_that_there_is_not_is_shown_as_text(client):
    page = client.get("/products?category=<script>").text
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_an_order_is_shown_with_a_query_for_each_of_its_lines(app, client, queries):
    expected = lines_of_order(app, 7)
    queries.clear()
    page = client.get("/orders/7").text
    assert [name in page for name, _ in expected] == [True] * len(expected)
    products = [query for query in queries if "FROM products" in query]
    assert len(products) == len(expected) >= 8


def test_the_page_of_a_captured_order_names_its_n_plus_one(app, client):
    app.debug = True
    lines = len(lines_of_order(app, 7))
    answer = client.get("/orders/7", headers={"X-Profile": "1"}, buffered=True)
    capture = f"/flaskprof/c/{answer.headers['X-Profile-Id']}"
    assert recorder_for(Settings(dir=Path(app.config["FLASKPROF_DIR"]))).flush()
    page = client.get(capture).text
    assert "FROM products WHERE products.id = ?</bdi></code> ran" in page
    queries = client.get(capture, headers={"Accept": "application/json"}).json["capture"][
        "queries"
    ]
    repeated = [query for query in queries if query["runs"] > 1]
    assert [query["runs"] for query in repeated] == [lines]
    # Before Python 3.12 a comprehension was a function of its own.
    assert repeated[0]["function"] in {"order", "<listcomp>"}
    source = Path(shop.__file__).read_text("utf-8").splitlines()
    assert "line.product.name" in source[repeated[0]["line"] - 1]


def test_an_order_that_there_is_not_is_a_page_not_found(client):
    answer = client.get("/orders/9999")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")


def test_the_heavy_computation_gives_the_same_plan_every_time(client):
    plan = client.get("/heavy-computation").json
    assert plan == client.get("/heavy-computation").json
    assert plan["parcels"] == 230
    assert plan["kilometres_saved"] > 0
    assert plan["first_van_kilograms"] <= 130


def test_the_data_add_up_to_what_the_export_holds(app, client):
    with Session(app.extensions["shop_engine"]) as session:
        quantity = sum(line.quantity for line in session.query(tables.OrderLine))
    categories = client.get("/api/data").json["categories"]
    assert {row["category"] for row in categories} == set(tables.GOODS)
    assert sum(row["sold"] for row in categories) == quantity
    rows = list(csv.DictReader(io.StringIO(client.get("/export.csv").text)))
    assert sum(int(row["quantity"]) for row in rows) == quantity


def test_the_export_is_streamed_and_closed_by_whoever_stops_reading(app):
    closed = []
    event.listen(app.extensions["shop_engine"], "close", lambda *_: closed.append(True))
    started = []
    body = app(create_environ("/export.csv"), lambda *answer: started.append(answer))
    parts = iter(body)
    assert next(parts) == b"order,ordered,user,product,quantity\r\n"
    ((status, headers),) = started
    assert (status, dict(headers)["Content-Type"]) == ("200 OK", "text/csv; charset=utf-8")
    assert "Content-Length" not in dict(headers)
    assert next(parts).startswith(b"1,2026-01-05T09:00:00")
    assert closed == []
    body.close()
    assert closed == [True]


def test_the_slow_endpoint_waits_for_its_supplier(client, monkeypatch):
    waited = []
    monkeypatch.setattr(shop.time, "sleep", waited.append)
    assert client.get("/slow").json == {"answer": "in stock"}
    assert waited == [1.2]


def test_the_failing_endpoint_fails_with_an_exception(app, client, caplog):
    assert client.get("/fail").status_code == 500
    assert caplog.records[-1].exc_info[0] is shop.PaymentError
    app.testing = True
    with pytest.raises(shop.PaymentError):
        client.get("/fail")


def test_the_shop_says_that_it_is_open(client):
    assert client.get("/health").json == {"status": "ok"}


def test_a_request_closes_the_session_that_it_opened(app, client):
    closed = []
    event.listen(app.extensions["shop_engine"], "close", lambda *_: closed.append(True))
    client.get("/products")
    assert closed == [True]


# The user API


def test_a_user_can_be_added_read_changed_and_removed(client):
    added = client.post("/api/users", json={"name": "Mary", "email": "mary@example.com"})
    assert added.status_code == 201
    place = urlsplit(added.headers["Location"]).path
    mary = {"id": added.json["id"], "name": "Mary", "email": "mary@example.com"}
    assert added.json == mary == client.get(place).json
    assert mary in client.get("/api/users").json["users"]

    changed = client.patch(place, json={"name": "Mary S."}).json
    assert changed == mary | {"name": "Mary S."}
    replaced = client.put(place, json={"name": "M", "email": "m@example.com"}).json
    assert replaced == client.get(place).json == {**mary, "name": "M", "email": "m@example.com"}

    removed = client.delete(place)
    assert (removed.status_code, removed.data) == (204, b"")
    assert client.get(place).status_code == 404


def test_users_are_listed_by_name(client):
    names = [user["name"] for user in client.get("/api/users").json["users"]]
    assert names == sorted(tables.NAMES)


def test_a_user_goes_with_all_orders(app, client):
    with Session(app.extensions["shop_engine"]) as session:
        user_id = session.get(tables.Order, 7).user_id
    assert client.delete(f"/api/users/{user_id}").status_code == 204
    assert client.get("/orders/7").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "description"),
    [
        ("GET", "/api/users/999", None, 404, "there is no user 999"),
        ("DELETE", "/api/users/999", None, 404, "there is no user 999"),
        ("POST", "/api/users", [], 400, "a user is a JSON object"),
        ("POST", "/api/users", {"name": "Mary"}, 400, "'email' is missing"),
        ("PUT", "/api/users/1", {"email": "m@example.com"}, 400, "'name' is missing"),
        ("PATCH", "/api/users/1", {"age": 3}, 400, "a user has no 'age'"),
        ("PATCH", "/api/users/1", {"name": " "}, 400, "'name' is a text of 1 to 80 characters"),
        ("PATCH", "/api/users/1", {"name": 7}, 400, "'name' is a text of 1 to 80 characters"),
        ("PATCH", "/api/users/1", {"email": "mary"}, 400, "'email' has no @"),
        (
            "PATCH",
            "/api/users/1",
            {"email": "alan@example.com"},
            409,
            "another user has this email",
        ),
    ],
)
def test_a_wrong_request_is_answered_in_json(client, method, path, body, status, description):
    answer = client.open(path, method=method, json=body)
    assert answer.status_code == status
    assert answer.json["description"] == description


def test_errors_of_the_framework_are_answered_in_json_too(client):
    nowhere = client.get("/api/nothing")
    wrong = client.put("/api/users", json={})
    broken = client.post("/api/users", data="{", content_type="application/json")
    plain = client.post("/api/users", data="name=Mary")
    assert [answer.status_code for answer in (nowhere, wrong, broken, plain)] == [
        404,
        405,
        400,
        415,
    ]
    assert [answer.json["error"] for answer in (nowhere, wrong, broken, plain)] == [
        "Not Found",
        "Method Not Allowed",
        "Bad Request",
        "Unsupported Media Type",
    ]
    assert "POST" in wrong.headers["Allow"]


# The database


def test_every_shop_starts_with_the_same_goods(tmp_path):
    contents = []
    for name in ("one.sqlite", "two.sqlite"):
        with Session(tables.open_database(tmp_path / name)) as session:
            lines = session.query(tables.OrderLine).order_by(tables.OrderLine.id)
            contents.append([(line.order_id, line.product_id, line.quantity) for line in lines])
    assert contents[0] == contents[1]
    assert len(contents[0]) > 600


def test_a_database_that_is_there_is_used_as_it_is(tmp_path):
    path = tmp_path / "shop.sqlite"
    first = shop.create_app({"DATABASE": path, "FLASKPROF_ENABLED": False})
    first.test_client().delete("/api/users/1")
    second = shop.create_app({"DATABASE": path, "FLASKPROF_ENABLED": False})
    assert second.test_client().get("/api/users/1").status_code == 404
    assert list(tmp_path.iterdir()) == [path]


def test_a_worker_that_is_slower_finds_the_database_of_the_faster_one(tmp_path, monkeypatch):
    path = tmp_path / "shop.sqlite"
    fill = tables._fill

    def overtaken(session):
        fill(session)
        if not path.exists():
            path.write_bytes(b"")
            with monkeypatch.context() as patch:
                patch.setattr(tables, "_fill", fill)
                path.unlink()
                tables.open_database(path).dispose()

    monkeypatch.setattr(tables, "_fill", overtaken)
    tables.open_database(path)
    with Session(tables.open_database(path)) as session:
        assert session.query(tables.User).count() == len(tables.NAMES)
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_database_goes_with_its_application(monkeypatch, tmp_path):
    monkeypatch.setattr(shop.tempfile, "tempdir", str(tmp_path))
    app = shop.create_app({"FLASKPROF_ENABLED": False})
    (directory,) = tmp_path.glob("shop-*")
    assert app.test_client().get("/api/users/1").status_code == 200
    assert (Path(directory) / "shop.sqlite").is_file()
    del app
    gc.collect()
    assert list(tmp_path.glob("shop-*")) == []
