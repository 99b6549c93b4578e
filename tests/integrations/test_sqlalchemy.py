"""The queries of a request, on real engines of SQLAlchemy."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import traceback

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

from checkout import ROOT
from flaskprof import FlaskProf, ProfilerMiddleware, log
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.integrations.sqlalchemy import unwatch
from flaskprof.queries.groups import is_repeated, repetition
from flaskprof.queries.log import begin, current
from needs import needs_module

HOME = {"REMOTE_ADDR": "127.0.0.1"}


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    items: Mapped[list[Item]] = relationship()


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    name: Mapped[str]


def make_engine(orders=12):
    engine = sa.create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(
            Order(id=n, items=[Item(name=f"item {n}")]) for n in range(1, orders + 1)
        )
        session.commit()
    return engine


@pytest.fixture
def engine():
    engine = make_engine()
    yield engine
    engine.dispose()


@pytest.fixture
def directory(tmp_path, closed_recorders):
    yield tmp_path / "data"
    unwatch()


@pytest.fixture
def serve(directory):
    """Return a function that puts flaskprof around one view and asks for a capture of it."""

    def serve(view, **settings):
        app = Flask("shop")
        app.debug = True
        app.add_url_rule("/orders", view_func=view, endpoint="orders")
        FlaskProf(app, dir=directory, **settings)
        return ask(app, directory)

    return serve


def ask(app, directory, path="/orders"):
    response = app.test_client().get(path, headers={"X-Profile": "1"}, buffered=True)
    recorder = recorder_for(Settings(dir=directory))
    assert recorder.flush()
    return recorder.store.record(response.headers["X-Profile-Id"])


def line_of(function, offset):
    return function.__code__.co_firstlineno + offset


def test_the_lazy_loads_of_the_orm_are_named_with_their_line(serve, engine):
    def orders():
        with Session(engine) as session:
            found = session.scalars(sa.select(Order)).all()
            return [[item.name for item in order.items] for order in found]

    record = serve(orders)
    assert record.query_count == 13
    assert 0 < record.query_seconds < record.duration_seconds
    lazy, first = record.queries
    assert (lazy.runs, first.runs, lazy.failed) == (12, 1, 0)
    assert first.statement == "SELECT orders.id FROM orders"
    assert (lazy.file, lazy.line) == (__file__, line_of(orders, 3))
    assert (first.file, first.line, first.function) == (__file__, line_of(orders, 2), "orders")
    assert [group for group in record.queries if is_repeated(group)] == [lazy]
    assert repetition(lazy) == (
        "`SELECT … FROM item WHERE ? = item.order_id` ran 12 times from "
        f"…/tests/integrations/test_sqlalchemy.py:{lazy.line}"
    )


def test_values_are_in_no_file_of_the_capture(serve, engine, directory):
    def orders():
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT id FROM item WHERE name = 'Zq9secret'"))
            connection.exec_driver_sql("SELECT id FROM item WHERE name = ?", ("Zq9secret",))
            connection.execute(sa.select(Item).where(Item.name == "Zq9secret"))
        return "done"

    record = serve(orders)
    assert record.query_count == 3
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".json"]
    assert [path for path in files if b"Zq9secret" in path.read_bytes()] == []


def test_core_with_many_rows_and_without_parameters_is_counted(serve, engine):
    def orders():
        with engine.begin() as connection:
            rows = [{"order_id": 1, "name": str(n)} for n in range(3)]
            connection.execute(sa.insert(Item), rows)
            connection.exec_driver_sql("DELETE FROM item")
        return "done"

    record = serve(orders)
    assert record.query_count == 2
    assert {(group.statement, group.runs) for group in record.queries} == {
        ("INSERT INTO item (order_id, name) VALUES (?)", 1),
        ("DELETE FROM item", 1),
    }


def test_several_engines_are_counted_together(serve):
    one, other = make_engine(), make_engine()

    def orders():
        for engine in (one, other):
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
        return "done"

    record = serve(orders)
    assert (record.query_count, [group.runs for group in record.queries]) == (2, [2])
    one.dispose()
    other.dispose()


def test_flask_sqlalchemy_is_counted_and_the_line_is_the_view_s(directory):
    app = Flask("shop")
    app.debug = True
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    app.config["SQLALCHEMY_BINDS"] = {"second": "sqlite://"}
    database = SQLAlchemy(app)

    class User(database.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    class Event(database.Model):
        __bind_key__ = "second"
        id: Mapped[int] = mapped_column(primary_key=True)

    @app.get("/orders")
    def orders():
        database.session.scalars(sa.select(User)).all()
        database.session.scalars(sa.select(Event)).all()
        return "done"

    with app.app_context():
        database.create_all()
    FlaskProf(app, dir=directory)
    record = ask(app, directory)
    assert record.query_count == 2
    assert {group.line for group in record.queries} == {line_of(orders, 2), line_of(orders, 3)}
    with app.app_context():
        for engine in database.engines.values():
            engine.dispose()


def test_a_query_that_fails_is_counted_and_its_exception_is_the_application_s(serve, engine):
    seen = []

    def orders():
        with engine.connect() as connection:
            try:
                connection.execute(sa.text("SELECT x FROM nowhere"))
            except sa.exc.OperationalError as error:
                seen.append(error)
            connection.execute(sa.text("SELECT 1"))
        return "done"

    record = serve(orders)
    assert record.query_count == 2
    failed = next(group for group in record.queries if group.failed)
    assert (failed.statement, failed.runs, failed.failed) == ("SELECT x FROM nowhere", 1, 1)
    assert "no such table: nowhere" in str(seen[0].orig)
    assert traceback.extract_tb(seen[0].__traceback__)[0].name == "orders"


def test_listeners_of_the_application_s_own_are_called_as_without(serve, engine, directory):
    calls = []

    def before(cursor, statement, parameters, context):
        calls.append("before")

    def instead(cursor, statement, parameters, context):
        calls.append("instead")
        cursor.execute("SELECT 42")
        return True

    def never(cursor, statement, parameters, context):
        calls.append("never")

    def orders():
        with engine.connect() as connection:
            return str(connection.execute(sa.text("SELECT 1")).scalar_one())

    sa.event.listen(sa.Engine, "do_execute", before)
    try:
        serve(orders)
        assert calls == ["before"]
        calls.clear()
        for listener in (instead, never):
            sa.event.listen(sa.Engine, "do_execute", listener)
        app = Flask("shop")
        app.add_url_rule("/orders", view_func=orders)
        FlaskProf(app, dir=directory)
        assert app.test_client().get("/orders").text == "42"
    finally:
        for listener in (before, instead, never):
            if sa.event.contains(sa.Engine, "do_execute", listener):
                sa.event.remove(sa.Engine, "do_execute", listener)
    assert calls == ["before", "instead"]


def test_the_profile_holds_no_call_of_ours(serve, engine, directory):
    def orders():
        with engine.connect() as connection:
            return str(connection.execute(sa.text("SELECT 1")).scalar_one())

    record = serve(orders)
    store = recorder_for(Settings(dir=directory)).store
    profile = store.read(record.id, ".prof")
    assert b"do_execute" in profile
    assert b"flaskprof/integrations" not in profile
    assert b"flaskprof/queries" not in profile


def test_async_views_and_contexts_that_are_handed_on_belong_to_the_request(serve, engine):
    def ask():
        with engine.connect() as connection:
            return connection.execute(sa.text("SELECT 1")).scalar_one()

    async def orders():
        ask()
        await asyncio.to_thread(ask)
        alone = threading.Thread(target=ask)
        alone.start()
        alone.join()
        return "done"

    record = serve(orders)
    assert (record.query_count, [group.runs for group in record.queries]) == (2, [2])


def test_queries_of_a_stream_belong_to_the_request_that_streams(directory, engine):
    app = Flask("shop")
    app.debug = True

    def ask(number):
        with engine.connect() as connection:
            for _ in range(number):
                connection.execute(sa.text("SELECT 1"))

    @app.get("/stream/<int:number>")
    def stream(number):
        def parts():
            for _ in range(2):
                ask(number)
                yield b"part"

        return parts()

    FlaskProf(app, dir=directory)
    client = app.test_client()
    headers = {"X-Profile": "1"}
    first, second = (client.get(f"/stream/{n}", headers=headers) for n in (1, 3))
    bodies = [iter(response.response) for response in (first, second)]
    for body in (*bodies, *bodies):
        assert next(body) == b"part"
    first.close()
    second.close()
    recorder = recorder_for(Settings(dir=directory))
    assert recorder.flush()
    counts = [
        recorder.store.record(response.headers["X-Profile-Id"]).query_count
        for response in (first, second)
    ]
    assert counts == [2, 6]


def test_any_wsgi_application_is_watched(directory, engine):
    def application(environ, start_response):
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    from werkzeug.test import Client

    client = Client(ProfilerMiddleware(application, dir=directory, dev=True))
    response = client.get("/", headers={"X-Profile": "1"}, environ_base=HOME)
    recorder = recorder_for(Settings(dir=directory))
    assert recorder.flush()
    record = recorder.store.record(response.headers["X-Profile-Id"])
    assert (record.query_count, record.queries[0].function) == (1, "application")


def test_switched_off_nothing_listens(serve, engine):
    def orders():
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
        assert current() is None
        return "done"

    record = serve(orders, sqlalchemy=False)
    assert (record.query_count, record.query_seconds, record.queries) == (None, None, ())
    assert len(engine.dialect.dispatch.do_execute) == 0


def test_without_sqlalchemy_2_the_application_goes_on(serve, monkeypatch, caplog):
    monkeypatch.setattr(log, "_said", set())
    monkeypatch.delattr(sa, "Engine")
    with caplog.at_level(logging.WARNING, "flaskprof"):
        record = serve(lambda: "done")
    assert (record.status, record.query_count) == (200, None)
    assert [r.message for r in caplog.records] == [
        "queries are not counted: that needs SQLAlchemy 2 or newer"
    ]


def test_more_kinds_than_are_kept_are_counted_all_the_same(engine):
    from flaskprof.integrations.sqlalchemy import watch

    assert watch()
    kept = begin()
    kept.keep_statements()
    with engine.connect() as connection:
        for number in range(700):
            connection.exec_driver_sql(f"SELECT {number}")
        for number in range(700):
            connection.exec_driver_sql(f"SELECT 1 AS c{number}")
    kept.end()
    unwatch()
    assert kept.count == 1400
    groups = kept.groups()
    assert len(groups) == 50
    assert (groups[0].statement, groups[0].runs) == ("SELECT ?", 700)


def test_count_and_time_are_served_by_route(directory, engine):
    app = Flask("shop")
    app.debug = True

    @app.get("/orders/<int:number>")
    def orders(number):
        with engine.connect() as connection:
            for _ in range(number):
                connection.execute(sa.text("SELECT 1"))
        return "done"

    FlaskProf(app, dir=directory)
    client = app.test_client()
    for number in (0, 2, 5):
        client.get(f"/orders/{number}", buffered=True)
    registry = recorder_for(Settings(dir=directory)).metrics.registry
    labels = {"http_request_method": "GET", "http_route": "/orders/<int:number>"}
    name = "flaskprof_database_query_seconds"
    assert registry.get_sample_value(f"{name}_count", labels) == 7
    assert 0 < registry.get_sample_value(f"{name}_sum", labels) < 5


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent, json, sys
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.pool import StaticPool
from flaskprof import FlaskProf
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings

app = Flask("shop")

@app.get("/<int:number>")
def orders(number):
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as connection:
        for _ in range(number):
            connection.execute(sa.text("SELECT 1"))
            gevent.sleep(0.001)
    engine.dispose()
    return "done"

app.debug = True
FlaskProf(app)
captures = {}

def ask(number):
    answer = app.test_client().get(f"/{number}", headers={"X-Profile": "1"}, buffered=True)
    captures[number] = answer.headers["X-Profile-Id"]

gevent.joinall([gevent.spawn(ask, number) for number in (3, 5, 7, 9)], raise_error=True)
recorder = recorder_for(Settings.load())
assert recorder.flush()
counts = {n: recorder.store.record(each).query_count for n, each in captures.items()}
print(json.dumps(counts))
"""


def test_under_gevent_each_request_has_its_own_queries(tmp_path):
    needs_module("gevent")
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS],
        env={**os.environ, "FLASKPROF_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"3": 3, "5": 5, "7": 7, "9": 9}
