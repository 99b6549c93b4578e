"""Budgets of calls and queries in tests, in runs of pytest of their own."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from checkout import ROOT

APP = """
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.pool import StaticPool

engine = sa.create_engine(
    "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
)


def price(number):
    return number * 2


def make_app():
    app = Flask("shop")

    @app.get("/orders/<int:number>")
    def order(number):
        with engine.connect() as connection:
            for n in range(number):
                connection.execute(sa.text("SELECT :n"), {"n": n})
        return list(map(price, range(number)))

    return app
"""
HEAD = """
import pytest
from shop import engine, make_app

@pytest.fixture
def client():
    yield make_app().test_client()
    engine.dispose()
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Return a function that runs pytest over a test module and returns its result."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(shop=APP)

    def run(source, *options, head=HEAD):
        pytester.makepyfile(test_shop=head + source)
        plugin = ("-p", "flaskprof.pytest_plugin", "-p", "no:cacheprovider")
        return pytester.runpytest_subprocess(*plugin, "-Werror", *options)

    return run


def test_a_budget_that_is_kept_passes_and_one_that_is_not_names_the_line(run):
    result = run(
        """
@pytest.mark.profile_budget(queries=3)
def test_within(client):
    assert client.get("/orders/3").status_code == 200

@pytest.mark.profile_budget(queries=3)
def test_beyond(client):
    assert client.get("/orders/4").status_code == 200
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*over the budget*",
            "*4 queries, of which the budget allows 3:*",
            "*`SELECT ?` ran 4 times from *shop.py:21*",
        ]
    )


def test_calls_by_name_are_counted_for_each_function_and_their_callers_named(run):
    result = run(
        """
@pytest.mark.profile_budget(calls={"sqlalchemy.engine.*execute": 3, "shop.price": 3})
def test_within(client):
    assert client.get("/orders/3").status_code == 200

@pytest.mark.profile_budget(calls={"sqlalchemy.engine.*execute": 3, r"shop\\.price": 3})
def test_beyond(client):
    assert client.get("/orders/4").status_code == 200
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*4 calls of sqlalchemy.engine.base.execute, of which the budget allows 3:*",
            "*  4 by *shop.py:17(order)*",
            "*4 calls of shop.price, of which the budget allows 3:*",
            "*  4 by *shop.py:17(order)*",
        ]
    )


def test_all_calls_together_have_a_bound(run):
    result = run(
        """
def work(n):
    return [abs(n) for n in range(n)]

@pytest.mark.profile_budget(max_calls=200)
def test_within(profiled):
    assert len(profiled(work, 100)) == 100

@pytest.mark.profile_budget(max_calls=99)
def test_beyond(profiled):
    profiled(work, 100)
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*calls, of which the budget allows 99; the most of:*", "*  100 of builtins.abs*"]
    )


def test_the_warm_up_is_not_counted_and_can_be_left_out(run):
    result = run(
        """
from functools import cache

@cache
def slow():
    return [abs(n) for n in range(100)]

@pytest.mark.profile_budget(calls={"builtins.abs": 0})
def test_warm(profiled):
    assert len(profiled(slow)) == 100

@pytest.mark.profile_budget(calls={"builtins.abs": 0}, warmup=0)
def test_cold(profiled):
    slow.cache_clear()
    profiled(slow)

times = []

@pytest.mark.profile_budget(warmup=3)
def test_body():
    times.append(1)

def test_that_ran_four_times():
    assert len(times) == 4
"""
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*100 calls of builtins.abs, of which the budget allows 0:*"])


def test_the_fixture_counts_without_a_budget_exactly(run):
    result = run(
        """
def test_counts(client, profiled):
    assert profiled(client.get, "/orders/7").json == list(range(0, 14, 2))
    assert profiled.queries == 7
    assert profiled.calls("shop.price") == {"shop.price": 7}
    assert list(profiled.calls("sqlalchemy.engine.base.execute").values()) == [7]
    first = profiled.total_calls
    profiled(client.get, "/orders/7")
    assert profiled.total_calls == first

def test_nothing(profiled):
    with pytest.raises(RuntimeError, match="call profiled"):
        profiled.queries

def test_what_is_raised_passes(profiled):
    with pytest.raises(ZeroDivisionError):
        profiled(lambda: 1 / 0)
"""
    )
    result.assert_outcomes(passed=3)


def test_queries_of_an_application_with_flaskprof_are_counted_as_well(run):
    result = run(
        """
from flaskprof import FlaskProf
from flaskprof.capture.recorder import close_all

@pytest.mark.profile_budget(queries=2, calls={"flaskprof.*": 0})
def test_with_flaskprof(tmp_path, profiled):
    app = make_app()
    FlaskProf(app, dir=tmp_path)
    client = app.test_client()
    try:
        assert profiled(client.get, "/orders/2").status_code == 200
        assert profiled.queries == 2
        assert [group.runs for group in profiled.last.statements] == [2]
    finally:
        close_all()
        engine.dispose()
"""
    )
    result.assert_outcomes(passed=1)


MARK = "@pytest.mark.profile_budget"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (MARK + "(calls={'(': 1})\ndef test(): pass", "*no regular expression*"),
        (MARK + "(query=1)\ndef test(): pass", "*takes calls, *, warmup, and not query"),
        (MARK + "(3)\ndef test(): pass", "*takes calls, *, warmup, and not 3"),
        (MARK + "\ndef test(): pass", "*without a budget: give it queries*"),
        (MARK + "(queries=1)\ndef test(profiled): pass", "*was never looked at*"),
        (MARK + "(queries=1)\nasync def test(): pass", "*on an async test*"),
    ],
)
def test_a_budget_that_cannot_be_checked_never_passes_in_silence(run, source, message):
    result = run(source)
    assert result.ret == 1
    result.stdout.fnmatch_lines([message])


def test_the_slowest_tests_leave_captures(run, pytester, monkeypatch):
    monkeypatch.setenv("FLASKPROF_DIR", str(pytester.path / "data"))
    pytester.makeconftest(
        """
now = 0.0

def pytest_sessionstart(session):
    session.config.pluginmanager.get_plugin("flaskprof-slowest")._clock = lambda: now
"""
    )
    result = run(
        """
import conftest

def spin(seconds):
    conftest.now += seconds

def test_slow(client):
    spin(3)

def test_slower():
    spin(9)

def test_fast():
    pass
""",
        "--profile-slowest=2",
    )
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*slowest tests, profiled*", "*9.000 s *::test_slower", "*3.000 s *::test_slow"]
    )
    show = [sys.executable, "-m", "flaskprof", "show", "--dir", str(pytester.path / "data")]
    profiles = sorted((pytester.path / "data").rglob("*.prof"))
    assert len(profiles) == 2
    show += ["--limit", "1000", profiles[0].stem]
    done = subprocess.run(show, capture_output=True, text=True, check=True)
    assert "spin" in done.stdout


def test_it_does_nothing_and_imports_nothing_unless_it_is_used(run):
    result = run(
        """
import sys

def test_imports():
    loaded = sorted(name for name in sys.modules if name.startswith("flaskprof"))
    assert loaded == ["flaskprof", "flaskprof.pytest_plugin"]
""",
        head="",
    )
    result.assert_outcomes(passed=1)


def test_it_is_an_entry_point_of_pytest():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"flaskprof": "flaskprof.pytest_plugin"}
